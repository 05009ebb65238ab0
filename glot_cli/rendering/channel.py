"""How the two processes talk: one JSON line, then raw bytes of the length it names. Frames go through shared memory."""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import secrets
import sys
import tempfile
from typing import IO, Any, BinaryIO

import numpy as np

from glot_cli.files.atomic import claim


def send(stream: BinaryIO, message: dict[str, Any], payload: np.ndarray | None = None) -> None:
    """Write a message and the bytes of an array; the array's shape and type travel along."""
    if payload is not None:
        payload = np.ascontiguousarray(payload)
        message = {**message, "shape": payload.shape, "dtype": payload.dtype.str}
    stream.write(json.dumps(message).encode() + b"\n")
    if payload is not None:
        stream.write(payload.data.cast("B") if payload.size else b"")
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], np.ndarray | None]:
    """Read what `send` wrote.

    Returns:
        The message, and the array that came with it, if one did.

    Raises:
        EOFError: the other side is gone.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    if "shape" not in message:
        return message, None
    array = np.empty(message.pop("shape"), dtype=np.dtype(message.pop("dtype")))
    if array.size:
        view = array.data.cast("B")
        while view.nbytes:
            count = stream.readinto(view)  # type: ignore[attr-defined]  # every buffered binary stream has it
            if not count:
                raise EOFError
            view = view[count:]
    return message, array


def nameless_file(n_bytes: int = 0) -> IO[bytes]:
    """A file that no folder lists, in memory where the system can: it goes when nobody has it open or mapped any more.

    A file with a name would stay for good after a kill between its making and its removal.

    Args:
        n_bytes: size; the space is claimed at once.

    Raises:
        OSError: there is no such space, neither in memory nor in the temporary folder.
    """
    if hasattr(os, "memfd_create"):  # Linux
        with contextlib.suppress(OSError):
            return _claimed(os.fdopen(os.memfd_create("glot"), "w+b"), n_bytes)
    return _claimed(tempfile.TemporaryFile(prefix="glot-"), n_bytes)


def _claimed(file: IO[bytes], n_bytes: int) -> IO[bytes]:
    try:
        if n_bytes:
            claim(file, n_bytes)
    except BaseException:
        file.close()
        raise
    return file


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
