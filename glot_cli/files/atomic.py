"""Files that are whole or not there, and room on a disk for what is mapped into memory."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from glot_cli.errors import OutputError, one_line

OURS = "glot-"  # before the process in names of what is kept aside, so that no file of a user's is taken for ours


def claim(file: IO[bytes], n_bytes: int) -> None:
    """Give a file its size and claim the space on the disk at once. Raises OSError where there is none.

    Writing to a mapped file that outgrows its disk would kill the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    else:
        file.truncate(n_bytes)


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


def aside_name(path: Path, ending: str = "part") -> Path:
    """Where this process keeps a file or folder that is not to have its name yet, or no more: beside it, hidden.

    Args:
        path: the final name.
        ending: `part` for what is being made, `old` for what is being replaced.

    Returns:
        `.NAME.glot-PROCESS-MACHINE.ENDING` in the same folder, which `abandoned` finds once the process is dead.
    """
    return path.with_name(f".{path.name}.{OURS}{os.getpid()}-{_machine()}.{ending}")


@functools.cache
def _machine() -> str:
    """Where numbers of processes mean the same as here.

    In a folder that machines, or containers, share, a number alone would make those who live elsewhere look dead.
    """
    try:
        numbering = os.stat("/proc/self/ns/pid").st_ino  # of a container, on Linux
    except OSError:
        numbering = 0
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


def abandoned(folder: Path, *endings: str) -> Iterator[tuple[Path, str]]:
    """What processes of this machine that were killed have left aside in a folder (see `aside_name`).

    Args:
        folder: where to look; nothing below it is looked at.
        endings: those of `aside_name` to look for; `part` if none is given.

    Yields:
        Each path with the name that it was to have, or had. Nothing on Windows, where a process cannot be asked for
        without harm.
    """
    if os.name != "posix":  # elsewhere asking for a process may end it
        return
    for path in [path for ending in endings or ("part",) for path in folder.glob(f".*.{ending}")]:
        name, _, process = path.stem.rpartition(".")
        number, _, machine = process.removeprefix(OURS).partition("-")
        if not process.startswith(OURS) or not number.isdecimal() or machine != _machine():
            continue
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            yield path, name.removeprefix(".")
        except (OSError, OverflowError):
            continue


def absent(folder: Path) -> list[Path]:
    """A folder and those above it as far as there are none yet, the innermost first."""
    return list(itertools.takewhile(lambda path: not os.path.lexists(path), (folder, *folder.parents)))


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, up to one that something is in."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file, aside; once the block is done it gets its name, so that a file of that name is whole.

    Nothing is left of it when the block ends with an error. Raises OSError.
    """
    aside = aside_name(path)
    try:
        yield aside
        with aside.open("r+b") as file:
            os.fsync(file.fileno())  # a name may reach the disk before the content, and the power be cut in between
        aside.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it has its final name, or could not even be made
            aside.unlink()


def not_written(
    path: Path,
    error: Exception,
    remedy: str = "check the folder, its permissions and disk space",
    option: str | None = None,
) -> OutputError:
    """What to tell of a file or folder that could not be written.

    Args:
        path: the file or folder.
        error: what the system, or the library that wrote, raised.
        remedy: what to do, where the caller knows better.
        option: the option by which that is done.
    """
    words = getattr(error, "strerror", None) or one_line(error, 1000)
    return OutputError(f"cannot be written ({words})", path=path, remedy=remedy, option=option)
