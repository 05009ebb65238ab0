"""Contact sheets: what a file of drawn pictures looks like, at a glance."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from glot_cli.errors import InputError
from glot_cli.files.atomic import not_written, whole
from glot_cli.synth.rendered_crops import pictures_of, read_pictures

TILE = 128  # pixels of a picture's side on the sheet
CLIPS_A_ROW = 4
FRAMES_A_CLIP = 3  # first, middle, last


def contact_sheet(pictures: Path) -> Path:
    """Write a PNG beside a file of drawn pictures.

    Args:
        pictures: the file.

    Returns:
        The PNG.

    Raises:
        InputError: the file holds no pictures, or is damaged.
        OutputError: the PNG cannot be written.
    """
    try:
        arrays = read_pictures(pictures)
    except InputError as error:
        remedy = "remove it, or ask for no contact sheet"
        raise InputError(error.reason, path=pictures, remedy=remedy, option="sheet") from error
    strips = []
    for number in np.unique(arrays["clip"]):
        frames = np.flatnonzero(arrays["clip"] == number)
        shown = frames[np.linspace(0, len(frames) - 1, FRAMES_A_CLIP).round().astype(int)]
        large = pictures_of(pictures, arrays, shown)
        tiles = [cv2.resize(picture[..., ::-1], (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in large]
        strips.append(np.concatenate(tiles, 1))
    strips += [np.zeros_like(strips[0])] * (-len(strips) % CLIPS_A_ROW)
    rows = [np.concatenate(strips[i : i + CLIPS_A_ROW], 1) for i in range(0, len(strips), CLIPS_A_ROW)]
    path = pictures.with_suffix(".png")
    try:
        with whole(path) as aside:
            aside.write_bytes(cv2.imencode(".png", np.concatenate(rows))[1].tobytes())
    except OSError as error:
        raise not_written(path, error, "choose another output folder", "out") from error
    return path
