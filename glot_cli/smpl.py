"""What every part of glot must know of SMPL (Loper et al., 2015): its joints, their tree, the size of its mesh."""

from __future__ import annotations

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
NUM_JOINTS = len(SMPL_JOINTS)
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# The joint that a mirror in the sagittal plane puts in the place of each.
SMPL_MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
SMPL_VERTICES, SMPL_FACES = 6890, 13776


def ancestors(joint: int) -> list[int]:
    """Joints above `joint` in the tree, root first."""
    chain: list[int] = []
    while (joint := SMPL_PARENTS[joint]) >= 0:
        chain.insert(0, joint)
    return chain
