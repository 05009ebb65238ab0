"""Postures that motion capture seldom holds, by rule: sitting, lying, upside down, and plainly standing.

Ranges are degrees within what healthy adults reach (as in `joint_limits`), of angles that clinicians measure: a thigh
is bent forward, spread outward and turned about its own length. Every angle is drawn anew for each window and drifts a
little through it; arms move more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from glot_cli.body.joints import mirror_rotmat
from glot_cli.body.rotations import about_axis
from glot_cli.motion.joint_limits import Range, drifting

DRIFT = 0.25, 0.9  # most that legs with the trunk, and arms, move within their ranges: a share of these
ARMS_KEPT = 0.4  # share of windows that keep the arms of the motion, where a posture lets them
ALIKE = 0.06  # of the ranges: how far two legs or arms that do the same differ


@dataclass(frozen=True)
class Leg:
    """Degrees; of both legs, or of one.

    Attributes:
        flex: thigh forward; from the upright where the posture is `level`, else from the pelvis.
        spread: thigh outward, about the body's length.
        twist: thigh about its own length, toes outward.
        knee: bent.
        ankle: toes down.
    """

    flex: Range
    spread: Range = (0, 15)
    twist: Range = (-10, 20)
    knee: Range = (0, 20)
    ankle: Range = (-10, 20)


@dataclass(frozen=True)
class Arm:
    """Degrees.

    Attributes:
        lift: a hanging arm forward, and on upward.
        hang: from straight out to the side downward.
        twist: about its own length, inward.
        elbow: bent.
    """

    lift: Range
    hang: Range
    twist: Range
    elbow: Range


@dataclass(frozen=True)
class Posture:
    """Degrees.

    Attributes:
        legs: the left and the right one.
        arms: names in ARMS of what each may do.
        lean: the pelvis forward.
        roll: the pelvis to its right.
        spin: the pelvis about the body's length, to the left.
        bend: the spine forward, of all its joints.
        level: thighs keep their angle to the floor however the pelvis leans, as on a seat.
        alike: share of windows in which both legs do the same.
        free: the arms of a motion may stay.
    """

    legs: tuple[Leg, Leg]
    arms: tuple[str, ...]
    lean: Range = (-5, 5)
    roll: Range = (-5, 5)
    spin: Range = (0, 0)
    bend: Range = (-5, 30)
    level: bool = False
    alike: float = 0.6
    free: bool = True


ARMS = {
    "hanging": Arm((-10, 15), (68, 86), (-15, 25), (2, 25)),
    "lap": Arm((8, 38), (65, 85), (10, 45), (40, 85)),
    "desk": Arm((20, 60), (55, 85), (10, 50), (60, 110)),
    "signing": Arm((5, 60), (40, 85), (-10, 70), (70, 140)),
    "hips": Arm((-25, -5), (35, 55), (40, 70), (80, 110)),
    "folded": Arm((20, 35), (70, 85), (60, 80), (85, 110)),
    "head": Arm((100, 145), (55, 80), (-20, 40), (105, 140)),
    "forward": Arm((50, 120), (65, 90), (-20, 40), (2, 45)),
    "up": Arm((155, 180), (70, 92), (-30, 30), (2, 25)),
    "propped": Arm((-45, -15), (60, 80), (-40, 20), (2, 35)),
    "out": Arm((-10, 20), (-75, -30), (-20, 20), (2, 20)),
}
_WORK = ("lap", "desk", "signing", "hanging", "folded", "head", "forward")
_REST = ("hanging", "lap", "head", "up")
_ON_SEAT = Leg((75, 102), (-3, 28), (-15, 15), (60, 115), (-10, 25))

SEATED = (
    Posture((_ON_SEAT, _ON_SEAT), _WORK, lean=(-25, 20), level=True),
    Posture((_ON_SEAT, _ON_SEAT), ("lap", "desk", "signing"), lean=(-10, 15), level=True, alike=0.9),
    # One thigh over the other; an ankle on the other knee.
    Posture(
        (Leg((98, 116), (-20, -12), (-10, 10), (60, 95), (0, 30)), Leg((80, 92), (-4, 4), (-5, 5), (75, 100))),
        _WORK, lean=(-25, 5), level=True, alike=0,
    ),
    Posture(
        (Leg((92, 108), (22, 38), (38, 55), (95, 120), (0, 25)), Leg((80, 95), (0, 15), (-5, 10), (75, 100))),
        _WORK, lean=(-25, 5), level=True, alike=0,
    ),
    # Perched high; sunk into a sofa.
    Posture((Leg((40, 72), (0, 25), knee=(35, 90)),) * 2, _WORK, lean=(-10, 20), level=True),
    Posture((Leg((75, 100), (0, 25), knee=(0, 80)),) * 2, (*_WORK, "up"), lean=(-60, -25), bend=(5, 45), level=True),
    # On the floor: legs out, knees up, cross-legged, on the heels, on the knees, on one knee, squatting.
    Posture((Leg((78, 98), (0, 28), knee=(0, 35), ankle=(0, 40)),) * 2, (*_WORK, "propped"), lean=(-30, 5),
            level=True),
    Posture((Leg((105, 135), (0, 22), knee=(85, 130)),) * 2, (*_WORK, "propped"), lean=(-35, 0), level=True),
    Posture((Leg((78, 98), (35, 52), (35, 50), (108, 138), (10, 40)),) * 2, _WORK, lean=(-18, 12), level=True,
            alike=0.9),
    Posture((Leg((72, 90), (0, 16), (-10, 5), (132, 148), (30, 50)),) * 2, _WORK, lean=(-5, 15), level=True, alike=0.9),
    Posture((Leg((0, 18), (0, 12), knee=(82, 105), ankle=(15, 50)),) * 2, _WORK, lean=(-5, 15), level=True, alike=0.8),
    Posture((Leg((75, 100), knee=(75, 110)), Leg((-5, 15), knee=(80, 105), ankle=(-30, 40))), _WORK,
            lean=(-5, 20), level=True, alike=0),
    Posture((Leg((78, 105), (8, 40), (0, 30), (100, 140), (-30, -5)),) * 2, _WORK, lean=(5, 30), level=True),
)  # fmt: skip
LYING = (
    Posture((Leg((-8, 15), (0, 25)),) * 2, _REST, lean=(-102, -78), roll=(-10, 10), spin=(-20, 20), bend=(-5, 15)),
    Posture((Leg((35, 75), (0, 25), knee=(65, 120)),) * 2, _REST, lean=(-102, -78), spin=(-20, 20), bend=(-5, 20)),
    Posture((Leg((-12, 10), (0, 25), knee=(0, 40), ankle=(10, 45)),) * 2, ("hanging", "up", "head"),
            lean=(78, 100), roll=(-10, 10), spin=(-20, 20), bend=(-20, 5)),
    Posture((Leg((5, 95), (-5, 10), (-10, 10), (10, 120)),) * 2, ("lap", "desk", "forward", "up"),
            lean=(-98, -82), spin=(65, 115), bend=(0, 40), alike=0.5),
)  # fmt: skip
INVERTED = (  # on the hands, on the head, turning a wheel
    Posture((Leg((-20, 50), (0, 40), (-20, 20), (0, 60), (0, 45)),) * 2, ("up",), lean=(160, 200), roll=(-15, 15),
            bend=(-20, 15), alike=0.5, free=False),
    Posture((Leg((-10, 70), (0, 35), (-20, 20), (0, 90), (0, 45)),) * 2, ("head",), lean=(165, 200), roll=(-10, 10),
            bend=(-10, 25), alike=0.6, free=False),
    Posture((Leg((-20, 25), (25, 60), (0, 30), (0, 20), (0, 45)),) * 2, ("out",), lean=(-15, 15), roll=(60, 200),
            bend=(-10, 15), alike=0.5, free=False),
)  # fmt: skip
_STILL = Leg((-5, 12), (-2, 12), (-5, 15), (0, 14), (-5, 8))
STANDING = (
    Posture((_STILL, _STILL), ("hanging",), lean=(-4, 6), bend=(-6, 12), free=False),
    Posture((_STILL, _STILL), ("signing",), lean=(-4, 6), bend=(-6, 12), free=False),
    Posture((_STILL, _STILL), ("signing", "hips", "folded", "head", "forward"), lean=(-4, 10), bend=(-6, 20)),
)
POSTURES = (*SEATED, *LYING, *INVERTED, *STANDING)
GROUPS = (SEATED, LYING, INVERTED, STANDING)

_SPINE, _ARM_JOINTS = (3, 6, 9), (13, 14, 16, 17, 18, 19, 20, 21, 22, 23)
_SIDE, _TURN, _NOD, _LOOK = (-12.0, 12.0), (-25.0, 25.0), (-15.0, 30.0), (-45.0, 45.0)  # of the spine, of the head
_TRUNK = 8  # angles of pelvis, spine and head


def _table() -> tuple[Tensor, Tensor]:
    """Least and greatest angles: of the postures (2, P, 18), legs last, and of the arms (2, A, 4); radians."""
    rows = [
        [p.lean, p.roll, p.spin, p.bend, _SIDE, _TURN, _NOD, _LOOK]
        + [r for leg in p.legs for r in (leg.flex, leg.spread, leg.twist, leg.knee, leg.ankle)]
        for p in POSTURES
    ]
    arms = [[a.lift, a.hang, a.twist, a.elbow] for a in ARMS.values()]
    body, reach = (torch.tensor(x, dtype=torch.float32).deg2rad().permute(2, 0, 1) for x in (rows, arms))
    return body, reach


def strike(rotmat: Tensor, shares: tuple[float, float, float, float], generator: torch.Generator) -> Tensor:
    """Put some of the windows into postures.

    Args:
        rotmat: (count, frames, 24, 3, 3) local rotations in a y-up world.
        shares: of the windows that sit, lie, are upside down, and stand plainly.
        generator: of everything random.

    Returns:
        (count, frames, 24, 3, 3).
    """
    count, frames = rotmat.shape[:2]
    weights = [share / len(group) for share, group in zip(shares, GROUPS, strict=True) for _ in group]
    weight = torch.tensor([max(0.0, 1 - sum(shares)), *weights])
    pick = torch.multinomial(weight, count, replacement=True, generator=generator) - 1
    struck = (pick >= 0).nonzero()[:, 0]
    if not len(struck):
        return rotmat
    posed = _posed(pick[struck], frames, generator)
    free = torch.tensor([p.free for p in POSTURES])[pick[struck]]
    kept = free & (torch.rand(len(struck), generator=generator) < ARMS_KEPT)
    own = rotmat[struck][:, :, _ARM_JOINTS]
    posed[:, :, _ARM_JOINTS] = torch.where(kept[:, None, None, None, None], own, posed[:, :, _ARM_JOINTS])
    mirrored = torch.rand(len(struck), 1, 1, 1, 1, generator=generator) < 0.5
    changed = rotmat.clone()
    changed[struck] = torch.where(mirrored, mirror_rotmat(posed), posed)
    return changed


def seated(rotmat: Tensor) -> Tensor:
    """Who sits, kneels or squats, (count,) bool: thighs 50 degrees or more from the trunk, knees bent 40 or more.

    Args:
        rotmat: (count, frames, 24, 3, 3) local rotations; the middle of the frames decides.
    """
    legs = rotmat[:, rotmat.shape[1] // 2][:, [1, 2, 4, 5], 1, 1]  # cosines of the bends: bones run along y
    return (legs < torch.tensor([50.0, 50.0, 40.0, 40.0]).deg2rad().cos()).all(1)


def _posed(pick: Tensor, frames: int, generator: torch.Generator) -> Tensor:
    """Windows (count, frames, 24, 3, 3) in the postures of the numbers `pick` (count,)."""
    count = len(pick)
    body, reach = _table()
    kinds = torch.tensor([[name in p.arms for name in ARMS] for p in POSTURES], dtype=torch.float32)[pick]
    left = torch.multinomial(kinds, 1, generator=generator)[:, 0]
    right = torch.where(_chance(0.7, count, generator), left, torch.multinomial(kinds, 1, generator=generator)[:, 0])

    still = _shares(count, frames, body.shape[2], DRIFT[0], generator)
    same = torch.rand(count, generator=generator) < torch.tensor([p.alike for p in POSTURES])[pick]
    still[same, :, -5:] = still[same, :, -10:-5] + ALIKE * torch.randn(int(same.sum()), 1, 5, generator=generator)
    low, high = body[:, pick, None]
    angles = low + (high - low) * still.clamp(0, 1)
    moving = _shares(count, frames, 8, DRIFT[1], generator)
    alike = (left == right) & _chance(0.5, count, generator)
    moving[alike, :, 4:] = moving[alike, :, :4] + ALIKE * torch.randn(int(alike.sum()), 1, 4, generator=generator)
    low, high = reach[:, torch.stack([left, right], 1)].flatten(2)[:, :, None]
    arms = low + (high - low) * moving.clamp(0, 1)

    lean, roll, spin, bend, side, turn, nod, look = angles[..., :_TRUNK].unbind(-1)
    rotmat = torch.eye(3).repeat(count, frames, 24, 1, 1)
    rotmat[:, :, 0] = about_axis(0, lean) @ about_axis(2, roll) @ about_axis(1, spin)
    for joint in _SPINE:
        rotmat[:, :, joint] = about_axis(1, turn / 3) @ about_axis(2, side / 3) @ about_axis(0, bend / 3)
    for joint in (12, 15):
        rotmat[:, :, joint] = about_axis(1, look / 2) @ about_axis(0, nod / 2)
    level = torch.tensor([p.level for p in POSTURES])[pick][:, None]
    for first, (hip, knee, ankle) in ((_TRUNK, (1, 4, 7)), (_TRUNK + 5, (2, 5, 8))):
        flex, spread, twist, bent, toes = angles[..., first : first + 5].unbind(-1)
        flex = flex + torch.where(level, lean, 0.0)
        parts = about_axis(1, spread * flex.sin().clamp_min(0)) @ about_axis(2, spread * flex.cos().clamp_min(0))
        parts = parts @ about_axis(0, -flex) @ about_axis(1, twist)
        for joint, value in ((hip, parts), (knee, about_axis(0, bent)), (ankle, about_axis(0, toes))):
            rotmat[:, :, joint] = value if first == _TRUNK else _other_side(value)
    for first, (collar, shoulder, elbow, wrist) in ((0, (13, 16, 18, 20)), (4, (14, 17, 19, 21))):
        lift, hang, twist, bent = arms[..., first : first + 4].unbind(-1)
        raised = about_axis(2, 0.2 * (lift - math.pi / 3).clamp_min(0))  # a collar follows what goes up
        upper = about_axis(0, -lift) @ about_axis(2, -hang) @ about_axis(0, twist)
        hand = about_axis(2, math.radians(20) * (2 * moving[..., first + 1] - 1))
        for joint, value in ((collar, raised), (shoulder, upper), (elbow, about_axis(1, -bent)), (wrist, hand)):
            rotmat[:, :, joint] = value if first == 0 else _other_side(value)
    return rotmat


def _shares(count: int, frames: int, angles: int, drift: float, generator: torch.Generator) -> Tensor:
    """Shares of ranges (count, frames, angles), 0 to 1: one a window, from which it moves by up to `drift` of them."""
    home = torch.rand(count, 1, angles, generator=generator)
    amount = drift * torch.rand(count, 1, 1, generator=generator)

    def key(keys: int) -> Tensor:
        return home + amount * (torch.rand(count, keys, angles, generator=generator) - home)

    return drifting(key, frames, count, generator)


def _chance(probability: float, count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) < probability


def _other_side(rotmat: Tensor) -> Tensor:
    """The rotation of the right side's joint that does what the left one does."""
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return flip[:, None] * rotmat * flip
