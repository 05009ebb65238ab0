"""OpenPose's JSON of 25 points (BODY_25), one file a frame, named as OpenPose names them."""

from __future__ import annotations

import json

import numpy as np

from glot_cli.exporting.characters import frames_looked_at
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.picture_points import BODY_25, seen_points

_NONE: dict[str, list[float]] = {
    f"{part}_keypoints_{space}": [] for space in ("2d", "3d") for part in ("pose", "face", "hand_left", "hand_right")
}


def write(cast: Cast, box: Outbox) -> None:
    """Write a file for every frame that was looked at, in a folder of their own.

    A point within the picture has the score of its row as confidence, any other is 0, 0, 0.
    """
    if cast.fps is not None:
        box.note("openpose: frames are those of the video, whatever rate was asked for")
    result, frames = cast.result, frames_looked_at(cast.result)
    pixels, inside = seen_points(cast, BODY_25)
    scores = np.broadcast_to(result.score[:, None, None], (*inside.shape, 1))
    points = np.where(inside[..., None], np.concatenate([pixels, scores], -1), 0).round(3).reshape(len(result), 75)
    rows_of = dict(result.by_frame())
    for frame in frames:
        people = [
            {"person_id": [int(result.person[row])]} | _NONE | {"pose_keypoints_2d": points[row].tolist()}
            for row in rows_of.get(frame, [])
        ]
        path = box.path(f"{cast.stem}_openpose/{cast.stem}_{frame:012d}_keypoints.json")
        path.write_text(json.dumps({"version": 1.3, "people": people}, separators=(",", ":")), "utf-8")
