"""Joint angles: of poses whose anatomical angles are known, while everything else is turned at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.exporting.anatomy import ANGLES, angles_yxy, angles_zxy, joint_angles, opensim_pelvis, segment_axes
from glot_cli.exporting.characters import Character, characters
from glot_cli.smpl import SMPL_JOINTS
from tests.exporting.made_records import made_record

COUNT = 40
SIDES = {"r": ("right_", -1), "l": ("left_", 1)}  # and the sign of turns about the rest pose's y and z


@pytest.fixture(scope="module")
def someone() -> Character:
    body = Body.load(weights.locate("open-neutral"))
    (own,) = characters(made_record([(1, 0, range(COUNT))], seed=3), body, "floor")
    return own


def posed(someone: Character, **turns: Rotation) -> Character:
    """Somebody upright in the rest pose who faces the world's x, but for the joints that are given."""
    rotmat = np.tile(np.eye(3, dtype=np.float32), (COUNT, 24, 1, 1))
    rotmat[:, 0] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    for name, turn in turns.items():
        rotmat[:, SMPL_JOINTS.index(name)] = turn.as_matrix()
    return replace(someone, rotmat=rotmat)


def arms_down() -> dict[str, Rotation]:
    """From arms sideways, palms down, to the anatomical position: arms hang, palms forward."""
    return {
        f"{prefix}shoulder": Rotation.from_euler("z", -90 * sign, degrees=True) for prefix, sign in SIDES.values()
    } | {f"{prefix}elbow": Rotation.from_euler("x", -90, degrees=True) for prefix, sign in SIDES.values()}


def about(axes: np.ndarray, order: str, angles: tuple[float, ...]) -> Rotation:
    """A turn by angles about the axes of a segment, in the rest pose's own axes."""
    inner = Rotation.from_euler(order, angles, degrees=True)
    return Rotation.from_matrix(axes @ inner.as_matrix() @ axes.T)


def test_all_angles_are_zero_in_the_anatomical_position(someone: Character) -> None:
    angles = joint_angles(posed(someone, **arms_down()))
    assert tuple(angles) == ANGLES
    off = {name: float(abs(values).max()) for name, values in angles.items()}
    assert {name: value for name, value in off.items() if value > 1.5} == {}
    assert max(off[name] for name in off if name.startswith(("pelvis", "lumbar", "neck", "thorax", "hip"))) < 0.5


def test_in_the_rest_pose_arms_are_raised_sideways_palms_down(someone: Character) -> None:
    angles = {name: values[0] for name, values in joint_angles(posed(someone)).items()}
    for side in SIDES:
        assert abs(angles[f"shoulder_elevation_{side}"] - 90) < 0.5
        assert abs(angles[f"shoulder_plane_{side}"]) < 0.5
        assert abs(angles[f"shoulder_rotation_{side}"]) < 0.5
        assert abs(angles[f"arm_add_{side}"] + 90) < 0.5
        assert abs(angles[f"pro_sup_{side}"] - 90) < 0.5


# Turns about the rest pose's axes (x left, y up, z forward) of the left side; all are positive.
MOVES = {
    "knee_angle": ("knee", "x", 40),  # the shin goes back
    "hip_flexion": ("hip", "x", -35),  # the thigh goes forward
    "hip_adduction": ("hip", "z", -20),
    "hip_rotation": ("hip", "y", -15),  # the left foot's tip goes to the right
    "ankle_angle": ("ankle", "x", -12),  # toes up
    "elbow_flex": ("elbow", "y", -70),  # the forearm goes forward
    "shoulder_rotation": ("shoulder", "x", 25),  # the crook of the raised arm turns down
    "pro_sup": ("wrist", "x", 30),  # the thumb turns down
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("side", SIDES)
def test_a_move_has_its_name_size_and_sign(someone: Character, name: str, side: str) -> None:
    joint, axis, turn = MOVES[name]
    prefix, sign = SIDES[side]
    signed = turn if axis == "x" else turn * sign
    still, moved = (
        joint_angles(posed(someone, **turns))
        for turns in ({}, {prefix + joint: Rotation.from_euler(axis, signed, degrees=True)})
    )
    change = {key: float((moved[key] - still[key])[0]) for key in ANGLES}
    assert abs(change.pop(f"{name}_{side}") - abs(turn)) < 0.5
    # No other joint moves, and of this one hardly another angle.
    assert max(abs(value) for key, value in change.items() if not key.startswith(("arm_", "shoulder_"))) < 1.5


def test_the_spine_bends_to_the_right_turns_to_the_left_and_leans_back(someone: Character) -> None:
    for axis, turn, name in (("x", -20, "extension"), ("z", 20, "bending"), ("y", 20, "rotation")):
        part = Rotation.from_euler(axis, turn / 2, degrees=True)
        angles = joint_angles(posed(someone, spine1=part, spine3=part, neck=part, head=part))
        assert np.allclose(angles[f"lumbar_{name}"], 20, atol=0.1)
        assert np.allclose(angles[f"neck_{name}"], 20, atol=0.1)


def everything_turned(someone: Character, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return Rotation.random(COUNT * 24, random_state=rng).as_matrix().reshape(COUNT, 24, 3, 3).astype(np.float32)


@pytest.mark.parametrize("side", SIDES)
def test_a_knee_bent_by_40_degrees_is_so_whatever_else_is_turned(someone: Character, side: str) -> None:
    axes = segment_axes(someone.rest)
    rotmat = everything_turned(someone, 4)
    knee = SMPL_JOINTS.index(SIDES[side][0] + "knee")
    bent = axes[f"thigh_{side}"] @ Rotation.from_euler("z", -40, degrees=True).as_matrix() @ axes[f"shank_{side}"].T
    rotmat[:, knee] = bent
    angles = joint_angles(replace(someone, rotmat=rotmat))
    assert np.allclose(angles[f"knee_angle_{side}"], 40, atol=1e-2)
    assert np.allclose(angles[f"knee_adduction_{side}"], 0, atol=1e-2)


@pytest.mark.parametrize("side", SIDES)
def test_hips_and_elbows_are_what_scipy_makes_of_them(someone: Character, side: str) -> None:
    axes, rotmat = segment_axes(someone.rest), everything_turned(someone, 5)
    sign = 1 if side == "r" else -1
    for joint, above, below, wanted, names in (
        ("hip", axes["pelvis"], axes[f"thigh_{side}"], (50, 12, -20), ("hip_flexion", "hip_adduction", "hip_rotation")),
        ("shoulder", axes["thorax"], axes[f"humerus_{side}"], (70, -40, 15), ("arm_flex", "arm_add", "arm_rot")),
    ):
        flexion, adduction, rotation = wanted
        inner = Rotation.from_euler("ZXY", (flexion, sign * adduction, sign * rotation), degrees=True)
        turn = above @ inner.as_matrix() @ below.T
        rotmat[:, SMPL_JOINTS.index(SIDES[side][0] + joint)] = turn
        if joint == "shoulder":  # the collar lies between
            rotmat[:, SMPL_JOINTS.index(SIDES[side][0] + "collar")] = np.eye(3)
        angles = joint_angles(replace(someone, rotmat=rotmat))
        found = [angles[f"{name}_{side}"][0] for name in names]
        assert np.allclose(found, wanted, atol=0.05)


def test_knees_agree_with_three_points(someone: Character) -> None:
    rng = np.random.default_rng(6)
    rotmat = everything_turned(someone, 7)
    for side, (prefix, _) in SIDES.items():
        bend, varus, turn = rng.uniform(0, 140, COUNT), rng.uniform(-6, 6, COUNT), rng.uniform(-10, 10, COUNT)
        knee = SMPL_JOINTS.index(prefix + "knee")
        rotmat[:, knee] = Rotation.from_euler("XZY", np.stack([bend, varus, turn], 1), degrees=True).as_matrix()
        character = replace(someone, rotmat=rotmat)
        hip, mid, ankle = (
            character.joints[:, SMPL_JOINTS.index(prefix + name)].astype(float) for name in ("hip", "knee", "ankle")
        )
        thigh, shin = mid - hip, ankle - mid
        cosine = (thigh * shin).sum(1) / np.linalg.norm(thigh, axis=1) / np.linalg.norm(shin, axis=1)
        straight = np.degrees(np.arccos(cosine))
        angles = joint_angles(character)
        off = abs(angles[f"knee_angle_{side}"] - straight)
        assert off[bend > 20].max() < 1.0
        # Three points cannot tell bending from bow legs; with both, exactly this is what they see.
        both = np.cos(np.radians(angles[f"knee_angle_{side}"])) * np.cos(np.radians(angles[f"knee_adduction_{side}"]))
        assert np.allclose(both, cosine, atol=1e-5)


def test_bodies_whose_rest_pose_spreads_the_legs_agree_too(someone: Character) -> None:
    """As SMPL's does: legs 5 degrees outward, knees not on the line from hip to ankle."""
    rest = someone.rest.copy()
    for side, sign in (("left_", 1), ("right_", -1)):
        knee, ankle, foot = (SMPL_JOINTS.index(side + name) for name in ("knee", "ankle", "foot"))
        rest[knee] += [sign * 0.035, 0, 0.015]
        rest[[ankle, foot]] += [sign * 0.07, 0, -0.02]
    character = replace(someone, rest=rest, rotmat=everything_turned(someone, 9))
    for turned in (character, posed(character)):
        angles = joint_angles(turned)
        for side, (prefix, _) in SIDES.items():
            hip, mid, ankle_at = (
                turned.joints[:, SMPL_JOINTS.index(prefix + name)].astype(float) for name in ("hip", "knee", "ankle")
            )
            cosine = (_unit(mid - hip) * _unit(ankle_at - mid)).sum(1)
            both = np.cos(np.radians(angles[f"knee_angle_{side}"])) * np.cos(
                np.radians(angles[f"knee_adduction_{side}"])
            )
            free = abs(cosine) > 0.1  # not in gimbal lock
            assert np.allclose(both[free], cosine[free], atol=1e-5)
    # Their feet are where they were; the thigh is what leads outward, and the knee that is bent.
    assert np.allclose(angles["hip_adduction_r"], -np.degrees(np.arctan(0.035 / 0.402)), atol=0.3)
    assert np.allclose(angles["hip_adduction_l"], angles["hip_adduction_r"], atol=1e-3)
    assert (angles["knee_angle_l"] > 3).all()


def test_opensim_can_turn_the_pelvis_as_it_is(someone: Character) -> None:
    turn, place = opensim_pelvis(someone)
    again = Rotation.from_euler("ZXY", turn, degrees=True).as_matrix()
    assert np.abs(again[:, :, 2] - _unit(someone.joints[:, 2] - someone.joints[:, 1])).max() < 1e-3
    assert np.allclose(place, someone.joints[:, [1, 2]].mean(1), atol=1e-6)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_turn_on_the_spot_and_a_somersault_do_not_jump(someone: Character) -> None:
    for axis, name in (("y", "pelvis_rotation"), ("x", "pelvis_tilt")):
        whole = np.linspace(0, 720, COUNT)
        character = posed(someone, **arms_down())
        character.rotmat[:, 0] = Rotation.from_euler(axis, whole[:, None], degrees=True).as_matrix()
        angle = joint_angles(character)[name]
        assert np.allclose(abs(np.diff(angle)), 720 / (COUNT - 1), atol=0.1)


def test_an_arm_raised_over_the_side_does_not_jump_at_the_lock(someone: Character) -> None:
    """Sideways is gimbal lock for OpenSim's arm."""
    lift = np.linspace(-90, 60, COUNT)
    swing = Rotation.from_euler("zy", np.stack([lift, np.full(COUNT, 3.0)], 1), degrees=True)
    angles = joint_angles(posed(someone, left_shoulder=swing))
    for name in ("arm_flex_l", "arm_add_l", "arm_rot_l"):
        assert abs(np.diff(angles[name])).max() < 30, name
    assert angles["arm_add_l"].min() < -140  # beyond the lock


def test_at_the_lock_the_three_angles_still_make_the_rotation() -> None:
    times = np.arange(60) / 30
    rng = np.random.default_rng(8)
    for order, angles, first in (("ZXY", angles_zxy, 90.0), ("YXY", angles_yxy, 0.0)):
        middle = first + np.linspace(-30, 30, 60)
        given = np.stack([20 + rng.normal(0, 0.1, 60), middle, -35 + rng.normal(0, 0.1, 60)], 1)
        turn = Rotation.from_euler(order, given * (1, 1 if order == "ZXY" else -1, 1), degrees=True)
        found = angles(turn.as_matrix(), times)
        back = Rotation.from_euler(order, found * (1, 1 if order == "ZXY" else -1, 1), degrees=True)
        off = np.degrees((back * turn.inv()).magnitude())
        locked = abs(middle - first) < 5
        assert off[~locked].max() < 1e-4
        assert off[locked].max() < 12
        assert locked.sum() >= 8
        if order == "ZXY":  # it goes on beyond 90 degrees
            assert np.allclose(found[~locked], given[~locked], atol=1e-4)


def test_one_frame_and_none_have_angles_too(someone: Character) -> None:
    for count in (0, 1):
        short = replace(someone, rotmat=someone.rotmat[:count], root=someone.root[:count], times=someone.times[:count])
        assert {len(values) for values in joint_angles(short).values()} == {count}
