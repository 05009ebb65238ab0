"""Room on a disk for what is mapped into memory."""

from __future__ import annotations

import os
from typing import IO


def claim(file: IO[bytes], n_bytes: int) -> None:
    """Give a file its size and claim the space at once. Raises OSError where there is none.

    Writing to a mapped file that outgrows its disk would kill the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    else:
        file.truncate(n_bytes)
