"""What moves the weights, and how far: optimizers and the learning rate's course."""

from __future__ import annotations

import math

import torch
from torch import nn

from glot_cli.training.config import TrainConfig

MUON_SMALLEST = 64  # rows and columns of a matrix for which orthogonal updates pay
LEAST_RATE = 0.1  # of the learning rate, before warm-up and at the end (paper section 4)


def optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """What updates the parameters of a run: Adam, or Muon for the large matrices and Adam for the rest.

    Muon (Jordan et al., 2024) with updates scaled to the size of Adam's (Liu et al., 2025, arXiv 2502.16982), so that
    one learning rate serves both. GLoT's regressors are stacks of linear layers that begin near zero; there it needs
    less than half as many steps.
    """
    rate, decay = config.learning_rate, config.weight_decay
    parameters = list(model.parameters())
    if config.optimizer == "adam":
        return [torch.optim.Adam(parameters, lr=rate, weight_decay=decay)]
    large = [p for p in parameters if p.dim() == 2 and min(p.shape) >= MUON_SMALLEST]
    rest = [p for p in parameters if not any(p is q for q in large)]
    return [
        torch.optim.Muon(large, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, weight_decay=decay),
    ]


def learning_rate(update: int, config: TrainConfig) -> float:
    """From a tenth up in a straight line over `warmup` epochs, then down to a tenth by cosine (paper section 4).

    The authors' code changes it from epoch to epoch; this is the same course without the steps.
    """
    epoch = update / config.iterations
    if epoch < config.warmup:
        share = epoch / config.warmup
    else:
        part = (epoch - config.warmup) / max(config.epochs - config.warmup, 1e-9)
        share = 0.5 * (1 + math.cos(math.pi * min(part, 1.0)))
    return config.learning_rate * (LEAST_RATE + (1 - LEAST_RATE) * share)
