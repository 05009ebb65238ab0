"""The feature of the `paper` preset: what SPIN's ResNet-50 makes of a crop, 2048 numbers pooled over its last layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.device import upload
from glot_cli.features.crops import extract_crops_plain
from glot_cli.features.extractor import FeatureExtractor, register
from glot_cli.features.spin_net import SPIN_DIM, SpinNetwork

# ImageNet's mean and standard deviation of red, green and blue, 0 to 1 (torchvision's models).
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CPU_BATCH = 8
_GPU_BATCH = 128
_HALF = {"cuda": torch.float16, "mps": torch.float16, "cpu": torch.bfloat16}


@register
class SpinFeatures(FeatureExtractor):
    """Crop to feature vector.

    Args:
        network: in evaluation mode; it is moved to the device.
        device: as PyTorch calls it.
        half: compute in half precision. Features then differ by up to 1 % of their range: not what reproduces the
            paper.
    """

    name = "spin"
    feature_dim = SPIN_DIM
    input_dim = SPIN_DIM
    crop_size = 224
    crop_scale = 1.2
    extract = staticmethod(extract_crops_plain)

    def __init__(self, network: SpinNetwork, device: torch.device | str = "cpu", *, half: bool = False) -> None:
        self.device = torch.device(device)
        self.half = half
        self.network = network.to(self.device)
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(MEAN, device=self.device).view(shape) * 255
        self._scale = 1 / (torch.tensor(DEVIATION, device=self.device).view(shape) * 255)

    @classmethod
    def load(cls, files: Mapping[str, Path], device: str, *, half: bool = False) -> SpinFeatures:
        """The network that `glot weights add` made of SPIN's checkpoint."""
        return cls(SpinNetwork.load(files["features"]), device, half=half)

    @torch.inference_mode()
    def __call__(self, crops: Tensor | NDArray[np.uint8], lean: Tensor | NDArray[np.floating] | None = None) -> Tensor:
        """Crops (N, 224, 224, 3) RGB to features (N, 2048) float32 on the device.

        On CUDA this returns before the work is done; whoever reads the features waits for it.
        """
        images = torch.as_tensor(crops)
        size = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH
        features = [self._look(part) for part in torch.split(images, size)] if len(images) else []
        return torch.cat(features) if features else torch.zeros(0, SPIN_DIM, device=self.device)

    def _look(self, crops: Tensor) -> Tensor:
        # Bytes travel, a quarter of the floats; the channels come last already, so permute copies nothing.
        pictures = upload(crops, self.device).permute(0, 3, 1, 2).float()
        pictures = pictures.sub_(self._mean).mul_(self._scale)
        with torch.autocast(self.device.type, _HALF.get(self.device.type, torch.float16), enabled=self.half):
            features: Tensor = self.network(pictures)
            return features.float()
