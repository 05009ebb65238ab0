"""Compare the worlds of records with the true ones, and with what a camera that is known would make of them.

A record whose bodies stand in its own camera's frame can be put into the world by the true camera alone. This naive
chain has the true gravity, floor and turns; what a world of the record's own is worth shows beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from glot_cli.clock import ticks_of
from glot_cli.evaluation.body_errors import means
from glot_cli.evaluation.records import asked_for, match_rows
from glot_cli.evaluation.world_errors import (
    FRAME_S,
    LEAST_PATH,
    PIECE,
    gravity_error,
    jitter,
    piece_errors,
    root_errors,
    skating,
    turn_errors,
)
from glot_cli.results import Result
from glot_cli.schema import MOTIONS
from glot_cli.world.soles import Soles, soles_of

Floats = NDArray[np.floating]

CHUNK = 512  # rows posed at once, of which only soles and joints are made
RESTS = 0.5  # probability from which the truth says that a point rests
ALL = "all"
RECORD, CHAIN, STILL, TRUTH = WORLDS = ("record", "chain", "still chain", "truth")

WORLD_PROTOCOL = {
    "wa_mpjpe, w_mpjpe": f"24 SMPL joints in the world, over pieces of {PIECE * FRAME_S:.2f} s ({PIECE} frames at 30 a "
    "second) of matched frames, after the best similarity transform of all, or of the first two frames (WHAM, GVHMR)",
    "rte": "pelvis after the best rigid transform of a person's path in a shot, % of the true path's length; paths of "
    f"less than {LEAST_PATH:g} m are left out",
    "jitter": "third derivative of the 24 joints, by time, in 10 m/s^3",
    "skate": "way of heels and toes that are in contact in truth, from frame to frame, in mm a thirtieth of a second",
    "penetration": "how far the lowest vertex of the soles is below the floor, mean over frames",
    "floor_distance": "of heels and toes in contact in truth from the floor, above or below, median",
    "gravity": "angle between the ups in the first camera's frame of a shot, median and 95th percentile over shots",
    "turn": "angle by which the camera's rotation since the shot's first frame is off, median over frames",
    "chain": "transl and pose put into the world by the true camera; still chain: by its true turns alone, as if a "
    "travelling camera stood where it was in the shot's first frame",
}

# What metres and shares are multiplied by to become the units of `WorldErrors`.
WORLD_UNITS = {"wa_mpjpe": 1e3, "w_mpjpe": 1e3, "rte": 1e2, "jitter": 0.1, "skate": 1e3, "penetration": 1e3}


@dataclass(frozen=True, kw_only=True)
class WorldErrors:
    """How people came out in a world; means over frames, each weighing alike, NaN where there are none.

    Attributes:
        who: the video and the number of a true person, "clip.mp4/1", or all before cameras of one kind of motion.
        world: one of `WORLDS`.
        frames: matched ones.
        wa_mpjpe: of joints, whole pieces laid on the truth, millimetres.
        w_mpjpe: of joints, the first two frames of pieces laid on the truth, millimetres.
        rte: of the root after a rigid transform, % of the path.
        jitter: of the world's own joints, 10 m/s^3.
        skate: of points at rest, millimetres a thirtieth of a second.
        penetration: below the floor, millimetres.
        floor_distance: of points at rest, median, millimetres.
    """

    who: str
    world: str
    frames: int
    wa_mpjpe: float
    w_mpjpe: float
    rte: float
    jitter: float
    skate: float
    penetration: float
    floor_distance: float


@dataclass(frozen=True, kw_only=True)
class CameraErrors:
    """How cameras of one kind of motion came out, or all; NaN where there are none.

    Attributes:
        cameras: kind of motion, one of `schema.MOTIONS`, or "all".
        shots: how many.
        gravity: error of up, median over shots, degrees.
        gravity_worst: its 95th percentile.
        turn: error of the turn since the shot's first frame, median over frames, degrees.
    """

    cameras: str
    shots: int
    gravity: float
    gravity_worst: float
    turn: float


@dataclass(frozen=True)
class WorldComparison:
    """Worlds of one record, or several, beside the true ones.

    Attributes:
        people: one entry for each world of a true person.
        overall: one for each world, before cameras of each kind of motion, and of all.
        cameras: of each kind of motion, and of all; empty where no record has a world.
    """

    people: list[WorldErrors]
    overall: list[WorldErrors]
    cameras: list[CameraErrors]


@dataclass(frozen=True)
class _Span:
    """Frames from `first` to before `end` without a cut, and how the camera truly moves there."""

    first: int
    end: int
    motion: str


@dataclass(frozen=True)
class _Walk:
    """Raw material of a true person's figures in one shot and world: by the fields of `WorldErrors`, metres."""

    who: str
    motion: str
    world: str
    errors: dict[str, Floats]


@dataclass(frozen=True)
class _Filmed:
    """Raw material of a camera's figures in one shot, degrees."""

    motion: str
    gravity: float
    turns: Floats


@dataclass(frozen=True)
class _Standing:
    """Where the bodies of rows are in the world, metres: joints (M, 24, 3), points of soles (M, 4, 3), lowest (M,)."""

    joints: Floats
    soles: Floats
    lowest: Floats


def compare_worlds(pairs: Sequence[tuple[Result, Result]], body: Body, true_body: Body) -> WorldComparison | None:
    """Compare the worlds of records with those of the truths of the same videos.

    Args:
        pairs: (record, truth), as `records.pooled` takes them.
        body: the body model of all records.
        true_body: that of all truths, of the same mesh.

    Returns:
        None where no truth has a world.

    Raises:
        InputError: a record and its truth are not of the same video, or nobody can be seen.
    """
    known = [(predicted, truth) for predicted, truth in pairs if _is_filmed(truth)]
    if not known:
        return None
    soles = soles_of(body), soles_of(true_body)
    walks = [walk for predicted, truth in known for walk in _walks(predicted, truth, body, soles)]
    films = [film for predicted, truth in known if _is_filmed(predicted) for film in _films(predicted, truth)]
    kinds = [motion for motion in MOTIONS if any(walk.motion == motion for walk in walks)]
    groups = [(motion, (motion,)) for motion in kinds] + [(ALL, MOTIONS)] * (len(kinds) != 1)
    names = dict.fromkeys(walk.who for walk in walks)
    return WorldComparison(
        [row for who in names for row in _worlds(who, [walk for walk in walks if walk.who == who])],
        [row for name, motions in groups for row in _worlds(name, [walk for walk in walks if walk.motion in motions])],
        [_cameras(name, [film for film in films if film.motion in motions]) for name, motions in groups if films],
    )


def naive_chain(
    predicted: Result, truth: Result, body: Body, *, still_since: NDArray[np.integer] | None = None
) -> Result:
    """Rows of a record put into the true world by the true camera.

    Args:
        predicted: M rows.
        truth: the M rows of the same people in the same frames, with their world.
        body: the body model of the record.
        still_since: (M,) the frame whose place the camera is taken to keep until that of each row; None where it is
            known.

    Returns:
        The record with the world of the truth.
    """
    rotation, translation = truth.row_cameras()
    if still_since is not None:
        start = truth.meta.start_frame
        then, moved = (truth.cameras[name][still_since - start] for name in ("camera_rotation", "camera_translation"))
        translation = (rotation @ (then.swapaxes(1, 2) @ moved[..., None]))[..., 0]
    turn = rotation.swapaxes(1, 2)
    root = turn @ axis_angle_to_rotmat(torch.from_numpy(predicted.pose[:, 0])).numpy()
    pelvis = body.rest_joints(torch.from_numpy(predicted.betas))[:, 0].numpy()  # about which joint 0 turns
    place = (turn @ (pelvis + predicted.transl - translation)[..., None])[..., 0] - pelvis
    rows = {
        "transl_world": place.astype(np.float32),
        "global_orient_world": rotmat_to_axis_angle(torch.from_numpy(root)).numpy(),
        "contact": truth.arrays["contact"],
        "shot": truth.shot,
    }
    return Result(predicted.arrays | rows, truth.meta, truth.cameras)


def _is_filmed(record: Result) -> bool:
    """Whether the camera of all frames is known: a file of one frame holds its own alone."""
    return len(record.cameras.get("camera_rotation", ())) == record.meta.frame_count > 0


def _walks(predicted: Result, truth: Result, body: Body, soles: tuple[Soles, Soles]) -> Iterator[_Walk]:
    """Everybody in every shot and world of a record beside its truth; soles are of both bodies, in that order."""
    asked, _ = asked_for(predicted, truth)
    match = match_rows(predicted, asked)
    mine, true = predicted.select(match[match >= 0]), asked.select(match >= 0)
    shots = _shots(predicted, truth)
    where = np.searchsorted([shot.first for shot in shots], true.frame, side="right") - 1
    since = np.array([shot.first for shot in shots])[where]
    worlds = {
        **({RECORD: mine} if mine.has_world else {}),
        CHAIN: naive_chain(mine, true, body),
        STILL: naive_chain(mine, true, body, still_since=since),
        TRUTH: true,
    }
    places = {name: _standing(world, soles[name == TRUTH]) for name, world in worlds.items()}
    time, joined = _times(true), np.diff(mine.person) == 0
    length = max(2, round(PIECE * FRAME_S * float(truth.meta.frame_rate)))
    for person, (number, shot) in itertools.product(true.people, enumerate(shots)):
        rows = np.flatnonzero((true.person == person) & (where == number))
        if not len(rows):
            continue
        steady = (np.diff(true.frame[rows]) == 1) & joined[rows[:-1]]
        resting = true.arrays["contact"][rows] >= RESTS
        goal = places[TRUTH].joints[rows]
        for name, at in places.items():
            whole, beginning = piece_errors(at.joints[rows], goal, length)
            errors = {
                "wa_mpjpe": whole,
                "w_mpjpe": beginning,
                "rte": root_errors(at.joints[rows, 0], goal[:, 0]),
                "jitter": jitter(at.joints[rows], time[rows], steady),
                "skate": skating(at.soles[rows], resting, time[rows], steady),
                "penetration": np.maximum(-at.lowest[rows], 0),
                "floor_distance": np.abs(at.soles[rows][resting][:, 1]),
            }
            yield _Walk(f"{predicted.meta.video}/{person}", shot.motion, name, errors)


def _films(predicted: Result, truth: Result) -> Iterator[_Filmed]:
    """Every shot of a record's camera beside the true one."""
    for shot in _shots(predicted, truth):
        mine, true = (
            record.cameras["camera_rotation"][shot.first - first : shot.end - first].astype(np.float64)
            for record, first in ((predicted, predicted.meta.start_frame), (truth, truth.meta.start_frame))
        )
        yield _Filmed(shot.motion, gravity_error(mine[0], true[0]), turn_errors(mine, true))


def _shots(predicted: Result, truth: Result) -> list[_Span]:
    """What both looked at, cut where either says that the film is cut: at each cut a world of one of them begins."""
    starts = [max(record.meta.start_frame for record in (predicted, truth))]
    end = min(record.meta.start_frame + record.meta.frame_count for record in (predicted, truth))
    starts += sorted({cut for record in (predicted, truth) for cut in record.meta.shots if starts[0] < cut < end})
    number = np.searchsorted(truth.meta.shots, starts, side="right") - 1
    motions = [truth.meta.camera_motion[max(0, at)] for at in number]
    return [_Span(*span, motion) for span, motion in zip(itertools.pairwise([*starts, end]), motions, strict=True)]


@torch.inference_mode()
def _standing(result: Result, soles: Soles) -> _Standing:
    joints, points, lowest = np.zeros((len(result), 24, 3)), np.zeros((len(result), 4, 3)), np.zeros(len(result))
    pose, place = result.pose.copy(), result.arrays["transl_world"].astype(np.float64)
    pose[:, 0] = result.arrays["global_orient_world"]
    for start in range(0, len(result), CHUNK):
        part = slice(start, start + CHUNK)
        rotmat = axis_angle_to_rotmat(torch.from_numpy(pose[part]))
        posed = soles.body(rotmat, torch.from_numpy(result.betas[part]))
        assert posed.vertices is not None
        joints[part] = posed.joints.numpy() + place[part, None]
        points[part] = soles.points(posed).numpy() + place[part, None]
        lowest[part] = posed.vertices[..., 1].amin(1).numpy() + place[part, 1]
    return _Standing(joints, points, lowest)


def _times(rows: Result) -> Floats:
    """(M,) seconds of rows: time stamps that only waver count as even."""
    _, first, where = np.unique(rows.frame, return_index=True, return_inverse=True)
    fps = float(rows.meta.frame_rate)
    seconds: Floats = ticks_of(rows.time[first], fps)[where] / fps
    return seconds


def _worlds(who: str, walks: Sequence[_Walk]) -> Iterator[WorldErrors]:
    """Figures of every world that there is."""
    for world in WORLDS:
        parts = [walk.errors for walk in walks if walk.world == world]
        if parts:
            off = np.concatenate([part["floor_distance"] for part in parts])
            yield WorldErrors(
                who=who,
                world=world,
                frames=sum(len(part["w_mpjpe"]) for part in parts),
                floor_distance=_percentile(1000 * off, 50),
                **means(parts, WORLD_UNITS),
            )


def _cameras(name: str, films: Sequence[_Filmed]) -> CameraErrors:
    gravity = np.array([film.gravity for film in films])
    turns = np.concatenate([np.zeros(0), *(film.turns for film in films)])
    return CameraErrors(
        cameras=name,
        shots=len(films),
        gravity=_percentile(gravity, 50),
        gravity_worst=_percentile(gravity, 95),
        turn=_percentile(turns, 50),
    )


def _percentile(values: Floats, share: float) -> float:
    return float(np.percentile(values, share)) if len(values) else float("nan")
