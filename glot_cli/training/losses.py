"""Training losses (paper section 3.4): 2D and 3D keypoints, SMPL pose and shape, and motion of both keypoints.

Every term is a mean over the frames that `mask` counts, so that masked training and plain training weigh alike. For the
means as the paper's authors take them see `published_losses`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms; the defaults are the paper's for table 1 on 3DPW.

    Attributes:
        keypoints2d: of joints in the crop, in half its side.
        keypoints3d: of joints in space, in metres.
        pose: of rotation matrices.
        shape: of betas.
        motion2d: of velocities in the crop.
        motion3d: of velocities in space.
        acceleration: take accelerations in place of the velocities (the released runs: False).
        released_mean: take the 3D motion term of masked frames as the released code does (see `published_losses`).
        vertices: of part of the surface, in metres; not in the paper, and known to training on landmarks alone.
        robust: take distances instead of their squares; likewise.
    """

    keypoints2d: float = 300.0
    keypoints3d: float = 300.0
    pose: float = 60.0
    shape: float = 0.06
    motion2d: float = 10.0
    motion3d: float = 100.0
    acceleration: bool = False
    released_mean: bool = False
    vertices: float = 0.0
    robust: bool = False

    @property
    def order(self) -> int:
        """Of the differences in time that make the motion terms."""
        return 2 if self.acceleration else 1


@dataclass(frozen=True)
class Prediction:
    """Differentiable outputs, or their truths, for B windows of T frames."""

    rotmat: Tensor  # (B, T, 24, 3, 3)
    betas: Tensor  # (B, T, 10)
    joints: Tensor  # (B, T, K, 3) metres, relative to the pelvis
    image: Tensor  # (B, T, K, 2) crop coordinates
    vertices: Tensor | None = None  # (B, T, V, 3) metres, relative to the pelvis

    def frames(self, index: slice) -> Prediction:
        """Some frames of each window."""
        vertices = None if self.vertices is None else self.vertices[:, index]
        rotmat, betas, joints, image = (x[:, index] for x in (self.rotmat, self.betas, self.joints, self.image))
        return Prediction(rotmat, betas, joints, image, vertices)


def masked_mean(error: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of an error over frames.

    Args:
        error: (B, T, ...).
        mask: (B, T) 1 in frames that count; None: all do.
    """
    per_frame = error.flatten(2).mean(-1) if error.dim() > 2 else error
    if mask is None:
        return per_frame.mean()
    return (per_frame * mask).sum() / mask.sum().clamp_min(1)


def distance(a: Tensor, b: Tensor, robust: bool) -> Tensor:
    """Error between points (..., D): squared, or Euclidean (smooth at zero) when `robust`."""
    square = (a - b).square()
    if not robust:
        return square
    return (square.sum(-1) + 1e-6).sqrt()


def loss_terms(
    prediction: Prediction, truth: Prediction, config: LossConfig, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Weighted loss terms by name; their sum is what training minimises (paper, section 3.4).

    Args:
        prediction: of B windows of T frames.
        truth: likewise.
        config: weights of the terms.
        mask: (B, T) 1 in frames that count; None: all do. A difference counts when all frames that it is taken of do.
    """

    def error(name: str, order: int = 0) -> Tensor:
        mine, true = getattr(prediction, name), getattr(truth, name)
        return distance(mine.diff(order, 1), true.diff(order, 1), config.robust)

    moving = None if mask is None else mask.unfold(1, config.order + 1, 1).prod(-1)
    terms = {
        "keypoints2d": config.keypoints2d * masked_mean(error("image"), mask),
        "keypoints3d": config.keypoints3d * masked_mean(error("joints"), mask),
        "pose": config.pose * masked_mean((prediction.rotmat - truth.rotmat).square(), mask),
        "shape": config.shape * masked_mean((prediction.betas - truth.betas).square(), mask),
        "motion2d": config.motion2d * masked_mean(error("image", config.order), moving),
        "motion3d": config.motion3d * masked_mean(error("joints", config.order), moving),
    }
    if config.vertices and prediction.vertices is not None and truth.vertices is not None:
        terms["vertices"] = config.vertices * masked_mean(error("vertices"), mask)
    return terms


def total(terms: dict[str, Tensor]) -> Tensor:
    """Their sum."""
    return torch.stack(list(terms.values())).sum()
