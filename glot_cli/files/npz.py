"""Files of named arrays, whole or not there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import OutputError
from glot_cli.files.atomic import whole
from glot_cli.files.seal import seal_file


def write_npz(path: Path, arrays: dict[str, NDArray[Any]], compress: bool = True) -> None:
    """Write arrays to a sealed .npz, aside first: nobody ever sees half a file.

    Args:
        path: the file to make or replace.
        arrays: by name; objects are refused.
        compress: whether to deflate them.

    Raises:
        OutputError: it cannot be written.
    """
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, allow_pickle=False, **arrays)
    try:
        with whole(path) as aside:
            aside.write_bytes(buffer.getbuffer())
            seal_file(aside)
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise OutputError(reason, path=path, remedy="choose another output folder", option="out") from error
