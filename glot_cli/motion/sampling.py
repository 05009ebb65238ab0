"""Windows of motion for training: drawn from clips at any speed, mirrored, limbs exchanged, poses varied.

Everything works on whole batches; `generator` makes every draw repeatable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glot_cli.body.joints import mirror_rotmat
from glot_cli.body.rotations import axis_angle_to_rotmat, pose6d_to_rotmat
from glot_cli.motion.joint_limits import wander
from glot_cli.motion.motions import Motions
from glot_cli.motion.postures import strike

ARMS = {"left": (13, 16, 18, 20, 22), "right": (14, 17, 19, 21, 23)}
LEGS = (1, 2, 4, 5, 7, 8, 10, 11)
UPPER = (3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
LIMB_CHAINS = (list(ARMS["left"]), list(ARMS["right"]), [1, 4, 7, 10], [2, 5, 8, 11], [3, 6, 9, 12, 15])

# Standard deviation in radians of the constant turn that varies a joint; joints that capture leaves at rest (collars,
# wrists, feet) get more.
VARIATION = (
    0.0, 0.12, 0.12, 0.08, 0.10, 0.10, 0.08, 0.15, 0.15, 0.08, 0.15, 0.15,
    0.15, 0.10, 0.10, 0.15, 0.18, 0.18, 0.15, 0.15, 0.25, 0.25, 0.15, 0.15,
)  # fmt: skip


@dataclass(frozen=True)
class Augmentation:
    """How often and how far windows are varied; probabilities, but for ranges.

    Attributes:
        speed: least and most, as multiples of the clip's own (60 frames/s video: 0.5).
        mirror: left and right exchanged.
        swap_arms: both arms taken from another window.
        swap_one_arm: the left arm taken from another window, and likewise the right one.
        swap_legs: both legs taken from another window.
        swap_upper: all above the hips taken from another window.
        seated: sitting, on seats and on the floor, kneeling, squatting (see `postures`).
        lying: on the back, the front or a side.
        inverted: upside down.
        standing: plainly, arms hanging or speaking.
        wander: random limbs move as no capture does, anywhere within human joint limits.
        vary: every joint turned a little.
        vary_scale: by how much: least and most, times the angles of VARIATION.
    """

    speed: tuple[float, float] = (0.45, 1.8)
    mirror: float = 0.5
    swap_arms: float = 0.25
    swap_one_arm: float = 0.2
    swap_legs: float = 0.2
    swap_upper: float = 0.1
    seated: float = 0.0
    lying: float = 0.0
    inverted: float = 0.0
    standing: float = 0.0
    wander: float = 0.0
    vary: float = 0.8
    vary_scale: tuple[float, float] = (0.3, 1.6)


def sample_windows(
    motions: Motions, count: int, frames: int, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """Draw windows of motion and vary them.

    Args:
        motions: what they are cut from.
        count: windows to draw.
        frames: of each window.
        augmentation: how they are varied.
        generator: of everything random.

    Returns:
        Local joint rotations (count, frames, 24, 3, 3) in a y-up world.
    """
    pose6d = cut_windows(motions, count, frames, augmentation.speed, generator)
    rotmat = pose6d_to_rotmat(pose6d)
    rotmat = _where(augmentation.mirror, mirror_rotmat(rotmat), rotmat, generator)
    for probability, joints in (
        (augmentation.swap_legs, LEGS),
        (augmentation.swap_upper, UPPER),
        (augmentation.swap_arms, (*ARMS["left"], *ARMS["right"])),
        (augmentation.swap_one_arm, ARMS["left"]),
        (augmentation.swap_one_arm, ARMS["right"]),
    ):
        other = rotmat.clone()
        donor = torch.randperm(count, generator=generator)
        other[:, :, joints] = rotmat[donor][:, :, joints]
        rotmat = _where(probability, other, rotmat, generator)
    held = (augmentation.seated, augmentation.lying, augmentation.inverted, augmentation.standing)
    rotmat = strike(rotmat, held, generator)
    if augmentation.wander:
        rotmat = _where(augmentation.wander, _wandering(rotmat, generator), rotmat, generator)
    return _where(augmentation.vary, vary(rotmat, augmentation.vary_scale, generator), rotmat, generator)


def _wandering(rotmat: Tensor, generator: torch.Generator) -> Tensor:
    """Windows (count, frames, 24, 3, 3) in which each limb, by chance, moves at random within its limits."""
    count, frames = rotmat.shape[:2]
    free = wander(count, frames, generator)
    chosen = torch.zeros(count, 24, dtype=torch.bool)
    for joints in LIMB_CHAINS:
        chosen[:, joints] = torch.rand(count, 1, generator=generator) < 0.6
    return torch.where(chosen[:, None, :, None, None], free, rotmat)


def cut_windows(
    motions: Motions, count: int, frames: int, speed: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Windows at random speeds, between frames interpolated linearly in 6-D.

    Args:
        motions: what they are cut from.
        count: windows to draw.
        frames: of each window.
        speed: least and most, as multiples of the clip's own; less where a clip is too short for it.
        generator: of everything random.

    Returns:
        6-D rotations (count, frames, 24, 6).
    """
    clip = torch.multinomial(motions.weight, count, replacement=True, generator=generator)
    rate = _uniform(count, *speed, generator)
    room = (motions.length[clip] - 1).float()  # in frames
    rate = torch.minimum(rate, room / (frames - 1))
    start = torch.rand(count, generator=generator) * (room - rate * (frames - 1))
    at = start[:, None] + rate[:, None] * torch.arange(frames)  # (count, frames)
    low = at.floor().long().clamp_max(motions.length[clip][:, None] - 2)
    part = (at - low)[..., None, None]
    index = motions.start[clip][:, None] + low
    return torch.lerp(motions.pose6d[index], motions.pose6d[index + 1], part)


def vary(rotmat: Tensor, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Turn every joint by a random angle that drifts slowly over the window.

    Args:
        rotmat: (count, frames, 24, 3, 3) local rotations.
        scale: least and most that VARIATION is multiplied by, one number a window.
        generator: of everything random.

    Returns:
        (count, frames, 24, 3, 3).
    """
    count, frames = rotmat.shape[:2]
    sigma = torch.tensor(VARIATION)[:, None] * _uniform(count, *scale, generator)[:, None, None]
    first, last = torch.randn(2, count, 24, 3, generator=generator) * sigma
    middle = (first + last) / 2
    part = torch.linspace(-0.25, 0.25, frames)[None, :, None, None]
    turn = middle[:, None] + (last - first)[:, None] * part  # (count, frames, 24, 3)
    return rotmat @ axis_angle_to_rotmat(turn)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _where(probability: float, changed: Tensor, rotmat: Tensor, generator: torch.Generator) -> Tensor:
    """`changed` for a random share of the windows, `rotmat` for the others."""
    pick = torch.rand(len(rotmat), generator=generator) < probability
    return torch.where(pick[:, None, None, None, None], changed, rotmat)
