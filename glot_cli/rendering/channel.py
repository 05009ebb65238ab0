"""Memory that two processes share, through which pictures go."""

from __future__ import annotations

import math
import mmap
import os
import secrets
import sys
from typing import IO

import numpy as np

from glot_cli.files.atomic import nameless_file


class SharedPictures:
    """Pictures in memory that both processes have mapped; the system frees it when both are gone, however they end.

    Args:
        shape: of all pictures together, (N, ...).

    Attributes:
        pictures: uint8, zeros at first.
        key: by which the other process finds them (`map_pictures`): a file descriptor, on Windows a name.
        inherited: file descriptors that the other process must inherit.

    Raises:
        OSError: there is no space for them.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.key: int | str
        self.inherited: tuple[int, ...] = ()
        self._file: IO[bytes] | None = None
        if sys.platform == "win32":
            self.key = f"glot-{os.getpid()}-{secrets.token_hex(8)}"
        else:
            self._file = nameless_file(math.prod(shape))
            self.key = self._file.fileno()
            self.inherited = (self.key,)
        try:
            self.pictures = map_pictures(self.key, shape)
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Give up the key: no further process can map the pictures; who has them mapped keeps them."""
        if self._file is not None:
            self._file.close()


def map_pictures(key: int | str, shape: tuple[int, ...]) -> np.ndarray:
    """The pictures of a `SharedPictures` that was made with this shape, possibly by another process."""
    n_bytes = math.prod(shape)
    if sys.platform == "win32":
        memory = mmap.mmap(-1, n_bytes, tagname=str(key))
    else:
        memory = mmap.mmap(int(key), n_bytes)
    return np.frombuffer(memory, dtype=np.uint8).reshape(shape)
