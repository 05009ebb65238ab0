"""Poses drawn onto their 2D landmarks: the network's answer is the prior, what the picture shows the evidence.

In the manner of SMPLify (Bogo et al., 2016), but with GLoT's pose as the centre of the prior, so that a few
Gauss-Newton steps of a problem that is nearly linear suffice; all frames are solved at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glot_cli.body.joints import SMPL_PARENTS
from glot_cli.body.landmarks import LandmarkModel, global_rotations
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.camera import project_pinhole

# How far off the network's rotation of each joint may be, radians; joints that are left out stay as they are.
PRIOR = {
    0: 0.10,  # pelvis
    1: 0.12, 2: 0.12, 4: 0.12, 5: 0.12, 7: 0.12, 8: 0.12, 10: 0.02, 11: 0.02,  # legs
    3: 0.05, 6: 0.05, 9: 0.05, 12: 0.06, 15: 0.08,  # spine, neck, head
    13: 0.04, 14: 0.04, 16: 0.15, 17: 0.15, 18: 0.15, 19: 0.15, 20: 0.10, 21: 0.10,  # arms
}  # fmt: skip
PRIOR_SIDE, PRIOR_DEPTH = 5.0, 0.3  # metres, of the translation across and along the line of sight
LANDMARK = 0.035  # how far off a landmark that is seen may be, in half crop sides
OUTLIER = 0.1  # in half crop sides: landmarks further off than that count little (Geman-McClure)
STEPS = 2
NEAREST = 0.2  # metres from the camera


def refine_pose(
    rotmat: Tensor,
    transl: Tensor,
    betas: Tensor,
    pixels: Tensor,
    visibility: Tensor,
    side: Tensor,
    body: Body,
    landmarks: LandmarkModel,
    *,
    focal: float,
    centre: Tensor,
) -> tuple[Tensor, Tensor]:
    """Turn joints and shift bodies so that their landmarks come to lie where the picture shows them.

    rotmat (N, 24, 3, 3) and transl (N, 3) in the camera's frame; betas (10,); pixels (N, 33, 2) and visibility (N, 33)
    of the landmarks; side (N,) of the crops in pixels; focal in pixels, centre (2,) principal point. The most probable
    rotations and translations, of the same shapes, under independent Gaussian errors of the network (PRIOR) and robust
    ones of the landmarks.
    """
    free = list(PRIOR)
    sigma = torch.cat([torch.tensor(list(PRIOR.values())).repeat_interleave(3), _TRANSLATION_PRIOR])
    moves = _descends(landmarks.joint, free)  # (33, J)
    half = side[:, None, None] / 2
    gone = torch.zeros(len(rotmat), len(sigma))  # how far the steps so far have led away from the prior
    for _ in range(STEPS):
        joints = body(rotmat, betas.expand(len(rotmat), -1), vertices=False).joints
        points = landmarks(joints, rotmat)
        seen = points + transl[:, None]
        error = (project_pinhole(seen, focal, centre) - pixels) / half  # (N, 33, 2)
        far = error.square().sum(-1) / OUTLIER**2
        weight = visibility.sqrt() / (1 + far) / LANDMARK
        view = _projection_slope(seen, focal) / half[..., None] * weight[..., None, None]  # (N, 33, 2, 3)
        # A small turn w of joint j moves a point below it by w x (point - joint).
        arm = (points[:, :, None] - joints[:, None, free]) * moves[..., None]  # (N, 33, J, 3)
        turns = torch.linalg.cross(arm.unsqueeze(2), view.unsqueeze(3))  # (N, 33, 2, J, 3): v . (w x a) = w . (a x v)
        slope = torch.cat([turns.flatten(-2), view], -1).flatten(1, 2)  # (N, 66, 3 J + 3)
        residual = (error * weight[..., None]).flatten(1)
        # In double precision the prior keeps the matrix positive definite, however close a body comes to the camera.
        normal = (slope.mT @ slope).double() + torch.diag(sigma.double() ** -2)
        right = -(slope.mT @ residual.unsqueeze(-1)).squeeze(-1) - gone / sigma**2
        step = torch.cholesky_solve(right.double().unsqueeze(-1), torch.linalg.cholesky(normal)).squeeze(-1).float()
        gone = gone + step
        rotmat = _turned(rotmat, step[:, :-3].unflatten(-1, (-1, 3)), free)
        transl = transl + step[:, -3:]
    return rotmat, transl


_TRANSLATION_PRIOR = torch.tensor([PRIOR_SIDE, PRIOR_SIDE, PRIOR_DEPTH])


def _descends(carriers: Tensor, joints: list[int]) -> Tensor:
    """Which of `joints` move points that are fixed to the joints `carriers` (K,): (K, J) of zeros and ones."""
    rows = []
    for joint in carriers.tolist():
        chain = set()
        while joint >= 0:
            chain.add(joint)
            joint = SMPL_PARENTS[joint]
        rows.append([float(j in chain) for j in joints])
    return torch.tensor(rows)


def _projection_slope(points: Tensor, focal: float) -> Tensor:
    """Derivative of pinhole pixels by the point's place: points (..., 3) -> (..., 2, 3)."""
    x, y, z = points.unbind(-1)
    z = z.clamp_min(NEAREST)
    scale, zero = focal / z, torch.zeros_like(z)
    return torch.stack([scale, zero, -scale * x / z, zero, scale, -scale * y / z], -1).unflatten(-1, (2, 3))


def _turned(rotmat: Tensor, turn: Tensor, joints: list[int]) -> Tensor:
    """Local rotations (N, 24, 3, 3) after turns (N, J, 3) of `joints` about axes of the camera's frame."""
    bones = global_rotations(rotmat)
    parents = torch.stack([bones[:, SMPL_PARENTS[j]] if j else torch.eye(3).expand_as(bones[:, 0]) for j in joints], 1)
    rotmat = rotmat.clone()
    rotmat[:, joints] = parents.mT @ axis_angle_to_rotmat(turn) @ parents @ rotmat[:, joints]
    return rotmat
