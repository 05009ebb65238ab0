"""Contact sheets: what a file of drawn pictures looks like, at a glance."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from glot_cli.errors import InputError
from glot_cli.files.atomic import not_written, whole
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz

_ARRAYS = ("jpeg", "jpeg_size", "clip")
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
        arrays = load_npz(pictures, _ARRAYS)
    except FileFault as error:
        raise error.about(pictures, InputError, remedy="remove it, and make it again") from error
    if any(name not in arrays for name in _ARRAYS):
        remedy = "remove it, or ask for no contact sheet"
        raise InputError("holds no pictures", path=pictures, remedy=remedy, option="sheet")
    jpeg, sizes, clip = (arrays[name] for name in _ARRAYS)
    begins = np.cumsum(sizes) - sizes

    def tile(frame: int) -> np.ndarray:
        picture = np.asarray(cv2.imdecode(jpeg[begins[frame] : begins[frame] + sizes[frame]], cv2.IMREAD_COLOR))
        return np.asarray(cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA))

    strips = []
    for number in np.unique(clip):
        frames = np.flatnonzero(clip == number)
        shown = frames[np.linspace(0, len(frames) - 1, FRAMES_A_CLIP).round().astype(int)]
        strips.append(np.concatenate([tile(int(frame)) for frame in shown], 1))
    strips += [np.zeros_like(strips[0])] * (-len(strips) % CLIPS_A_ROW)
    rows = [np.concatenate(strips[i : i + CLIPS_A_ROW], 1) for i in range(0, len(strips), CLIPS_A_ROW)]
    path = pictures.with_suffix(".png")
    try:
        with whole(path) as aside:
            aside.write_bytes(cv2.imencode(".png", np.concatenate(rows))[1].tobytes())
    except OSError as error:
        raise not_written(path, error, "choose another output folder", "out") from error
    return path
