"""What can be wrong with a file that others made, and the sizes beyond which none is read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glot_cli.errors import GlotError, one_line

MAX_BYTES = 768 << 20  # of one file that is read whole; the largest official one has 0.5 GB
ALWAYS = 64 << 20  # bytes that any file may unpack to, however small it is: some arrays are nothing but zeros
MAX_RATIO = 20  # how much larger than its file more than that may be; numbers never shrink so much


class FileFault(GlotError):
    """A fault found in bytes, by a reader that was not told whose they are: whoever opened the file says so (`about`).

    None leaves the package like this.
    """

    def about(self, path: Path, kind: type[GlotError], member: str = "", remedy: str | None = None) -> GlotError:
        """The same fault as an error for the user.

        Args:
            path: the file that was opened.
            kind: the error to make: `WeightsError` or `InputError`.
            member: the name of the file within, where `path` is an archive.
            remedy: what to do where the fault itself does not say it; None: take the official file anew.
        """
        reason = f"{member}: {self.reason}" if member else self.reason
        return kind(reason, path=path, remedy=self.remedy or remedy, option=self.option)


class Refused(FileFault):
    """The file asks for something that none of its kind needs."""

    def about(self, path: Path, kind: type[GlotError], member: str = "", remedy: str | None = None) -> GlotError:
        reason = f"{self.reason}; nothing in it was run{'' if remedy else ', and no official file does that'}"
        return FileFault(reason, remedy=self.remedy, option=self.option).about(
            path, kind, member, remedy or "take another copy"
        )


class Damaged(FileFault):
    """The file is cut off or altered, or is not what its name says."""

    def about(self, path: Path, kind: type[GlotError], member: str = "", remedy: str | None = None) -> GlotError:
        return super().about(path, kind, member, remedy or "download it again")


class Unsupported(FileFault):
    """The file is of a kind that is not read here."""


class TooMuch(FileFault):
    """Reading the file, or what is in it, takes more time or memory than there is for it."""


def check_size(n_bytes: int, claim: str = "has", most: int | None = None) -> None:
    """Raise Refused where more would have to be read than any file of the kind has.

    Args:
        n_bytes: how much.
        claim: what is said to be so large.
        most: what the largest of the kind has; by default `MAX_BYTES`.
    """
    if n_bytes > (MAX_BYTES if most is None else most):
        raise Refused(f"{claim} {n_bytes / 1e6:,.1f} MB, more than any file of its kind")


def check_claim(n_bytes: int, size: int, claim: str = "unpacks to", always: int | None = None) -> None:
    """Raise Refused where a file of `size` bytes says that it holds far more.

    Args:
        n_bytes: that it says it holds.
        size: of the file, bytes.
        claim: what it says.
        always: what any may unpack to, however small it is; by default `ALWAYS`.
    """
    if n_bytes > max(ALWAYS if always is None else always, MAX_RATIO * size):
        raise Refused(f"{claim} {min(n_bytes, 10**18) / 1e9:.1f} GB, far more than its size allows")


@contextmanager
def damage(kind: str) -> Iterator[None]:
    """Whatever a reader raises in the block but an error of glot's own, as Damaged; its warnings are not shown.

    A broken file leads libraries, and Python itself, to nearly every exception there is.

    Args:
        kind: what the file is then, "a damaged npz".
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except GlotError:
        raise
    except Exception as error:
        words = one_line(error) or type(error).__name__
        raise Damaged(f"is {kind} ({words})") from error
