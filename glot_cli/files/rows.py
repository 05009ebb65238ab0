"""Arrays that lie in files: what a reader hands out, and how parts of it come into memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK = 2048  # rows held at a time; of 2048 features as float32 these are 16 MB


class Rows(Protocol):
    """An array of N rows in a file. Slicing reads; a memory map and an HDF5 dataset both are one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: slice, /) -> Any: ...


def chunks(count: int) -> Iterator[slice]:
    """Slices that cover `count` rows."""
    for first in range(0, count, CHUNK):
        yield slice(first, min(first + CHUNK, count))


def parts(array: Rows) -> Iterator[tuple[slice, NDArray[Any]]]:
    """An array from its first row to its last, some rows at a time: (which, rows)."""
    for rows in chunks(array.shape[0]):
        yield rows, np.asarray(array[rows])
        release(array)


def release(array: Rows) -> None:
    """Give back the memory of a mapped array's rows. They are still there, and read anew when they are asked for."""
    memory = getattr(array, "base", None)
    if isinstance(memory, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Windows has other ways
        memory.madvise(mmap.MADV_DONTNEED)


def take(array: Rows, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows of an array, in any order. Each unbroken run of numbers is read at once.

    Args:
        array: N rows in a file.
        rows: (K,) which of them, in the order wanted.

    Returns:
        (K, ...) rows in memory, or mapped where they follow each other.
    """
    if not len(rows):
        return np.asarray(array[0:0])
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts, lasts = rows[np.r_[0, breaks]], rows[np.r_[breaks - 1, len(rows) - 1]]
    parts = [np.asarray(array[int(a) : int(b) + 1]) for a, b in zip(firsts, lasts, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
