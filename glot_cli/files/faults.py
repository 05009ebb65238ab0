"""What can be wrong with a file that others made, and the size beyond which none is read."""

from __future__ import annotations

from pathlib import Path

from glot_cli.errors import GlotError

MAX_BYTES = 2 << 30  # of one file, and of all that a file unpacks to; the largest official one has 0.5 GB


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
        return kind(reason, path=path, remedy=self.remedy or remedy)


class Refused(FileFault):
    """The file asks for something that none of its kind needs."""

    def about(self, path: Path, kind: type[GlotError], member: str = "", remedy: str | None = None) -> GlotError:
        reason = f"{self.reason}; nothing in it was run{'' if remedy else ', and no official file does that'}"
        return FileFault(reason, remedy=self.remedy).about(path, kind, member, remedy or "take another copy")


class Damaged(FileFault):
    """The file is cut off or altered, or is not what its name says."""

    def about(self, path: Path, kind: type[GlotError], member: str = "", remedy: str | None = None) -> GlotError:
        return super().about(path, kind, member, remedy or "download it again")


class Unsupported(FileFault):
    """The file is of a kind that is not read here."""


def check_size(n_bytes: int, claim: str = "unpacks to") -> None:
    """Raise Refused where more than `MAX_BYTES` would have to be read; claim: what is said to be so large."""
    if n_bytes > MAX_BYTES:
        raise Refused(f"{claim} {n_bytes / 2**30:.1f} GB, more than any official file")
