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
    merge_features,
    mirror_features,
    picture_landmarks,
    tilt,
    turn_features,
)

TILT = math.radians(10)  # what leans less is taken for upright
LOOKS = 2  # more, at most, at who leans: the first one tells only roughly by how much
_HALF = INPUT_SIZE / 2
_CPU_BATCH = 4  # crops at once; more fall out of the caches and run at two thirds of the speed
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

    Args:
        weights_path: the network's weight file.
        device: as PyTorch calls it.
        both_sides: see every crop in a mirror too: twice the work, and on rendered clips 5 % less error.
        upright: look again where the trunk leans by more than TILT, at the crop turned so that it does not. The network
            knows people upright; where drawn people crawled or kicked, PA-MPJPE fell from 140 to 101 mm.

    Raises:
        WeightsError: the weights cannot be used.
    """

    name = "blazepose"
    feature_dim = LANDMARK_DIM
    input_dim = skeleton.SKELETON_DIM
    crop_size = INPUT_SIZE
    crop_scale = 1.25
    extract = staticmethod(extract_crops)

    def __init__(
        self,
        weights_path: Path | str,
        device: torch.device | str = "cpu",
        *,
        both_sides: bool = True,
        upright: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.both_sides = both_sides
        self.upright = upright
        self.network = BlazePose.load(weights_path, self.device)

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
    def __call__(self, crops: Tensor | NDArray[np.uint8]) -> Tensor:
        """Crops (N, 256, 256, 3) RGB to features (N, 264) float32 on the device."""
        images = torch.as_tensor(crops)
        if not len(images):
            return torch.zeros(0, LANDMARK_DIM, device=self.device)
        size = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH
        features = []
        for part in torch.split(images, size):
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
