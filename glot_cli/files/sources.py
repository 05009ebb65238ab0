"""Any file of a data set opened as arrays by name, whatever it was written with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from glot_cli.files.faults import Unsupported
from glot_cli.files.hdf5_apart import open_h5_apart
from glot_cli.files.joblib_pickles import read_joblib
from glot_cli.files.opening import HDF5, ZIP, check_download, compression, first_bytes, is_tar
from glot_cli.files.rows import Rows


@contextmanager
def open_source(path: Path) -> Iterator[Mapping[str, Rows]]:
    """The arrays of a file of joblib or an HDF5 file, which are there until the block ends.

    Raises:
        Refused: it asks for something that no data set needs.
        Damaged: it is cut off or altered; also while the arrays are sliced.
        Unsupported: it is of another kind, or compressed.
        FileFault: it is missing or a folder.
    """
    start = first_bytes(path)
    if start.startswith(HDF5):
        with open_h5_apart(path) as arrays:
            yield arrays
        return
    _check_kind(start)
    yield read_joblib(path)


def _check_kind(start: bytes) -> None:
    """Raise for what is often taken for a data set. Compressed files cannot be mapped; no official one is any."""
    check_download(start)
    if start.startswith(ZIP) or is_tar(start):
        raise Unsupported("is an archive, or a network of torch", remedy="unpack it, and give the data sets in it")
    if kind := compression(start):
        remedy = "decompress it first, or load it where you trust it and dump it again uncompressed"
        raise Unsupported(f"is compressed with {kind}, which glot does not read", remedy=remedy)
    if start.startswith(b"ZF"):
        remedy = "load it where you trust it and dump it again uncompressed, with a newer one"
        raise Unsupported("was written by joblib before 0.10", remedy=remedy)
