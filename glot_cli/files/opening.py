"""A file of others before it is read: whether it is there, and what its first bytes say that it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from glot_cli.files.faults import Damaged, FileFault, check_size

ZIP, GZIP, BZ2, XZ, NPY = b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x93NUMPY"
HDF5 = b"\x89HDF\r\n\x1a\n"
TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # how torch's files began before they were zips

_COMPRESSED = {"gzip": GZIP, "bz2": BZ2, "xz": XZ, "lzma": b"\x5d\x00", "zlib": b"\x78", "lz4": b"\x04\x22\x4d\x18"}


def expanded(path: str | Path) -> Path:
    """A path whose ~ is the home folder it means; the ~ of nobody stays, where Path.expanduser raises RuntimeError."""
    return Path(os.path.expanduser(path))


def first_bytes(path: Path) -> bytes:
    """The first 512 bytes of a file, or fewer where it is shorter. Raises FileFault where there are none."""
    try:
        check_there(path)
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise unreadable(error) from error


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """A file whole. Raises FileFault when it is missing, no regular file, empty or too large (see `check_size`)."""
    try:
        check_size(check_there(path), most=most)
        return path.read_bytes()
    except OSError as error:
        raise unreadable(error) from error


def check_there(path: Path) -> int:
    """Bytes of a file. Raises FileFault where it is no regular file or empty, OSError where it is not there.

    To open a pipe or a device may take for ever. What the system makes up (/proc) calls itself a file, but empty.
    """
    try:
        there = path.stat()
    except ValueError as error:  # a name with a NUL, or with half a letter
        raise FileFault(f"is no name of a file ({error})", remedy="check the name") from error
    if stat.S_ISDIR(there.st_mode):
        raise FileFault("is a folder", remedy="give the files in it")
    if not stat.S_ISREG(there.st_mode):
        raise FileFault("is no regular file", remedy="copy what it gives into a file, and give that")
    if not there.st_size:
        raise Damaged("is empty")
    return there.st_size


def unreadable(error: OSError) -> FileFault:
    """The fault of a file that the system does not let be read."""
    return FileFault(f"cannot be read ({error.strerror})", remedy="check the name")


def check_download(start: bytes) -> None:
    """Raise Damaged where a download brought something in the file's place. start: the file's first bytes."""
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Damaged("is a web page, not the file itself: the download wanted a login or a confirmation first")
    if start.startswith(b"version https://git-lfs"):
        raise Damaged("is only a pointer of Git LFS to the file", remedy="fetch it with 'git lfs pull'")


def is_tar(start: bytes) -> bool:
    """Whether a file that begins so is a tar; start: 262 bytes or more."""
    return start[257:262] == b"ustar"


def compression(start: bytes) -> str | None:
    """How a file that begins so (2 bytes or more) is compressed as a whole, None where it is not."""
    for name, magic in _COMPRESSED.items():
        if start.startswith(magic) and (name != "zlib" or int.from_bytes(start[:2], "big") % 31 == 0):
            return name
    return None
