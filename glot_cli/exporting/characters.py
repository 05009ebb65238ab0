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
from glot_cli.clock import PAUSE_S
from glot_cli.errors import InputError
from glot_cli.exporting.catalogue import Space
from glot_cli.results import Result
from glot_cli.smpl import SMPL_PARENTS

# From OpenCV's axes (x right, y down, z forward) to those of graphics: y up, the camera looks along -z.
Y_UP: NDArray[np.float32] = np.diag(np.array([1, -1, -1], np.float32))

Floats = NDArray[np.floating]

MOST_FRAMES = 1_000_000  # nine hours of 30 frames a second


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
        InputError: the record has no world, and `floor` was asked for.
    """
    pose, transl = result.pose, result.transl
    if space == "floor":
        result.row_cameras()  # or it raises: there is no world
        pose, transl = pose.copy(), result.arrays["transl_world"]
        pose[:, 0] = result.arrays["global_orient_world"]
    found = []
    keys = np.stack([result.person, result.shot], 1)
    for person, shot in np.unique(keys, axis=0):
        if people is not None and person not in people:
            continue
        rows = np.flatnonzero((keys == (person, shot)).all(1))
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
                result.time[rows],
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
    fraction = torch.from_numpy(part.astype(np.float32))[:, None].expand(-1, 24)
    rotmat = slerp(torch.from_numpy(character.rotmat[before]), torch.from_numpy(character.rotmat[after]), fraction)
    weight = part.astype(np.float32)[:, None]
    taken = np.where(part < 1, before, after)
    return replace(
        character,
        rows=character.rows[taken],
        frames=character.frames[taken],
        times=np.asarray(times, np.float64),
        rotmat=rotmat.numpy(),
        root=(1 - weight) * character.root[before] + weight * character.root[after],
        seen=inside | (nearest <= 0.5 * usual + 1e-9),
    )


def even_times(result: Result, fps: float) -> NDArray[np.float64]:
    """Times at a constant rate, from the first row of a record to its last, seconds on the video's clock.

    Args:
        result: the record; of one without rows there are no times.
        fps: times a second.

    Raises:
        InputError: there would be more than MOST_FRAMES.
    """
    if not len(result):
        return np.zeros(0)
    first, last = float(result.time.min()), float(result.time.max())
    if (last - first) * fps > MOST_FRAMES:
        reason = f"lasts {last - first:,.0f} s: at {fps:g} frames a second more than {MOST_FRAMES:,} frames"
        raise InputError(reason, path=result.meta.source, remedy="ask for fewer frames a second, or run a part")
    # A hair more than the whole number of steps that rounding may take from the last frame.
    return first + np.arange(int((last - first) * fps + 1e-3) + 1) / fps


def check_count(result: Result) -> None:
    """Raise InputError for a record of more than MOST_FRAMES, which is made up or too long to be shown or exported."""
    if result.meta.frame_count > MOST_FRAMES:
        reason = f"has {result.meta.frame_count:,} frames, more than can be shown or exported ({MOST_FRAMES:,})"
        raise InputError(reason, path=result.meta.source, remedy="run a part of the video")
