"""Compare a record with the truth: who was followed, and how far the bodies are off.

People are matched frame by frame: true and estimated SMPL joints in the picture, at most `GATE` apart on average,
matched so that the sum of distances is least. A true row whose `score` is below `VISIBLE` is of somebody hidden and is
not asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.errors import InputError
from glot_cli.evaluation.body_errors import BODY_UNITS, BodyErrors, centred, joint_errors, means, motion_errors
from glot_cli.metrics import in_a_row, mpjpe
from glot_cli.results import Result
from glot_cli.smpl import SMPL_JOINTS

Floats = NDArray[np.floating]

GATE = 0.35  # of the true person's size in the picture; further off it is somebody else
VISIBLE = 0.3  # share of a person that others leave to be seen
CHUNK = 128  # rows whose surfaces are made at once
LIMB_JOINTS = tuple(
    SMPL_JOINTS.index(f"{side}_{name}")
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)

PROTOCOL = {
    "mpjpe, pa_mpjpe, acceleration, pck, auc": "14 common joints (LSP order), regressed from each record's own body",
    "mpjpe, acceleration, pck, auc": "centred on the middle of the two hips, camera frame, no turning or scaling",
    "pa_mpjpe": "after the best similarity transform (Procrustes), frame by frame",
    "acceleration": "second differences of three frames in a row that one id covers, by their time stamps, in mm per "
    "frame squared, a frame being as long as one over the frame rate; not across cuts and gaps of more than four; its "
    "error: their difference",
    "pck, auc": "joints within 150 mm; mean of that over 0 to 150 mm in steps of 5",
    "mpvpe": "all vertices of the surface, centred on the pelvis joint",
    "limb_error_2d": "12 limb joints in the picture, % of the true person's longer side there",
    "position_error": "pelvis in the camera frame, no alignment; depth: % of the true depth, bias: nearer is negative",
    "matching": f"least sum of 2D joint distances a frame, none above {GATE:.0%} of the person's size; "
    f"people less than {VISIBLE:.0%} visible are left out",
}


# What metres and shares are multiplied by to become the units of `PersonErrors`.
PERSON_UNITS = BODY_UNITS | {
    "limb_error_2d": 100.0,
    "position_error": 1000.0,
    "depth_error": 100.0,
    "depth_bias": 100.0,
}


@dataclass(frozen=True, kw_only=True)
class PersonErrors(BodyErrors):
    """How one true person came out, or all of them together; errors are means over matched frames.

    Attributes:
        person: the video and the number in the truth, "clip.mp4/1", or "all".
        visible: frames in which the person can be seen.
        found: share of those with a matched row.
        one_id: share of those under the most frequent id.
        switches: how often the id changed.
        limb_error_2d: of the limbs in the picture, % of the true person's longer side there.
        position_error: of the pelvis in the camera's frame, millimetres.
        depth_error: of its depth, %.
        depth_bias: of its depth, nearer being negative, %.
    """

    person: str
    visible: int
    found: float
    one_id: float
    switches: int
    limb_error_2d: float
    position_error: float
    depth_error: float
    depth_bias: float


@dataclass(frozen=True)
class Comparison:
    """A record, or several, beside the truth.

    Attributes:
        people: one entry a true person.
        overall: of all of them, frames weighing alike.
        extra_rows: estimates that match nobody visible.
    """

    people: list[PersonErrors]
    overall: PersonErrors
    extra_rows: int


@dataclass(frozen=True)
class _Followed:
    """Raw material of one true person's figures; overall figures pool several of these."""

    visible: int
    most_frequent: int
    switches: int
    errors: dict[str, Floats]  # per matched frame, except acceleration: per three in a row


def pooled(pairs: Sequence[tuple[Result, Result]], body: Body, true_body: Body) -> Comparison:
    """Compare records with the truths of the same videos, over the frames that each record looked at, as if one.

    Args:
        pairs: (record, truth); the truth is a record whose `score` is the share of each person that can be seen.
        body: the body model of all records.
        true_body: that of all truths, of the same mesh.

    Returns:
        Errors of people, who are named video/number.

    Raises:
        InputError: a pair cannot be of the same video, or nobody is visible in it.
    """
    named: list[tuple[str, _Followed]] = []
    extra = 0
    for predicted, truth in pairs:
        people, surplus = _follow(predicted, truth, (body, true_body))
        named += [(f"{predicted.meta.video}/{person}", followed) for person, followed in people]
        extra += surplus
    rows = [_figures(name, [followed]) for name, followed in named]
    return Comparison(rows, _figures("all", [followed for _, followed in named]), extra)


def _follow(predicted: Result, truth: Result, bodies: tuple[Body, Body]) -> tuple[list[tuple[str, _Followed]], int]:
    """Every true person's name and raw material, and the number of estimated rows that match nobody."""
    asked, hidden = asked_for(predicted, truth)
    match = match_rows(predicted, asked)
    # An estimate of somebody hidden is no surplus.
    free = predicted.select(np.setdiff1d(np.arange(len(predicted)), match[match >= 0]))
    extra = len(free) - int((match_rows(free, hidden) >= 0).sum())
    ticks = predicted.ticks
    return [(str(p), _person(predicted, ticks, asked, match, asked.person == p, bodies)) for p in asked.people], extra


def asked_for(predicted: Result, truth: Result) -> tuple[Result, Result]:
    """The rows of the truth, in the frames that a record looked at, of people who can be seen, and of the others.

    Raises:
        InputError: the records are not of the same video, or nobody can be seen.
    """
    _check_same_video(predicted, truth)
    first = predicted.meta.start_frame
    looked_at = (truth.frame >= first) & (truth.frame < first + predicted.meta.frame_count)
    asked = truth.select(looked_at & (truth.score >= VISIBLE))
    if not len(asked):
        reason = f"nobody is visible in the {predicted.meta.frame_count} frames compared"
        raise InputError(reason, path=truth.meta.video, remedy="compare with the truth of these frames")
    return asked, truth.select(looked_at & (truth.score < VISIBLE))


def _check_same_video(predicted: Result, truth: Result) -> None:
    """Raises InputError unless size and frame rate agree."""
    mine, other = predicted.meta, truth.meta
    if (mine.width, mine.height, mine.frame_rate) != (other.width, other.height, other.frame_rate):
        raise InputError(
            f"{mine.width}x{mine.height} at {mine.fps} frames/s, but the truth is of {other.width}x{other.height} at "
            f"{other.fps}",
            path=mine.video,
            remedy="compare records of the same video",
        )


def match_rows(predicted: Result, truth: Result) -> NDArray[np.intp]:
    """For every row of the truth the row of `predicted` that shows the same person, or -1: (rows of truth,)."""
    match = np.full(len(truth), -1, dtype=np.intp)
    if not len(truth) or not len(predicted):
        return match
    rows_of = dict(predicted.by_frame())
    for frame, rows in truth.by_frame():
        candidates = rows_of.get(frame)
        if candidates is None:
            continue
        apart = np.linalg.norm(truth.joints2d[rows][:, None] - predicted.joints2d[candidates][None], axis=-1).mean(-1)
        apart /= picture_size(truth.joints2d[rows])[:, None]
        # Beyond the gate all are equally wrong; the cost keeps them from pushing a good match aside.
        mine, theirs = linear_sum_assignment(np.minimum(np.nan_to_num(apart, nan=np.inf), GATE))
        good = apart[mine, theirs] < GATE
        match[rows[mine[good]]] = candidates[theirs[good]]
    return match


def runs(predicted: Result, truth: Result, ticks: Floats) -> list[slice]:
    """Three or more matched rows (M,) of one true person in a row, without a cut or a gap, under one id.

    Args:
        predicted: the rows that were matched.
        truth: with which.
        ticks: (M,) where they stand in time.
    """
    broken = ~in_a_row(predicted.person, predicted.frame, predicted.shot, ticks) | (np.diff(truth.person) != 0)
    ends = [0, *(np.flatnonzero(broken) + 1).tolist(), len(predicted)]
    return [slice(a, b) for a, b in itertools.pairwise(ends) if b - a > 2]


def picture_size(joints2d: Floats) -> Floats:
    """Longer side, in pixels, of the upright boxes around joints (N, K, 2): (N,)."""
    size: Floats = np.maximum(np.ptp(joints2d, axis=1).max(-1), 1.0)
    return size


def _person(
    predicted: Result,
    ticks: Floats,
    truth: Result,
    match: NDArray[np.intp],
    mine: NDArray[np.bool_],
    bodies: tuple[Body, Body],
) -> _Followed:
    """Raw material of the true person whose rows `mine` (rows of truth,) picks; `ticks` are of the rows predicted."""
    found = mine & (match >= 0)
    p, t = predicted.select(match[found]), truth.select(found)
    ids = p.person
    counts = np.unique(ids, return_counts=True)[1]
    errors = _errors(p, t, bodies, ticks[match[found]])
    return _Followed(int(mine.sum()), int(counts.max(initial=0)), int((np.diff(ids) != 0).sum()), errors)


def _errors(p: Result, t: Result, bodies: tuple[Body, Body], ticks: Floats) -> dict[str, Floats]:
    """Errors of matched rows (M,), sorted by frame, of one true person; metres and shares."""
    body, true_body = bodies
    mine, true = (np.zeros((len(t), 14, 3)) for _ in range(2))
    vertices = np.zeros(len(t))
    for start in range(0, len(t), CHUNK):
        part = slice(start, start + CHUNK)
        mine[part], surface = _surfaces(p.pose[part], p.betas[part], body)
        true[part], true_surface = _surfaces(t.pose[part], t.betas[part], true_body)
        vertices[part] = mpjpe(surface, true_surface)
    moving = [motion_errors(mine[rows], true[rows], ticks[rows]) for rows in runs(p, t, ticks)]
    limbs = np.linalg.norm(p.joints2d[:, LIMB_JOINTS] - t.joints2d[:, LIMB_JOINTS], axis=-1).mean(-1)
    at, true_at = _pelvis(p, body), _pelvis(t, true_body)
    depth = (at[:, 2] - true_at[:, 2]) / true_at[:, 2]
    return {
        **joint_errors(mine, true),
        "mpvpe": vertices,
        "acceleration": np.concatenate([np.zeros(0), *(m["acceleration"] for m in moving)]),
        "acceleration_error": np.concatenate([np.zeros(0), *(m["acceleration_error"] for m in moving)]),
        "limb_error_2d": limbs / picture_size(t.joints2d),
        "position_error": np.linalg.norm(at - true_at, axis=-1),
        "depth_error": np.abs(depth),
        "depth_bias": depth,
    }


@torch.inference_mode()
def _surfaces(pose: Floats, betas: Floats, body: Body) -> tuple[Floats, Floats]:
    """Common joints (N, 14, 3) from the mid hip, vertices (N, V, 3) from the pelvis joint; metres, camera's axes.

    pose (N, 24, 3) axis-angle, betas (N, 10).
    """
    output = body(axis_angle_to_rotmat(torch.from_numpy(pose)), torch.from_numpy(betas))
    joints, vertices = centred(body, output)
    return joints.double().numpy(), vertices.numpy()


@torch.inference_mode()
def _pelvis(rows: Result, body: Body) -> Floats:
    """Pelvis joint (N, 3) in the camera's frame, metres; no pose moves it."""
    at: Floats = body.rest_joints(torch.from_numpy(rows.betas))[:, 0].numpy() + rows.transl
    return at.astype(np.float64)


def _figures(name: str, parts: list[_Followed]) -> PersonErrors:
    """Means over the frames of all parts, in the units of `PersonErrors`."""
    visible = sum(part.visible for part in parts)
    return PersonErrors(
        person=name,
        visible=visible,
        found=sum(len(part.errors["mpjpe"]) for part in parts) / visible,
        one_id=sum(part.most_frequent for part in parts) / visible,
        switches=sum(part.switches for part in parts),
        **means([part.errors for part in parts], PERSON_UNITS),
    )
