"""Files of named arrays: those of others read without trust, our own written whole or not at all."""

from __future__ import annotations

import io
import lzma
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import one_line
from glot_cli.files.atomic import not_written
from glot_cli.files.faults import MAX_BYTES, Damaged, Refused, check_size
from glot_cli.files.opening import check_there, unreadable
from glot_cli.files.seal import sealed

# What zipfile and its codecs raise on an archive that is damaged, cut off or packed in a way that they do not know.
BAD_ZIP = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError,
           RuntimeError, ValueError)  # fmt: skip
MAX_RATIO = 20  # how much larger than their file arrays above `MAX_BYTES` may be; numbers never shrink that much
_PIECE = 16 << 20  # bytes of an array read at once

Arrays = dict[str, NDArray[Any]]


def is_npz(names: list[str]) -> bool:
    """Whether a zip with files of these names is an npz."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def load_npz(path: Path, names: Collection[str] | None = None) -> Arrays:
    """The arrays of a user's npz by name, which may be changed. Nothing is unpickled.

    Args:
        path: the file.
        names: those to read, as far as they are there; None: all.

    Raises:
        Damaged: it is empty, cut off, altered or no npz.
        Refused: one of the arrays holds objects, or they claim far more than the file's size allows.
        FileFault: it is missing or a folder.
    """
    try:
        size = check_there(path)
        file = path.open("rb")  # here: zipfile leaves a damaged file open
    except OSError as error:
        raise unreadable(error) from error
    with file:
        return _read_arrays(file, names, allowed=max(MAX_BYTES, MAX_RATIO * size))


def read_npz(data: bytes) -> Arrays:
    """The arrays of an npz by name. Raises Damaged, and Refused where one holds objects or all are too large."""
    return _read_arrays(io.BytesIO(data))


def _read_arrays(file: IO[bytes], names: Collection[str] | None = None, allowed: int | None = None) -> Arrays:
    """Those of an open npz that are wanted; allowed: bytes they may unpack to, None: as an official file."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy") and (names is None or info.filename.removesuffix(".npy") in names)
            }
            claimed = sum(info.file_size for info in members.values())
            if allowed is None:
                check_size(claimed)
            elif claimed > allowed:
                raise Refused(f"claims {claimed / 1e9:.1f} GB, far more than its size allows")
            arrays = {}
            for name, info in members.items():
                with archive.open(info) as member:
                    arrays[name] = read_npy(member, info.file_size)
            return arrays
    except BAD_ZIP as error:
        raise Damaged(f"is a damaged or cut off npz, or none ({one_line(error)})") from error


def read_npy(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a .npy of `size` bytes, whose header may neither claim more nor ask for objects.

    Raises:
        Damaged: the header or the numbers are altered or cut off.
        Refused: the array holds Python objects.
    """
    shape, fortran, dtype = _read_header(file, size)
    try:
        array = np.empty(math.prod(shape), dtype)
        if array.nbytes:
            _fill(array.view(np.uint8).data, file)
        return array.reshape(shape, order="F" if fortran else "C")
    except (ValueError, TypeError, OverflowError) as error:  # a shape or type that no array has
        raise Damaged(f"is a damaged array ({one_line(error)})") from error


def _fill(raw: memoryview, file: IO[bytes]) -> None:
    """Read bytes into the memory of an array. Raises Damaged where there are too few."""
    done = 0
    while done < len(raw):
        piece = file.read(min(_PIECE, len(raw) - done))
        if not piece:
            raise Damaged("is an array that was cut off")
        raw[done : done + len(piece)] = piece
        done += len(piece)


def map_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, read only and mapped into memory instead of read.

    Raises:
        Damaged: it is empty, cut off, altered or no .npy.
        Refused: it holds Python objects.
        FileFault: it is missing or a folder.
    """
    try:
        size = check_there(path)
        with path.open("rb") as file:
            shape, fortran, dtype = _read_header(file, size)
            start = file.tell()
            if start + math.prod(shape) * dtype.itemsize > size:
                raise Damaged("is an array that was cut off")
            return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")
    except OSError as error:
        raise unreadable(error) from error
    except (ValueError, TypeError, OverflowError) as error:  # a shape or type that no array has
        raise Damaged(f"is a damaged array ({one_line(error)})") from error


def _read_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of a .npy of `size` bytes; see `read_npy` for what is raised."""
    fmt = np.lib.format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's parser, which reads the header, says what it thinks of it
            read_header = fmt.read_array_header_1_0 if fmt.read_magic(file) == (1, 0) else fmt.read_array_header_2_0
            shape, fortran, dtype = read_header(file)
    except (*BAD_ZIP, SyntaxError, TypeError, KeyError, MemoryError, TokenError) as error:
        raise Damaged(f"is a damaged array ({one_line(error)})") from error
    if dtype.hasobject:
        raise Refused("holds Python objects, which would have to be unpickled, instead of an array of numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise Damaged(f"claims an array of shape {shape}, but has only {size} bytes")
    return shape, fortran, dtype


def write_npz(path: Path, arrays: Arrays, compress: bool = True) -> None:
    """Write arrays to a sealed .npz, aside first: nobody ever sees half a file.

    Args:
        path: the file to make, or a sealed one to replace.
        arrays: by name; objects are refused.
        compress: whether to deflate them.

    Raises:
        OutputError: it cannot be written.
    """
    buffer = io.BytesIO()
    if compress:
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
    else:
        np.savez(buffer, allow_pickle=False, **arrays)
    try:
        with sealed(path) as aside:
            aside.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise not_written(path, error, "choose another output folder") from error
