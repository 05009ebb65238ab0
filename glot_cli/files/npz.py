"""Files of named arrays: those of others read without trust, our own written whole or not at all."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import one_line
from glot_cli.files.atomic import not_written
from glot_cli.files.faults import Damaged, Refused, check_size
from glot_cli.files.seal import sealed

# What zipfile and zlib raise on an archive that is damaged, cut off or packed in a way that they do not know.
BAD_ZIP = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def is_npz(names: list[str]) -> bool:
    """Whether a zip with files of these names is an npz."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an npz by name. Raises Damaged, and Refused where one holds objects or all are too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            check_size(sum(info.file_size for info in listed))
            arrays = {}
            for info in listed:
                with archive.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = read_npy(member, info.file_size)
            return arrays
    except BAD_ZIP as error:
        raise Damaged(f"is a damaged npz ({error})") from error


def read_npy(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a .npy of `size` bytes, whose header may neither claim more nor ask for objects.

    Raises:
        Damaged: the header or the numbers are altered or cut off.
        Refused: the array holds Python objects.
    """
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
        raise Damaged(f"is a damaged array ({one_line(error)})") from error
    if len(raw) != count * dtype.itemsize:
        raise Damaged("is an array that was cut off")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


def write_npz(path: Path, arrays: dict[str, NDArray[Any]], compress: bool = True) -> None:
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
