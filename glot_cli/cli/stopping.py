"""Ctrl-C and polite kills: unwind the program so that nothing is left half written."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from glot_cli.cli.telling import say

INTERRUPTED = 130  # exit status: what a shell gives a program that Ctrl-C ended
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def unwind_on_signals() -> None:
    """Let a polite kill, or the end of the terminal, unwind the program as Ctrl-C does; `nohup` stays in force."""
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def loading() -> Iterator[None]:
    """While modules are imported, leave at once instead.

    Nothing is being written, and an exception that is thrown into the C++ start-up of torch aborts the process with a
    core dump.
    """
    held = [number for number in _SIGNALS if signal.getsignal(number) == signal.default_int_handler]
    for number in held:
        signal.signal(number, lambda *_: leave())
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, signal.default_int_handler)


def leave() -> NoReturn:
    """Say so and end, whatever threads of a decoder or a pool may still hold the interpreter."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write("\n")  # after ^C, or in the middle of a bar
    say("interrupted; no file is left half written")
    sys.stdout.flush()
    os._exit(INTERRUPTED)
