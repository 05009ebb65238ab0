"""How a camera travels: which way by the background, how far by feet that rest.

Whatever feet at rest seem to move by, the camera does the other way. Where the background shows the shape of the
camera's path, whose size one camera cannot see, feet tell the size, and what the path lacks.

In the world's axes, metres; the camera of a shot's first frame stands at the origin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.smoothing import whittaker

Array = NDArray[np.floating]

STEADY_HZ = 0.7  # of the velocity: walking and dollying cameras change theirs slowly
DRIFT_HZ = 0.15  # of what the background's path lacks, where there is one
TINY = 1e-12  # of a path that does not move while somebody stands
UNKNOWN = 0.02  # weight of the usual motion in every frame, against a foot that surely rests
STOOD = 1 / 30  # seconds of resting points, summed over these, below which nobody stands
MISTAKEN = 1.0  # metres a second: a foot that goes so much faster than the camera's path has it does not rest


def camera_places(
    rows: Sequence[Tensor],
    feet: Sequence[Tensor],
    contacts: Sequence[Tensor],
    path: Array,
    ticks: Tensor,
    fps: float,
) -> Tensor:
    """Where the camera stands in every frame of a shot.

    Args:
        rows: of each person, the frames (N,) of the shot in which there is a row, ascending.
        feet: (N, 4, 3) of each, as seen from a camera that turns and stays at the origin.
        contacts: (N, 4) of each, probabilities that they rest.
        path: (F, 3) the camera's places by the background, in any unit; zeros where it shows none.
        ticks: (F,) where the shot's frames stand in time.
        fps: ticks per second.

    Returns:
        (F, 3) metres.
    """
    count = len(ticks)
    if count < 5:  # without four steps nothing is smooth
        return torch.zeros(count, 3)
    rate, weight = _by_feet(rows, feet, contacts, ticks, fps)
    spans = np.diff(ticks.numpy()) / fps  # seconds
    if weight @ spans < STOOD:
        return torch.zeros(count, 3)
    shape: Array = np.diff(path, axis=0) / spans[:, None]
    shape = whittaker(shape, STEADY_HZ / fps, None, _middles(ticks)) if path.any() else shape
    size, cutoff = 0.0, STEADY_HZ
    if path.any():
        trusted = weight
        for _ in range(5):  # feet that were mistaken for resting count less and less
            moved = max(float((trusted[:, None] * shape**2).sum()), TINY)
            size = max(0.0, float((trusted[:, None] * shape * rate).sum()) / moved)
            trusted = weight / (1 + (np.linalg.norm(rate - size * shape, axis=1) / MISTAKEN) ** 2) ** 2
        weight, cutoff = trusted, DRIFT_HZ
    left = rate - size * shape
    usual = (weight[:, None] * left).sum(0) / weight.sum() if size == 0 else np.zeros(3)
    known = (weight[:, None] * left + UNKNOWN * usual) / (weight + UNKNOWN)[:, None]
    speed = size * shape + whittaker(known, cutoff / fps, weight + UNKNOWN, _middles(ticks))
    places = np.concatenate([np.zeros((1, 3)), np.cumsum(speed * spans[:, None], 0)])
    return torch.from_numpy(places).float()


def _by_feet(
    rows: Sequence[Tensor], feet: Sequence[Tensor], contacts: Sequence[Tensor], ticks: Tensor, fps: float
) -> tuple[Array, Array]:
    """The camera's velocity (F - 1, 3) by everybody's feet between frames, metres a second, and weights (F - 1,)."""
    count = len(ticks)
    moved, weight = torch.zeros(count - 1, 3), torch.zeros(count - 1)
    for frames, points, contact in zip(rows, feet, contacts, strict=True):
        next_to = (frames[1:] - frames[:-1] == 1).float()[:, None]
        rests = next_to * (contact[1:] * contact[:-1])  # (N - 1, 4)
        moved.index_add_(0, frames[:-1], -(rests[..., None] * (points[1:] - points[:-1])).sum(1))
        weight.index_add_(0, frames[:-1], rests.sum(1))
    spans = (ticks[1:] - ticks[:-1]).float() / fps
    rate = moved / weight.clamp_min(1e-6)[:, None] / spans[:, None]
    return rate.double().numpy(), weight.double().numpy()


def _middles(ticks: Tensor) -> Array:
    """(F - 1,) times between frames, ticks."""
    return np.asarray(((ticks[1:] + ticks[:-1]) / 2).numpy())
