"""How a camera travels, told by feet that rest: whatever they seem to move by, the camera does the other way.

In the world's axes, metres; the camera of a shot's first frame stands at the origin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from glot_cli.smoothing import whittaker

STEADY_HZ = 0.7  # of the velocity: walking and dollying cameras change theirs slowly
UNKNOWN = 0.02  # weight of no motion at all, against feet that surely rest


def camera_places(
    rows: Sequence[Tensor], feet: Sequence[Tensor], contacts: Sequence[Tensor], ticks: Tensor, fps: float
) -> Tensor:
    """Where the camera stands in every frame of a shot.

    Args:
        rows: of each person, the frames (N,) of the shot in which there is a row, ascending.
        feet: (N, 4, 3) of each, as seen from a camera that turns and stays at the origin.
        contacts: (N, 4) of each, probabilities that they rest.
        ticks: (F,) where the shot's frames stand in time.
        fps: ticks per second.

    Returns:
        (F, 3) metres.
    """
    count = len(ticks)
    moved, weight = torch.zeros(count - 1, 3), torch.zeros(count - 1)
    for frames, points, contact in zip(rows, feet, contacts, strict=True):
        next_to = (frames[1:] - frames[:-1] == 1).float()[:, None]
        rests = next_to * (contact[1:] * contact[:-1])  # (N - 1, 4)
        steps = points[1:] - points[:-1]
        moved.index_add_(0, frames[:-1], -(rests[..., None] * steps).sum(1))
        weight.index_add_(0, frames[:-1], rests.sum(1))
    if count < 5 or float(weight.sum()) < 1:
        return torch.zeros(count, 3)
    spans = (ticks[1:] - ticks[:-1]).float()
    rate = moved / weight.clamp_min(1e-6)[:, None] / spans[:, None]  # metres a tick
    usual = (weight[:, None] * rate).sum(0) / weight.sum()
    trusted = weight + UNKNOWN
    known = (weight[:, None] * rate + UNKNOWN * usual) / trusted[:, None]
    between = ((ticks[1:] + ticks[:-1]) / 2).numpy()
    smooth = whittaker(known.numpy(), STEADY_HZ / fps, trusted.numpy(), between)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(smooth * spans.numpy()[:, None], 0)])
    return torch.from_numpy(path).float()
