"""Any file of a data set opened as arrays by name, whatever it was written with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from glot_cli.datasets.unpack import packing, unpack
from glot_cli.errors import GlotError
from glot_cli.files.hdf5 import MAGIC, open_h5
from glot_cli.files.joblib_pickles import read_joblib
from glot_cli.files.pickles import Damaged
from glot_cli.files.rows import Rows


@contextmanager
def open_source(path: Path, scratch: Path) -> Iterator[Mapping[str, Rows]]:
    """The arrays of a file of joblib, compressed or not, or of an HDF5 file.

    scratch: a folder for what a compressed one unpacks to; that is there while the arrays are. Raises GlotError where
    the file cannot be read, and Refused and Damaged; all but the first without its name in front.
    """
    start = _start(path)
    if start.startswith(MAGIC):
        with open_h5(path) as arrays:
            yield arrays
        return
    _check_kind(start)
    kind = packing(start)
    if kind is None:
        yield read_joblib(path)
        return
    target = scratch / "unpacked"
    try:
        unpack(path, kind, target)
        yield read_joblib(target)
    finally:
        target.unlink(missing_ok=True)


def _start(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise GlotError("is a folder; give the files in it")
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise GlotError(f"cannot be read ({error.strerror}); check the name") from error
    if not start:
        raise Damaged("is empty")
    return start


def _check_kind(start: bytes) -> None:
    """Raise for what is often taken for a data set."""
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Damaged("is a web page, not the file itself: the download wanted a login or a confirmation first")
    if start.startswith(b"version https://git-lfs"):
        raise Damaged("is only a pointer of Git LFS to the file; fetch it with 'git lfs pull'")
    if start.startswith(b"PK\x03\x04") or start[257:262] == b"ustar":
        raise GlotError("is an archive, or a network of torch; unpack it, and give the data sets in it")
