"""People in the picture, as trackers and 2D networks tell them: points of the face and the limbs, and tight boxes.

Nothing here was seen in the picture itself: points are the body's, drawn through the record's camera.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.body.landmarks import LANDMARK_NAMES, attachments
from glot_cli.body.model import Body
from glot_cli.exporting.characters import Y_UP, characters
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.markers import surface_parts
from glot_cli.exporting.timeline import focal_lengths_at

# Joint and offset, as in `body.landmarks`, of the toes' tips, which BlazePose does not tell apart; on the open body.
_TOES = {
    "left_big_toe": (10, (-0.022, 0.008, 0.072)),
    "left_small_toe": (10, (0.038, 0.007, 0.032)),
    "right_big_toe": (11, (0.022, 0.008, 0.072)),
    "right_small_toe": (11, (-0.038, 0.007, 0.032)),
}
COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
_MIDDLES = {"neck": "shoulder", "mid_hip": "hip"}
SPREAD = 32  # directions in which each part of a body has its outermost vertex


class Seen(NamedTuple):
    """Points of every row of a record.

    Attributes:
        pixels: (M, K, 2) NaN where a point is behind the camera.
        inside: (M, K) whether it is within the picture.
    """

    pixels: NDArray[np.float64]
    inside: NDArray[np.bool_]


def seen_points(cast: Cast, names: tuple[str, ...]) -> Seen:
    """Points of `COCO` or `BODY_25` in the picture."""
    joint, offset = (part.numpy() for part in attachments())
    known = {name: (int(j), o) for name, j, o in zip(LANDMARK_NAMES, joint, offset, strict=True)}
    known |= {name: (j, np.array(o, np.float32)) for name, (j, o) in _TOES.items()}
    wanted = [
        [f"{side}_{_MIDDLES[name]}" for side in ("left", "right")] if name in _MIDDLES else [name, name]
        for name in names
    ]
    joints = np.array([[known[end][0] for end in pair] for pair in wanted])
    offsets = np.array([[known[end][1] for end in pair] for pair in wanted])
    pixels = np.empty((len(cast.result), len(names), 2))
    for character in characters(cast.result, cast.body, "camera"):
        points = character.joints[:, joints] + (character.bones[:, joints] @ offsets[..., None])[..., 0]
        pixels[character.rows] = to_picture(cast, points.mean(2) @ Y_UP, character.times)
    size = np.array([cast.result.meta.width, cast.result.meta.height])
    inside: NDArray[np.bool_] = np.all((pixels >= 0) & (pixels <= size), axis=-1)
    return Seen(pixels, inside)


def to_picture(cast: Cast, points: NDArray[np.floating], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (T, K, 3) in the camera's frame, as the record has it, in the picture (T, K, 2), pixels; NaN behind it.

    Args:
        cast: what is exported.
        points: metres.
        times: (T,) seconds on the video's clock: the lens may zoom.
    """
    meta = cast.result.meta
    depth = np.where(points[..., 2:] > 0, points[..., 2:].astype(np.float64), np.nan)
    centre = np.array([meta.width / 2, meta.height / 2])
    focal = focal_lengths_at(cast, times)[:, None, None]
    pixels: NDArray[np.float64] = points[..., :2] / depth * focal + centre
    return pixels


def tight_boxes(cast: Cast) -> NDArray[np.float64]:
    """(M, 4) left, top, right, bottom of the bodies' surface in the picture, pixels, wherever the picture ends.

    NaN for a body that is wholly behind the camera.
    """
    outer = outline(cast.body)
    boxes = np.empty((len(cast.result), 4))
    for character in characters(cast.result, cast.body, "camera"):
        for part, places in surface_parts(cast, character, outer):
            pixels = to_picture(cast, places @ Y_UP, character.times[part])
            behind = np.isnan(pixels)
            least = np.where(behind, np.inf, pixels).min(1)
            most = np.where(behind, -np.inf, pixels).max(1)
            boxes[character.rows[part]] = np.concatenate([least, most], 1)
    boxes[~np.isfinite(boxes).all(1)] = np.nan
    return boxes


def outline(body: Body) -> NDArray[np.intp]:
    """Vertices that bound a body in every pose: the outermost ones of each bone's, in many directions."""
    vertices, carrier = body.template_planes.numpy().T, body.weight_planes.numpy().argmax(0)
    # Directions spread evenly over the sphere, along a spiral of the golden angle.
    height = 1 - (2 * np.arange(SPREAD) + 1) / SPREAD
    turn = np.arange(SPREAD) * np.pi * (3 - np.sqrt(5))
    round_ = np.sqrt(1 - height**2)
    ways = np.stack([round_ * np.cos(turn), height, round_ * np.sin(turn)])
    found = []
    for bone in np.unique(carrier):
        own = np.flatnonzero(carrier == bone)
        found.append(own[(vertices[own] @ ways).argmax(0)])
    return np.unique(np.concatenate(found))
