"""The feature of the `open` preset: what BlazePose sees in a crop, as one vector of 264 numbers (`landmark_vector`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

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
DOUBTFUL = 0.55  # mean presence of landmarks; a look that gives less is worth another
BETTER = 0.03  # by which that must rise for the second look to be believed
_HALF = INPUT_SIZE / 2
_CPU_BATCH = 4  # crops at once; more gain nothing on a CPU and cost memory
_GPU_BATCH = 128


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

    The network knows people upright. Where the detector's keypoints tell which way up somebody is, the crop is turned
    before it is looked at; where there are none, or where the look itself denies it, the crop is looked at once more as
    the first look says, and the look that finds more of a person is kept. Looks are never averaged: the mean of two
    that disagree is nobody's.

    Args:
        weights_path: the network's weight file.
        device: as PyTorch calls it.
        second_looks: whether to look again where the first look is in doubt.

    Raises:
        WeightsError: the weights cannot be used.
    """

    name = "blazepose"
    feature_dim = LANDMARK_DIM
    input_dim = skeleton.SKELETON_DIM
    crop_size = INPUT_SIZE
    crop_scale = 1.25
    looks_fps = 15.0
    extract = staticmethod(extract_crops)

    def __init__(
        self, weights_path: Path | str, device: torch.device | str = "cpu", *, second_looks: bool = True
    ) -> None:
        self.device = torch.device(device)
        self.second_looks = second_looks
        self._compiled = CompiledNetwork(weights_path) if self.device.type == "cpu" else None
        self._network = None if self._compiled else BlazePose.load(weights_path, self.device)

    @classmethod
    def load(cls, files: Mapping[str, Path], device: str, *, half: bool = False) -> BlazePoseFeatures:
        """The network as presets use it. It is small, and knows no half precision."""
        return cls(files["features"], device)

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
        for part, angle in zip(torch.split(images, size), torch.split(angles.to(self.device), size), strict=True):
            # (n,256,256,3) is what channels-last memory looks like already: no copy is made by permute
            pictures = part.to(self.device).permute(0, 3, 1, 2).float() / 255
            feature = self._look(pictures)
            if self.second_looks:
                feature = self._look_again(pictures, feature, ASTRAY if known else TILT)
            features.append(turn_features(feature, angle) if known else feature)
        return torch.cat(features)

    def _look_again(self, pictures: Tensor, feature: Tensor, limit: float) -> Tensor:
        """Features (n,264) of first looks, or of second ones where people lean by more than `limit` or are in doubt."""
        leaning = tilt(feature)
        sure = _certainty(feature)
        again = ((leaning.abs() > limit) | (sure < DOUBTFUL)) & (leaning.abs() > TILT)
        if not again.any():
            return feature
        angle = leaning[again]
        second = self._look(turn_pictures(pictures[again], angle))
        better = _certainty(second) > sure[again] + BETTER
        feature = feature.clone()
        feature[again] = torch.where(better[:, None], turn_features(second, angle), feature[again])
        return feature

    def _look(self, pictures: Tensor) -> Tensor:
        """Pictures (n,3,256,256), 0 to 1, to features (n,264) on the device."""
        if self._network is not None:
            return pack(self._network(pictures))
        assert self._compiled is not None
        return pack(BlazePoseOutput(*map(torch.from_numpy, self._compiled(pictures.contiguous().numpy()))))


def _certainty(feature: Tensor) -> Tensor:
    """Mean presence (n,) of the landmarks in features (n,264)."""
    return unpack(feature).presence.mean(-1)
