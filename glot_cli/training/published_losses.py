"""The losses of the paper (section 3.4) as its authors' code computes them, for data sets with partial labels.

They differ from `losses` in what a mean is taken over: every frame of every window counts in the denominator, whether
masked or not, and labels that a sample lacks take its rows out of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glot_cli.body.joints import COMMON_SLICE
from glot_cli.training.losses import LossWeights

HIPS = slice(2, 4)  # of the 14 common joints


@dataclass(frozen=True)
class BranchOutput:
    """What one branch says of B windows of T frames."""

    rotmat: Tensor  # (B, T, 24, 3, 3)
    betas: Tensor  # (B, T, 10)
    joints: Tensor  # (B, T, 49, 3) metres
    image: Tensor  # (B, T, 49, 2) crop coordinates


@dataclass(frozen=True)
class Labels:
    """What is known of B windows of T frames. A sample without 3D joints or SMPL has zeros in their place."""

    image: Tensor  # (B, T, 49, 3) crop coordinates and confidence
    joints: Tensor  # (B, T, 49, 3) metres
    rotmat: Tensor  # (B, T, 24, 3, 3)
    betas: Tensor  # (B, T, 10)
    has_joints: Tensor  # (B, T) 1 or 0
    has_smpl: Tensor  # (B, T) 1 or 0

    def frames(self, part: slice) -> Labels:
        """The labels of some frames of each window."""
        return Labels(*(value[:, part] for value in vars(self).values()))


def published_terms(
    output: BranchOutput,
    labels: Labels,
    weights: LossWeights,
    mask: Tensor | None = None,
    *,
    released_velocity_mask: bool = False,
) -> dict[str, Tensor]:
    """Weighted loss terms of one branch by name; their sum over both branches is what training minimises.

    mask (B, T): 1 in frames that count, all when None. released_velocity_mask: compute the 3D velocity term as the
    released code does, whose mean over all frames is multiplied by the mean of the mask; False masks frame by frame, as
    the paper means it.
    """
    weight = torch.ones_like(labels.has_joints) if mask is None else mask
    confidence = labels.image[..., 2:]
    square2d = confidence * (output.image - labels.image[..., :2]).square()
    # A velocity belongs to the earlier of its two frames; the last frame has none, and counts as no error.
    moved2d = _velocity(output.image) - _velocity(labels.image[..., :2])
    moved2d = _without_last(confidence) * moved2d.square()

    has_joints, has_smpl = labels.has_joints.bool(), labels.has_smpl.bool()
    mine, true = output.joints[:, :, COMMON_SLICE], labels.joints[:, :, COMMON_SLICE]
    square3d = (_centred(mine) - _centred(true)).square()
    moved3d = (_velocity(mine) - _velocity(true)).square()
    velocity3d = _mean(moved3d, weight, has_joints)
    if released_velocity_mask:
        velocity3d = _mean(moved3d, torch.ones_like(weight), has_joints) * weight[has_joints].mean()
    return {
        "keypoints2d": weights.keypoints2d * _mean(square2d, weight),
        "keypoints3d": weights.keypoints3d * _mean(square3d, weight, has_joints),
        "velocity2d": weights.velocity2d * _mean(moved2d, weight),
        "velocity3d": weights.velocity3d * velocity3d,
        "pose": weights.pose * _mean((output.rotmat - labels.rotmat).square(), weight, has_smpl),
        "shape": weights.shape * _mean((output.betas - labels.betas).square(), weight, has_smpl),
    }


def _mean(error: Tensor, weight: Tensor, rows: Tensor | None = None) -> Tensor:
    """Mean of error (B, T, ...) times weight (B, T), over the frames that `rows` (B, T) picks; 0 when it picks none."""
    weighted = error.flatten(2).mean(-1) * weight
    if rows is None:
        return weighted.mean()
    return weighted[rows].sum() / rows.sum().clamp_min(1)


def _velocity(points: Tensor) -> Tensor:
    """Difference to the next frame: (B, T, ...) -> (B, T, ...), zero in the last."""
    return torch.cat([points.diff(dim=1), torch.zeros_like(points[:, :1])], 1)


def _without_last(values: Tensor) -> Tensor:
    return torch.cat([values[:, :-1], torch.zeros_like(values[:, :1])], 1)


def _centred(joints: Tensor) -> Tensor:
    """Common joints (B, T, 14, 3) from the middle of the hips."""
    return joints - joints[:, :, HIPS].mean(2, keepdim=True)
