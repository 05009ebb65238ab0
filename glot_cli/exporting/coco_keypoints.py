"""COCO's JSON of people with 17 keypoints (cocodataset.org)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from glot_cli.exporting.characters import frames_looked_at
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.picture_points import COCO, seen_points, tight_boxes

SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def write(cast: Cast, box: Outbox) -> None:
    """Write one file. A point within the picture has visibility 2, or 1 where the row is `interpolated`, else 0."""
    if cast.fps is not None:
        box.note("coco: images are the frames of the video, whatever rate was asked for")
    meta, result, frames = cast.result.meta, cast.result, frames_looked_at(cast.result)
    pixels, inside = seen_points(cast, COCO)
    visibility = np.where(inside, np.where(result.interpolated[:, None], 1, 2), 0)
    points = np.concatenate([np.where(inside[..., None], pixels.round(2), 0), visibility[..., None]], -1)
    edges = tight_boxes(cast)
    edges = np.where(np.isnan(edges), 0, edges).clip(0, [meta.width, meta.height] * 2)
    sizes = edges[:, 2:] - edges[:, :2]
    boxes = np.concatenate([edges[:, :2], sizes], 1).round(2)
    in_picture = np.flatnonzero((sizes > 0).all(1))
    rows = in_picture[np.lexsort([result.person[in_picture], result.frame[in_picture]])]
    keypoints = points[rows].reshape(len(rows), 3 * len(COCO)).tolist()
    listed = zip(
        result.frame[rows].tolist(), result.person[rows].tolist(), keypoints,
        inside[rows].sum(1).tolist(), boxes[rows].tolist(), sizes[rows].prod(1).round(2).tolist(),
        result.score[rows].astype(float).round(4).tolist(), strict=True,
    )  # fmt: skip
    annotations: list[dict[str, Any]] = [
        {
            "id": number, "image_id": frame, "category_id": 1, "iscrowd": 0, "bbox": bounds, "area": area,
            "keypoints": [*map(_short, marks)], "num_keypoints": count, "score": score, "track_id": person,
        }
        for number, (frame, person, marks, count, bounds, area, score) in enumerate(listed, 1)
    ]  # fmt: skip
    held = {
        "info": {"description": f"{meta.video}, bodies of glot {meta.program_version}", "version": "1.0"},
        "licenses": [],
        "images": [
            {"id": frame, "file_name": f"{frame:06d}.jpg", "width": meta.width, "height": meta.height}
            for frame in frames
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "supercategory": "person", "keypoints": COCO, "skeleton": SKELETON}],
    }
    with box.path(f"{cast.stem}_coco.json").open("w", encoding="utf-8") as file:
        file.write(json.dumps(held, separators=(",", ":")))


def _short(value: float) -> float | int:
    """A number as JSON writes it in the fewest letters."""
    return int(value) if value == int(value) else value
