"""Motions that nobody captured: joints turned at random within what a healthy adult's allow.

Ranges follow the usual clinical tables of active motion (e.g. American Academy of Orthopaedic Surgeons, 1965), rounded,
written as axis-angle about the axes of the T-pose: x to the body's left, y up, z forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from glot_cli.body.rotations import axis_angle_to_rotmat

KEY_SPACING = (8, 200)  # frames from one random pose to the next, at 30 a second: waved about, or held

Range = tuple[float, float]
# Radians about x, y, z, of the left side and the middle; the right side is the left in a mirror.
RANGES: dict[int, tuple[Range, Range, Range]] = {
    1: ((-2.1, 0.5), (-0.7, 0.7), (-0.4, 0.9)),  # hip: bent forward is -x, leg outward is +z
    4: ((0.0, 2.5), (-0.2, 0.2), (-0.1, 0.1)),  # knee
    7: ((-0.5, 0.9), (-0.3, 0.3), (-0.4, 0.4)),  # ankle: toes down is +x
    10: ((-0.7, 0.2), (0.0, 0.0), (0.0, 0.0)),  # toes
    3: ((-0.15, 0.45), (-0.3, 0.3), (-0.25, 0.25)),  # spine, three times
    6: ((-0.15, 0.35), (-0.3, 0.3), (-0.2, 0.2)),
    9: ((-0.1, 0.2), (-0.2, 0.2), (-0.15, 0.15)),
    12: ((-0.4, 0.5), (-0.6, 0.6), (-0.3, 0.3)),  # neck
    15: ((-0.3, 0.3), (-0.4, 0.4), (-0.2, 0.2)),  # head
    13: ((0.0, 0.0), (-0.3, 0.2), (-0.1, 0.4)),  # collar: raised is +z
    16: ((-1.2, 1.2), (-1.6, 0.6), (-1.5, 1.3)),  # shoulder: forward is -y, hanging is -z
    18: ((-0.9, 0.9), (-2.5, 0.0), (-0.1, 0.1)),  # elbow, and the forearm's turn
    20: ((-0.6, 0.6), (-0.4, 0.4), (-1.0, 1.0)),  # wrist
}
RIGHT_OF = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21}


def limits() -> Tensor:
    """(2, 24, 3) least and greatest axis-angle components in radians; zero for the pelvis and the hands."""
    table = torch.zeros(2, 24, 3)
    for joint, ranges in RANGES.items():
        low, high = torch.tensor(ranges).T
        table[0, joint], table[1, joint] = low, high
        if joint in RIGHT_OF:
            flip = torch.tensor([1.0, -1.0, -1.0])
            both = torch.stack([low * flip, high * flip])
            table[:, RIGHT_OF[joint]] = torch.stack([both.amin(0), both.amax(0)])
    return table


def wander(count: int, frames: int, generator: torch.Generator) -> Tensor:
    """Smooth random motions within the limits.

    Components lie nearer to the middle of their range than to its ends (the mean of two uniform draws).

    Returns:
        Local rotations (count, frames, 24, 3, 3) at 30 frames a second, identity for the pelvis.
    """
    low, high = limits()

    def key(keys: int) -> Tensor:
        poses: Tensor = low + (high - low) * torch.rand(2, count, keys, 24, 3, generator=generator).mean(0)
        return poses

    return axis_angle_to_rotmat(drifting(key, frames, count, generator))


def drifting(key: Callable[[int], Tensor], frames: int, count: int, generator: torch.Generator) -> Tensor:
    """Windows that turn from key to key with a soft start and end, each at its own random pace within KEY_SPACING.

    Args:
        key: draws keys: how many each window wants -> (count, keys, ...).
        frames: of a window.
        count: windows.
        generator: of their paces.

    Returns:
        (count, frames, ...).
    """
    poses = key(math.ceil(frames / KEY_SPACING[0]) + 2)
    low, high = (math.log(spacing) for spacing in KEY_SPACING)
    spacing = torch.exp(low + (high - low) * torch.rand(count, 1, generator=generator))
    at = (torch.rand(count, 1, generator=generator) * spacing + torch.arange(frames)) / spacing  # in keys
    before = at.floor().long()
    part = (1 - torch.cos(math.pi * (at - before))) / 2
    index = torch.arange(count)[:, None]
    part = part.view(*part.shape, *[1] * (poses.dim() - 2))
    windows: Tensor = torch.lerp(poses[index, before], poses[index, before + 1], part)
    return windows
