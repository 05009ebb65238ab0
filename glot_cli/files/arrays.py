"""Files of others opened without trust: what they claim to hold is checked before it is read.

A file is looked at by its content; names decide only which members of an archive are worth a look.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import GlotError
from glot_cli.files.pickles import ALLOWED, Damaged, Refused, unpickle

if TYPE_CHECKING:
    import torch

MAX_BYTES = 2 << 30  # of one file, and of all that a file unpacks to; the largest official one has 0.5 GB
MAX_ARCHIVE = 64 << 30  # of everything in an archive, most of which is passed over
MAX_MEMBERS = 100_000
WORTH_A_LOOK = (".pkl", ".npz", ".npy", ".pt", ".pth", ".tar", ".safetensors")  # .pth.tar is a network, not an archive

_TORCH_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # how torch's files began before they were zips
_GZIP, _ZIP, _NPY = b"\x1f\x8b", b"PK\x03\x04", b"\x93NUMPY"
_DOWNLOAD_AGAIN = "download it again"


def is_archive(path: Path) -> bool:
    """Whether a file is a zip of files (not an npz, not a network) or a tar, compressed or not; False if unreadable."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
            if not start.startswith(_ZIP):
                return start.startswith((_GZIP, b"BZh", b"\xfd7zXZ")) or start[257:262] == b"ustar"
            names = _zip_names(file)
    except OSError:
        return False
    return not _is_npz(names) and not _is_network(names)


def read_bytes(path: Path) -> bytes:
    """A file whole. Raises GlotError when it is missing, a folder, empty or too large."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise GlotError(f"{path}: is a folder; give the files in it")
        if size > MAX_BYTES:
            raise Refused(f"{path}: has {size / 2**30:.1f} GB, more than any official file")
        if not size:
            raise Damaged(f"{path}: is empty; {_DOWNLOAD_AGAIN}")
        return path.read_bytes()
    except OSError as error:
        raise GlotError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The members of an archive that may be weights, one at a time: (name, bytes). Raises Damaged or Refused."""
    try:
        with path.open("rb") as file:
            if file.read(4) == _ZIP:
                yield from _zip_members(file)
            else:
                file.seek(0)
                yield from _tar_members(file)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError,
            NotImplementedError) as error:  # fmt: skip
        raise Damaged(f"is a damaged archive ({str(error)[:100]})") from error


def _zip_members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
        _check_archive(len(listed), sum(info.file_size for info in listed))
        for info in listed:
            if _worth_a_look(info.filename):
                _check_size(info.filename, info.file_size)
                yield info.filename, archive.read(info)  # never more than file_size, whatever is compressed


def _tar_members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        total = 0
        for count, info in enumerate(archive, start=1):
            total += info.size
            _check_archive(count, total)
            if info.isreg() and _worth_a_look(info.name):
                _check_size(info.name, info.size)
                member = archive.extractfile(info)
                if member is not None:
                    yield info.name, member.read()


def _worth_a_look(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in WORTH_A_LOOK and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _check_archive(count: int, size: int) -> None:
    if count > MAX_MEMBERS or size > MAX_ARCHIVE:
        raise Refused(f"is an archive that unpacks to {count:,} files and {size / 2**30:.0f} GB or more")


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise Refused(f"holds {name}, which unpacks to {size / 2**30:.1f} GB, more than any official file")


def _zip_names(file: IO[bytes]) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Damaged(f"is a damaged or cut off archive ({error})") from error


def _is_npz(names: list[str]) -> bool:
    return bool(names) and all(name.endswith(".npy") for name in names)


def _is_network(names: list[str]) -> bool:
    return any(PurePosixPath(name).name == "data.pkl" for name in names)


def contents(data: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor] | None]:
    """(arrays, None) or ({}, checkpoint) of a file that is no archive. Arrays of pickles have `plain()`.

    Raises Refused and Damaged, without the file's name in front.
    """
    if data.startswith(_ZIP):
        names = _zip_names(io.BytesIO(data))
        return (_read_npz(data), None) if _is_npz(names) else ({}, _read_network(data))
    if data.startswith(_TORCH_MAGIC):
        return {}, _read_network(data)
    if data.startswith(_NPY):
        return {"": _read_npy(io.BytesIO(data), len(data))}, None
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return {}, _read_safetensors(data)
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Damaged("is a web page, not the file itself: the download wanted a login or a confirmation first")
    if start.startswith(b"version https://git-lfs"):
        raise Damaged("is only a pointer of Git LFS to the file; fetch it with 'git lfs pull'")
    if data[0] not in b"\x80(}]cd":
        raise GlotError("is none of the files that glot knows")
    held = unpickle(data)
    if isinstance(held, dict):
        return {str(name): value for name, value in held.items() if hasattr(value, "plain")}, None
    return ({"": held} if hasattr(held, "plain") else {}), None


def _read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            total = sum(info.file_size for info in listed)
            if total > MAX_BYTES:
                raise Refused(f"unpacks to {total / 2**30:.1f} GB, more than any official file")
            arrays = {}
            for info in listed:
                with archive.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = _read_npy(member, info.file_size)
            return arrays
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"is a damaged npz ({error})") from error


def _read_npy(file: IO[bytes], size: int) -> NDArray[Any]:
    """An array of a .npy of `size` bytes; its header must not claim more, and no objects."""
    fmt = np.lib.format
    try:
        read_header = fmt.read_array_header_1_0 if fmt.read_magic(file) == (1, 0) else fmt.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
        if dtype.hasobject:
            raise Refused("holds Python objects, which would have to be unpickled, instead of an array of numbers")
        count = math.prod(shape)
        if count * dtype.itemsize > size:
            raise Damaged(f"claims an array of shape {shape}, but has only {size} bytes")
        raw = file.read(count * dtype.itemsize)
    except (ValueError, SyntaxError, TypeError, EOFError) as error:
        raise Damaged(f"is a damaged array ({' '.join(str(error).split())[:100]})") from error
    if len(raw) != count * dtype.itemsize:
        raise Damaged("is an array that was cut off")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


def _read_safetensors(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except SafetensorError as error:
        raise Damaged(f"is a damaged safetensors file ({error})") from error


def _read_network(data: bytes) -> dict[str, torch.Tensor]:
    """The checkpoint in a file of torch.save, old or new, read with torch's restricted unpickler.

    NumPy's numbers among it (epochs and scores are kept as such) become the inert objects of `unpickle`.
    """
    import torch

    if data.startswith(_ZIP):
        _check_network_zip(data)
    stand_ins: list[Any] = [(kind, name) for name, kind in ALLOWED.items() if name.startswith("numpy.")]
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (Refused, Damaged):
        raise
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            raise Refused(f"is a checkpoint that asks for {asked.group(1)}") from error
        raise Damaged(f"is a damaged checkpoint ({_reason(error)})") from error
    except Exception as error:  # torch raises nearly every kind on a broken file
        raise Damaged(f"is a damaged or cut off checkpoint ({_reason(error)})") from error
    if not isinstance(held, dict):
        raise GlotError("is a network file without named tensors")
    return held


def _check_network_zip(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > MAX_BYTES:
                raise Refused(f"unpacks to {total / 2**30:.1f} GB, more than any official file")
            bad = archive.testzip()
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"is a damaged checkpoint ({error})") from error
    if bad:
        raise Damaged(f"is a damaged checkpoint ({bad} does not match its checksum)")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100]
