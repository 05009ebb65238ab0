"""How large a picture may be: a file of a thousand bytes can claim one that fills the memory."""

from __future__ import annotations

from pathlib import Path

from glot_cli.errors import InputError

MAX_PIXELS = 100_000_000  # of a picture: three times an 8K one


def check_pixels(width: int, height: int, path: Path, max_pixels: int) -> None:
    """Raise an InputError for a picture (width x height pixels) of more than `max_pixels`."""
    if width * height > max_pixels:
        reason = f"its picture has {width} x {height} pixels, more than the {max_pixels:,} that are taken at most"
        raise InputError(reason, path=path, remedy="make it smaller or raise the limit", option="max_pixels")
