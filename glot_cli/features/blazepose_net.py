"""The BlazePose landmark networks "full" and "heavy" (MediaPipe, Apache-2.0) as a batched PyTorch module.

Landmarks, world landmarks and heatmaps are built; the segmentation mask that the published file predicts too is not.

Numbers follow `pose_landmark_full.tflite` and `pose_landmark_heavy.tflite` layer by layer. Two things differ from
common PyTorch practice: every activation is ReLU6, and the stride-2 convolutions after the backbone pad only below and
to the right (TensorFlow's SAME), while those of the backbone pad all four sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.errors import WeightsError, first_line

INPUT_SIZE = 256  # pixels, side of the square crop
BODY_LANDMARKS = len(LANDMARK_NAMES)  # of the 39; the other six are MediaPipe's own crop alignment points
HEATMAP_SIZE = 64  # cells, side of a heatmap: each covers 4 x 4 pixels of the crop
_ALL_LANDMARKS = 39
_PYRAMID = 48  # channels of the heatmaps' feature pyramid


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
    """Depthwise separable convolution added to its input, ReLU6 after the sum; stride 2 halves both branches.

    Where it widens, the input gets channels of zeros.
    """

    def __init__(self, inputs: int, outputs: int | None = None, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        outputs = outputs or inputs
        self.wider = outputs - inputs
        self.depthwise = Conv(inputs, inputs, 3, stride, groups=inputs, padding=1 if stride == 1 else 0)
        self.pointwise = Conv(inputs, outputs, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return F.relu6(self.pointwise(self.depthwise(x)).add_(x), inplace=True)
        y = self.pointwise(self.depthwise(F.pad(x, (0, 1, 0, 1))))  # right and bottom only, see the module docstring
        pooled = F.max_pool2d(x, 2)
        return F.relu6(y.add_(F.pad(pooled, (0, 0, 0, 0, 0, self.wider)) if self.wider else pooled), inplace=True)


class Blocks(NamedTuple):
    """Inverted residuals of one stage that are alike.

    Attributes:
        depth: how many.
        hidden: channels between widening and narrowing.
        outputs: channels after them.
        kernel: of the filters.
    """

    depth: int
    hidden: int
    outputs: int
    kernel: int


class Size(NamedTuple):
    """What differs between the published sizes of the network.

    Attributes:
        stem: channels at half the picture's side.
        stages: the blocks of each stage; the first block of a stage halves the side of its map.
        descent: channels and blocks of the path from the finest map back down to the neck's side; heavy alone has it.
        head: blocks after each of the two halvings of the head.
    """

    stem: int
    stages: tuple[tuple[Blocks, ...], ...]
    descent: tuple[tuple[int, int], ...]
    head: tuple[int, int]


SIZES = {
    "full": Size(
        16,
        (
            (Blocks(1, 64, 24, 3), Blocks(1, 144, 24, 3)),
            (Blocks(1, 144, 32, 5), Blocks(1, 192, 32, 5)),
            (Blocks(1, 192, 64, 3), Blocks(2, 384, 64, 3), Blocks(1, 384, 88, 5), Blocks(2, 528, 88, 5)),
            (Blocks(1, 528, 144, 5), Blocks(3, 864, 144, 5)),
        ),
        (),
        (4, 5),
    ),
    "heavy": Size(
        24,
        (
            (Blocks(1, 96, 32, 3), Blocks(1, 128, 32, 3), Blocks(2, 192, 32, 3)),
            (Blocks(1, 192, 56, 5), Blocks(3, 336, 56, 5)),
            (Blocks(1, 336, 112, 3), Blocks(5, 672, 112, 3), Blocks(1, 672, 160, 5), Blocks(5, 960, 160, 5)),
            (Blocks(1, 960, 272, 5), Blocks(7, 1632, 272, 5)),
        ),
        ((96, 6), (192, 7), (288, 7)),
        (7, 7),
    ),
}
_WIDE = 288  # channels of the head


class BlazePose(nn.Module):
    """Landmarks of one person in a square crop.

    `BlazePose.load(path, device)` gives a network ready for inference; call it under `torch.inference_mode()`.
    """

    def __init__(self, size: Size = SIZES["full"]) -> None:
        super().__init__()
        self.backbone = nn.Sequential(  # (B,3,256,256) to (B,stem,128,128)
            Conv(3, 24, 3, stride=2),
            DepthwiseSeparable(24, size.stem, relu=False),
        )
        stages, channels, widths = [], size.stem, []
        for stage in size.stages:  # to sides of 64, 32, 16, 8
            blocks: list[nn.Module] = []
            for kind in stage:
                for _ in range(kind.depth):
                    stride = 1 if blocks else 2
                    blocks.append(InvertedResidual(channels, kind.hidden, kind.outputs, kind.kernel, stride))
                    channels = kind.outputs
            stages.append(nn.Sequential(*blocks))
            widths.append(channels)
        self.stages = nn.Sequential(*stages)
        hidden = size.stages[-1][-1].hidden
        self.neck = nn.Sequential(  # (B,288,8,8)
            Conv(channels, hidden),
            Conv(hidden, hidden, 3, groups=hidden),
            DepthwiseSeparable(hidden, _WIDE),
        )
        self.descent = nn.ModuleList()
        self.joined = nn.ModuleList()
        channels = _PYRAMID
        for index, (wide, count) in enumerate(size.descent):  # sides of 32, 16, 8
            down = BlazeBlock(channels, wide, stride=2)
            self.descent.append(nn.Sequential(down, *(BlazeBlock(wide) for _ in range(count))))
            if index < len(size.descent) - 1:  # the neck is what joins the last
                self.joined.append(DepthwiseSeparable(widths[index + 1], wide))
            channels = wide
        self.head = nn.Sequential(  # to sides of 4, 2
            *(
                block
                for count in size.head
                for block in (BlazeBlock(_WIDE, stride=2), *(BlazeBlock(_WIDE) for _ in range(count)))
            )
        )
        # The last convolutions cover the whole 2 x 2 map.
        self.landmarks = Conv(_WIDE, _ALL_LANDMARKS * 5, 2, relu=False, padding=0)
        self.world = Conv(_WIDE, _ALL_LANDMARKS * 3, 2, relu=False, padding=0)
        self.presence = Conv(_WIDE, 1, 2, relu=False, padding=0)
        # The heatmaps' feature pyramid: from the finest stage to the neck, all brought to as many channels.
        self.pyramid = nn.ModuleList(DepthwiseSeparable(wide, _PYRAMID) for wide in (*widths[:3], hidden))
        self.heatmaps = Conv(_PYRAMID, _ALL_LANDMARKS, relu=False)

    def forward(self, images: Tensor) -> BlazePoseOutput:
        """Images (B,3,256,256), float RGB in [0,1], to landmarks, world landmarks, presence and heatmaps."""
        x = self.backbone(images.contiguous(memory_format=torch.channels_last))
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        expand, filtered, project = self.neck
        deep = filtered(expand(x))
        finest = self._finest([*levels[:3], deep])
        heatmaps = self.heatmaps(finest)[:, :BODY_LANDMARKS]
        x = self.head(self._descend(finest, levels) + project(deep) if self.descent else project(deep))
        batch = x.shape[0]
        landmarks = self.landmarks(x).view(batch, _ALL_LANDMARKS, 5)
        world = self.world(x).view(batch, _ALL_LANDMARKS, 3)
        presence = torch.sigmoid(self.presence(x)).view(batch)
        return BlazePoseOutput(landmarks[:, :BODY_LANDMARKS], world[:, :BODY_LANDMARKS], presence, heatmaps)

    def _finest(self, levels: list[Tensor]) -> Tensor:
        """(B,48,64,64) from feature maps of sides 64, 32, 16 and 8: coarse ones are added to finer ones."""
        total: Tensor = self.pyramid[-1](levels[-1])
        for lateral, level in zip(self.pyramid[-2::-1], levels[-2::-1], strict=True):
            total = F.interpolate(total, scale_factor=2.0, mode="bilinear", align_corners=False) + lateral(level)
        return total

    def _descend(self, x: Tensor, levels: list[Tensor]) -> Tensor:
        """From the finest map down to (B,288,8,8), joined on the way by what the stages found at the same side."""
        for index, blocks in enumerate(self.descent):
            x = blocks(x)
            if index < len(self.joined):
                x = x + self.joined[index](levels[index + 1])
        return x

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
                f"not a readable BlazePose weight file ({first_line(error)})", path=path, remedy="install glot again"
            ) from error
        network = cls(SIZES["heavy" if any(name.startswith("descent.") for name in state) else "full"])
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsError(
                "these are not BlazePose weights",
                path=path,
                remedy="make them with weights/recipes/make_blazepose.py",
            ) from error
        return network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
