"""People made to stand: feet that rest stay where they are and on the floor, and weight stays over them.

A damped least-squares problem over a whole track, in the manner of `lifting.refine`: roots and legs give way a little,
the picture is still hit. The world is y up, metres, its floor at y = 0.

Shapes: N frames of one person's track, J joints that may turn, D = 3 J + 3 unknowns a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from glot_cli.body.model import BodyOutput
from glot_cli.lifting.yielding import Figure, descends, parents, solve_banded, third, third_transposed, turned
from glot_cli.smoothing import stiffness, third_differences
from glot_cli.world.balance import mass_shares
from glot_cli.world.soles import CARRIERS, Soles

PRIOR = {
    0: 0.06,
    1: 0.06,
    2: 0.06,
    4: 0.06,
    5: 0.06,
    7: 0.06,
    8: 0.06,
}  # radians that pelvis and legs give way, if seen
FREE = list(PRIOR)
PRIOR_PLACE = 0.05  # metres that they may be moved; where nothing rests they stay near to where they were seen
HIT = 0.02  # metres off the line of sight that a joint which is seen may come to lie, each by itself
STILL = 0.0018  # metres a frame of 1/30 s that a foot at rest may move
FLOOR = 0.015  # metres off the floor that it may be
LIFTED = 0.5  # metres off the floor from which on a foot counts little: it is in the air, whatever was said of it
SOLE = 0.008  # metres that the middle of heel or toes is above the lowest of it
UNDER = 0.01  # metres that a foot may be below it
MISTAKEN = 0.1  # metres a frame: a foot that moves faster, as in mid-step, counts little, whatever was said of it
SMOOTH_HZ = 2.5  # corrections are smooth: those of this frequency are halved where nothing asks for them
BALANCED = 0.3  # metres that the centre of mass may lie off the middle of the feet that carry it
UNBALANCED = 0.25  # metres beyond which it counts little: who is so far off moves, leans on something or lies
NEAREST = 0.1  # metres from the camera, where rays to what is nearer go through
GUESSED = 0.25  # of how far joints are shown: those that are shown less are guessed, and guesses are all alike
SURE = 0.35  # power of a probability of resting
STEPS = 3
CHUNK, OVERLAP = 256, 16


@dataclass(frozen=True)
class Sight:
    """The camera in N frames, in the world.

    Attributes:
        rotation: (N, 3, 3) from the world's axes to the camera's.
        centre: (N, 3) where it stands, metres.
    """

    rotation: Tensor
    centre: Tensor


@dataclass(frozen=True)
class Footing:
    """What is known of how a person stands, in N frames.

    Attributes:
        wanted: (N, 28, 2) where the camera saw joints and soles, at depth 1: see `seen_at`.
        shown: (N, 28) how surely it did, of a joint that was seen, 0 to 1: as inverse standard deviations go.
        contact: (N, 4) probability that each of `soles.SOLES` rests.
        segment: (N,) number of the gap-free stretch a frame lies in.
        ticks: (N,) where frames stand in time.
        fps: ticks per second.
        level: how high what this person stands on lies, metres.
    """

    wanted: Tensor
    shown: Tensor
    contact: Tensor
    segment: Tensor
    ticks: Tensor
    fps: float
    level: float = 0.0

    def rows(self, index: slice) -> Footing:
        """Some frames of it."""
        wanted, shown, contact = self.wanted[index], self.shown[index], self.contact[index]
        return Footing(wanted, shown, contact, self.segment[index], self.ticks[index], self.fps, self.level)


class Points(NamedTuple):
    """Points of posed bodies and how they move.

    Attributes:
        at: (N, K, 3) metres.
        slope: (N, K, 3, D) derivatives by the unknowns of each frame.
    """

    at: Tensor
    slope: Tensor


def stand(figure: Figure, sight: Sight, footing: Footing, soles: Soles) -> Figure:
    """Make a person stand.

    Args:
        figure: bodies in the world.
        sight: the camera that saw them.
        footing: where it saw them, and how they stand.
        soles: of the body.

    Returns:
        The same people, moved, and with legs bent a little.
    """
    count = len(footing.segment)
    parts = []
    for start in range(0, count, CHUNK):
        first, last = max(0, start - OVERLAP), min(count, start + CHUNK + OVERLAP)
        wide = slice(first, last)
        view = Sight(sight.rotation[wide], sight.centre[wide])
        solved = _solve(figure.rows(wide), view, footing.rows(wide), soles)
        parts.append(solved.rows(slice(start - first, min(count, start + CHUNK) - first)))
    return Figure(torch.cat([p.rotmat for p in parts]), torch.cat([p.transl for p in parts]), figure.betas)


def _certainty(shown: Tensor) -> Tensor:
    """Inverse variances (N, D) of where lifting put pelvis and legs, by how far joints were shown (N, 28)."""
    sigma = torch.tensor([*PRIOR.values()]) / shown[:, FREE].clamp_min(GUESSED)
    place = sigma.new_full((len(sigma), 3), PRIOR_PLACE)
    return torch.cat([sigma.repeat_interleave(3, 1), place], 1) ** -2


def _solve(figure: Figure, sight: Sight, footing: Footing, soles: Soles) -> Figure:
    """Pose and place of N frames, all at once; as in `stand`."""
    contact, segment, ticks = footing.contact, footing.segment, footing.ticks
    count, size = len(segment), 3 * len(FREE) + 3
    prior = _certainty(footing.shown)
    hit = footing.shown[..., None] / HIT
    usual = _certainty(torch.ones(1, 28))
    whole = (segment[3:] == segment[:-3]).float().unsqueeze(-1)
    differences = torch.from_numpy(third_differences(ticks.numpy()))
    stiff = whole * stiffness(SMOOTH_HZ / footing.fps) * usual
    steps = ((ticks[1:] - ticks[:-1]) * 30 / footing.fps).float()  # in thirtieths of a second
    joined = (segment[1:] == segment[:-1]).float()[:, None] * (contact[1:] * contact[:-1])  # (N-1, 4)
    masses = mass_shares()
    gone = torch.zeros(count, size)
    for _ in range(STEPS):
        joints, feet = _points(figure, soles)
        own = torch.diag_embed(prior)
        right = -prior * gone
        # The picture.
        every = Points(torch.cat([joints.at, feet.at], 1), torch.cat([joints.slope, feet.slope], 1))
        at, slope = (every.at - sight.centre[:, None]) @ sight.rotation.mT, sight.rotation[:, None] @ every.slope
        error = (at[..., :2] - footing.wanted * at[..., 2:]) * hit
        change = (slope[..., :2, :] - footing.wanted[..., None] * slope[..., 2:, :]) * hit[..., None]
        own, right = _add(own, right, error, change)
        # The floor.
        height = feet.at[..., 1:2] - (footing.level + SOLE)
        weight = (contact**SURE / FLOOR)[..., None] / (1 + (height / LIFTED) ** 4) + (height < 0) / UNDER
        own, right = _add(own, right, height * weight, feet.slope[..., 1:2, :] * weight[..., None])
        # Balance.
        load = contact.sum(1)
        centre = (contact[..., None] * feet.at).sum(1) / load[:, None].clamp_min(0.1)
        centre_slope = (contact[..., None, None] * feet.slope).sum(1) / load[:, None, None].clamp_min(0.1)
        mass, mass_slope = (masses @ joints.at), torch.einsum("k,nkid->nid", masses, joints.slope)
        off = (mass - centre)[:, None, ::2]
        weight = (load / 2).clamp(0, 1) / (1 + (off.norm(dim=-1) / UNBALANCED) ** 2) / BALANCED
        own, right = _add(
            own, right, off * weight[..., None], (mass_slope - centre_slope)[:, None, ::2] * weight[..., None, None]
        )
        # Feet that rest.
        moved = (feet.at[1:] - feet.at[:-1]) / steps[:, None, None]
        weight = joined**SURE / (1 + (moved.norm(dim=-1) / MISTAKEN) ** 2) / STILL / steps[:, None]
        error = moved * steps[:, None, None] * weight[..., None]
        before, after = -feet.slope[:-1] * weight[..., None, None], feet.slope[1:] * weight[..., None, None]
        error, before, after = error.flatten(1), before.flatten(1, 2), after.flatten(1, 2)
        own[:-1] += before.mT @ before
        own[1:] += after.mT @ after
        right[:-1] -= (before.mT @ error.unsqueeze(-1)).squeeze(-1)
        right[1:] -= (after.mT @ error.unsqueeze(-1)).squeeze(-1)
        mixed = after.mT @ before  # (N-1, D, D): rows of the later frame
        # Corrections are smooth.
        right -= third_transposed(stiff * third(gone, differences), differences, count)
        step = solve_banded(own, stiff, right, differences, mixed)
        gone = gone + step
        figure = turned(figure, step, FREE)
    return figure


def seen_at(figure: Figure, sight: Sight, soles: Soles) -> Tensor:
    """(N, 28, 2) where a camera sees the joints and the soles of bodies, at depth 1."""
    seen = []
    for start in range(0, len(figure.transl), CHUNK):
        rows = slice(start, start + CHUNK)
        posed, feet = _posed(figure.rows(rows), soles)
        points = torch.cat([posed.joints, feet], 1)
        local = (points - sight.centre[rows, None]) @ sight.rotation[rows].mT
        seen.append(local[..., :2] / local[..., 2:].clamp_min(NEAREST))
    return torch.cat(seen)


def _posed(figure: Figure, soles: Soles) -> tuple[BodyOutput, Tensor]:
    """Bodies where they stand, but for their vertices, and the points (N, 4, 3) of their soles."""
    posed = soles.body(figure.rotmat, figure.betas.expand(len(figure.rotmat), -1))
    place = figure.transl[:, None]
    return BodyOutput(posed.joints + place, posed.vertices, posed.bones), soles.points(posed) + place


def _points(figure: Figure, soles: Soles) -> tuple[Points, Points]:
    """The 24 joints, and the points of the soles."""
    posed, feet = _posed(figure, soles)
    bones = parents(posed.bones, FREE)
    return (
        Points(posed.joints, _slopes(posed.joints, list(range(24)), posed.joints, bones)),
        Points(feet, _slopes(feet, list(CARRIERS), posed.joints, bones)),
    )


def _slopes(points: Tensor, carriers: list[int], joints: Tensor, bones: Tensor) -> Tensor:
    """(N, K, 3, D): a small turn w of joint j, about axes of its parent's frame, moves a point below it by w x arm."""
    arm = (points[:, :, None] - joints[:, None, FREE]) * descends(carriers, FREE)[..., None]  # (N, K, J, 3)
    axes = bones[:, None].mT  # rows: axes of the parents' frames
    turns = torch.linalg.cross(axes.expand(-1, arm.shape[1], -1, -1, -1), arm[..., None, :])  # (N, K, J, 3 axes, 3)
    turns = turns.flatten(2, 3).mT
    place = torch.eye(3).expand(*turns.shape[:2], 3, 3)
    return torch.cat([turns, place], -1)


def _add(own: Tensor, right: Tensor, error: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Blocks (N, D, D) and right sides (N, D) of normal equations with errors (N, ...) and slopes (N, ..., D) added."""
    error, slope = error.flatten(1), slope.flatten(1, 2)
    return own + slope.mT @ slope, right - (slope.mT @ error.unsqueeze(-1)).squeeze(-1)
