"""From features of a track to body parameters: windows of GLoT, one shape per person, the body laid on its landmarks.

Shapes: N frames of one person's track.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat
from glot_cli.camera import (
    camera_from_translation,
    fit_translation,
    project_pinhole,
    project_weak,
    ray_rotation,
    translation_from_camera,
)
from glot_cli.features.blazepose import unpack
from glot_cli.models.config import GLoTConfig
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.regressors import State
from glot_cli.pipeline.boxes import whittaker

Edges = Literal["replicate", "official"]

POSITION_CUTOFF_HZ = 5.0  # of the person in the picture: landmarks tremble above it, people hardly move so fast
DEPTH_CUTOFF_HZ = 1.2  # the size of a body in the picture says little of its depth from one frame to the next
PRIOR_WEIGHT = 0.02  # of the network's own camera, per joint, against a landmark that is seen
NEAREST = 0.2  # metres from the camera
CHUNK = 256  # frames
OUTLIER = 0.06  # landmarks further off than this share of the crop side count little


@dataclass(frozen=True)
class Lifted:
    """Body parameters of one person, in the camera's frame. Tensors on the CPU."""

    rotmat: Tensor  # (N, 24, 3, 3)
    betas: Tensor  # (10,)
    betas_frame: Tensor  # (N, 10)
    camera: Tensor  # (N, 3)
    camera_network: Tensor  # (N, 3)
    transl: Tensor  # (N, 3)
    joints: Tensor  # (N, 24, 3) metres, without the translation


def window_indices(segment: Tensor, config: GLoTConfig, step: int = 1, edges: Edges = "replicate") -> Tensor:
    """Which frames of a track make up the window of each: (N, T).

    segment (N,): number of the gap-free stretch a frame lies in; windows never reach beyond their own. Where a window
    would, `replicate` repeats the stretch's first or last frame; `official` takes T copies of the middle frame, as the
    released demo does. step: distance of a window's frames.
    """
    count = len(segment)
    at = torch.arange(count)
    _, index, lengths = torch.unique_consecutive(segment, return_inverse=True, return_counts=True)
    first = (lengths.cumsum(0) - lengths)[index]
    last = first + lengths[index] - 1
    wanted = at[:, None] + step * (torch.arange(config.frames) - config.middle)
    if edges == "official":
        whole = (wanted[:, 0] >= first) & (wanted[:, -1] <= last)
        return torch.where(whole[:, None], wanted, at[:, None])
    return wanted.clamp(first[:, None], last[:, None])


@torch.inference_mode()
def estimate(
    network: FoldedGLoT,
    features: Tensor,
    segment: Tensor,
    *,
    step: int = 1,
    edges: Edges = "replicate",
    batch_size: int = 256,
) -> State:
    """GLoT's states of every frame, (N, .) on the CPU, from features (N, F) and segments (N,)."""
    device = next(network.parameters()).device
    windows = window_indices(segment, network.config, step, edges)
    final = network.lift_track(features.to(device), windows.to(device), batch_size).final
    return State(*(x[:, 0].float().cpu() for x in final))


def robust_mean(values: Tensor, weights: Tensor, iterations: int = 20) -> Tensor:
    """Weighted geometric median of rows (N, D) with weights (N,): a mean that outliers cannot pull (Weiszfeld 1937)."""
    weights = weights.clamp_min(1e-6)
    centre = (values * weights[:, None]).sum(0) / weights.sum()
    for _ in range(iterations):
        near = weights / (values - centre).norm(dim=-1).clamp_min(1e-3)
        centre = (values * near[:, None]).sum(0) / near.sum()
    return centre


@torch.inference_mode()
def place(
    state: State,
    features: Tensor,
    crops: Tensor,
    segment: Tensor,
    body: Body,
    landmarks: LandmarkModel,
    *,
    focal: float,
    centre: Tensor,
    fps: float,
) -> Lifted:
    """Turn crop-frame states (N, .) into a body in the camera's frame, laid on its 2D landmarks.

    features (N, 264) of BlazePose; crops (N, 3) pixels; focal in pixels; centre (2,) principal point.
    """
    parts = unpack(features)
    visibility = parts.visibility * parts.presence  # (N, 33)
    betas = robust_mean(state.shape, visibility.mean(-1))
    chunks = []
    for rows in torch.arange(len(features)).split(CHUNK):  # the body's joints take kilobytes a frame on the way
        some = State(*(x[rows] for x in state))
        chunks.append(_lay(some, features[rows], crops[rows], betas, body, landmarks, focal, centre))
    rotmat, joints, transl = (torch.cat(x) for x in zip(*chunks, strict=True))
    pelvis = joints[:, 0]
    transl = _smooth(transl + pelvis, segment, fps) - pelvis
    camera = camera_from_translation(transl, crops, pelvis, focal, centre)
    return Lifted(rotmat, betas, state.shape, camera, state.camera, transl, joints)


def _lay(
    state: State,
    features: Tensor,
    crops: Tensor,
    betas: Tensor,
    body: Body,
    landmarks: LandmarkModel,
    focal: float,
    centre: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (N, 24, 3, 3) and joints (N, 24, 3) in the camera's frame, and the translation that lays the body on
    its landmarks, frame by frame (N, 3)."""
    parts = unpack(features)
    rotmat = pose6d_to_rotmat(state.pose6d.unflatten(-1, (24, 6)))
    # The network saw the crop, so it speaks of the frame that looks along the crop's own ray.
    turn = ray_rotation(crops[:, :2], focal, centre)
    rotmat = torch.cat([(turn @ rotmat[:, 0])[:, None], rotmat[:, 1:]], 1)
    joints = body(rotmat, betas.expand(len(rotmat), -1), vertices=False).joints
    points = landmarks(joints, rotmat)
    half = crops[:, None, 2:] / 2
    pixels = crops[:, None, :2] + half * parts.landmarks2d
    expected = crops[:, None, :2] + half * project_weak(joints, state.camera)
    transl = _fit_robust(
        torch.cat([points, joints], 1),
        torch.cat([pixels, expected], 1),
        parts.visibility * parts.presence,
        torch.full_like(joints[..., 0], PRIOR_WEIGHT),
        crops[:, 2],
        focal,
        centre,
    )
    # A body never stands behind or inside the camera, whatever the landmarks say.
    pelvis = joints[:, 0]
    behind = (transl + pelvis)[:, 2:] < NEAREST
    return (
        rotmat,
        joints,
        torch.where(behind, translation_from_camera(state.camera, crops, pelvis, focal, centre), transl),
    )


def _fit_robust(
    points: Tensor, pixels: Tensor, visibility: Tensor, prior: Tensor, side: Tensor, focal: float, centre: Tensor
) -> Tensor:
    """`fit_translation` with landmarks far from the others weighed down; the prior's weights stay."""
    weights = torch.cat([visibility, prior], 1)
    transl = fit_translation(points, pixels, weights, focal, centre)
    count = visibility.shape[1]
    for _ in range(3):
        drawn = project_pinhole(points[:, :count] + transl[:, None], focal, centre)
        error = (drawn - pixels[:, :count]).norm(dim=-1) / (OUTLIER * side[:, None])
        weights = torch.cat([visibility / (1 + error.square()).square(), prior], 1)
        transl = fit_translation(points, pixels, weights, focal, centre)
    return transl


def _smooth(position: Tensor, segment: Tensor, fps: float) -> Tensor:
    """Remove jitter from positions (N, 3) without lag: direction lightly, depth more."""
    direction = position[:, :2] / position[:, 2:]
    depth = position[:, 2:].clamp_min(0.1).log()
    out = torch.empty_like(position)
    for number in segment.unique():
        rows = segment == number
        xy = whittaker(direction[rows].double().numpy(), POSITION_CUTOFF_HZ / fps)
        z = np.exp(whittaker(depth[rows].double().numpy(), DEPTH_CUTOFF_HZ / fps))
        out[rows] = torch.from_numpy(np.concatenate([xy * z, z], 1)).to(out.dtype)
    return out
