"""Archives of others, looked through where they lie: zip and tar, compressed or not."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from glot_cli.errors import one_line
from glot_cli.files.faults import Damaged, Refused, check_size
from glot_cli.files.npz import is_npz
from glot_cli.files.opening import BZ2, GZIP, XZ, ZIP, is_tar

MAX_ARCHIVE = 64 << 30  # bytes of everything in an archive, most of which is passed over
MAX_MEMBERS = 100_000
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
    except OSError:
        return False
    return not is_npz(names) and not _is_network(names)


def zip_names(file: IO[bytes]) -> list[str]:
    """Names of the files in a zip. Raises Damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Damaged(f"is a damaged or cut off archive ({one_line(error)})") from error


def _is_network(names: list[str]) -> bool:
    """Whether a zip with files of these names is what torch.save writes."""
    return any(PurePosixPath(name).name == "data.pkl" for name in names)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The members of an archive that may be weights, by their names' endings, one at a time: (name, bytes).

    Raises:
        Damaged: it is cut off or altered.
        Refused: it unpacks to more than any official archive does.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == ZIP:
                yield from _zip_members(file)
            else:
                file.seek(0)
                yield from _tar_members(file)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError,
            NotImplementedError) as error:  # fmt: skip
        raise Damaged(f"is a damaged archive ({one_line(error)})") from error


def _zip_members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
        _check_archive(len(listed), sum(info.file_size for info in listed))
        for info in listed:
            if _worth_a_look(info.filename):
                _check_member(info.filename, info.file_size)
                yield info.filename, archive.read(info)  # never more than file_size, whatever is compressed


def _tar_members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        total = 0
        for count, info in enumerate(archive, start=1):
            total += info.size
            _check_archive(count, total)
            if info.isreg() and _worth_a_look(info.name):
                _check_member(info.name, info.size)
                member = archive.extractfile(info)
                if member is not None:
                    yield info.name, member.read()


def _worth_a_look(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in WORTH_A_LOOK and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _check_archive(count: int, size: int) -> None:
    if count > MAX_MEMBERS or size > MAX_ARCHIVE:
        raise Refused(f"is an archive that unpacks to {count:,} files and {size / 2**30:.0f} GB or more")


def _check_member(name: str, size: int) -> None:
    check_size(size, f"holds {name}, which unpacks to")
