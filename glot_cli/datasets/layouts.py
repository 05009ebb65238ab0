"""Layouts of joints that data sets use, as names among SPIN's 49, and the way from one to the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.body.joints import COMMON_JOINTS, SPIN_JOINTS

# Layout -> which of SPIN's joints each of its own is.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "pennaction": (
        "head_top_lsp", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    "common": tuple(COMMON_JOINTS),
    "mpii3d_test": (
        "head_top_lsp", "neck_lsp", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
        "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis_mpii",
        "spine_h36m", "head_h36m",
    ),
    "insta": (
        "op_right_heel", "op_right_knee", "op_right_hip", "op_left_hip", "op_left_knee", "op_left_heel",
        "op_right_wrist", "op_right_elbow", "op_right_shoulder", "op_left_shoulder", "op_left_elbow", "op_left_wrist",
        "op_neck", "head_top_lsp", "op_nose", "op_left_eye", "op_right_eye", "op_left_ear", "op_right_ear",
        "op_left_big_toe", "op_right_big_toe", "op_left_small_toe", "op_right_small_toe", "op_left_ankle",
        "op_right_ankle",
    ),
    "spin": SPIN_JOINTS,
}  # fmt: skip

# The layouts differ in how many joints they have: 13, 14, 17, 25 and 49.
BY_COUNT = {len(joints): name for name, joints in LAYOUTS.items()}

_PLACES = {name: [SPIN_JOINTS.index(joint) for joint in joints] for name, joints in LAYOUTS.items()}


def to_spin(joints: NDArray[Any], layout: str) -> NDArray[Any]:
    """(N,K,C) joints of a layout as SPIN's (N,49,C). Those that the layout lacks are 0, their confidence with them."""
    spin = np.zeros((len(joints), len(SPIN_JOINTS), joints.shape[-1]), joints.dtype)
    spin[:, _PLACES[layout]] = joints
    return spin
