"""What landmarks travel in from the crops to the temporal network of the `open` preset: vectors of 264 numbers.

For each of 33 landmarks x, y, z, visibility, presence (165 numbers), then 33 world landmarks x, y, z (99 numbers).
x and y run from -1 to 1 across the crop, z has the same scale, visibility and presence are probabilities, presence
being no higher than the landmark's heatmap rises; world landmarks are metres from the middle of the hips, x right,
y down, z away from the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_HIPS, LANDMARK_NAMES, LANDMARK_SHOULDERS
from glot_cli.features.extractor import PictureLandmarks

COUNT = len(LANDMARK_NAMES)
LANDMARK_DIM = COUNT * (5 + 3)
_IMAGE_PART = COUNT * 5


def _mirrored(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    return "_".join(sides.get(word, word) for word in name.split("_"))


# mirrored[i] = original[SWAP[i]]: the landmark that takes the place of each one in a mirrored picture
SWAP = tuple(LANDMARK_NAMES.index(_mirrored(name)) for name in LANDMARK_NAMES)


class Landmarks(NamedTuple):
    """A feature vector taken apart; see the module docstring for units.

    Attributes:
        landmarks2d: (..., 33, 2).
        z: (..., 33).
        visibility: (..., 33).
        presence: (..., 33).
        world: (..., 33, 3).
    """

    landmarks2d: Tensor
    z: Tensor
    visibility: Tensor
    presence: Tensor
    world: Tensor


def join(parts: Landmarks) -> Tensor:
    """The inverse of `unpack`: parts to features (...,264)."""
    rest = torch.stack([parts.z, parts.visibility, parts.presence], dim=-1)  # (...,33,3)
    image = torch.cat([parts.landmarks2d, rest], dim=-1)  # (...,33,5)
    return torch.cat([image.flatten(-2), parts.world.flatten(-2)], dim=-1)


def unpack(feature: Tensor) -> Landmarks:
    """Features (...,264) to their parts; views, no copies."""
    image = torch.unflatten(feature[..., :_IMAGE_PART], -1, (COUNT, 5))
    world = torch.unflatten(feature[..., _IMAGE_PART:], -1, (COUNT, 3))
    return Landmarks(image[..., :2], image[..., 2], image[..., 3], image[..., 4], world)


def reliability(parts: Landmarks) -> Tensor:
    """What each landmark weighs in a sum of squares: (...,33), the inverse of its variance, 1 where it is certain.

    On drawn people the median distance to the truth is, within a third, 0.0175 / presence^2 half crop sides, from 0.015
    all the way to 0.37.
    """
    return parts.presence.pow(4)


def picture_landmarks(feature: Tensor) -> PictureLandmarks:
    """What features (..., 264) say of landmarks in the picture."""
    parts = unpack(feature)
    return PictureLandmarks(parts.landmarks2d, parts.visibility, parts.presence, reliability(parts))


def mirror_features(feature: Tensor) -> Tensor:
    """Features (...,264) as the mirrored crop would give them: left and right exchanged everywhere."""
    parts = swap_sides(unpack(feature))
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=feature.dtype, device=feature.device)
    return join(parts._replace(landmarks2d=parts.landmarks2d * flip[:2], world=parts.world * flip))


def swap_sides(parts: Landmarks) -> Landmarks:
    """Each left landmark under the name of the right one, and the other way round; nothing moves."""
    return Landmarks(
        parts.landmarks2d[..., SWAP, :],
        parts.z[..., SWAP],
        parts.visibility[..., SWAP],
        parts.presence[..., SWAP],
        parts.world[..., SWAP, :],
    )


def tilt(feature: Tensor) -> Tensor:
    """How far the trunk in features (...,264) leans to the right in the picture, hips to shoulders, radians: (...)."""
    points = unpack(feature).landmarks2d
    up = points[..., LANDMARK_SHOULDERS, :].mean(-2) - points[..., LANDMARK_HIPS, :].mean(-2)
    return torch.atan2(up[..., 0], -up[..., 1])


def turn_features(feature: Tensor, angle: Tensor) -> Tensor:
    """Features (n,264) of pictures that were turned upright, in the frame of the pictures as they were."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.unflatten(torch.stack([cos, -sin, sin, cos], -1), -1, (2, 2))
    parts = unpack(feature)
    world = torch.cat([parts.world[..., :2] @ turn.mT, parts.world[..., 2:]], -1)
    return join(parts._replace(landmarks2d=parts.landmarks2d @ turn.mT, world=world))
