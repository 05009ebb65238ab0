"""Files of named arrays, whole or not there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import GlotError
from glot_cli.files.atomic import whole


def write_npz(path: Path, arrays: dict[str, NDArray[Any]], compress: bool = True) -> None:
    """Write an npz aside and rename it: nobody ever sees half a file. Raises GlotError."""
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, allow_pickle=False, **arrays)
    try:
        with whole(path) as aside:
            aside.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise GlotError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
