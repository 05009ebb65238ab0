"""One process at a time in a folder: a lock that ends with the process, however that ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from glot_cli.errors import OutputError

LOCK = ".glot.lock"
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


class FolderBusyError(OutputError):
    """Another process holds the folder: whoever can wait tries again later."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; nobody waits.

    The folder itself is locked where the system can do that, so that no file is left behind; elsewhere (Windows, some
    network disks) a file in it.

    Args:
        folder: a folder that exists.

    Raises:
        FolderBusyError: another process holds it.
        OSError: it cannot be opened.
    """
    descriptor = _lock_directory(folder)
    if descriptor is not None:
        try:
            yield
        finally:
            os.close(descriptor)
        return
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(folder) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no file that is open; it stays then, and does no harm
            (folder / LOCK).unlink()
        lock.release()


def _lock_directory(folder: Path) -> int | None:
    """A descriptor of the folder that holds its lock, None where folders cannot be locked."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _BUSY:
            raise _busy(folder) from None
        return None
    return descriptor


def _busy(folder: Path) -> FolderBusyError:
    remedy = "wait until it is done, or choose another output folder"
    return FolderBusyError("another glot is writing here", path=folder, remedy=remedy)
