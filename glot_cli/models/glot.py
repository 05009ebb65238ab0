"""GLoT whole: features of a window in, body parameters of its middle frame out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from glot_cli.models.global_motion import GlobalMotion, Masking
from glot_cli.models.glot_config import STATE_DIM, GLoTConfig
from glot_cli.models.local_correction import LocalCorrection
from glot_cli.models.regressors import IterativeRegressor, SpatialRegressor, State


class Estimate(NamedTuple):
    """What both branches say of the frames they answer for.

    Attributes:
        final: (B, 1, .) in evaluation; (B, 3, .) in training: the middle frame and its two neighbours.
        initial: the global branch's: (B, 1, .) in evaluation, (B, T, .) in training; None without one.
    """

    final: State
    initial: State | None


class GLoT(nn.Module):
    """Global-to-Local Transformer (arXiv 2303.14747).

    The mean parameters from which the first regressor starts belong to the weights:
    `global_motion.regressor.mean_state`, or `mean_state` where there is no global branch.
    """

    mean_state: Tensor

    def __init__(self, config: GLoTConfig) -> None:
        super().__init__()
        self.config = config
        if config.branches == "local":
            self.register_buffer("mean_state", torch.zeros(STATE_DIM))
        else:
            self.global_motion = GlobalMotion(config)
        if config.branches != "global":
            self.local_correction = LocalCorrection(config)

    def forward(self, features: Tensor) -> Estimate:
        """features (B, T, F) -> the middle frame's states (B, 1, .)."""
        middle = self.config.middle
        return self._estimate(features, None, slice(middle, middle + 1), 0)

    def forward_train(self, features: Tensor, masking: Masking | None) -> Estimate:
        """features (B, T, F) -> three middle frames from the local branch, all T from the global one."""
        return self._estimate(features, masking, slice(None), 1)

    def _estimate(self, features: Tensor, masking: Masking | None, regressed: slice, around: int) -> Estimate:
        """`regressed` picks the frames that the global branch answers for; the local one, `around` on each side."""
        config = self.config
        wanted = slice(config.middle - around, config.middle + around + 1)
        memory = states = None
        if config.branches == "local":
            start = State.split(self.mean_state.expand(len(features), 2 * around + 1, -1))
        else:
            memory, states = self.global_motion(features, masking, regressed)
            start = states if regressed == wanted else states.tokens(wanted)
        if config.branches == "global":
            return Estimate(start, states)
        nearby = slice(config.nearby - around, config.nearby + around + 1)
        return Estimate(self.local_correction(features[:, config.local_slice], memory, start, nearby), states)


def initialise(model: GLoT, mean_state: Tensor) -> None:
    """Initial weights for training: Xavier for the transformers, near-zero output layers for the regressors (HMR).

    Draws from torch's global generator.

    Args:
        model: changed in place.
        mean_state: (157,) pose6d, shape and camera that regression starts from.

    Raises:
        ValueError: `mean_state` has another shape.
    """
    if mean_state.shape != (STATE_DIM,):
        raise ValueError(f"mean_state must have {STATE_DIM} entries, not {tuple(mean_state.shape)}")
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name.endswith(("pos_embed", "learned_token")):
            nn.init.trunc_normal_(parameter, std=0.02)
    for module in model.modules():
        if isinstance(module, IterativeRegressor):
            outputs = [module.decpose, module.decshape, module.deccam]
        elif isinstance(module, SpatialRegressor):
            outputs = [*module.joints, module.decshape, module.deccam]
        else:
            continue
        for layer in outputs:
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
    start = model if model.config.branches == "local" else model.global_motion.regressor
    start.mean_state.copy_(mean_state)
