"""Bodies drawn onto their 2D landmarks: the network's answer is the prior, what the picture shows the evidence.

In the manner of SMPLify (Bogo et al., 2016), but with GLoT's pose as the centre of the prior, so that the problem
is nearly linear and one Gauss-Newton step suffices: pose and place of all frames of a chunk at once, which
smoothness in time ties together. The shape is fitted before (`calibration`).

Shapes: N frames of one person's track, J joints that may turn, D = 3 J + 3 unknowns a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import rotmat_to_axis_angle
from glot_cli.camera import Focal, focal_beside, project_pinhole
from glot_cli.lifting.yielding import Figure, descends, parents, solve_banded, third_transposed, turned
from glot_cli.smoothing import stiffness, third_differences

# How far off the network's rotation of each joint may be, radians; joints that are left out stay as they are. Limbs
# have more room than the network's errors on drawn people ask for: on footage it errs more. The spine has not: what it
# bends towards the camera hardly shows in the picture, so a freer one follows the errors of landmarks.
PRIOR = {
    0: 0.10,  # pelvis
    1: 0.24, 2: 0.24, 4: 0.24, 5: 0.24, 7: 0.24, 8: 0.24, 10: 0.02, 11: 0.02,  # legs
    3: 0.05, 6: 0.05, 9: 0.05, 12: 0.06, 15: 0.08,  # spine, neck, head
    13: 0.04, 14: 0.04, 16: 0.30, 17: 0.30, 18: 0.30, 19: 0.30, 20: 0.20, 21: 0.20,  # arms
}  # fmt: skip
PRIOR_SIDE, PRIOR_DEPTH = 5.0, 0.3  # metres, of the translation across and along the line of sight
LANDMARK = 0.02  # how far off a landmark that is certain may be, in half crop sides
REFINING_OUTLIER = 0.1  # in half crop sides: landmarks further off than that count little (Geman-McClure)
SMOOTH_HZ = 4.0  # what the prior keeps half of where there are no landmarks; slower motion passes
STEPS = 1  # a second follows landmarks that err, once the first has brought the body near: worse on every clip
CHUNK, OVERLAP = 256, 16  # frames that are solved together, and those on either side that only smooth them
LEAST_DEPTH = 0.2  # metres from the camera; nobody stands nearer

FREE = list(PRIOR)


@dataclass(frozen=True)
class Evidence:
    """Where landmarks are seen in N frames.

    Attributes:
        pixels: (N, 33, 2).
        reliability: (N, 33) inverse variances, 1 for a landmark that is certain.
        side: (N,) of the crops, pixels.
        focal: focal length, pixels; (N,) where it changes.
        centre: (2,) principal point, pixels.
    """

    pixels: Tensor
    reliability: Tensor
    side: Tensor
    focal: Focal
    centre: Tensor

    def rows(self, index: slice | Tensor) -> Evidence:
        """Some frames of it."""
        focal = self.focal[index] if isinstance(self.focal, Tensor) else self.focal
        return Evidence(self.pixels[index], self.reliability[index], self.side[index], focal, self.centre)


def refine(
    figure: Figure,
    observed: Evidence,
    segment: Tensor,
    fps: float,
    body: Body,
    landmarks: LandmarkModel,
    ticks: Tensor | None = None,
) -> Figure:
    """Turn joints and shift a body so that its landmarks come to lie where the picture shows them.

    The most probable body under independent Gaussian errors of the network (PRIOR), robust ones of the landmarks, and
    motion whose third difference is small.

    Args:
        figure: what the network says, the centre of the prior.
        observed: what the picture shows.
        segment: (N,) number of the gap-free stretch a frame lies in; nothing is smooth from one to the next.
        fps: ticks per second.
        body: that is posed.
        landmarks: where they sit on it.
        ticks: (N,) where frames stand in time, ascending; even where None.
    """
    count = len(segment)
    ticks = torch.arange(count).double() if ticks is None else ticks
    parts = []
    for start in range(0, count, CHUNK):
        first, last = max(0, start - OVERLAP), min(count, start + CHUNK + OVERLAP)
        wide = slice(first, last)
        solved = _solve(figure.rows(wide), observed.rows(wide), segment[wide], ticks[wide], fps, body, landmarks)
        parts.append(solved.rows(slice(start - first, min(count, start + CHUNK) - first)))
    return Figure(torch.cat([p.rotmat for p in parts]), torch.cat([p.transl for p in parts]), figure.betas)


class Slopes(NamedTuple):
    """The landmarks' errors and their derivatives, robust weights taken for constants (Geman-McClure's).

    Unknowns of a frame are those of `yielding`, of the joints FREE.

    Attributes:
        error: (N, 66) weighted.
        by_pose: (N, 66, D) its derivatives by the frame's unknowns.
        view: (N, 33, 2, 3) those by the landmarks' own places, of which others can be made; weighted likewise.
    """

    error: Tensor
    by_pose: Tensor
    view: Tensor


def landmark_slopes(figure: Figure, observed: Evidence, body: Body, landmarks: LandmarkModel) -> Slopes:
    """How far landmarks fall from where they are seen, and how that changes with the body.

    Args:
        figure: bodies in N frames.
        observed: what the picture shows of them.
        body: that is posed.
        landmarks: where they sit on it.
    """
    count = len(figure.rotmat)
    half = observed.side[:, None, None] / 2
    posed = body(figure.rotmat, figure.betas.expand(count, -1), vertices=False)
    joints, points = posed.joints, landmarks(posed)
    seen = points + figure.transl[:, None]
    error = (project_pinhole(seen, observed.focal, observed.centre) - observed.pixels) / half  # (N, 33, 2)
    far = error.square().sum(-1) / REFINING_OUTLIER**2
    weight = observed.reliability.sqrt() / (1 + far) / LANDMARK
    view = _projection_slope(seen, observed.focal) / half[..., None] * weight[..., None, None]  # (N, 33, 2, 3)
    # A small turn w of joint j moves a point below it by w x (point - joint).
    arm = (points[:, :, None] - joints[:, None, FREE]) * descends(landmarks.joint.tolist(), FREE)[
        ..., None
    ]  # (N, 33, J, 3)
    turns = torch.linalg.cross(arm.unsqueeze(2), view.unsqueeze(3))  # (N, 33, 2, J, 3): v . (w x a) = w . (a x v)
    turns = (turns.unsqueeze(-2) @ parents(posed.bones, FREE)[:, None, None]).squeeze(-2)
    by_pose = torch.cat([turns.flatten(-2), view], -1).flatten(1, 2)
    return Slopes((error * weight[..., None]).flatten(1), by_pose, view)


def _solve(
    figure: Figure,
    observed: Evidence,
    segment: Tensor,
    ticks: Tensor,
    fps: float,
    body: Body,
    landmarks: LandmarkModel,
) -> Figure:
    """Pose and place of N frames, all at once."""
    prior = certainty()
    whole = (segment[3:] == segment[:-3]).float().unsqueeze(-1)  # third differences within one stretch
    differences = torch.from_numpy(third_differences(ticks.numpy()))
    stiff = stiffness(SMOOTH_HZ / fps) * torch.cat([prior[:-3], torch.zeros(3)])  # position is smoothed elsewhere
    gone = torch.zeros(len(segment), len(prior))  # how far the steps so far have led away from the prior
    for _ in range(STEPS):
        slopes = landmark_slopes(figure, observed, body, landmarks)
        own = slopes.by_pose.mT @ slopes.by_pose + torch.diag(prior)
        right = -(slopes.by_pose.mT @ slopes.error.unsqueeze(-1)).squeeze(-1) - prior * gone
        right -= stiff * third_transposed(_jerk(figure.rotmat, differences) * whole, differences, len(segment))
        step = solve_banded(own, whole * stiff, right, differences)
        gone = gone + step
        figure = turned(figure, step, FREE)
    return figure


def certainty() -> Tensor:
    """Inverse variances (D,) of the prior."""
    sigma = torch.tensor(list(PRIOR.values())).repeat_interleave(3)
    return torch.cat([sigma, torch.tensor([PRIOR_SIDE, PRIOR_SIDE, PRIOR_DEPTH])]) ** -2


def _jerk(rotmat: Tensor, differences: Tensor) -> Tensor:
    """Third differences of the rotations of FREE in (N, 24, 3, 3), as `differences` (N - 3, 4) takes those of unknowns.

    Returns (N - 3, D).
    """
    turns = rotmat_to_axis_angle(rotmat[1:, FREE] @ rotmat[:-1, FREE].mT).flatten(1)  # of each frame to the next
    first, _, third, fourth = differences.float().unsqueeze(-1).unbind(1)
    bends = fourth * turns[2:] + (third + fourth) * turns[1:-1] - first * turns[:-2]
    return torch.cat([bends, torch.zeros(len(bends), 3)], 1)


def _projection_slope(points: Tensor, focal: Focal) -> Tensor:
    """Derivative of pinhole pixels by the point's place: points (..., 3) -> (..., 2, 3)."""
    x, y, z = points.unbind(-1)
    z = z.clamp_min(LEAST_DEPTH)
    scale, zero = focal_beside(focal, z) / z, torch.zeros_like(z)
    rows = [scale, zero, -scale * x / z, zero, scale, -scale * y / z]
    return torch.unflatten(torch.stack(rows, -1), -1, (2, 3))
