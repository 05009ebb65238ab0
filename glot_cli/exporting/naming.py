"""What other programs call SMPL's joints."""

from __future__ import annotations

from glot_cli.smpl import SMPL_JOINTS

# Mixamo's rigs, without their prefix "mixamorig:", and Unreal's mannequin.
_MIXAMO = (
    "Hips", "LeftUpLeg", "RightUpLeg", "Spine", "LeftLeg", "RightLeg", "Spine1", "LeftFoot", "RightFoot", "Spine2",
    "LeftToeBase", "RightToeBase", "Neck", "LeftShoulder", "RightShoulder", "Head", "LeftArm", "RightArm",
    "LeftForeArm", "RightForeArm", "LeftHand", "RightHand", "LeftHandMiddle1", "RightHandMiddle1",
)  # fmt: skip
_UNREAL = (
    "pelvis", "thigh_l", "thigh_r", "spine_01", "calf_l", "calf_r", "spine_02", "foot_l", "foot_r", "spine_03",
    "ball_l", "ball_r", "neck_01", "clavicle_l", "clavicle_r", "head", "upperarm_l", "upperarm_r", "lowerarm_l",
    "lowerarm_r", "hand_l", "hand_r", "middle_01_l", "middle_01_r",
)  # fmt: skip
_BY_NAMING = {"smpl": SMPL_JOINTS, "mixamo": tuple(f"mixamorig:{name}" for name in _MIXAMO), "unreal": _UNREAL}


def joint_names(naming: str) -> tuple[str, ...]:
    """Names of SMPL's 24 joints, in its order, in one of `catalogue.NAMINGS`."""
    return _BY_NAMING[naming]
