"""The people of a record as animators know them: a skeleton that keeps its bones, and how it moves.

Space is y up, metres, in which the other formats think too: the world of a shot, with its floor at y = 0, or the camera
at the origin, which looks along -z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.kinematics import forward_kinematics
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, slerp
from glot_cli.clock import PAUSE_S, ascending
from glot_cli.errors import InputError
from glot_cli.exporting.catalogue import Space
from glot_cli.results import Result
from glot_cli.smpl import SMPL_PARENTS

# From OpenCV's axes (x right, y down, z forward) to those of graphics: y up, the camera looks along -z.
Y_UP: NDArray[np.float32] = np.diag(np.array([1, -1, -1], np.float32))

Floats = NDArray[np.floating]

MOST_FRAMES = 1_000_000  # nine hours of 30 frames a second
MOST_CHARACTERS = 10_000  # people, of whom each is counted anew in every shot
_AT_ONCE = 4096  # times that are worked out together


@dataclass(frozen=True, eq=False)
class Character:
    """One person in one shot: the skeleton has one set of bones there.

    Attributes:
        person: who, from 1.
        shot: in which shot of the video, from 0.
        rows: (T,) of the record, in the order of time; where it was sampled anew, the rows that came before each time.
        frames: (T,) of the video.
        times: (T,) seconds on the video's clock, ascending.
        rotmat: (T, 24, 3, 3) rotation of each joint in its parent's frame; joint 0 turns the rest pose into the space.
        root: (T, 3) where joint 0 is, metres.
        rest: (24, 3) joints of the rest pose, metres.
        betas: (10,) shape of the body.
        seen: (T,) false at times at which the person is not in the record, and the pose is held or bridged.
    """

    person: int
    shot: int
    rows: NDArray[np.intp]
    frames: NDArray[np.int32]
    times: NDArray[np.float64]
    rotmat: NDArray[np.float32]
    root: NDArray[np.float32]
    rest: NDArray[np.float32]
    betas: NDArray[np.float32]
    seen: NDArray[np.bool_]

    @cached_property
    def _posed(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rest = torch.from_numpy(self.rest).expand(len(self.times), -1, -1)
        joints, bones = forward_kinematics(torch.from_numpy(self.rotmat), rest, SMPL_PARENTS)
        return joints.numpy() + (self.root - self.rest[0])[:, None], bones.numpy()

    @property
    def joints(self) -> NDArray[np.float32]:
        """(T, 24, 3) where the joints are, metres."""
        return self._posed[0]

    @property
    def bones(self) -> NDArray[np.float32]:
        """(T, 24, 3, 3) how the bones are turned from the rest pose, in the space."""
        return self._posed[1]

    @property
    def transl(self) -> NDArray[np.float32]:
        """(T, 3) translation of the body model, as a record's `transl` is, metres."""
        moved: NDArray[np.float32] = self.root - self.rest[0]
        return moved


def characters(result: Result, body: Body, space: Space, people: Sequence[int] | None = None) -> list[Character]:
    """The people of a record, sorted by person, then shot.

    Args:
        result: the record.
        body: its body model.
        space: whether on the floor of each shot's world, or before the camera.
        people: who is wanted; all by default.

    Raises:
        InputError: the record has no world, and `floor` was asked for, or it has more people than anybody can handle.
    """
    pose, transl = result.pose, result.transl
    if space == "floor":
        result.row_cameras()  # or it raises: there is no world
        pose, transl = pose.copy(), result.arrays["transl_world"]
        pose[:, 0] = result.arrays["global_orient_world"]
    found = []
    keys = np.stack([result.person, result.shot], 1)
    groups, which = np.unique(keys, axis=0, return_inverse=True)
    if len(groups) > MOST_CHARACTERS:
        reason = f"has {len(groups):,} people, counted anew in every shot, more than {MOST_CHARACTERS:,}"
        raise InputError(reason, path=result.meta.source, remedy="run a part of the video")
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.bincount(which.ravel(), minlength=len(groups)).cumsum()
    for (person, shot), end, size in zip(groups, ends, np.diff(ends, prepend=0), strict=True):
        if people is not None and person not in people:
            continue
        rows = order[end - size : end]
        betas = result.betas[rows[0]]
        rest = body.rest_joints(torch.from_numpy(betas[None]))[0].numpy()
        rotmat, root = axis_angle_to_rotmat(torch.from_numpy(pose[rows])).numpy(), transl[rows] + rest[0]
        if space == "camera":
            rotmat[:, 0], root = Y_UP @ rotmat[:, 0], root @ Y_UP
        found.append(
            Character(
                int(person),
                int(shot),
                rows,
                result.frame[rows],
                ascending(result.time[rows], 1 / float(result.meta.frame_rate)),
                rotmat,
                root,
                rest,
                betas,
                np.ones(len(rows), np.bool_),
            )
        )
    return found


def sampled(character: Character, times: Floats) -> Character:
    """A character at other times: joints turn evenly between two frames of the record, the root goes straight.

    Args:
        character: of the record itself.
        times: (T,) seconds on the video's clock, ascending.

    Returns:
        The character at those times. Before the first frame and after the last it holds its pose, across a gap it goes
        over from one pose to the other; it counts as not `seen` there.
    """
    own = character.times
    after = np.searchsorted(own, times, side="right").clip(1, max(len(own) - 1, 1))
    before, after = after - 1, after.clip(max=len(own) - 1)
    step = np.where(after > before, own[after] - own[before], 1.0)
    part = ((times - own[before]) / step).clip(0, 1)
    usual = float(np.median(np.diff(own))) if len(own) > 1 else 0.0
    # A frame of its own is that frame however long the gap beside it; half a usual step to either side belongs to it.
    nearest = np.minimum(np.abs(times - own[before]), np.abs(times - own[after]))
    inside = (times >= own[0]) & (times <= own[-1]) & (step <= min(1.5 * usual, PAUSE_S))
    rotmat = np.empty((len(part), *character.rotmat.shape[1:]), np.float32)
    for start in range(0, len(part), _AT_ONCE):  # a second takes kilobytes, and much more on the way
        some = slice(start, start + _AT_ONCE)
        fraction = torch.from_numpy(part[some].astype(np.float32))[:, None].expand(-1, 24)
        first, second = (torch.from_numpy(character.rotmat[rows[some]]) for rows in (before, after))
        rotmat[some] = slerp(first, second, fraction).numpy()
    weight = part.astype(np.float32)[:, None]
    taken = np.where(part < 1, before, after)
    return replace(
        character,
        rows=character.rows[taken],
        frames=character.frames[taken],
        times=np.asarray(times, np.float64),
        rotmat=rotmat,
        root=(1 - weight) * character.root[before] + weight * character.root[after],
        seen=inside | (nearest <= 0.5 * usual + 1e-9),
    )


def even_times(result: Result, fps: float) -> NDArray[np.float64]:
    """Times at a constant rate, from the first row of a record to its last, seconds on the video's clock.

    Args:
        result: the record; of one without rows there are no times.
        fps: times a second.

    Raises:
        InputError: there are more of them than `MOST_FRAMES`.
    """
    if not len(result):
        return np.zeros(0)
    first, last = float(result.time.min()), float(result.time.max())
    # A hair more than the whole number of steps that rounding may take from the last frame.
    count = int((last - first) * fps + 1e-3) + 1
    _check_count(result, count, f"lasts {last - first:,.0f} s, {count:,} frames at {fps:g} a second")
    return first + np.arange(count) / fps


def frames_looked_at(result: Result) -> range:
    """The frames of the video that a record speaks of, with people or without.

    Raises:
        InputError: there are more of them than `MOST_FRAMES`.
    """
    first, count = result.meta.start_frame, result.meta.frame_count
    _check_count(result, count, f"has {count:,} frames")
    return range(first, first + count)


def _check_count(result: Result, count: int, what: str) -> None:
    if count > MOST_FRAMES:
        reason = f"{what}, more than can be shown or exported ({MOST_FRAMES:,})"
        raise InputError(reason, path=result.meta.source, remedy="run a part of the video")
