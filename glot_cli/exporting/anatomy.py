"""Joint angles as biomechanists name them, of people in a world that is y up.

Every segment gets axes as the International Society of Biomechanics has them (Wu et al., 2002, 2005), x forward, y up
along the bone, z to the right, made of the joints of the rest pose; they turn with the segment's bone. The angles of a
joint are those of Grood and Suntay (1983): about the z of the segment above, about x, about the y of the segment below.
All are zero where somebody stands upright, arms at the sides, palms forward. Left sides are seen in a mirror, so that a
sign means the same on both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glot_cli.exporting.characters import Character
from glot_cli.smpl import SMPL_JOINTS

Floats = NDArray[np.floating]

SIDES: tuple[Literal["r", "l"], ...] = ("r", "l")
_PREFIX = {"r": "right_", "l": "left_"}
_LEG = (
    "hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "knee_adduction", "knee_rotation", "ankle_angle",
    "subtalar_angle", "ankle_rotation",
)  # fmt: skip
_ARM = (
    "arm_flex", "arm_add", "arm_rot", "shoulder_plane", "shoulder_elevation", "shoulder_rotation", "elbow_flex",
    "pro_sup",
)  # fmt: skip
ANGLES = (
    *(f"pelvis_{name}" for name in ("tilt", "list", "rotation")),
    *(f"{name}_{side}" for side in SIDES for name in _LEG),
    *(f"thorax_{name}" for name in ("tilt", "list", "rotation")),
    *(f"lumbar_{name}" for name in ("extension", "bending", "rotation")),
    *(f"neck_{name}" for name in ("extension", "bending", "rotation")),
    *(f"{name}_{side}" for side in SIDES for name in _ARM),
)

LOCKED = 5.0  # degrees: the first angle of three is not told by a joint that is nearer than this to gimbal lock
REST_PRONATION = 90.0  # degrees: arms of the rest pose are stretched sideways, palms down
# x forward, y up, z right, in the rest pose, which faces +z with its left at +x.
_UPRIGHT: NDArray[np.float64] = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
_FORWARD, _UP, _RIGHT = _UPRIGHT.T
_MIRROR: NDArray[np.float64] = np.diag([1.0, 1.0, -1.0])


def segment_axes(rest: Floats) -> dict[str, NDArray[np.float64]]:
    """Axes of the segments in the rest pose, each (3, 3) whose columns are x forward, y up, z right.

    Args:
        rest: (24, 3) joints of the rest pose, metres.
    """
    at = {name: rest[joint].astype(np.float64) for joint, name in enumerate(SMPL_JOINTS)}
    axes = {"thorax": _UPRIGHT, "head": _UPRIGHT}
    across = at["right_hip"] - at["left_hip"]
    axes["pelvis"] = _axes(_UP, right=across)
    for side in SIDES:
        hip, knee, ankle, toes, shoulder, elbow, wrist = (
            at[_PREFIX[side] + name] for name in ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist")
        )
        axes[f"thigh_{side}"] = _axes(hip - knee, right=_RIGHT)
        axes[f"shank_{side}"] = _axes(knee - ankle, right=_RIGHT)
        # A hair's breadth, so that feet of made-up bodies whose toes lie right below the ankle have a direction too.
        axes[f"foot_{side}"] = _axes(_UP, forward=toes - ankle + 1e-6 * _FORWARD)
        # An arm that is raised sideways still has the elbow's crook in front.
        axes[f"humerus_{side}"] = _axes(shoulder - elbow, forward=_FORWARD)
        axes[f"forearm_{side}"] = _axes(elbow - wrist, forward=_FORWARD)
    return axes


def _axes(up: Floats, *, right: Floats | None = None, forward: Floats | None = None) -> NDArray[np.float64]:
    """Axes with y along `up`, and z or x as near as can be to `right` or `forward`."""
    y = up / np.linalg.norm(up)
    if right is not None:
        x = np.cross(y, right)
        x /= np.linalg.norm(x)
    else:
        assert forward is not None
        x = forward - y * (y @ forward)
        x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], 1)


_LIMBS = {"thigh": "hip", "shank": "knee", "foot": "ankle", "humerus": "shoulder", "forearm": "elbow"}
_BONES = {"pelvis": "pelvis", "thorax": "spine3", "head": "head"} | {
    f"{segment}_{side}": _PREFIX[side] + joint for side in SIDES for segment, joint in _LIMBS.items()
}


def segments(character: Character) -> dict[str, NDArray[np.float64]]:
    """How the segments of a character stand in its space, each (T, 3, 3): columns are their axes."""
    rest = segment_axes(character.rest)
    bones = character.bones.astype(np.float64)
    return {name: bones[:, SMPL_JOINTS.index(bone)] @ rest[name] for name, bone in _BONES.items()}


def joint_angles(character: Character) -> dict[str, NDArray[np.float64]]:
    """All of `ANGLES`, each (T,) degrees, without jumps by 180 or 360 degrees over time."""
    turned, times = segments(character), character.times
    found: dict[str, NDArray[np.float64]] = {}

    def keep(names: tuple[str, ...], values: Floats, signs: tuple[int, ...] = (1, 1, 1)) -> None:
        for name, angle, sign in zip(names, values.T, signs, strict=True):
            found[name] = sign * angle

    for segment in ("pelvis", "thorax"):
        # In the order of Baker (2001), in which tilt and list are about the person's own axes, whichever way they face.
        turn = -angles_zxy(turned[segment].swapaxes(1, 2), times)[:, ::-1]
        keep((f"{segment}_rotation", f"{segment}_list", f"{segment}_tilt"), turn)
    for name, above, below in (("lumbar", "pelvis", "thorax"), ("neck", "thorax", "head")):
        names = (f"{name}_extension", f"{name}_bending", f"{name}_rotation")
        keep(names, angles_zxy(_relative(turned[above], turned[below]), times))
    for side in SIDES:

        def joint(above: str, below: str, side: str = side) -> NDArray[np.float64]:
            relative = _relative(turned[above], turned[f"{below}_{side}"])
            return relative if side == "r" else _MIRROR @ relative @ _MIRROR

        leg, arm = tuple(f"{name}_{side}" for name in _LEG), tuple(f"{name}_{side}" for name in _ARM)
        keep(leg[:3], angles_zxy(joint("pelvis", "thigh"), times))
        keep(leg[3:6], angles_zxy(joint(f"thigh_{side}", "shank"), times), (-1, 1, 1))
        keep(leg[6:], angles_zxy(joint(f"shank_{side}", "foot"), times))
        shoulder = joint("thorax", "humerus")
        keep(arm[:3], angles_zxy(shoulder, times))
        keep(arm[3:6], angles_yxy(shoulder, times))
        elbow = angles_zxy(joint(f"humerus_{side}", "forearm"), times)
        found[arm[6]] = elbow[:, 0]
        found[arm[7]] = _near_zero(REST_PRONATION + elbow[:, 2] + _wrist_twist(character, side))
    return {name: found[name] for name in ANGLES}


def opensim_pelvis(character: Character) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pelvis as joint `ground_pelvis` of OpenSim's models has it.

    Returns:
        Tilt, list and rotation (T, 3), degrees, in that order of turning; and the place halfway between the hips
        (T, 3), metres.
    """
    pelvis = segments(character)["pelvis"]
    return angles_zxy(pelvis, character.times), character.joints[:, 1:3].mean(1).astype(np.float64)


def _relative(above: Floats, below: Floats) -> NDArray[np.float64]:
    turn: NDArray[np.float64] = above.swapaxes(1, 2) @ below
    return turn


def _wrist_twist(character: Character, side: Literal["r", "l"]) -> NDArray[np.float64]:
    """(T,) by how much the wrist joint turns the hand about the forearm, inward, degrees: it is the forearm that does.

    SMPL has no radius that turns about an ulna, and shares the turn between elbow and wrist.
    """
    axes = segment_axes(character.rest)[f"forearm_{side}"]
    joint = SMPL_JOINTS.index(_PREFIX[side] + "wrist")
    turn = axes.T @ character.rotmat[:, joint].astype(np.float64) @ axes
    if side == "l":
        turn = _MIRROR @ turn @ _MIRROR
    trace = np.trace(turn, axis1=1, axis2=2)
    twist = np.degrees(2 * np.arctan2(turn[:, 0, 2] - turn[:, 2, 0], np.maximum(1 + trace, 0)))
    return np.unwrap(twist, period=360)


def angles_zxy(turn: Floats, times: Floats) -> NDArray[np.float64]:
    """Angles of rotations Rz(a) Rx(b) Ry(c), over time.

    Where b goes through 90 degrees, it goes on beyond, and a and c do not jump. Where it is within `LOCKED` degrees of
    90, a is not told; it goes straight on from before to after, and c has what is left.

    Args:
        turn: (T, 3, 3).
        times: (T,) seconds, ascending.

    Returns:
        (T, 3) degrees.
    """
    b = np.arcsin(turn[:, 2, 1].clip(-1, 1))
    a = np.arctan2(-turn[:, 0, 1], turn[:, 1, 1])
    c = np.arctan2(-turn[:, 2, 0], turn[:, 2, 2])
    told = abs(np.degrees(b)) < 90 - LOCKED
    angles = _unfolded(np.degrees(np.stack([a, b, c], 1)), told)
    angles[:, 0] = _through(angles[:, 0], told, times)
    return _with_last(turn, angles, lambda a, b: _rotation_z(a) @ _rotation_x(b), told)


def angles_yxy(turn: Floats, times: Floats) -> NDArray[np.float64]:
    """Plane of elevation, elevation and axial rotation: rotations Ry(a) Rx(-b) Ry(c) with b from 0 to 180, over time.

    Where b is within `LOCKED` degrees of 0 or 180, a is not told; as above.

    Args:
        turn: (T, 3, 3).
        times: (T,) seconds, ascending.

    Returns:
        (T, 3) degrees.
    """
    b = np.arccos(turn[:, 1, 1].clip(-1, 1))
    a = np.arctan2(-turn[:, 0, 1], -turn[:, 2, 1])
    c = np.arctan2(-turn[:, 1, 0], turn[:, 1, 2])
    angles = np.degrees(np.stack([a, b, c], 1))
    told = (angles[:, 1] > LOCKED) & (angles[:, 1] < 180 - LOCKED)
    angles[:, 0] = _through(angles[:, 0], told, times)
    return _with_last(turn, angles, lambda a, b: _rotation_y(a) @ _rotation_x(-b), told)


def _unfolded(angles: Floats, told: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of the two triples that are one rotation, (a, b, c) and (a + 180, 180 - b, c + 180), the one nearer to before.

    The two change places for both alike, so whether the nearer one is the other kind is known of each step alone, and
    which kind a time has follows from counting. Times at which a and c are not told take the kind of the one before.
    """
    other = np.stack([angles[:, 0] + 180, 180 - angles[:, 1], angles[:, 2] + 180], 1)
    good = np.flatnonzero(told)
    step, across = angles[good[1:]] - angles[good[:-1]], other[good[1:]] - angles[good[:-1]]
    swapped = _turned(across) < _turned(step)
    kind = np.concatenate([[0], np.cumsum(swapped)]) % 2 == 1
    if kind.mean() > 0.5:
        kind = ~kind
    last = np.searchsorted(good, np.arange(len(angles)), side="right") - 1
    unfolded: NDArray[np.float64] = np.where(kind[last.clip(0)][:, None], other, angles)
    return unfolded


def _turned(step: Floats) -> NDArray[np.float64]:
    """(T,) how far three angles turned, each the shorter way, degrees."""
    shorter: NDArray[np.float64] = abs((step + 180) % 360 - 180).sum(1)
    return shorter


def _through(angle: Floats, told: NDArray[np.bool_], times: Floats) -> NDArray[np.float64]:
    """An angle (T,) that goes straight from before to after where it is not told, without jumps; 0 if it never is."""
    if not told.any():
        return np.zeros(len(angle))
    return np.interp(times, times[told], np.unwrap(angle[told], period=360))


def _with_last(
    turn: Floats, angles: Floats, first_two: Callable[[Floats, Floats], Floats], told: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The angles with the last of them, about y, as what the first two leave of the rotation; none jumps."""
    left = first_two(angles[:, 0], angles[:, 1]).swapaxes(1, 2) @ turn
    about_y = np.degrees(np.arctan2(left[:, 0, 2] - left[:, 2, 0], left[:, 0, 0] + left[:, 2, 2]))
    whole = np.where(told[:, None], angles, np.stack([angles[:, 0], angles[:, 1], about_y], 1))
    return np.stack([_near_zero(np.unwrap(column, period=360)) for column in whole.T], 1)


def _near_zero(angle: Floats) -> NDArray[np.float64]:
    """An angle (T,) without the whole turns that its middle is away from zero."""
    turns = round(float(np.median(angle)) / 360) if len(angle) else 0
    return np.asarray(angle - 360 * turns, np.float64)


def _rotation(angle: Floats, first: int, second: int) -> NDArray[np.float64]:
    """(T, 3, 3) rotations that take axis `first` towards axis `second`; angles (T,) in degrees."""
    turn = np.tile(np.eye(3), (len(angle), 1, 1))
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn[:, first, first] = turn[:, second, second] = cosine
    turn[:, second, first], turn[:, first, second] = sine, -sine
    return turn


def _rotation_x(angle: Floats) -> NDArray[np.float64]:
    return _rotation(angle, 1, 2)


def _rotation_y(angle: Floats) -> NDArray[np.float64]:
    return _rotation(angle, 2, 0)


def _rotation_z(angle: Floats) -> NDArray[np.float64]:
    return _rotation(angle, 0, 1)
