"""Files of named arrays: those of others read without trust, our own written whole or not at all."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.files.atomic import not_written
from glot_cli.files.faults import Damaged, Refused, damage
from glot_cli.files.inert import MOST_DIMENSIONS, is_text
from glot_cli.files.opening import check_there, unreadable
from glot_cli.files.seal import sealed
from glot_cli.files.zips import open_zip

_PIECE = 16 << 20  # bytes of an array read at once
_ENDING = ".npy"

Arrays = dict[str, NDArray[Any]]


def is_npz(names: list[str]) -> bool:
    """Whether a zip with files of these names is an npz."""
    return bool(names) and all(name.endswith(_ENDING) for name in names)


def load_npz(path: Path, names: Collection[str] | None = None) -> Arrays:
    """The arrays of a user's npz by name, which may be changed. Nothing is unpickled.

    Args:
        path: the file.
        names: those to read, as far as they are there; None: all.

    Raises:
        Damaged: it is empty, cut off, altered or no npz.
        Refused: one of the arrays holds objects, or they claim far more than the file's size allows (see `open_zip`).
        FileFault: it is missing or no regular file.
    """
    try:
        check_there(path)
        file = path.open("rb")  # here: zipfile leaves a damaged file open
    except OSError as error:
        raise unreadable(error) from error
    with file:
        return _read_arrays(file, names)


def read_npz(data: bytes) -> Arrays:
    """The arrays of an npz by name; see `load_npz` for what is raised."""
    return _read_arrays(io.BytesIO(data))


def _read_arrays(file: IO[bytes], names: Collection[str] | None = None) -> Arrays:
    """Those of an open npz that are wanted."""

    def wanted(member: str) -> bool:
        return member.endswith(_ENDING) and (names is None or member.removesuffix(_ENDING) in names)

    arrays = {}
    with open_zip(file, wanted, "a damaged or cut off npz, or none") as archive:
        for name, info in archive.members.items():
            with archive.open(name) as member:
                arrays[name.removesuffix(_ENDING)] = read_npy(member, info.file_size)
    return arrays


def read_npy(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a .npy of `size` bytes, whose header may neither claim more nor ask for objects.

    Raises:
        Damaged: the header or the numbers are altered or cut off.
        Refused: the array holds Python objects.
    """
    shape, fortran, dtype = _read_header(file, size)
    with damage("a damaged array"):  # a shape or type that no array has
        array = np.empty(math.prod(shape), dtype)
        if array.nbytes:
            _fill(array.view(np.uint8).data, file)
        if dtype.kind == "U" and not is_text(array):
            raise Damaged("is a damaged array (holds letters that are none)")
        return array.reshape(shape, order="F" if fortran else "C")


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
        FileFault: it is missing or no regular file.
    """
    try:
        size = check_there(path)
        file = path.open("rb")
    except OSError as error:
        raise unreadable(error) from error
    with file, damage("a damaged array"):
        shape, fortran, dtype = _read_header(file, size)
        start = file.tell()
        if start + math.prod(shape) * dtype.itemsize > size:
            raise Damaged("is an array that was cut off")
        return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")


def _read_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of a .npy of `size` bytes; see `read_npy` for what is raised."""
    fmt = np.lib.format
    with damage("a damaged array"):  # Python's parser reads the header, and says what it thinks of it
        read_header = fmt.read_array_header_1_0 if fmt.read_magic(file) == (1, 0) else fmt.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise Refused("holds Python objects, which would have to be unpickled, instead of an array of numbers")
    if len(shape) > MOST_DIMENSIONS or not all(0 <= n <= size for n in shape) or dtype.itemsize > size:
        raise Damaged(f"is a damaged array (claims far more than the {size} bytes it has)")
    if math.prod(shape) * max(dtype.itemsize, 1) > size:
        raise Damaged(f"claims an array of shape {shape}, but has only {size} bytes")
    return shape, fortran, dtype


def write_npz(
    path: Path, arrays: Arrays, compress: bool = True, durable: bool = True, first: Callable[[], None] | None = None
) -> None:
    """Write arrays to a sealed .npz, aside first: nobody ever sees half a file.

    Args:
        path: the file to make, or a sealed one to replace.
        arrays: by name; objects are refused.
        compress: whether to deflate them.
        durable: see `seal_file`.
        first: see `sealed`.

    Raises:
        OutputError: it cannot be written.
    """
    buffer = io.BytesIO()
    if compress:
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
    else:
        np.savez(buffer, allow_pickle=False, **arrays)
    try:
        with sealed(path, durable, first) as aside:
            aside.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise not_written(path, error, "choose another output folder") from error
