"""One process at a time in a folder: a lock that ends with the process, however that ends."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from glot_cli.errors import OutputError

LOCK = ".glot.lock"
_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = frozenset(("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"))
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


class FolderBusyError(OutputError):
    """Another process holds the folder: whoever can wait tries again later."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; nobody waits.

    The folder itself is locked where the system can do that, so that no file is left behind; elsewhere (Windows, disks
    that machines share, where a lock of a folder is known to one machine alone) a file in it.

    Args:
        folder: a folder that exists.

    Raises:
        FolderBusyError: another process holds it.
        OSError: it cannot be opened.
    """
    descriptor = _lock_directory(folder) if _is_of_this_machine(folder) else None
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


def _is_of_this_machine(folder: Path) -> bool:
    """Whether a folder lies on a disk of this machine, as far as Linux tells."""
    try:
        lines = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return True
    place = os.path.join(os.path.realpath(folder), "")
    kind, longest = "", 0
    for line in lines:  # the later one of two mounts in the same place is on top
        fields, _, described = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields.split()[4])  # a space is \040
        point = os.path.join(point, "")
        if place.startswith(point) and len(point) >= longest:
            kind, longest = described.split()[0], len(point)
    return not kind or kind in _LOCAL


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
