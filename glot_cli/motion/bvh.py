"""BVH files as motions of SMPL's skeleton.

The file is read by upc-pymotion. What is done here is to say which of its joints is which of SMPL's, and to re-express
its rotations, which count from the file's own rest pose, as rotations from SMPL's T-pose. That rest pose may be a T or
an A, face any way, and have y or z up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.body.rotations import least_rotation
from glot_cli.errors import InputError
from glot_cli.files.faults import FileFault, check_size, damage
from glot_cli.files.opening import read_bytes
from glot_cli.smpl import SMPL_JOINTS, SMPL_PARENTS

Floats = NDArray[np.floating]

# Names, in small letters and without spaces, that programs give to SMPL's joints; of the left side, the right follows.
# The first that a skeleton has is taken; a joint it lacks moves with its parent.
_NAMES = {
    "pelvis": ("hips", "hip", "pelvis", "root", "lowertorso"),
    "left_hip": ("leftupleg", "leftthigh", "lefthip", "lhipjoint", "lfemur", "lthigh"),
    "left_knee": ("leftleg", "leftshin", "leftknee", "leftlowleg", "ltibia", "lshin", "lcalf", "leftcalf"),
    "left_ankle": ("leftfoot", "leftankle", "lfoot"),
    "left_foot": ("lefttoebase", "lefttoe", "leftfoottoe", "ltoes", "ltoe"),
    "spine1": ("spine", "lowerback", "abdomen", "spine1", "torso", "chest"),
    "spine2": ("spine1", "spine2", "chest", "chest2", "uppertorso", "thorax"),
    "spine3": ("spine2", "spine3", "chest3", "chest4", "thorax", "upperback", "spine1", "chest"),
    "neck": ("neck", "neck1"),
    "head": ("head",),
    "left_collar": ("leftshoulder", "leftcollar", "lclavicle", "lcollar", "leftclavicle"),
    "left_shoulder": ("leftarm", "leftuparm", "leftupperarm", "lhumerus", "lupperarm", "lshldr"),
    "left_elbow": ("leftforearm", "leftlowarm", "leftelbow", "leftlowerarm", "lradius", "lforearm", "llowerarm"),
    "left_wrist": ("lefthand", "leftwrist", "lwrist", "lhand"),
}
# Where a joint's bone leads, and where it points in SMPL's T-pose (x to the body's left, y up, z forward).
_BONES = {
    "hip": ("knee", (0.0, -1.0, 0.0)),
    "knee": ("ankle", (0.0, -1.0, 0.0)),
    "shoulder": ("elbow", (1.0, 0.0, 0.0)),
    "elbow": ("wrist", (1.0, 0.0, 0.0)),
}
MOST_JOINTS = 1000
_BYTES = 100  # that a joint takes in a frame while a file is read
_ROOM = 400 << 20  # bytes that all may take; more also takes long
_FARTHEST = 1e6  # degrees, or whatever lengths are in
_SHORTEST = 1e-4  # seconds that a frame lasts
_STEEPEST = 75.0  # degrees between a bone of the rest pose and the T-pose's that are still taken for a T or an A


def read_bvh(path: Path) -> tuple[Floats, float]:
    """Read a BVH file as motion of SMPL's joints.

    Returns:
        Poses (n, 24, 3), axis-angle in radians, float32, in a world with y up; and frames per second.

    Raises:
        InputError: the file is no BVH, or its skeleton or rest pose cannot be made out; or upc-pymotion is missing.
    """
    clip = _load(path)
    index = _matched(path, clip.names)
    rest = _positions(clip.parents, clip.offsets)
    frame = _body_frame(path, rest, index)
    turned = _global_rotations(clip)
    corrections = _corrections(path, rest, index, frame)
    whole: dict[int, Rotation] = {}
    for joint, name in enumerate(SMPL_JOINTS):
        if name in index:
            whole[joint] = turned[index[name]] * Rotation.from_matrix(corrections[name])
        else:  # moves with its parent
            whole[joint] = whole[SMPL_PARENTS[joint]]
    up = _upright(rest, index, whole[0], frame)
    poses = np.zeros((len(clip.rotations), len(SMPL_JOINTS), 3), np.float32)
    for joint, parent in enumerate(SMPL_PARENTS):
        local = up * whole[joint] if parent < 0 else whole[parent].inv() * whole[joint]
        poses[:, joint] = local.as_rotvec()
    return poses, 1 / clip.frame_time


@dataclass(frozen=True)
class _Clip:
    """What a BVH file with J joints holds."""

    names: list[str]
    parents: Sequence[int]  # (J,) the root's own is not asked for
    offsets: Floats  # (J, 3) from the parent, in the file's unit
    orders: list[str]  # of the Euler angles: "ZXY"
    rotations: Floats  # (n, J, 3) degrees
    frame_time: float  # seconds


def _load(path: Path) -> _Clip:
    """What the file says, checked to be motion."""
    try:
        from pymotion.io.bvh import BVH
    except ImportError as error:
        reason = "reading BVH needs upc-pymotion"
        raise InputError(reason, path=path, remedy="pip install 'glot-cli[train]'") from error
    try:
        with damage("no BVH file that can be read"):
            _check_claims(read_bytes(path).decode("utf-8"))
            file = BVH()
            file.load(str(path))
            clip = _clip(file.data)
    except FileFault as error:
        raise error.about(path, InputError, remedy="export it again") from error
    return clip


def _check_claims(text: str) -> None:
    """Raise ValueError where a file says that it has more frames than lines, or more than there is memory for.

    The parser makes room for as many as it says.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    joints = sum("JOINT" in line or "ROOT" in line or "End Site" in line for line in lines)
    if joints > MOST_JOINTS:
        raise ValueError(f"has more than {MOST_JOINTS:,} joints")
    (frames,) = (int(line.split()[1]) for line in lines if "Frames" in line)
    if not 0 < frames <= len(lines):
        raise ValueError(f"has {len(lines):,} lines for {frames:.3g} frames")
    check_size(frames * joints * _BYTES, "would take", _ROOM)


def _clip(data: Mapping[str, Any]) -> _Clip:
    """What the parser left, checked. Raises whatever is raised where it is no motion."""
    parents = [int(parent) for parent in data["parents"]]
    offsets, rotations = np.asarray(data["offsets"], float), np.asarray(data["rotations"], float)
    count, time = len(parents), float(data["frame_time"])
    if not count or any(not 0 <= parent < max(joint, 1) for joint, parent in enumerate(parents)):
        raise ValueError("its joints are no tree")
    if offsets.shape != (count, 3) or rotations.shape[1:] != (count, 3) or any(n is None for n in data["channels"]):
        raise ValueError("no motion in it")
    if not (np.abs(offsets) < _FARTHEST).all() or not (np.abs(rotations) < _FARTHEST).all():
        raise ValueError("holds values that are no angles or lengths")
    if not _SHORTEST <= time <= 1:
        raise ValueError(f"says that a frame lasts {time:g} s")
    orders = ["".join(order).upper() for order in data["rot_order"]]
    if any(sorted(order) != ["X", "Y", "Z"] for order in orders):
        raise ValueError("turns a joint twice about one axis")
    return _Clip([str(name) for name in data["names"]], parents, offsets, orders, rotations, time)


def _matched(path: Path, names: list[str]) -> dict[str, int]:
    """SMPL's name -> place in the file, of every joint that is there. Raises InputError when limbs are missing."""
    plain: dict[str, int] = {}
    for place, name in enumerate(names):
        short = re.sub(r"[\s_\-.]", "", re.split(r"[:|]", name)[-1]).lower()
        plain.setdefault(re.sub(r"^mixamorig\d*", "", short), place)
    found: dict[str, int] = {}
    for joint, candidates in _NAMES.items():
        for side in ("left", "right") if joint.startswith("left") else ("",):
            of_side = joint if side != "right" else joint.replace("left", "right")
            for candidate in candidates:
                other = candidate
                if side == "right":
                    other = candidate.replace("left", "right") if "left" in candidate else f"r{candidate[1:]}"
                if other in plain and plain[other] not in found.values():
                    found[of_side] = plain[other]
                    break
    needed = ["pelvis", *(f"{s}_{b}" for s in ("left", "right") for b in ("hip", "knee", "ankle", "shoulder", "elbow"))]
    missing = [name for name in needed if name not in found]
    if missing:
        raise InputError(
            f"no joint that could be the {missing[0].replace('_', ' ')} (has {', '.join(names[:12])})",
            path=path,
            remedy="rename its joints, for instance to Hips, LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm",
        )
    return found


def _positions(parents: Sequence[int], offsets: Floats) -> Floats:
    """(J, 3) of the rest pose."""
    at = np.zeros_like(offsets)
    for joint in range(1, len(offsets)):
        at[joint] = at[parents[joint]] + offsets[joint]
    return at


def _global_rotations(clip: _Clip) -> list[Rotation]:
    """Of every joint, over the frames, in the file's world."""
    whole: list[Rotation] = []
    for joint, parent in enumerate(clip.parents):
        local = Rotation.from_euler(clip.orders[joint], clip.rotations[:, joint], degrees=True)
        whole.append(local if joint == 0 else whole[parent] * local)
    return whole


def _body_frame(path: Path, rest: Floats, index: dict[str, int]) -> Floats:
    """(3, 3) whose columns are the rest pose's left, up and forward. Raises InputError where it has none."""
    left = rest[index["left_hip"]] - rest[index["right_hip"]]
    up = (rest[index["left_shoulder"]] + rest[index["right_shoulder"]]) / 2
    up = up - (rest[index["left_hip"]] + rest[index["right_hip"]]) / 2
    with np.errstate(all="ignore"):
        left = left / np.linalg.norm(left)
        up = up - (up @ left) * left
        up = up / np.linalg.norm(up)
    if not np.isfinite([left, up]).all():
        reason = "its rest pose has no width or no height"
        raise InputError(reason, path=path, remedy="export it with a T-pose")
    return np.stack([left, up, np.cross(left, up)], 1)


def _corrections(path: Path, rest: Floats, index: dict[str, int], frame: Floats) -> dict[str, Floats]:
    """By SMPL's name the rotation from the T-pose to the file's rest pose, in the file's world.

    Bones of arms and legs get the least turn that lays them on the file's; hands and feet follow the bone before them.
    """
    made: dict[str, Floats] = {}
    for name in SMPL_JOINTS:  # parents come first
        side, _, part = name.rpartition("_")
        if part in _BONES and name in index:
            child, direction = _BONES[part]
            end = index.get(f"{side}_{child}")
            if end is not None:
                sign = np.array([-1.0 if side == "right" else 1.0, 1.0, 1.0])
                wanted = frame @ (np.array(direction) * sign)
                bone = rest[end] - rest[index[name]]
                made[name] = _swing(path, name, wanted, bone) @ frame
                continue
        parent = SMPL_JOINTS[max(SMPL_PARENTS[SMPL_JOINTS.index(name)], 0)]
        follows = part in ("ankle", "foot", "wrist", "hand") and parent in made
        made[name] = made[parent] if follows else frame
    return made


def _swing(path: Path, name: str, start: Floats, end: Floats) -> Floats:
    """The rotation of least angle from a unit vector to a bone."""
    length = np.linalg.norm(end)
    if length < 1e-9:
        return np.eye(3)
    end = end / length
    angle = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(start, end)), start @ end)))
    if angle > _STEEPEST:
        bone = f"the bone of the {name.replace('_', ' ')} is {angle:.0f} degrees off"
        raise InputError(f"its rest pose is no T and no A ({bone})", path=path, remedy="export it with a T-pose")
    turn: Floats = least_rotation(torch.from_numpy(start), torch.from_numpy(end)).numpy()
    return turn


def _upright(rest: Floats, index: dict[str, int], pelvis: Rotation, frame: Floats) -> Rotation:
    """The turn of the file's world that puts y up, where the bodies in it stand along z."""
    mean = pelvis.as_matrix()[:, :, 1].mean(0)  # where the pelvis' up points
    if abs(frame[2, 1]) > 0.7 and abs(mean[2]) > abs(mean[1]):
        return Rotation.from_euler("X", -90, degrees=True)
    return Rotation.identity()
