"""Standard output and error of the program: what closed, full or broken ones do, and what libraries say beside us."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from typing import Any


class Steadfast(io.RawIOBase):
    """A stream whose failure stops nobody: what cannot be written is dropped, and the first reason kept.

    Hours of work are not lost because a terminal went away, or because somebody reads the first line only.

    Args:
        raw: what is written to.

    Attributes:
        fault: the first error, after which nothing more is tried.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.fault: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def write(self, data: Any) -> int | None:
        if self.fault is None:
            try:
                written: int | None = self._raw.write(data)
                return written
            except OSError as error:
                self.fault = error
        return len(data)


def own_streams(debug: bool) -> Steadfast | None:
    """Make standard output and error fit for long work. To be called once, before anything heavy is imported.

    Closed ones lead nowhere from here on: else the next file that is opened would take their number, and what a library
    prints would go into it. Libraries (libpng, libjpeg, FFmpeg, drivers) print into standard error from C, where only
    the file descriptor can be turned away: ours is a copy of it.

    Args:
        debug: let libraries speak.

    Returns:
        What standard output writes to; None where it is not the program's own, as in tests.
    """
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        return None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free: this one
    out = Steadfast(_raw(sys.stdout, 1))
    sys.stdout = _text(out, sys.stdout)
    heard: Any = _raw(sys.stderr, 2)
    if not debug:
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        if os.name == "posix":  # a console of Windows is not written to by its number
            with suppress(OSError):  # no file descriptor is free: libraries speak, then
                heard = io.FileIO(os.dup(2), "w")
                with open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), 2)
    sys.stderr = _text(Steadfast(heard), sys.stderr)
    return out


def _raw(stream: Any, number: int) -> Any:
    """What writes bytes below a text stream that Python made, or would have made were it not closed."""
    if stream is None:
        return io.FileIO(number, "w", closefd=False)
    return getattr(stream.buffer, "raw", stream.buffer)


def _text(raw: Steadfast, like: Any) -> io.TextIOWrapper:
    """Text on a stream: names of files may hold what its encoding cannot show."""
    encoding = "utf-8" if like is None else like.encoding
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=True)
