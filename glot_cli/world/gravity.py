"""Up, and the floor: what people, the lines of the background and the camera's own posture say together.

All directions are in the axes of the first camera of a shot (x right, y down, z forward).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from glot_cli.world.verticals import Verticals

ROLL = math.radians(2.5)  # cameras are held level, but for so much
ROLLED = 3.0  # a camera that is turned by more than so many times this was not meant to be level
PERSON = math.radians(3.5)  # however long somebody is seen, up is not known better by one body alone
STRAIGHT = math.radians(12.0)  # between trunk and legs of who stands straight
BRIEFLY = 0.25  # seconds of that which tell nothing
SIDEWAYS = 0.5  # of up across the line of sight, from which on it tells how far the camera would be rolled
LEANING = math.radians(4.5)  # of who stands straight, and of what the picture makes of it
ALIKE = 0.74  # correlation of the errors of these and of what the network makes of the same body, on drawn clips
FLAT = 0.08  # metres that a resting foot may seem off its floor
OFTEN = 0.5  # seconds between feet that tell of the floor each by itself
WITHOUT = math.radians(25.0)  # up lies within this of the camera's own where nobody tells
STOOD = 0.1  # seconds of resting points that a level takes, summed over these
LIKELY = 0.25  # probability from which on a point counts among these: many unlikely ones are no level
STEPS = 10


class Vote(NamedTuple):
    """What one person says of up.

    Attributes:
        up: (N, 3) unit vectors, of every frame.
        spread: (N,) their standard deviations in either direction, radians.
        feet: (N, 4, 3) points of the soles, metres.
        contact: (N, 4) probabilities that they rest.
        every: how many frames apart feet tell each by itself: `OFTEN`.
        straight: what `straight_up` says.
    """

    up: Tensor
    spread: Tensor
    feet: Tensor
    contact: Tensor
    every: float
    straight: Direction | None = None


class Direction(NamedTuple):
    """A direction and how far off it may be, one standard deviation in radians."""

    vector: Tensor
    spread: float


def find_up(votes: Sequence[Vote], right: Tensor, lines: Verticals | None = None) -> Direction:
    """Up in a shot.

    Args:
        votes: of everybody in it.
        right: (F, 3) the camera's own x axis in its frames.
        lines: what vertical lines say.

    Nobody holds a camera on its side: who seems to stand so that it is, lies, and says nothing.
    """
    level = F.normalize(right.mean(0), dim=0)
    own = torch.tensor([0.0, -1.0, 0.0])
    told = [direction for vote in votes for direction in _told(vote, level)]
    bodies = len(told)
    if lines is not None:
        upright, precision = (torch.from_numpy(a).float() for a in (lines.direction, lines.precision))
        told.append(Direction(upright, math.radians(lines.error)))
    up = F.normalize(sum((d.vector / d.spread**2 for d in told), own / WITHOUT**2), dim=0)
    for _ in range(STEPS):
        tangent = _tangent(up)  # (3, 2)
        left, pull = torch.eye(2) / WITHOUT**2, tangent.mT @ own / WITHOUT**2
        if lines is not None:
            sure = tangent.mT @ precision
            left, pull = left + sure @ tangent, pull + sure @ (upright - up)
        for direction in told[:bodies]:
            off = direction.vector - up
            weight = direction.spread**-2 / (1 + (off.norm() / (3 * direction.spread)) ** 2)
            left = left + weight * torch.eye(2)
            pull = pull + weight * tangent.mT @ off
        roll = torch.dot(level, up)
        weight = ROLL**-2 / (1 + (roll / (ROLLED * ROLL)) ** 2) ** 2
        slope = tangent.mT @ level
        left = left + weight * torch.outer(slope, slope)
        pull = pull - weight * roll * slope
        for vote in votes:
            arm, weights = _arms(vote)
            height = arm @ up
            weights = weights / (1 + (height / (3 * FLAT)) ** 2) ** 2 / FLAT**2
            flat = arm @ tangent
            left = left + flat.mT @ (weights[:, None] * flat)
            pull = pull - flat.mT @ (weights * height)
        step = torch.linalg.solve(left, pull)
        up = F.normalize(up + tangent @ step, dim=0)
    spread = torch.linalg.inv(left).trace() * _excess(up, told[:bodies], level, lines)
    return Direction(up, float(spread.sqrt()))


def _excess(up: Tensor, bodies: Sequence[Direction], level: Tensor, lines: Verticals | None) -> float:
    """Square of how much further what tells of up lies apart than it should (the Birge ratio); at least 1.

    Whatever lies off counts here in full: that a robust mean does not follow it does not make it wrong.
    """
    square = sum(float((body.vector - up).square().sum()) / body.spread**2 for body in bodies)
    square += (float(level @ up) / ROLL) ** 2
    told = 2 * len(bodies) + 1
    if lines is not None:
        off = torch.from_numpy(lines.direction).float() - up
        square += float(off @ torch.from_numpy(lines.precision).float() @ off)
        told += 2
    return max(1.0, square / max(1, told - 2))


def straight_up(joints: Tensor, spans: Tensor) -> Direction | None:
    """Up as the bodies of frames show it whose trunk goes on where the legs end; None where that hardly lasts.

    Args:
        joints: (N, 24, 3) in axes that do not turn.
        spans: (N,) seconds that frames stand for.
    """
    ankles, hips, shoulders = (joints[:, pair].mean(1) for pair in ([7, 8], [1, 2], [16, 17]))
    bend = (F.normalize(shoulders - hips, dim=-1) * F.normalize(hips - ankles, dim=-1)).sum(-1)
    straight = bend > math.cos(STRAIGHT)
    if float(spans[straight].sum()) < BRIEFLY:
        return None
    return Direction(F.normalize(F.normalize(shoulders - ankles, dim=-1)[straight].mean(0), dim=0), LEANING)


def _told(vote: Vote, level: Tensor) -> list[Direction]:
    """What one body says of up, if it does not lie: two voices less sure each, as they err alike."""
    voices = [d for d in (_mean(vote, level), vote.straight) if d is not None and _upright(d.vector, level)]
    return [d._replace(spread=d.spread * (1 + ALIKE) ** 0.5) for d in voices] if len(voices) == 2 else voices


def _upright(up: Tensor, level: Tensor) -> Tensor:
    """Whether directions of up (..., 3) leave a camera with an x axis (3,) rolled by less than 45 degrees."""
    aside, above = up @ level, -up[..., 1]
    return (above > aside.abs()) | (torch.hypot(aside, above) < SIDEWAYS)


def _mean(vote: Vote, level: Tensor) -> Direction | None:
    """One direction of all frames of a person: errors last, so that many frames are no more certain than one."""
    upright = _upright(vote.up, level)
    if not upright.any():
        return None
    weights = vote.spread[upright] ** -2
    mean = F.normalize((weights[:, None] * vote.up[upright]).sum(0), dim=0)
    usual = (len(weights) / float(weights.sum())) ** 0.5
    return Direction(mean, max(usual, PERSON))


def _arms(vote: Vote) -> tuple[Tensor, Tensor]:
    """(K, 3) of resting feet from the middle of all of one person's, and what each weighs."""
    points, weights = vote.feet.flatten(0, 1), vote.contact.flatten() / (2 * vote.every)  # each foot has two points
    middle = (weights[:, None] * points).sum(0) / weights.sum().clamp_min(1e-6)
    return points - middle, weights


def _tangent(up: Tensor) -> Tensor:
    """Two unit vectors (3, 2) at right angles to up and to each other."""
    axis = torch.eye(3)[up.abs().argmin()]
    first = F.normalize(torch.linalg.cross(up, axis), dim=0)
    return torch.stack([first, torch.linalg.cross(up, first)], 1)


def world_axes(up: Tensor) -> Tensor:
    """(3, 3) from the axes of the first camera to those of the world: y up, the camera looking along -z."""
    ahead = torch.tensor([0.0, 0.0, 1.0])
    if ahead @ up > 0.99 or ahead @ up < -0.99:  # straight up or down: the top of the picture shows the way
        ahead = torch.tensor([0.0, -1.0, 0.0]) * -torch.sign(ahead @ up)
    back = F.normalize(-(ahead - (ahead @ up) * up), dim=0)
    return torch.stack([torch.linalg.cross(up, back), up, back])


def level_of(feet: Tensor, contact: Tensor, spans: Tensor, weight: float = 1.0) -> tuple[float, float] | None:
    """How high what a person stands on lies, and how much tells it; None where the person hardly ever stands.

    Args:
        feet: (N, 4, 3) in axes whose y is up, metres.
        contact: (N, 4) probabilities that they rest.
        spans: (N,) seconds that frames stand for.
        weight: of the person among others.
    """
    heights, weights = feet[..., 1].flatten(), (contact * spans[:, None]).flatten()
    if float(weights[contact.flatten() > LIKELY].sum()) < STOOD:
        return None
    order = heights.argsort()
    reached = weights[order].cumsum(0)
    return float(heights[order][torch.searchsorted(reached, reached[-1] / 2)]), weight * float(weights.sum())


def common_level(levels: Sequence[tuple[float, float] | None]) -> float | None:
    """The floor of a shot from the levels of everybody in it, by whom most tells: their weighted median."""
    told = sorted(level for level in levels if level is not None)
    if not told:
        return None
    total = sum(weight for _, weight in told)
    reached = 0.0
    for height, weight in told:
        reached += weight
        if reached >= total / 2:
            return height
    return told[-1][0]
