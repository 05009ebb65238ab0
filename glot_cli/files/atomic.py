"""Files that are whole or not there, and room on a disk for what is mapped into memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def claim(file: IO[bytes], n_bytes: int) -> None:
    """Give a file its size and claim the space at once. Raises OSError where there is none.

    Writing to a mapped file that outgrows its disk would kill the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    else:
        file.truncate(n_bytes)


def abandoned(folder: Path, *endings: str) -> Iterator[tuple[Path, str]]:
    """What processes that were killed have left aside in a folder, `.NAME.PROCESS.ENDING`, each with its NAME."""
    if os.name != "posix":  # elsewhere asking for a process may end it
        return
    for path in [path for ending in endings for path in folder.glob(f".*.{ending}")]:
        name, _, process = path.stem.rpartition(".")
        if not process.isdigit():
            continue
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            yield path, name.removeprefix(".")
        except (OSError, OverflowError):
            continue


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file, aside; once the block is done it gets its name, so that a file of that name is whole.

    Raises OSError.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it has its final name, or could not even be made
            aside.unlink()
