"""Archives of others, looked through where they lie: zip and tar, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from glot_cli.files.faults import MAX_RATIO, Refused, damage
from glot_cli.files.npz import is_npz
from glot_cli.files.opening import BZ2, GZIP, XZ, ZIP, is_tar
from glot_cli.files.zips import MAX_MEMBERS, open_zip, zip_names

LONGEST_HEADER = 1 << 15  # bytes of what a tar says of one file; tarfile takes long over more, and holds all of it
ALWAYS = 4 << 20  # bytes that any archive may unpack to: what is looked at takes time, file after file
ALWAYS_WITHIN = 1 << 20  # and any archive in it
MOST_FILES = 200  # that are worth a look
_PIECE = 1 << 14  # bytes of a member read at once
WORTH_A_LOOK = (".pkl", ".npz", ".npy", ".pt", ".pth", ".tar", ".safetensors")  # .pth.tar is a network, not an archive


def is_archive(path: Path) -> bool:
    """Whether a file is a zip of files (not an npz, not a network) or a tar, compressed or not; False if unreadable.

    Raises:
        Damaged: a zip without its list of files.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
            if not start.startswith(ZIP):
                return start.startswith((GZIP, BZ2, XZ)) or is_tar(start)
            names = zip_names(file)
    except (OSError, ValueError):  # the latter of a name with a NUL
        return False
    return not is_npz(names) and not _is_network(names)


def _is_network(names: list[str]) -> bool:
    """Whether a zip with files of these names is what torch.save writes."""
    return any(PurePosixPath(name).name == "data.pkl" for name in names)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The members of an archive that may be weights, by their names' endings, one at a time: (name, bytes).

    Raises:
        Damaged: it is cut off or altered.
        Refused: it unpacks to far more than its size allows, or in a way that is not read here.
    """
    with damage("a damaged archive"), path.open("rb") as file:
        if file.read(4) == ZIP:
            with open_zip(file, _worth_a_look, always=ALWAYS) as archive:
                _check_count(len(archive.members))
                for name in archive.members:
                    yield name, archive.read(name)
        else:
            yield from _tar_members(file)


def check_within(data: bytes) -> None:
    """Raise Refused where a member of an archive is itself one that unpacks to far more; Damaged where it is broken."""
    if data.startswith(ZIP):
        with open_zip(io.BytesIO(data), lambda name: True, always=ALWAYS_WITHIN):
            pass


def _check_count(count: int) -> None:
    if count > MOST_FILES:
        raise Refused(f"is an archive of more than {MOST_FILES} files that may be weights")


class _Unpacked:
    """A tar as `tarfile` reads it: never much at once, never far more than the file's size allows."""

    def __init__(self, file: IO[bytes]) -> None:
        self._left = max(ALWAYS, MAX_RATIO * file.seek(0, os.SEEK_END))
        file.seek(0)
        start = file.read(6)
        file.seek(0)
        for magic, module in ((GZIP, gzip), (BZ2, bz2), (XZ, lzma)):
            if start.startswith(magic):
                file = cast("IO[bytes]", cast("Any", module).open(file))
        self._file = file

    def read(self, size: int) -> bytes:
        if size > LONGEST_HEADER:
            raise Refused(f"is an archive that says more than {LONGEST_HEADER:,} bytes of one file in it")
        self._spend(size)
        return self._file.read(size)

    def seek(self, place: int) -> int:
        self._spend(max(0, place - self._file.tell()))
        return self._file.seek(place)

    def tell(self) -> int:
        return self._file.tell()

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Refused("is an archive that unpacks to far more than its size allows")


def _tar_members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=cast("IO[bytes]", _Unpacked(file)), mode="r:") as archive:
        looked_at = 0
        for count, info in enumerate(archive, start=1):
            if count > MAX_MEMBERS:
                raise Refused(f"is an archive of more than {MAX_MEMBERS:,} files")
            if not info.isreg() or not _worth_a_look(info.name):
                continue
            looked_at += 1
            _check_count(looked_at)
            if info.issparse():
                raise Refused(f"holds {info.name} with gaps in it")
            member = archive.extractfile(info)
            assert member is not None  # it is a regular file
            with member:
                yield info.name, b"".join(iter(partial(member.read, _PIECE), b""))


def _worth_a_look(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in WORTH_A_LOOK and not path.name.startswith(".") and "__MACOSX" not in path.parts
