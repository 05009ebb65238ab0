"""Fast recordings: bodies are lifted in some of their frames, and moved on splines between these."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat, rotmat_to_pose6d
from glot_cli.camera import Focal, camera_from_translation
from glot_cli.lifting.placing import Lifted, joints_of
from glot_cli.tracking.tracks import Track, thinned

MOST_FPS = 125.0  # people do nothing between two such frames; what ties denser ones together is all but rigid


def lifted_rows(track: Track, fps: float) -> Tensor:
    """Rows (R,) of the frames that are lifted: all where no more than MOST_FPS come in a second.

    Args:
        track: the person.
        fps: ticks per second.
    """
    stride = fps / MOST_FPS
    kept = thinned(track.ticks, track.segment, stride if stride < 1 else math.ceil(stride))
    return torch.from_numpy(np.flatnonzero(kept))


@torch.inference_mode()
def fill_lifted(
    lifted: Lifted,
    rows: Tensor,
    segment: Tensor,
    ticks: Tensor,
    crops: Tensor,
    body: Body,
    *,
    focal: Focal,
    centre: Tensor,
) -> Lifted:
    """Bodies in all N frames of a track from those in some: everything moves on cubic splines.

    Args:
        lifted: in R frames.
        rows: (R,) which these are; of every segment the first and the last are among them.
        segment: (N,) number of the gap-free stretch.
        ticks: (N,) where frames stand in time.
        crops: (N, 3) centre x, y and side, pixels.
        body: that is posed.
        focal: focal length, pixels; (N,) where it changes.
        centre: (2,) principal point, pixels.
    """
    rotmat = torch.empty(len(ticks), *lifted.rotmat.shape[1:])
    for joint in range(rotmat.shape[1]):  # one at a time: double precision of all takes room
        rotmat[:, joint] = _turning(lifted.rotmat[:, joint], rows, segment, ticks)
    joints = joints_of(rotmat, lifted.betas, body)
    pelvis, error = joints[:, 0], lifted.joint_error
    transl = _moving(lifted.transl + lifted.joints[:, 0], rows, segment, ticks) - pelvis
    return replace(
        lifted,
        rotmat=rotmat,
        betas_frame=_moving(lifted.betas_frame, rows, segment, ticks),
        camera=camera_from_translation(transl, crops, pelvis, focal, centre),
        camera_network=_moving(lifted.camera_network, rows, segment, ticks),
        root_network=_turning(lifted.root_network, rows, segment, ticks),
        transl=transl,
        joints=joints,
        seen=_moving(lifted.seen, rows, segment, ticks).clamp(0, 1),
        feet_seen=_moving(lifted.feet_seen, rows, segment, ticks).clamp(0, 1),
        joint_error=None if error is None else _moving(error.log(), rows, segment, ticks).exp(),
    )


def _turning(rotmat: Tensor, rows: Tensor, segment: Tensor, ticks: Tensor) -> Tensor:
    """Rotations (R, 3, 3) in every frame: (N, 3, 3)."""
    return pose6d_to_rotmat(_moving(rotmat_to_pose6d(rotmat), rows, segment, ticks))


def _moving(values: Tensor, rows: Tensor, segment: Tensor, ticks: Tensor) -> Tensor:
    """Values (R, K) in every frame: (N, K)."""
    from scipy.interpolate import CubicSpline

    out = values.new_empty(len(ticks), values.shape[1])
    out[rows] = values
    missing = torch.ones(len(ticks), dtype=torch.bool)
    missing[rows] = False
    for number in torch.unique(segment[missing]):
        known, wanted = segment[rows] == number, missing & (segment == number)
        spline = CubicSpline(ticks[rows][known].numpy(), values[known].double().numpy())
        out[wanted] = torch.from_numpy(spline(ticks[wanted].numpy())).to(out.dtype)
    return out
