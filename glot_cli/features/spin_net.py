"""SPIN's network (Kolotouros et al., ICCV 2019): ResNet-50 and, after it, HMR's iterative regressor.

GLoT reads the pooled features. The regressor answers for single frames; training takes it as the start of GLoT's own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck

from glot_cli.errors import WeightsError, one_line
from glot_cli.models.glot_config import STATE_DIM, GLoTConfig
from glot_cli.models.official import SPIN_COUNTER
from glot_cli.models.regressors import IterativeRegressor

SPIN_DIM = 2048
REGRESSOR = GLoTConfig(feature_dim=SPIN_DIM, regressor_dropout=0.5)
MEAN_STATE = "regressor.mean_state"


class SpinNetwork(nn.Module):
    """Pictures (B, 3, 224, 224) with ImageNet's normalisation -> features (B, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet50(weights=None)
        self.backbone.fc = nn.Identity()
        self.regressor = IterativeRegressor(REGRESSOR, second_layer=True)

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.backbone(pictures.contiguous(memory_format=torch.channels_last))
        return features

    @classmethod
    def load(cls, path: Path) -> SpinNetwork:
        """The network in evaluation mode, on the CPU, each batch norm folded into its convolution.

        Args:
            path: what `glot weights add` made of SPIN's checkpoint.

        Raises:
            WeightsError: the file is missing, damaged or of another network.
        """
        with torch.device("meta"):  # no time is spent on random weights
            network = cls()
        try:
            state = load_file(path)
            counters = [name for name in network.state_dict() if name.endswith(SPIN_COUNTER)]
            state[MEAN_STATE] = torch.zeros(STATE_DIM)  # features do without it
            state |= {name: torch.zeros((), dtype=torch.long) for name in counters}
            network.load_state_dict(state, assign=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise WeightsError(
                f"not SPIN's weights ({one_line(error, 200)})",
                path=path,
                remedy="add them again with 'glot weights add'",
            ) from error
        return network.eval().fold().to(memory_format=torch.channels_last)

    def fold(self) -> SpinNetwork:
        """Make one layer of every convolution and the batch norm after it: the same function, for inference only."""
        self.requires_grad_(False)
        _fold(self.backbone, "conv1", "bn1")
        for block in self.backbone.modules():
            if isinstance(block, Bottleneck):
                for number in "123":
                    _fold(block, f"conv{number}", f"bn{number}")
                if isinstance(block.downsample, nn.Sequential):
                    _fold(block.downsample, "0", "1")
        return self


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
    setattr(module, norm, nn.Identity())
