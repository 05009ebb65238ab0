"""The feature of the `open` preset: what BlazePose sees in a crop, as one vector of 264 numbers.

For each of 33 landmarks x, y, z, visibility, presence (165 numbers), then 33 world landmarks x, y, z (99 numbers).
x and y run from -1 to 1 across the crop, z has the same scale, visibility and presence are probabilities, presence
being no higher than the landmark's heatmap rises; world landmarks are metres from the middle of the hips, x right,
y down, z away from the camera.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glot_cli.features.blazepose_net import (
    BODY_LANDMARKS,
    HEATMAP_SIZE,
    INPUT_SIZE,
    BlazePose,
    BlazePoseOutput,
)
from glot_cli.features.crops import extract_crops
from glot_cli.features.heatmaps import lay_on_heatmaps

LANDMARK_NAMES = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip


def _mirrored(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    return "_".join(sides.get(word, word) for word in name.split("_"))


# mirrored[i] = original[SWAP[i]]: the landmark that takes the place of each one in a mirrored picture
SWAP = tuple(LANDMARK_NAMES.index(_mirrored(name)) for name in LANDMARK_NAMES)

FEATURE_DIM = BODY_LANDMARKS * (5 + 3)
_IMAGE_PART = BODY_LANDMARKS * 5
_HALF = INPUT_SIZE / 2
_CPU_BATCH = 4  # crops at once; more fall out of the caches and run at two thirds of the speed
_GPU_BATCH = 128
_SHOULDERS, _HIPS = [11, 12], [23, 24]
TILT = math.radians(10)  # what leans less is taken for upright
LOOKS = 2  # more, at most, at who leans: the first one tells only roughly by how much


class Landmarks(NamedTuple):
    """A feature vector taken apart; see the module docstring for units."""

    landmarks2d: Tensor  # (...,33,2)
    z: Tensor  # (...,33)
    visibility: Tensor  # (...,33)
    presence: Tensor  # (...,33)
    world: Tensor  # (...,33,3)


def join(parts: Landmarks) -> Tensor:
    """The inverse of `unpack`: parts to features (...,264)."""
    rest = torch.stack([parts.z, parts.visibility, parts.presence], dim=-1)  # (...,33,3)
    image = torch.cat([parts.landmarks2d, rest], dim=-1)  # (...,33,5)
    return torch.cat([image.flatten(-2), parts.world.flatten(-2)], dim=-1)


def pack(output: BlazePoseOutput) -> Tensor:
    """Network output to features (B,264)."""
    cells = HEATMAP_SIZE / INPUT_SIZE
    points, certainty = lay_on_heatmaps(output.landmarks[..., :2] * cells, output.heatmaps)
    visibility, presence = torch.sigmoid(output.landmarks[..., 3:]).unbind(-1)
    z = output.landmarks[..., 2] / _HALF
    return join(Landmarks(points / cells / _HALF - 1, z, visibility, torch.minimum(presence, certainty), output.world))


def unpack(feature: Tensor) -> Landmarks:
    """Features (...,264) to their parts; views, no copies."""
    image = feature[..., :_IMAGE_PART].unflatten(-1, (BODY_LANDMARKS, 5))
    world = feature[..., _IMAGE_PART:].unflatten(-1, (BODY_LANDMARKS, 3))
    return Landmarks(image[..., :2], image[..., 2], image[..., 3], image[..., 4], world)


def reliability(parts: Landmarks) -> Tensor:
    """What each landmark weighs in a sum of squares: (...,33), the inverse of its variance, 1 where it is certain.

    On drawn people the median distance to the truth is, within a third, 0.0175 / presence^2 half crop sides, from 0.015
    all the way to 0.37.
    """
    return parts.presence.pow(4)


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


def merge_features(one: Tensor, other: Tensor) -> Tensor:
    """Mean of two features (...,264) of one crop, each landmark weighing as much as it is present."""
    a, b = unpack(one), unpack(other)
    weight = (a.presence + 1e-3) / (a.presence + b.presence + 2e-3)
    wide = weight.unsqueeze(-1)
    return join(
        Landmarks(
            torch.lerp(b.landmarks2d, a.landmarks2d, wide),
            torch.lerp(b.z, a.z, weight),
            (a.visibility + b.visibility) / 2,
            (a.presence + b.presence) / 2,
            torch.lerp(b.world, a.world, wide),
        )
    )


def tilt(feature: Tensor) -> Tensor:
    """How far the trunk in features (...,264) leans to the right in the picture, hips to shoulders, radians: (...)."""
    points = unpack(feature).landmarks2d
    up = points[..., _SHOULDERS, :].mean(-2) - points[..., _HIPS, :].mean(-2)
    return torch.atan2(up[..., 0], -up[..., 1])


def turn_pictures(pictures: Tensor, angle: Tensor) -> Tensor:
    """Pictures (n,C,S,S) with what leans to the right by `angle` (n,) upright; black where nothing was."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(cos)
    maps = torch.stack([cos, -sin, zero, sin, cos, zero], -1).unflatten(-1, (2, 3))
    grid = F.affine_grid(maps, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def turn_features(feature: Tensor, angle: Tensor) -> Tensor:
    """Features (n,264) of pictures that were turned upright, in the frame of the pictures as they were."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))
    parts = unpack(feature)
    world = torch.cat([parts.world[..., :2] @ turn.mT, parts.world[..., 2:]], -1)
    return join(parts._replace(landmarks2d=parts.landmarks2d @ turn.mT, world=world))


class BlazePoseFeatures:
    """Crop to feature vector. `crop_scale` x the longer side of a detection box is the side of the crop it wants.

    With `both_sides` the network sees every crop in a mirror too: twice the work, and on rendered clips 5 % less error.
    With `upright` it looks again where the trunk leans by more than TILT, at the crop turned so that it does not: the
    network knows people upright; where drawn people crawled or kicked, PA-MPJPE fell from 140 to 101 mm.
    """

    crop_scale = 1.25
    crop_size = INPUT_SIZE
    feature_dim = FEATURE_DIM
    extract = staticmethod(extract_crops)

    def __init__(
        self,
        weights_path: Path | str,
        device: torch.device | str = "cpu",
        *,
        both_sides: bool = True,
        upright: bool = True,
    ) -> None:
        """Loads the network. Raises GlotError when the weights cannot be used."""
        self.device = torch.device(device)
        self.both_sides = both_sides
        self.upright = upright
        self.network = BlazePose.load(weights_path, self.device)

    @torch.inference_mode()
    def __call__(self, crops: Tensor | np.ndarray) -> Tensor:
        """Crops (N,256,256,3) uint8 RGB, array or tensor, to features (N,264) float32 on the device."""
        images = torch.as_tensor(crops)
        if not len(images):
            return torch.zeros(0, FEATURE_DIM, device=self.device)
        size = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH
        features = []
        for part in images.split(size):
            # (n,256,256,3) is what channels-last memory looks like already: no copy is made by permute
            pictures = part.to(self.device).permute(0, 3, 1, 2).float() / 255
            feature = self._look(pictures)
            features.append(self._look_upright(pictures, feature) if self.upright else feature)
        return torch.cat(features)

    def _look_upright(self, pictures: Tensor, feature: Tensor) -> Tensor:
        """Features (n,264) once people who lean were looked at upright; `feature` (n,264): those of a first look."""
        lean = tilt(feature)
        turned = torch.zeros_like(lean)  # how far each picture was turned when last looked at
        for _ in range(LOOKS):
            again = (torch.remainder(lean - turned + math.pi, 2 * math.pi) - math.pi).abs() > TILT
            if not again.any():
                break
            turned[again] = lean[again]
            feature[again] = turn_features(self._look(turn_pictures(pictures[again], lean[again])), lean[again])
            lean = tilt(feature)
        return feature

    def _look(self, pictures: Tensor) -> Tensor:
        """Pictures (n,3,256,256), 0 to 1, to features (n,264) on the device."""
        feature = self._glance(pictures)
        return merge_features(feature, mirror_features(self._glance(pictures.flip(3)))) if self.both_sides else feature

    def _glance(self, pictures: Tensor) -> Tensor:
        """The same, from one side."""
        return pack(self.network(pictures))
