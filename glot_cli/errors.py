"""What glot raises when a person, not a programmer, has to act."""

from __future__ import annotations

from pathlib import Path

# What would break a line, hide a part of it or speak to the terminal: control characters, and those that turn writing
# around.
_UNPRINTABLE = {
    number: chr(number).encode("unicode_escape").decode()
    for first, last in ((0, 31), (127, 159), (0x2028, 0x202E), (0x2066, 0x2069))
    for number in range(first, last + 1)
}


def printable(text: str) -> str:
    """A text, which may hold names of files, as one line that a terminal can be given."""
    return text.translate(_UNPRINTABLE)


def counted(count: int, what: str) -> str:
    """So many of something: "1 frame", "12 frames"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


class GlotError(Exception):
    """A fault in what the user gave or has: what it is about, what is wrong and what to do.

    `str()` makes the one line of it that the command line prints, with exit status 1. Raise one of the kinds below.

    Args:
        reason: what is wrong, without the path and without a full stop.
        path: the file or folder it is about.
        remedy: what the user can do, as an order ("choose another folder").
        option: the argument or field of `Options` that it is about, or by which the remedy is given.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str | Path | None = None,
        remedy: str | None = None,
        option: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = None if path is None else Path(path)
        self.remedy = remedy
        self.option = option

    def __str__(self) -> str:
        subject = "" if self.path is None else f"{self.path}: "
        return printable(f"{subject}{self.reason}{f'; {self.remedy}' if self.remedy else ''}")


def first_line(error: Exception) -> str:
    """What a library says went wrong, in the one line that a reason may have."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class InputError(GlotError):
    """A video, record, motion, data set or configuration that cannot be used."""


class WeightsError(GlotError):
    """A weight file, body model or detector that is missing, damaged or of another kind."""


class RenderError(GlotError):
    """Meshes cannot be drawn on this machine."""


class OutputError(GlotError):
    """A file or folder that cannot be written, or may not be replaced."""


class UsageError(GlotError):
    """An option that cannot be, or options that do not go together: the command line exits with status 2.

    The line begins with the option's name, where there is one.
    """

    def __str__(self) -> str:
        return f"{f'{self.option}: ' if self.option else ''}{super().__str__()}"


def one_line(error: BaseException, longest: int = 100) -> str:
    """The words of another's error on one line, `longest` letters at most, to be part of a reason."""
    return " ".join(str(error).split())[:longest]
