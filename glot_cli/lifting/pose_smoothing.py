"""Motion made smooth: jitter is taken from rotations and positions, without lag.

Shapes: N frames of one person's track. segment (N,): gap-free stretches, each of which is smoothed by itself.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.body.rotations import pose6d_to_rotmat, rotmat_to_pose6d
from glot_cli.smoothing import whittaker
from glot_cli.smpl import SMPL_JOINTS

POSE_CUTOFF_HZ = 3.0  # of joint rotations: lower values make motion smoother still, and blunt blows and kicks
POSITION_CUTOFF_HZ = 5.0  # of the person in the picture: landmarks tremble above it, people hardly move so fast
DEPTH_CUTOFF_HZ = 1.2  # the size of a body in the picture says little of its depth from one frame to the next
SURE = 0.8  # fourth root of the reliability where rotations are smoothed at the cutoff; less is smoothed more
LEAST_TRUST, MOST_TRUST = 0.005, 2.0
TRUNK = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
HEAD = ("nose", "left_ear", "right_ear", "left_shoulder", "right_shoulder")
SHOWN_BY = {
    "hip": ("hip", "knee"),
    "knee": ("knee", "ankle"),
    "ankle": ("ankle", "heel", "foot_index"),
    "foot": ("ankle", "heel", "foot_index"),
    "shoulder": ("shoulder", "elbow"),
    "elbow": ("elbow", "wrist"),
    "wrist": ("wrist", "index", "pinky"),
    "hand": ("wrist", "index", "pinky"),
}  # landmarks that show how a joint of the same side is turned


def _shown_by(joint: str) -> list[int]:
    """The BlazePose landmarks by which one sees how a joint of SMPL is turned."""
    side, _, part = joint.partition("_")
    if part in SHOWN_BY:
        names: tuple[str, ...] = tuple(f"{side}_{name}" for name in SHOWN_BY[part])
    else:
        names = HEAD if joint in ("neck", "head") else TRUNK
    return [LANDMARK_NAMES.index(name) for name in names]


def shown_joints(landmarks: Tensor) -> Tensor:
    """How far each joint is seen (N, 24), from how far landmarks are (N, 33): the mean of those that show it."""
    return torch.stack([landmarks[:, _shown_by(joint)].mean(1) for joint in SMPL_JOINTS], 1)


def trust(reliability: Tensor) -> Tensor:
    """How far the rotation of each joint in each frame can be relied on: (N, 24), from landmarks' (N, 33).

    What hides landmarks hides them for frames on end, and their errors last as long: the 1.5th power did better than
    their inverse variances themselves, and as well as the square.
    """
    return (shown_joints(reliability.pow(0.25)) / SURE).pow(6).clamp(LEAST_TRUST, MOST_TRUST)


def smooth_pose(rotmat: Tensor, segment: Tensor, fps: float, trusted: Tensor, ticks: Tensor | None = None) -> Tensor:
    """Remove jitter from rotations.

    Args:
        rotmat: (N, 24, 3, 3), changed in place.
        segment: (N,).
        fps: ticks per second.
        trusted: (N, 24) how far each can be relied on, see `trust`.
        ticks: (N,) where frames stand in time, ascending; even where None.

    Returns:
        `rotmat`.
    """
    for number in torch.unique(segment):
        rows = (segment == number).nonzero()[:, 0]
        for joint in range(rotmat.shape[1]):  # one at a time: double precision of all takes room
            turns = rotmat_to_pose6d(rotmat[rows, joint]).numpy()
            smoothed = whittaker(turns, POSE_CUTOFF_HZ / fps, trusted[rows, joint].numpy(), _of(ticks, rows))
            rotmat[rows, joint] = pose6d_to_rotmat(torch.from_numpy(smoothed).to(rotmat.dtype))
    return rotmat


def smooth_position(position: Tensor, segment: Tensor, fps: float, ticks: Tensor | None = None) -> Tensor:
    """Remove jitter from positions (N, 3) in metres: from their direction lightly, from their depth more.

    Arguments as for `smooth_pose`.
    """
    direction = position[:, :2] / position[:, 2:]
    depth = position[:, 2:].clamp_min(0.1).log()
    out = torch.empty_like(position)
    for number in torch.unique(segment):
        rows = segment == number
        xy = whittaker(direction[rows].double().numpy(), POSITION_CUTOFF_HZ / fps, times=_of(ticks, rows))
        z = np.exp(whittaker(depth[rows].double().numpy(), DEPTH_CUTOFF_HZ / fps, times=_of(ticks, rows)))
        out[rows] = torch.from_numpy(np.concatenate([xy * z, z], 1)).to(out.dtype)
    return out


def _of(ticks: Tensor | None, rows: Tensor) -> NDArray[np.float64] | None:
    return None if ticks is None else ticks[rows].numpy()
