"""Training losses (paper section 3.4): 2D and 3D keypoints, SMPL pose and shape, and velocities of both keypoints.

Every term is a mean over the frames that `mask` counts, so that masked training and plain training weigh alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; the paper's are the defaults. `vertices`, not in the paper, uses part of the surface."""

    keypoints2d: float = 300.0
    keypoints3d: float = 300.0
    pose: float = 60.0
    shape: float = 0.06
    velocity2d: float = 10.0
    velocity3d: float = 100.0
    vertices: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """Differentiable outputs, or their truths, for B windows of T frames."""

    rotmat: Tensor  # (B, T, 24, 3, 3)
    betas: Tensor  # (B, T, 10)
    joints: Tensor  # (B, T, K, 3) metres, relative to the pelvis
    image: Tensor  # (B, T, K, 2) crop coordinates
    vertices: Tensor | None = None  # (B, T, V, 3) metres, relative to the pelvis


def masked_mean(error: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of error (B, T, ...) over the frames where mask (B, T) is 1; plain mean when None."""
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
    prediction: Prediction, truth: Prediction, weights: LossWeights, robust: bool, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Weighted loss terms by name; their sum is what training minimises. mask (B, T) picks the frames that count."""
    both = None if mask is None else mask[:, 1:] * mask[:, :-1]
    terms = {
        "keypoints2d": weights.keypoints2d * masked_mean(distance(prediction.image, truth.image, robust), mask),
        "keypoints3d": weights.keypoints3d * masked_mean(distance(prediction.joints, truth.joints, robust), mask),
        "pose": weights.pose * masked_mean((prediction.rotmat - truth.rotmat).square(), mask),
        "shape": weights.shape * masked_mean((prediction.betas - truth.betas).square(), mask),
        "velocity2d": weights.velocity2d
        * masked_mean(distance(prediction.image.diff(dim=1), truth.image.diff(dim=1), robust), both),
        "velocity3d": weights.velocity3d
        * masked_mean(distance(prediction.joints.diff(dim=1), truth.joints.diff(dim=1), robust), both),
    }
    if weights.vertices and prediction.vertices is not None and truth.vertices is not None:
        error = distance(prediction.vertices, truth.vertices, robust)
        terms["vertices"] = weights.vertices * masked_mean(error, mask)
    return terms


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
