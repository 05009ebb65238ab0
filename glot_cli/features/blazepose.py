"""The feature of the `open` preset: what BlazePose sees in a crop, as one vector of 264 numbers (`landmark_vector`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_SHOULDERS
from glot_cli.device import upload
from glot_cli.features import skeleton
from glot_cli.features.blazepose_net import HEATMAP_SIZE, INPUT_SIZE, BlazePose, BlazePoseOutput
from glot_cli.features.crops import extract_crops
from glot_cli.features.extractor import LandmarkExtractor, PictureLandmarks, register
from glot_cli.features.heatmaps import lay_on_heatmaps
from glot_cli.features.landmark_vector import (
    LANDMARK_DIM,
    Landmarks,
    join,
    mirror_features,
    picture_landmarks,
    tilt,
    turn_features,
    unpack,
)
from glot_cli.inference import CompiledNetwork

TILT = math.radians(10)  # what leans less is taken for upright
ASTRAY = math.radians(45)  # from upright, after the crop was turned by what the detector saw: one of both is wrong
DOUBTFUL = 0.7  # mean presence of the body's landmarks; a look that gives less is worth a better one
_HALF = INPUT_SIZE / 2
_CPU_BATCH = 4  # crops at once; more gain nothing on a CPU and cost memory
_GPU_BATCH = 128

Look = Callable[[Tensor], BlazePoseOutput]


def pack(output: BlazePoseOutput) -> Tensor:
    """Network output to features (B,264)."""
    cells = HEATMAP_SIZE / INPUT_SIZE
    points, certainty = lay_on_heatmaps(output.landmarks[..., :2] * cells, output.heatmaps)
    visibility, presence = torch.sigmoid(output.landmarks[..., 3:]).unbind(-1)
    z = output.landmarks[..., 2] / _HALF
    return join(Landmarks(points / cells / _HALF - 1, z, visibility, torch.minimum(presence, certainty), output.world))


def turn_pictures(pictures: Tensor, angle: Tensor) -> Tensor:
    """Pictures (n,C,S,S) with what leans to the right by `angle` (n,) upright; black where nothing was."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(cos)
    maps = torch.unflatten(torch.stack([cos, -sin, zero, sin, cos, zero], -1), -1, (2, 3))
    grid = F.affine_grid(maps, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@register
class BlazePoseFeatures(LandmarkExtractor):
    """Crop to feature vector.

    Every crop is looked at by BlazePose full; where that is in doubt, BlazePose heavy looks again, which takes four
    times as long and errs less, and its answer counts. Looks are never averaged: the mean of two that disagree is
    nobody's. On drawn and real clips this is nearly as near to the truth as looking at all crops with heavy is, in less
    than half the time.

    The networks know people upright. Where the detector's keypoints tell which way up somebody is, the crop is turned
    before it is looked at; where there are none, or where the look itself denies it, the second look is at the crop
    turned as the first look says, and counts if it finds more of a person.

    Args:
        full: weight file of BlazePose full.
        heavy: weight file of BlazePose heavy; None for no second looks.
        device: as PyTorch calls it.

    Raises:
        WeightsError: the weights cannot be used.
    """

    name = "blazepose"
    feature_dim = LANDMARK_DIM
    input_dim = skeleton.SKELETON_DIM
    crop_size = INPUT_SIZE
    crop_scale = 1.25
    looks_fps = 15.0
    landmark_vectors = True
    extract = staticmethod(extract_crops)

    def __init__(self, full: Path | str, heavy: Path | str | None, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._full = self._network(full)
        self._heavy = None if heavy is None else self._network(heavy)

    @classmethod
    def load(cls, files: Mapping[str, Path], device: str, *, half: bool = False) -> BlazePoseFeatures:
        """The networks as presets use them. They are small, and know no half precision."""
        return cls(files["features"], files["blazepose-heavy"], device)

    def network_input(self, features: Tensor) -> Tensor:
        """Features (N, 264) and what geometry makes of them: (N, SKELETON_DIM)."""
        return skeleton.network_input(features)

    def landmarks(self, features: Tensor) -> PictureLandmarks:
        """The landmarks in features (N, 264)."""
        return picture_landmarks(features)

    def mirror(self, features: Tensor) -> Tensor:
        """Features (N, 264) as the mirrored crops would give them."""
        return mirror_features(features)

    @torch.inference_mode()
    def __call__(self, crops: Tensor | NDArray[np.uint8], lean: Tensor | NDArray[np.floating] | None = None) -> Tensor:
        """Crops (N, 256, 256, 3) RGB, cut with `lean` (N,), to features (N, 264) float32 on the device."""
        images = torch.as_tensor(crops)
        if not len(images):
            return torch.zeros(0, LANDMARK_DIM, device=self.device)
        size = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH
        known = lean is not None
        angles = torch.as_tensor(lean, dtype=torch.float32) if known else torch.zeros(len(images))
        features = []
        for part, angle in zip(torch.split(images, size), torch.split(upload(angles, self.device), size), strict=True):
            # (n,256,256,3) is what channels-last memory looks like already: no copy is made by permute
            pictures = upload(part, self.device).permute(0, 3, 1, 2).float() / 255
            feature = pack(self._full(pictures))
            if self._heavy is not None:
                feature = self._look_again(self._heavy, pictures, feature, ASTRAY if known else TILT)
            features.append(turn_features(feature, angle) if known else feature)
        return torch.cat(features)

    def _look_again(self, heavy: Look, pictures: Tensor, feature: Tensor, limit: float) -> Tensor:
        """Features (n,264) of first looks, or of second ones where those were in doubt or leaned by over `limit`."""
        leaning, sure = tilt(feature), _certainty(feature)
        astray = leaning.abs() > limit
        again = astray | (sure < DOUBTFUL)
        if not again.any():
            return feature
        angle = torch.where(astray, leaning, 0.0)[again]
        second = turn_features(pack(heavy(turn_pictures(pictures[again], angle))), angle)
        better = ~astray[again] | (_certainty(second) > sure[again])
        feature = feature.clone()
        feature[again] = torch.where(better[:, None], second, feature[again])
        return feature

    def _network(self, path: Path | str) -> Look:
        """What looks at pictures (n,3,256,256), 0 to 1, on the device."""
        if self.device.type != "cpu":
            return BlazePose.load(path, self.device)
        compiled = CompiledNetwork(path)
        return lambda pictures: BlazePoseOutput(*map(torch.from_numpy, compiled(pictures.contiguous().numpy())))


def _certainty(feature: Tensor) -> Tensor:
    """Mean presence (n,) of the landmarks below the face in features (n,264)."""
    return unpack(feature).presence[:, LANDMARK_SHOULDERS[0] :].mean(-1)
