"""How the two processes talk: one JSON line, then raw bytes of the length it names. Frames go through shared memory."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

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
    """Read what `send` wrote. Raises EOFError when the other side is gone."""
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


def create_frame_file(n_bytes: int) -> Path:
    """An empty file of `n_bytes` to map into both processes, in memory (/dev/shm) if it fits there."""
    fault: OSError | None = None
    for folder in ("/dev/shm", tempfile.gettempdir()):
        if not os.path.isdir(folder):
            continue
        name = None
        try:
            handle, name = tempfile.mkstemp(prefix="glot-frames-", dir=folder)
            with os.fdopen(handle, "r+b") as file:
                claim(file, n_bytes)
            return Path(name)
        except OSError as error:  # a container may have as little as 64 MB of /dev/shm
            fault = error
            if name is not None:
                with contextlib.suppress(OSError):
                    os.unlink(name)
    raise fault or OSError("no folder for temporary files")
