"""GLoT whole: features of a window in, body parameters of its middle frame out."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn

from glot_cli.models.config import STATE_DIM, GLoTConfig
from glot_cli.models.global_motion import GlobalMotion, Masking
from glot_cli.models.local_correction import LocalCorrection
from glot_cli.models.regressors import IterativeRegressor, SpatialRegressor, State


class Estimate(NamedTuple):
    """What both branches say of the frames they answer for."""

    final: State  # (B, 1, .) in evaluation; (B, 3, .) in training: the middle frame and its two neighbours
    initial: State  # the global branch: (B, 1, .) in evaluation, (B, T, .) in training


class GLoT(nn.Module):
    """Global-to-Local Transformer (arXiv 2303.14747).

    The mean parameters from which the global regressor starts belong to the weights:
    `global_motion.regressor.mean_state`.
    """

    def __init__(self, config: GLoTConfig) -> None:
        super().__init__()
        self.config = config
        self.global_motion = GlobalMotion(config)
        self.local_correction = LocalCorrection(config)

    def forward(self, features: Tensor) -> Estimate:
        """features (B, T, F) -> the middle frame's states (B, 1, .)."""
        config = self.config
        middle = slice(config.middle, config.middle + 1)
        memory, start = self.global_motion(features, None, middle)
        nearby = slice(config.nearby, config.nearby + 1)
        final = self.local_correction(features[:, config.local_slice], memory, start, nearby)
        return Estimate(final, start)

    def forward_train(self, features: Tensor, masking: Masking | None) -> Estimate:
        """features (B, T, F) -> three middle frames from the local branch, all T from the global one."""
        config = self.config
        memory, states = self.global_motion(features, masking, slice(None))
        start = states.tokens(slice(config.middle - 1, config.middle + 2))
        nearby = slice(config.nearby - 1, config.nearby + 2)
        final = self.local_correction(features[:, config.local_slice], memory, start, nearby)
        return Estimate(final, states)


def initialise(model: GLoT, mean_state: Tensor) -> None:
    """Initial weights for training: Xavier for the transformers, near-zero output layers for the regressors (HMR).

    mean_state: (157,) pose6d, shape, camera. Draws from torch's global generator.
    """
    if mean_state.shape != (STATE_DIM,):
        raise ValueError(f"mean_state must have {STATE_DIM} entries, not {tuple(mean_state.shape)}")
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name.endswith("pos_embed"):
            nn.init.trunc_normal_(parameter, std=0.02)
    for module in model.modules():
        if isinstance(module, IterativeRegressor):
            outputs = [module.decpose, module.decshape, module.deccam]
            module.mean_state.copy_(mean_state)
        elif isinstance(module, SpatialRegressor):
            outputs = [*module.joints, module.decshape, module.deccam]
        else:
            continue
        for layer in outputs:
            nn.init.xavier_uniform_(layer.weight, gain=0.01)


def count_parameters(model: nn.Module) -> int:
    """Number of learned values."""
    return sum(math.prod(p.shape) for p in model.parameters())
