"""Where made-up pictures go."""

from __future__ import annotations

from pathlib import Path

from glot_cli.errors import GlotError


def make_folder(path: Path) -> None:
    """Make a folder for results, if it is not there. Raises GlotError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GlotError(f"{path}: cannot be made ({error.strerror}); choose another --out") from error
