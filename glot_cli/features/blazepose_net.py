"""The BlazePose "full" landmark network (MediaPipe, Apache-2.0) as a batched PyTorch module.

Landmarks, world landmarks and heatmaps are built; the segmentation mask that the published file predicts too is not.

Numbers follow `pose_landmark_full.tflite` layer by layer. Two things differ from common PyTorch practice:
every activation is ReLU6, and the stride-2 convolutions of the head pad only below and to the right
(TensorFlow's SAME), while those of the backbone pad all four sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.errors import WeightsError

INPUT_SIZE = 256  # pixels, side of the square crop
BODY_LANDMARKS = len(LANDMARK_NAMES)  # of the 39; the other six are MediaPipe's own crop alignment points
HEATMAP_SIZE = 64  # cells, side of a heatmap: each covers 4 x 4 pixels of the crop
_ALL_LANDMARKS = 39


class BlazePoseOutput(NamedTuple):
    """What the network says about B crops.

    Attributes:
        landmarks: (B, 33, 5) x, y, z in crop pixels (pixel i covers [i, i+1]), visibility logit, presence logit.
        world: (B, 33, 3) metres, hips at the origin, x right, y down, z away from the camera.
        presence: (B,) probability in [0, 1] that the crop shows a person.
        heatmaps: (B, 33, 64, 64) logits that a landmark lies in a cell, rows down, columns to the right.
    """

    landmarks: Tensor
    world: Tensor
    presence: Tensor
    heatmaps: Tensor


class Conv(nn.Conv2d):
    """A convolution with bias (batch norm is folded into it) and an optional ReLU6, zero padded by k // 2."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
        padding: int | None = None,
    ) -> None:
        padding = kernel // 2 if padding is None else padding
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return F.relu6(x, inplace=True) if self.relu else x


class DepthwiseSeparable(nn.Sequential):
    """k x k convolution per channel, then 1 x 1 across channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, relu: bool = True) -> None:
        super().__init__(Conv(inputs, inputs, kernel, groups=inputs), Conv(inputs, outputs, relu=relu))


class InvertedResidual(nn.Module):
    """MobileNetV2 block: widen, filter per channel, narrow without activation; the input is added where it fits."""

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.expand = Conv(inputs, hidden)
        self.depthwise = Conv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = Conv(hidden, outputs, relu=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        out: Tensor = y.add_(x) if self.residual else y
        return out


class BlazeBlock(nn.Module):
    """Depthwise separable convolution added to its input, ReLU6 after the sum; stride 2 halves both branches."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = Conv(channels, channels, 3, stride, groups=channels, padding=1 if stride == 1 else 0)
        self.pointwise = Conv(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return F.relu6(self.pointwise(self.depthwise(x)).add_(x), inplace=True)
        y = self.pointwise(self.depthwise(F.pad(x, (0, 1, 0, 1))))  # right and bottom only, see the module docstring
        return F.relu6(y.add_(F.max_pool2d(x, 2)), inplace=True)


class BlazePose(nn.Module):
    """Landmarks of one person in a square crop.

    `BlazePose.load(path, device)` gives a network ready for inference; call it under `torch.inference_mode()`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(  # (B,3,256,256)
            Conv(3, 24, 3, stride=2),
            DepthwiseSeparable(24, 16, relu=False),  # (B,16,128,128)
        )
        self.stages = nn.Sequential(
            nn.Sequential(  # (B,24,64,64)
                InvertedResidual(16, 64, 24, 3, stride=2),
                InvertedResidual(24, 144, 24, 3),
            ),
            nn.Sequential(  # (B,32,32,32)
                InvertedResidual(24, 144, 32, 5, stride=2),
                InvertedResidual(32, 192, 32, 5),
            ),
            nn.Sequential(  # (B,88,16,16)
                InvertedResidual(32, 192, 64, 3, stride=2),
                InvertedResidual(64, 384, 64, 3),
                InvertedResidual(64, 384, 64, 3),
                InvertedResidual(64, 384, 88, 5),
                InvertedResidual(88, 528, 88, 5),
                InvertedResidual(88, 528, 88, 5),
            ),
            nn.Sequential(  # (B,144,8,8)
                InvertedResidual(88, 528, 144, 5, stride=2),
                InvertedResidual(144, 864, 144, 5),
                InvertedResidual(144, 864, 144, 5),
                InvertedResidual(144, 864, 144, 5),
            ),
        )
        self.neck = nn.Sequential(  # (B,288,8,8)
            Conv(144, 864),
            Conv(864, 864, 3, groups=864),
            DepthwiseSeparable(864, 288),
        )
        self.head = nn.Sequential(
            BlazeBlock(288, stride=2),  # (B,288,4,4)
            *(BlazeBlock(288) for _ in range(4)),
            BlazeBlock(288, stride=2),  # (B,288,2,2)
            *(BlazeBlock(288) for _ in range(5)),
        )
        # The last convolutions cover the whole 2 x 2 map.
        self.landmarks = Conv(288, _ALL_LANDMARKS * 5, 2, relu=False, padding=0)
        self.world = Conv(288, _ALL_LANDMARKS * 3, 2, relu=False, padding=0)
        self.presence = Conv(288, 1, 2, relu=False, padding=0)
        # The heatmaps' feature pyramid: from the finest stage to the neck, all brought to 48 channels.
        self.pyramid = nn.ModuleList(DepthwiseSeparable(channels, 48) for channels in (24, 32, 88, 864))
        self.heatmaps = Conv(48, _ALL_LANDMARKS, relu=False)

    def forward(self, images: Tensor) -> BlazePoseOutput:
        """Images (B,3,256,256), float RGB in [0,1], to landmarks, world landmarks, presence and heatmaps."""
        x = self.backbone(images.contiguous(memory_format=torch.channels_last))
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        expand, filtered, project = self.neck
        levels[-1] = filtered(expand(x))
        x = self.head(project(levels[-1]))
        batch = x.shape[0]
        landmarks = self.landmarks(x).view(batch, _ALL_LANDMARKS, 5)
        world = self.world(x).view(batch, _ALL_LANDMARKS, 3)
        presence = torch.sigmoid(self.presence(x)).view(batch)
        heatmaps = self._heatmaps(levels)[:, :BODY_LANDMARKS]
        return BlazePoseOutput(landmarks[:, :BODY_LANDMARKS], world[:, :BODY_LANDMARKS], presence, heatmaps)

    def _heatmaps(self, levels: list[Tensor]) -> Tensor:
        """Heatmaps (B,39,64,64) from feature maps of sides 64, 32, 16 and 8: coarse ones are added to finer ones."""
        *finer, coarsest = [lateral(level) for lateral, level in zip(self.pyramid, levels, strict=True)]
        total = coarsest
        for lateral in reversed(finer):
            total = lateral + F.interpolate(total, scale_factor=2.0, mode="bilinear", align_corners=False)
        heatmaps: Tensor = self.heatmaps(total)
        return heatmaps

    @classmethod
    def load(cls, path: Path | str, device: torch.device | str = "cpu") -> BlazePose:
        """The network with the weights of a safetensors file (stored in half precision, used in single).

        Raises:
            WeightsError: the file is missing, damaged or holds another network.
        """
        try:
            state = {name: value.float() for name, value in load_file(path).items()}
        except Exception as error:  # safetensors and the file system raise many kinds; all mean the same to the user
            raise WeightsError(
                f"not a readable BlazePose weight file ({error})", path=path, remedy="install glot again"
            ) from error
        network = cls()
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsError(
                "these are not BlazePose full weights",
                path=path,
                remedy="make them with weights/recipes/make_blazepose.py",
            ) from error
        return network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
