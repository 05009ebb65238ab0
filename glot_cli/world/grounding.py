"""Which way is up for a body, and which of its heels and toes stand: read from how it is bent and how it moves.

A small network over time, in the frame of the pelvis, so that it matters not how the camera stands. It was trained on
open motion capture seen through simulated errors of all that comes before (`weights/recipes/make_grounding.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glot_cli.body.rotations import rotmat_to_axis_angle, rotmat_to_pose6d

RATE = 30.0  # frames a second that the network knows
BENT = tuple(range(1, 22))  # joints whose rotations it sees: all but the pelvis and the hands
FAST = 5.0  # metres and radians a second; what is faster, it sees as this fast
INPUTS = 6 * len(BENT) + 3 * (4 + 4 + 1 + 1 + 1)
WIDTH, REACHES = 128, (1, 2, 4, 8)  # channels; distances in frames of what each layer looks at


class Motion(NamedTuple):
    """How a person moves, N frames at RATE, in one frame of axes that does not turn with the camera.

    Attributes:
        rotmat: (N, 24, 3, 3) local rotations, that of the pelvis to these axes.
        pelvis: (N, 3) metres.
        soles: (N, 4, 3) points of `soles.SOLES`, metres.
        ray: (N, 3) unit vectors along which the camera sees the pelvis.
    """

    rotmat: Tensor
    pelvis: Tensor
    soles: Tensor
    ray: Tensor


class Grounded(NamedTuple):
    """What the network says of N frames.

    Attributes:
        up: (N, 3) unit vectors, in the axes of the motion.
        spread: (N,) standard deviation of that in either direction, radians.
        contact: (N, 4) probability that each of `soles.SOLES` stands still on the floor.
    """

    up: Tensor
    spread: Tensor
    contact: Tensor


def grounding_input(motion: Motion) -> Tensor:
    """(N, INPUTS) of a motion: all in the frame of the pelvis."""
    own = motion.rotmat[:, 0].mT  # turns the motion's axes into the pelvis's
    relative = motion.soles - motion.pelvis[:, None]
    turning = rotmat_to_axis_angle(_rates_of_turning(motion.rotmat[:, 0])) * RATE
    vectors = torch.cat(
        [
            relative,
            _velocity(motion.soles).clamp(-FAST, FAST),
            _velocity(motion.pelvis)[:, None].clamp(-FAST, FAST),
            turning[:, None].clamp(-FAST, FAST),
            motion.ray[:, None],
        ],
        1,
    )
    seen = (own[:, None] @ vectors.unsqueeze(-1)).squeeze(-1)
    return torch.cat([rotmat_to_pose6d(motion.rotmat[:, list(BENT)]).flatten(1), seen.flatten(1)], 1)


def _velocity(points: Tensor) -> Tensor:
    """Metres a second of points (N, ..., 3), from the frames before and after."""
    padded = torch.cat([points[:1], points, points[-1:]])
    steps = torch.full((len(points), *[1] * (points.dim() - 1)), 2.0, dtype=points.dtype)
    steps[0] = steps[-1] = 1.0
    return (padded[2:] - padded[:-2]) / steps * RATE


def _rates_of_turning(rotmat: Tensor) -> Tensor:
    """Turn (N, 3, 3) from each frame to the next; the last one's is none."""
    turns = rotmat[1:] @ rotmat[:-1].mT
    return torch.cat([turns, torch.eye(3, dtype=rotmat.dtype)[None]])


class GroundingNet(nn.Module):
    """Dilated convolutions over time (van den Oord et al., 2016), each of which adds to what came before."""

    __call__: Callable[..., Tensor]

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(INPUTS))
        self.register_buffer("scale", torch.ones(INPUTS))
        self.first = nn.Linear(INPUTS, WIDTH)
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, dilation=reach) for reach in REACHES)
        self.mixers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 1) for _ in REACHES)
        self.last = nn.Linear(WIDTH, 3 + 1 + 4)

    def forward(self, values: Tensor) -> Tensor:
        """(B, N, INPUTS) to (B, N, 8): up in the pelvis's frame, logarithm of its spread, logits of contact."""
        x = self.first((values - self.mean) / self.scale).mT
        for layer, mixer, reach in zip(self.layers, self.mixers, REACHES, strict=True):
            padded = F.pad(x, (reach, reach), mode="replicate")
            x = x + mixer(F.gelu(layer(padded)))
        return self.last(F.gelu(x).mT)


def unit_up(answer: Tensor) -> Tensor:
    """Up (..., 3) in the pelvis's frame, of what the network answers (..., 8): the pelvis's own y, and a correction."""
    return F.normalize(answer[..., :3] + answer.new_tensor([0.0, 1.0, 0.0]), dim=-1)


@torch.inference_mode()
def ground(network: GroundingNet, motion: Motion) -> Grounded:
    """Ask the network about a motion."""
    answer = network(grounding_input(motion)[None])[0]
    up = (motion.rotmat[:, 0] @ unit_up(answer).unsqueeze(-1)).squeeze(-1)
    return Grounded(up, answer[:, 3].exp(), torch.sigmoid(answer[:, 4:]))
