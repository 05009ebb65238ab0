"""What the command line says: always on one line, whatever names hold."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from glot_cli.errors import GlotError, UsageError, one_line, printable

# What the command line calls an option, where that is not `--` and its name.
FLAGS = {"render": "--no-render", "frames": "--no-frames", "changes": "--set"}

# Not a fault of a file or of glot: what the machine, or who set its limits, does not give. And what to do.
_OF_ALL_FILES = {errno.EMFILE: "allow more with 'ulimit -n'", errno.ENFILE: "end other programs"}
_SHORTAGES = {
    **_OF_ALL_FILES,
    errno.ENOMEM: "end other programs, give networks less at once (--batch-size) or take a machine with more",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "name other folders",
    errno.EIO: "look after the disk",
}
# Of PyTorch on CPU and CUDA, OpenCV, C++, the system's loader, threads: they have no kind of error of its own for it.
_OUT_OF_MEMORY = re.compile(
    r"(out of|insufficient) memory|bad_alloc|(can't|cannot|failed to) (allocate|map segment)|can't start new thread",
    re.IGNORECASE,
)


def flag_of(option: str) -> str:
    """What the command line calls an option of a function."""
    return FLAGS.get(option, f"--{option.replace('_', '-')}")


def say(line: str) -> None:
    """A remark on standard error."""
    print(f"glot: {printable(line)}", file=sys.stderr)  # Click would put question marks for what ASCII lacks


def tell_error(
    error: Exception, arguments: Sequence[str] | None = None, about: Path | None = None, among: Sequence[Path] = ()
) -> int:
    """One line for an error, the user's own or ours; after its traceback if that is wanted.

    Args:
        error: what was raised.
        arguments: of the program; by default those that `main` gave to the command that runs.
        about: the file that was at work, of several in one call.
        among: all of them.

    Returns:
        The exit status that it means.
    """
    if arguments is None:
        arguments = click.get_current_context().obj
    if "--debug" in arguments:
        traceback.print_exception(error)
    subject = f"{about}: " if about else ""
    # What is raised of a file names its own shortages, but where no file could be opened that file is not at fault.
    known = _OF_ALL_FILES if isinstance(error, GlotError) else _SHORTAGES
    shortage = next(filter(None, (_shortage(cause, known) for cause in _chain(error))), None)
    if shortage:
        say(subject + shortage)
    elif isinstance(error, GlotError):
        say(_worded(error))
    elif isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "glot_cli":
        say(f"{subject}a library cannot be loaded ({one_line(error, 300)}); install it, or glot with all that it needs")
    else:
        reason = f"{type(error).__name__}: {one_line(error, 300)}"
        others = {path for path in among if path != about}
        words = [word for word in arguments if Path(word) not in others and word != "--debug"]
        end = words.index("--") if "--" in words else len(words)
        again = " ".join(map(_quoted, ("glot", *words[:end], "--debug", *words[end:])))
        say(f"{subject}a fault in glot itself ({reason}); please report it, with what this shows: {again}")
    return 2 if isinstance(error, UsageError) else 1


def _worded(error: GlotError) -> str:
    """The line of an error, with the flag that its option is given by."""
    if error.option is None:
        return str(error)
    if isinstance(error, UsageError):
        return str(error).replace(error.option, flag_of(error.option), 1)
    return f"{error} ({flag_of(error.option)})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was raised from or while handling, newest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _shortage(error: BaseException, known: dict[int, str]) -> str | None:
    """What the machine did not give and what to do, None where the error is none of those known."""
    no_memory = isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error))
    number = errno.ENOMEM if no_memory else getattr(error, "errno", None)
    return f"{os.strerror(number)}; {known[number]}" if number in known else None


def _quoted(word: str) -> str:
    """A word as a shell takes it, on one line."""
    if printable(word) == word:
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{printable(escaped)}'"
