"""Bodies drawn onto their 2D landmarks: the network's answer is the prior, what the picture shows the evidence.

In the manner of SMPLify (Bogo et al., 2016), but with GLoT's pose as the centre of the prior, so that a few damped
Gauss-Newton steps of a problem that is nearly linear suffice. Shape first, from frames of the whole track; then pose
and place of all frames of a chunk at once, which smoothness in time ties together.

Shapes: N frames of one person's track, J joints that may turn, D = 3 J + 3 unknowns a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from glot_cli.camera import project_pinhole
from glot_cli.smoothing import THIRD_DIFFERENCE, stiffness
from glot_cli.smpl import SMPL_PARENTS, ancestors

# How far off the network's rotation of each joint may be, radians; joints that are left out stay as they are.
PRIOR = {
    0: 0.10,  # pelvis
    1: 0.12, 2: 0.12, 4: 0.12, 5: 0.12, 7: 0.12, 8: 0.12, 10: 0.02, 11: 0.02,  # legs
    3: 0.05, 6: 0.05, 9: 0.05, 12: 0.06, 15: 0.08,  # spine, neck, head
    13: 0.04, 14: 0.04, 16: 0.15, 17: 0.15, 18: 0.15, 19: 0.15, 20: 0.10, 21: 0.10,  # arms
}  # fmt: skip
PRIOR_SIDE, PRIOR_DEPTH = 5.0, 0.3  # metres, of the translation across and along the line of sight
PRIOR_SHAPE = 0.5  # of each component of the shape
LANDMARK = 0.02  # how far off a landmark that is certain may be, in half crop sides
REFINING_OUTLIER = 0.1  # in half crop sides: landmarks further off than that count little (Geman-McClure)
SMOOTH_HZ = 4.0  # what the prior keeps half of where there are no landmarks; slower motion passes
STEPS = 2
SHAPE_FRAMES = 96  # frames of a track that its shape is fitted to
SHAPE_EVIDENCE = 8.0  # frames of which the errors of those may be thought independent
ITERATIONS = 25  # of conjugate gradients, at most
ENOUGH = 1e-5  # of the first residual
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
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.
    """

    pixels: Tensor
    reliability: Tensor
    side: Tensor
    focal: float
    centre: Tensor

    def rows(self, index: slice | Tensor) -> Evidence:
        """Some frames of it."""
        return Evidence(self.pixels[index], self.reliability[index], self.side[index], self.focal, self.centre)


@dataclass(frozen=True)
class Figure:
    """Bodies in N frames, in the camera's frame.

    Attributes:
        rotmat: (N, 24, 3, 3) local rotations.
        transl: (N, 3) metres.
        betas: (10,) shape of all.
    """

    rotmat: Tensor
    transl: Tensor
    betas: Tensor

    def rows(self, index: slice | Tensor) -> Figure:
        """Some frames of it."""
        return Figure(self.rotmat[index], self.transl[index], self.betas)


def refine(
    figure: Figure,
    observed: Evidence,
    segment: Tensor,
    fps: float,
    body: Body,
    landmarks: LandmarkModel,
    *,
    reshape: bool = True,
) -> Figure:
    """Turn joints, shift and reshape a body so that its landmarks come to lie where the picture shows them.

    The most probable body under independent Gaussian errors of the network (PRIOR), robust ones of the landmarks, and
    motion whose third difference is small.

    Args:
        figure: what the network says, the centre of the prior.
        observed: what the picture shows.
        segment: (N,) number of the gap-free stretch a frame lies in; nothing is smooth from one to the next.
        fps: frames per second.
        body: that is posed.
        landmarks: where they sit on it.
        reshape: whether the shape may change.
    """
    if reshape:
        figure = _reshape(figure, observed, body, landmarks)
    count = len(segment)
    parts = []
    for start in range(0, count, CHUNK):
        first, last = max(0, start - OVERLAP), min(count, start + CHUNK + OVERLAP)
        wide = slice(first, last)
        solved = _solve(figure.rows(wide), observed.rows(wide), segment[wide], fps, body, landmarks)
        parts.append(solved.rows(slice(start - first, min(count, start + CHUNK) - first)))
    return Figure(torch.cat([p.rotmat for p in parts]), torch.cat([p.transl for p in parts]), figure.betas)


class Slopes(NamedTuple):
    """The landmarks' errors and their derivatives.

    Unknowns of a frame: turns of the joints FREE about axes of their parents' frames, radians; translation, metres.

    Attributes:
        error: (N, 66) weighted.
        by_pose: (N, 66, D) its derivatives by the frame's unknowns.
        view: (N, 33, 2, 3) those by the landmarks' own places, of which others can be made; weighted likewise.
    """

    error: Tensor
    by_pose: Tensor
    view: Tensor


def _slopes(figure: Figure, observed: Evidence, body: Body, landmarks: LandmarkModel) -> Slopes:
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
    arm = (points[:, :, None] - joints[:, None, FREE]) * _descends(landmarks.joint)[..., None]  # (N, 33, J, 3)
    turns = torch.linalg.cross(arm.unsqueeze(2), view.unsqueeze(3))  # (N, 33, 2, J, 3): v . (w x a) = w . (a x v)
    turns = (turns.unsqueeze(-2) @ _parents(posed.bones)[:, None, None]).squeeze(-2)
    by_pose = torch.cat([turns.flatten(-2), view], -1).flatten(1, 2)
    return Slopes((error * weight[..., None]).flatten(1), by_pose, view)


def _reshape(figure: Figure, observed: Evidence, body: Body, landmarks: LandmarkModel) -> Figure:
    """The shape that fits best once every frame's pose has given way to it; poses stay as they are.

    The poses are unknowns that the Schur complement takes out of the normal equations.
    """
    pick = torch.linspace(0, len(figure.rotmat) - 1, min(len(figure.rotmat), SHAPE_FRAMES)).round().long()
    trust = min(1.0, SHAPE_EVIDENCE / len(pick))
    some, seen = figure.rows(pick), observed.rows(pick)
    shapes = torch.eye(len(figure.betas))
    prior = torch.full((len(figure.betas),), PRIOR_SHAPE**-2, dtype=torch.float64)
    betas = figure.betas

    def joints(betas: Tensor) -> Tensor:
        posed = body(some.rotmat, betas.expand(len(pick), -1), vertices=False)
        return posed.joints[:, landmarks.joint]

    # Joints move in proportion to the shape; what a landmark stands off its joint does not change.
    base = joints(betas)
    moved = torch.stack([joints(betas + shape) - base for shape in shapes], -1)  # (P, 33, 3, 10)
    for _ in range(STEPS):
        slopes = _slopes(Figure(some.rotmat, some.transl, betas), seen, body, landmarks)
        by_shape = (slopes.view @ moved).flatten(1, 2)  # (P, 66, 10)
        pose = slopes.by_pose.double()
        own = torch.linalg.cholesky(pose.mT @ pose + torch.diag(_certainty().double()))
        mixed = pose.mT @ by_shape.double()
        solved = torch.cholesky_solve(mixed, own)
        shape, error = by_shape.double(), slopes.error.double().unsqueeze(-1)
        left = (shape.mT @ shape - mixed.mT @ solved).sum(0)
        right = (shape.mT @ error - solved.mT @ (pose.mT @ error)).sum(0)[:, 0]
        step = torch.linalg.solve(
            trust * left + torch.diag(prior), -trust * right - prior * (betas - figure.betas).double()
        )
        betas = betas + step.float()
    return Figure(figure.rotmat, figure.transl, betas)


def _solve(
    figure: Figure, observed: Evidence, segment: Tensor, fps: float, body: Body, landmarks: LandmarkModel
) -> Figure:
    """Pose and place of N frames, all at once."""
    certainty, count = _certainty(), len(segment)
    whole = (segment[3:] == segment[:-3]).float().unsqueeze(-1)  # third differences within one stretch
    stiff = stiffness(SMOOTH_HZ / fps) * torch.cat([certainty[:-3], torch.zeros(3)])  # position is smoothed elsewhere
    gone = torch.zeros(count, len(certainty))  # how far the steps so far have led away from the prior
    for _ in range(STEPS):
        slopes = _slopes(figure, observed, body, landmarks)
        own = slopes.by_pose.mT @ slopes.by_pose + torch.diag(certainty)
        right = -(slopes.by_pose.mT @ slopes.error.unsqueeze(-1)).squeeze(-1) - certainty * gone
        right -= stiff * _third_transposed(_jerk(figure.rotmat) * whole, count)

        def normal(x: Tensor, own: Tensor = own) -> Tensor:
            return (own @ x.unsqueeze(-1)).squeeze(-1) + stiff * _third_transposed(_third(x) * whole, count)

        # Preconditioned by every frame's own block. In double precision the prior keeps it positive definite, however
        # close a body comes to the camera.
        block = own + torch.diag_embed(stiff * _third_transposed(whole, count, squared=True))
        factor = torch.linalg.cholesky(block.double())

        def precondition(x: Tensor, factor: Tensor = factor) -> Tensor:
            return torch.cholesky_solve(x.double().unsqueeze(-1), factor).squeeze(-1).float()

        step = _conjugate_gradients(normal, right, precondition)
        gone = gone + step
        rotmat = figure.rotmat.clone()
        rotmat[:, FREE] = axis_angle_to_rotmat(torch.unflatten(step[:, :-3], -1, (-1, 3))) @ rotmat[:, FREE]
        figure = Figure(rotmat, figure.transl + step[:, -3:], figure.betas)
    return figure


def _conjugate_gradients(
    normal: Callable[[Tensor], Tensor], right: Tensor, precondition: Callable[[Tensor], Tensor]
) -> Tensor:
    """Solve normal(x) = right for a symmetric positive definite `normal` (Hestenes and Stiefel, 1952)."""
    x = torch.zeros_like(right)
    residual = right
    towards = ready = precondition(residual)
    size = first = (residual * ready).sum()
    for _ in range(ITERATIONS):
        if not size > ENOUGH**2 * first:
            break
        image = normal(towards)
        length = size / (towards * image).sum()
        x = x + length * towards
        residual = residual - length * image
        ready = precondition(residual)
        before, size = size, (residual * ready).sum()
        towards = ready + size / before * towards
    return x


def _certainty() -> Tensor:
    """Inverse variances (D,) of the prior."""
    sigma = torch.tensor(list(PRIOR.values())).repeat_interleave(3)
    return torch.cat([sigma, torch.tensor([PRIOR_SIDE, PRIOR_SIDE, PRIOR_DEPTH])]) ** -2


def _jerk(rotmat: Tensor) -> Tensor:
    """Third difference of the rotations of FREE in (N, 24, 3, 3), as `_third` is of unknowns: (N - 3, D)."""
    turns = rotmat_to_axis_angle(rotmat[1:, FREE] @ rotmat[:-1, FREE].mT).flatten(1)  # of each frame to the next
    bends = turns[2:] - 2 * turns[1:-1] + turns[:-2]
    return torch.cat([bends, torch.zeros(len(bends), 3)], 1)


def _third(x: Tensor) -> Tensor:
    """Third differences along time, (N, D) -> (N - 3, D)."""
    return torch.diff(x, n=3, dim=0)


def _third_transposed(x: Tensor, count: int, squared: bool = False) -> Tensor:
    """The transpose of `_third` for `count` frames, (M, D) -> (count, D): fewer than 4 have no third differences.

    squared: of the operator whose elements are squares of its.
    """
    out = x.new_zeros(count, x.shape[1])
    for shift, value in enumerate(THIRD_DIFFERENCE):
        out[shift : shift + len(x)] += (value**2 if squared else value) * x
    return out


def _descends(carriers: Tensor) -> Tensor:
    """Which joints of FREE move points that are fixed to the joints `carriers` (K,): (K, J) of zeros and ones."""
    chains = [{joint, *ancestors(joint)} for joint in carriers.tolist()]
    return torch.tensor([[float(j in chain) for j in FREE] for chain in chains])


def _parents(bones: Tensor) -> Tensor:
    """Rotations (N, J, 3, 3) of the parents of the joints FREE, of bones (N, 24, 3, 3); the pelvis has none."""
    none = torch.eye(3).expand_as(bones[:, 0])
    return torch.stack([bones[:, SMPL_PARENTS[joint]] if joint else none for joint in FREE], 1)


def _projection_slope(points: Tensor, focal: float) -> Tensor:
    """Derivative of pinhole pixels by the point's place: points (..., 3) -> (..., 2, 3)."""
    x, y, z = points.unbind(-1)
    z = z.clamp_min(LEAST_DEPTH)
    scale, zero = focal / z, torch.zeros_like(z)
    rows = [scale, zero, -scale * x / z, zero, scale, -scale * y / z]
    return torch.unflatten(torch.stack(rows, -1), -1, (2, 3))
