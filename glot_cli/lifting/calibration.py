"""What stays the same: a person's shape through a shot, and the camera's focal length through the whole video.

Both are fitted to frames from all over it. In each of them the pose gives way as it will in `refine`, against the
same prior and by the same errors; the Schur complement takes these many unknowns out of the normal equations.

Shapes: N frames of one person, D unknowns of a frame as in `refine`, S components of the shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_NAMES, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import turn_root
from glot_cli.camera import focal_beside, ray_rotation
from glot_cli.lifting.refine import FREE, Evidence, Slopes, certainty, landmark_slopes
from glot_cli.lifting.yielding import Figure, turned

SHAPE_FRAMES = 96  # frames of a track that its shape is fitted to
# Of each component of the shape, about the network's answer. Landmarks tell lengths of bones, and components that
# change these change the flesh as well: with room for it, an error of landmarks becomes a skeleton or a giant. From 0.3
# to 2 joints of drawn clips and of footage hardly differed, and bodies did: at 2 a component came to 15 deviations.
SHAPE_PRIOR = 0.4
# Of the first, which is stature: one camera sees proportions, and of the size nothing. It stays what the network says.
SIZE_PRIOR = 0.2
SHAPE_STEPS = 2
FOCAL_FRAMES = 64  # frames of a person that the focal length is fitted to
FOCAL_PEOPLE = 8  # tracks that do so, at most: those that are largest in the picture for longest
FOCAL_PRIOR = 0.2  # of the logarithm of the focal length, about the guess
# How far the focal length that suits one person best may lie off the true one for reasons that last through the video,
# such as proportions that no component has. However long somebody is seen, the prior keeps its say; many people do not.
FOCAL_BIAS = 0.2
FOCAL_STEPS = 3
# The landmarks that tell it. Faces and hands are small and differ from the body's: a few millimetres there count for
# more than their perspective, and with them the estimates of drawn clips and of footage were further off.
FOCAL_LANDMARKS = [
    LANDMARK_NAMES.index(f"{side}_{joint}")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
LONGEST_STEP = 0.3  # of the logarithm of the focal length


@dataclass(frozen=True)
class Sighting:
    """Some frames of one person.

    Attributes:
        figure: what the network says.
        observed: what the picture shows.
        crops: (N, 2) centres of the crops, pixels: the network sees a person along the ray through them.
    """

    figure: Figure
    observed: Evidence
    crops: Tensor


def spread(count: int, wanted: int) -> Tensor:
    """At most `wanted` of `count` frames, evenly."""
    return torch.linspace(0, count - 1, min(count, wanted)).round().long()


def fit_shape(figure: Figure, observed: Evidence, body: Body, landmarks: LandmarkModel) -> Tensor:
    """The shape (S,) of one person that suits the landmarks of the whole track best, and the prior.

    Args:
        figure: what the network says of the track.
        observed: what the picture shows of it.
        body: that is posed.
        landmarks: where they sit on it.
    """
    pick = spread(len(figure.rotmat), SHAPE_FRAMES)
    person = _Fitted(figure.rows(pick), observed.rows(pick), figure.betas)
    for _ in range(SHAPE_STEPS):
        person = _Elimination(person, None, body, landmarks).moved()
    return person.figure.betas


@torch.inference_mode()
def fit_focal(people: Sequence[Sighting], guess: float, body: Body, landmarks: LandmarkModel) -> float:
    """The focal length, pixels, that suits the landmarks of all people best, and the prior.

    Perspective tells it: what is nearer is larger, and limbs that reach to the camera look longer. A long lens shows
    little of that, and one frame hardly any: then the guess remains.

    Args:
        people: at least one, all with the same guess of the focal length, or as many times that as the lens zooms.
        guess: that focal length, pixels.
        body: that is posed.
        landmarks: where they sit on it.
    """
    prior = FOCAL_PRIOR**-2
    persons = [_Fitted(p.figure, _telling_alone(p.observed), p.figure.betas) for p in people]
    gone = 0.0  # logarithm of what the guess is to be multiplied by
    for _ in range(FOCAL_STEPS):
        reduced = [_Elimination(p, s.crops, body, landmarks) for p, s in zip(persons, people, strict=True)]
        left, right = prior, -prior * gone
        for one in reduced:
            # The person's own best step is pull / weight, with variance 1 / weight and the bias on top.
            weight, pull = one.focal_equation()
            share = 1 / (1 + weight * FOCAL_BIAS**2)
            left, right = left + share * weight, right + share * pull
        step = max(-LONGEST_STEP, min(LONGEST_STEP, right / left))
        gone += step
        persons = [one.moved(step) for one in reduced]
    return guess * math.exp(gone)


def _telling_alone(observed: Evidence) -> Evidence:
    reliability = torch.zeros_like(observed.reliability)
    reliability[:, FOCAL_LANDMARKS] = observed.reliability[:, FOCAL_LANDMARKS]
    return replace(observed, reliability=reliability)


@dataclass(frozen=True)
class _Fitted:
    """Where the steps so far have led.

    Attributes:
        figure: now.
        observed: with the focal length as it is now.
        shape: (S,) the centre of the shape's prior.
        gone: (N, D) how far the poses lie off the centre of theirs.
    """

    figure: Figure
    observed: Evidence
    shape: Tensor
    gone: Tensor | None = None


class _Elimination:
    """The normal equations of one step of one person, without the poses, in double precision.

    Unknowns that are left: the shape, and last the logarithm of the focal length where `crops` (N, 2) are given. With
    it bodies keep their size in the picture and how they face the ray through the crop.
    """

    def __init__(self, person: _Fitted, crops: Tensor | None, body: Body, landmarks: LandmarkModel) -> None:
        self.person, self.crops, self.body = person, crops, body
        figure = person.figure
        slopes = landmark_slopes(figure, person.observed, body, landmarks)
        columns = (slopes.view @ _shape_slopes(figure, body, landmarks)).flatten(1, 2)  # (N, 66, S)
        if crops is not None:
            columns = torch.cat([columns, self._focal_slopes(slopes, crops, landmarks)], -1)
        pose, shared, error = (x.double() for x in (slopes.by_pose, columns, slopes.error.unsqueeze(-1)))
        prior = certainty().double()
        self.gone = pose.new_zeros(pose.shape[0], pose.shape[2]) if person.gone is None else person.gone
        self.factor = torch.linalg.cholesky(pose.mT @ pose + torch.diag(prior))
        self.mixed = pose.mT @ shared
        self.pull = -(pose.mT @ error) - (prior * self.gone).unsqueeze(-1)  # (N, D, 1)
        solved = torch.cholesky_solve(self.mixed, self.factor)
        self.left = (shared.mT @ shared - self.mixed.mT @ solved).sum(0)
        self.right = (-(shared.mT @ error) - solved.mT @ self.pull).sum(0)[:, 0]
        self.shapes = len(figure.betas)
        known = torch.full((self.shapes,), SHAPE_PRIOR**-2, dtype=torch.float64)
        known[0] = SIZE_PRIOR**-2
        self.left.diagonal()[: self.shapes] += known
        self.right[: self.shapes] -= known * (figure.betas - person.shape).double()

    def _focal_slopes(self, slopes: Slopes, crops: Tensor, landmarks: LandmarkModel) -> Tensor:
        """Derivatives (N, 66, 1) of the errors by the logarithm of the focal length."""
        figure, observed = self.person.figure, self.person.observed
        posed = self.body(figure.rotmat, figure.betas.expand(len(crops), -1), vertices=False)
        seen = landmarks(posed) + figure.transl[:, None]
        away = (posed.joints[:, :1] + figure.transl[:, None])[..., 2:].expand_as(seen[..., 2:])
        # f X / Z grows with f as with X and Y; the body moves away in proportion.
        moved = slopes.view @ torch.cat([seen[..., :2], away], -1).unsqueeze(-1)
        x, y = ((crops - observed.centre) / focal_beside(observed.focal, crops)).unbind(-1)
        turn = torch.stack([y, -x, torch.zeros_like(x)], -1) / (1 + x * x + y * y).unsqueeze(-1)  # of the ray
        pelvis = slopes.by_pose[..., :3]  # the first of FREE
        return moved.flatten(1, 2) + pelvis @ turn.unsqueeze(-1)

    def focal_equation(self) -> tuple[float, float]:
        """Weight and right side of the equation that is left for the focal length when the shape is taken out, too."""
        shape, mixed = self.left[:-1, :-1], self.left[:-1, -1:]
        solved = torch.linalg.solve(shape, torch.cat([mixed, self.right[:-1, None]], 1))
        weight, pull = self.left[-1:, -1] - mixed[:, 0] @ solved[:, 0], self.right[-1:] - mixed[:, 0] @ solved[:, 1]
        return float(weight), float(pull)

    def moved(self, focal: float = 0.0) -> _Fitted:
        """The person after the step, the logarithm of the focal length having grown by `focal`."""
        figure, observed = self.person.figure, self.person.observed
        right = self.right[: self.shapes] - focal * self.left[: self.shapes, self.shapes :].sum(1)
        shape = torch.linalg.solve(self.left[: self.shapes, : self.shapes], right)
        common = torch.cat([shape, shape.new_full((self.mixed.shape[2] - self.shapes,), focal)])
        pose = torch.cholesky_solve(self.pull - self.mixed @ common.unsqueeze(-1), self.factor).squeeze(-1)
        if self.crops is not None and focal:
            away = math.exp(focal)
            before, observed = observed, replace(observed, focal=observed.focal * away)
            rays = (ray_rotation(self.crops, o.focal, o.centre) for o in (observed, before))
            turn = next(rays) @ next(rays).mT
            pelvis = figure.transl[:, 2] + self.body.rest_joints(figure.betas[None])[:, 0, 2]
            transl = figure.transl.clone()
            transl[:, 2] += (away - 1) * pelvis
            figure = Figure(turn_root(turn, figure.rotmat), transl, figure.betas)
        figure = turned(figure, pose.float(), FREE)
        figure = replace(figure, betas=figure.betas + shape.float())
        return _Fitted(figure, observed, self.person.shape, self.gone + pose)


def _shape_slopes(figure: Figure, body: Body, landmarks: LandmarkModel) -> Tensor:
    """Derivatives (N, 33, 3, S) of the landmarks' places by the shape."""
    count = len(figure.rotmat)

    def joints(betas: Tensor) -> Tensor:
        return body(figure.rotmat, betas.expand(count, -1), vertices=False).joints[:, landmarks.joint]

    # Joints move in proportion to the shape; what a landmark stands off its joint does not change.
    base = joints(figure.betas)
    return torch.stack([joints(figure.betas + one) - base for one in torch.eye(len(figure.betas))], -1)
