"""MOT Challenge's text (motchallenge.net): a box a person and frame, for trackers and their scores."""

from __future__ import annotations

import numpy as np

from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.picture_points import tight_boxes
from glot_cli.exporting.text_rows import TextColumn, write_rows


def write(cast: Cast, box: Outbox) -> None:
    """Write one file: frame from 1, person, left, top, width, height, score, -1, -1, -1; sorted by frame."""
    if cast.fps is not None:
        box.note("motchallenge: frames are those of the video, whatever rate was asked for")
    result, boxes = cast.result, tight_boxes(cast)
    order = np.lexsort([result.person, result.frame])
    order = order[np.isfinite(boxes[order]).all(1)]
    left, top, right, bottom = boxes[order].T
    sizes = np.stack([left, top, right - left, bottom - top], 1)
    with box.path(f"{cast.stem}_mot.txt").open("w", encoding="utf-8", newline="\n") as file:
        columns = [
            TextColumn(result.frame[order] + 1, "%d"),
            TextColumn(result.person[order], "%d"),
            TextColumn(sizes, "%.2f"),
        ]
        none = TextColumn(np.full((len(order), 3), -1), "%d")
        write_rows(file, [*columns, TextColumn(result.score[order], "%.4f"), none], ",")
