"""The losses of the paper (section 3.4) as its authors' code computes them, for data sets with partial labels.

They differ from `losses` in what a mean is taken over: every frame of every window counts in the denominator, whether
masked or not, and labels that a sample lacks take its rows out of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glot_cli.body.joints import COMMON_HIPS, COMMON_SLICE
from glot_cli.training.losses import LossConfig


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
    output: BranchOutput, labels: Labels, config: LossConfig, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Weighted loss terms of one branch by name; their sum over both branches is what training minimises.

    Args:
        output: of B windows of T frames.
        labels: what is known of them.
        config: weights of the terms. With `released_mean` the 3D motion term is the released code's, whose mean over
            all frames is multiplied by the mean of the mask; without, it is masked frame by frame, as the paper means.
        mask: (B, T) 1 in frames that count; None: all do.
    """
    weight = torch.ones_like(labels.has_joints) if mask is None else mask
    confidence, order = labels.image[..., 2:], config.order
    square2d = confidence * (output.image - labels.image[..., :2]).square()
    moved2d = (_motion(output.image, order) - _motion(labels.image[..., :2], order)).square()
    moved2d = _where_moving(confidence, order) * moved2d

    has_joints, has_smpl = labels.has_joints.bool(), labels.has_smpl.bool()
    mine, true = output.joints[:, :, COMMON_SLICE], labels.joints[:, :, COMMON_SLICE]
    square3d = (_centred(mine) - _centred(true)).square()
    moved3d = (_motion(mine, order) - _motion(true, order)).square()
    motion3d = _mean(moved3d, weight, has_joints)
    if config.released_mean:
        every = torch.ones_like(weight)
        motion3d = _mean(moved3d, every, has_joints) * _mean(weight, every, has_joints)
    return {
        "keypoints2d": config.keypoints2d * _mean(square2d, weight),
        "keypoints3d": config.keypoints3d * _mean(square3d, weight, has_joints),
        "motion2d": config.motion2d * _mean(moved2d, weight),
        "motion3d": config.motion3d * motion3d,
        "pose": config.pose * _mean((output.rotmat - labels.rotmat).square(), weight, has_smpl),
        "shape": config.shape * _mean((output.betas - labels.betas).square(), weight, has_smpl),
    }


def _mean(error: Tensor, weight: Tensor, rows: Tensor | None = None) -> Tensor:
    """Mean of error (B, T, ...) times weight (B, T), over the frames that `rows` (B, T) picks; 0 when it picks none."""
    weighted = (error.flatten(2).mean(-1) if error.dim() > 2 else error) * weight
    if rows is None:
        return weighted.mean()
    return torch.where(rows, weighted, 0.0).sum() / rows.sum().clamp_min(1)


def _motion(points: Tensor, order: int) -> Tensor:
    """Differences in time (B, T, ...) -> (B, T, ...); frames that have none count as no motion.

    Velocities stand at the earlier of their two frames, accelerations at the middle of their three.
    """
    return F.pad(points.diff(n=order, dim=1).movedim(1, -1), (order - 1, 1)).movedim(-1, 1)


def _where_moving(values: Tensor, order: int) -> Tensor:
    """Values (B, T, ...) of the frames at which `_motion` stands, zero in the others."""
    return F.pad(values[:, order - 1 : -1].movedim(1, -1), (order - 1, 1)).movedim(-1, 1)


def _centred(joints: Tensor) -> Tensor:
    """Common joints (B, T, 14, 3) from the middle of the hips."""
    return joints - joints[:, :, COMMON_HIPS].mean(2, keepdim=True)
