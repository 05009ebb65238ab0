"""BVH files of several conventions against forward kinematics done here."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli.errors import GlotError
from glot_cli.motion.bvh import read_bvh
from glot_cli.motion.motions import load_motions
from glot_cli.smpl import SMPL_JOINTS, SMPL_PARENTS

# A person in T-pose: where each joint lies from its parent, metres, x left, y up, z forward.
T_POSE = {
    "pelvis": (0, 0, 0), "left_hip": (0.09, -0.05, 0), "left_knee": (0, -0.4, 0), "left_ankle": (0, -0.4, 0),
    "left_foot": (0, -0.05, 0.12), "spine1": (0, 0.12, 0), "spine2": (0, 0.13, 0), "spine3": (0, 0.1, 0),
    "neck": (0, 0.2, 0), "head": (0, 0.1, 0.02), "left_collar": (0.05, 0.12, 0), "left_shoulder": (0.12, 0, 0),
    "left_elbow": (0.27, 0, 0), "left_wrist": (0.25, 0, 0),
}  # fmt: skip
MIXAMO = {
    "pelvis": "Hips", "left_hip": "LeftUpLeg", "left_knee": "LeftLeg", "left_ankle": "LeftFoot",
    "left_foot": "LeftToeBase", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck",
    "head": "Head", "left_collar": "LeftShoulder", "left_shoulder": "LeftArm", "left_elbow": "LeftForeArm",
    "left_wrist": "LeftHand",
}  # fmt: skip
JOINTS = [name for name in SMPL_JOINTS if not name.endswith("hand")]
CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}


def side_of(name: str) -> tuple[str, float]:
    return (name.replace("right", "left"), -1.0) if name.startswith("right") else (name, 1.0)


def offset(name: str) -> np.ndarray:
    base, sign = side_of(name)
    return np.array(T_POSE[base], float) * [sign, 1, 1]


def write_bvh(path: Path, offsets: dict, euler: dict, prefix: str = "", order: str = "ZXY", fps: float = 30.0) -> Path:
    """offsets (3,) and Euler angles (n, 3) in degrees by SMPL's joint names."""
    frames = len(euler["pelvis"])
    lines: list[str] = ["HIERARCHY"]
    visited: list[str] = []

    def joint(name: str, depth: int) -> None:
        visited.append(name)
        base, sign = side_of(name)
        called = MIXAMO[base] if sign > 0 else MIXAMO[base].replace("Left", "Right")
        tab = "  " * depth
        lines.append(f"{tab}{'JOINT' if depth else 'ROOT'} {prefix}{called}")
        lines.append(f"{tab}{{")
        lines.append(f"{tab}  OFFSET {' '.join(f'{100 * v:.6f}' for v in offsets[name])}")
        rotations = " ".join(f"{axis}rotation" for axis in order)
        lines.append(f"{tab}  CHANNELS {'3' if depth else '6 Xposition Yposition Zposition'} {rotations}")
        children = [c for c in JOINTS if SMPL_PARENTS[SMPL_JOINTS.index(c)] == SMPL_JOINTS.index(name)]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.extend([f"{tab}  End Site", f"{tab}  {{", f"{tab}    OFFSET 0 5 0", f"{tab}  }}"])
        lines.append(f"{tab}}}")

    joint("pelvis", 0)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.7f}"]
    for frame in range(frames):
        numbers = np.concatenate([[0, 90, 0], *(euler[name][frame] for name in visited)])
        lines.append(" ".join(f"{v:.6f}" for v in numbers))
    path.write_text("\n".join(lines) + "\n")
    return path


def random_motion(frames: int, seed: int = 0) -> dict[str, Rotation]:
    rng = np.random.default_rng(seed)
    return {name: Rotation.from_rotvec(0.5 * rng.normal(size=(frames, 3))) for name in JOINTS}


def bone_directions(locals_: list[Rotation], offsets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """World directions (n, 3) of the limbs' bones by forward kinematics; locals_ in the order of SMPL_JOINTS."""
    whole: list[Rotation] = []
    for joint, parent in enumerate(SMPL_PARENTS):
        whole.append(locals_[joint] if parent < 0 else whole[parent] * locals_[joint])
    found = {}
    for name in JOINTS:
        side, _, part = name.rpartition("_")
        if part in CHILD:
            bone = offsets[f"{side}_{CHILD[part]}"]
            found[name] = whole[SMPL_JOINTS.index(name)].apply(bone / np.linalg.norm(bone))
    return found


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "ZYX"])
@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig1:"])
def test_a_t_pose_gives_its_rotations_back(tmp_path, order, prefix):
    motion = random_motion(7)
    euler = {name: r.as_euler(order, degrees=True) for name, r in motion.items()}
    poses, fps = read_bvh(write_bvh(tmp_path / "a.bvh", {n: offset(n) for n in JOINTS}, euler, prefix, order, 120.0))
    assert fps == pytest.approx(120, rel=1e-4) and poses.shape == (7, 24, 3)
    for name in JOINTS:
        found = Rotation.from_rotvec(poses[:, SMPL_JOINTS.index(name)])
        assert (found.inv() * motion[name]).magnitude().max() < 1e-4, name
    assert not poses[:, 22:].any()


@pytest.mark.parametrize("facing", [0, 90, 200])
def test_an_a_pose_facing_any_way_keeps_every_bone_where_it_was(tmp_path, facing):
    """Arms 40 degrees down, legs 10 apart, the rest pose turned about the vertical."""
    turn = Rotation.from_euler("Y", facing, degrees=True)
    offsets = {}
    for name in JOINTS:
        _, sign = side_of(name)
        bend = 0.0
        if name.endswith(("elbow", "wrist")):
            bend = -40.0 * sign
        elif name.endswith(("knee", "ankle")):
            bend = 10.0 * sign
        offsets[name] = turn.apply(Rotation.from_euler("Z", bend, degrees=True).apply(offset(name)))
    motion = random_motion(5, seed=facing)
    euler = {name: r.as_euler("ZXY", degrees=True) for name, r in motion.items()}
    poses, _ = read_bvh(write_bvh(tmp_path / "a.bvh", offsets, euler))
    still = Rotation.identity(5)
    theirs = bone_directions([motion.get(name, still) for name in SMPL_JOINTS], offsets)
    mine = bone_directions(
        [Rotation.from_rotvec(poses[:, joint]) for joint in range(24)], {name: offset(name) for name in JOINTS}
    )
    for name, directions in theirs.items():
        assert np.abs(directions - mine[name]).max() < 1e-3, name
    upright, _ = read_bvh(write_bvh(tmp_path / "b.bvh", offsets, {n: np.zeros((3, 3)) for n in JOINTS}))
    # At rest the file's person faces `facing`: so must SMPL's, whose rest pose faces +z.
    assert Rotation.from_rotvec(upright[0, 0]).apply([0, 0, 1]) == pytest.approx(turn.apply([0, 0, 1]), abs=1e-4)


def test_a_world_with_z_up_is_turned(tmp_path):
    tip = Rotation.from_euler("X", 90, degrees=True)  # y up -> z up
    offsets = {name: tip.apply(offset(name)) for name in JOINTS}
    poses, _ = read_bvh(write_bvh(tmp_path / "z.bvh", offsets, {n: np.zeros((3, 3)) for n in JOINTS}))
    assert Rotation.from_rotvec(poses[0, 0]).apply([0, 1, 0]) == pytest.approx([0, 1, 0], abs=1e-5)


def test_folders_of_bvh_are_motions(tmp_path):
    (tmp_path / "walk").mkdir()
    for name, fps in (("a", 60.0), ("b", 30.0)):
        euler = {n: r.as_euler("ZXY", degrees=True) for n, r in random_motion(61).items()}
        write_bvh(tmp_path / "walk" / f"{name}.bvh", {n: offset(n) for n in JOINTS}, euler, fps=fps)
    motions = load_motions([tmp_path])
    assert motions.length.tolist() == [31, 61]


@pytest.mark.parametrize(
    ("text", "fault"),
    [("", "empty"), ("HIERARCHY\nROOT Hips\n{\n", "BVH"), ("hello", "BVH"), ("\x00\x01", "BVH")],
)
def test_what_is_no_bvh_is_named(tmp_path, text, fault):
    path = tmp_path / "x.bvh"
    path.write_text(text)
    with pytest.raises(GlotError, match=fault):
        read_bvh(path)


def test_unknown_joints_and_strange_rest_poses_are_refused(tmp_path):
    zero = {n: np.zeros((3, 3)) for n in JOINTS}
    offsets = {n: offset(n) for n in JOINTS}
    path = write_bvh(tmp_path / "a.bvh", offsets, zero)
    strange = tmp_path / "b.bvh"
    strange.write_text(path.read_text().replace("LeftForeArm", "Tentacle"))
    with pytest.raises(GlotError, match="left elbow"):
        read_bvh(strange)
    legs = {n: np.array([np.linalg.norm(offsets[n]), 0, 0]) for n in JOINTS if n.endswith(("knee", "ankle"))}
    with pytest.raises(GlotError, match="T-pose"):
        read_bvh(write_bvh(tmp_path / "c.bvh", offsets | legs, zero))
    with pytest.raises(GlotError, match=r"no \.npz or \.bvh"):
        load_motions([(tmp_path / "empty").mkdir() or tmp_path / "empty"])
