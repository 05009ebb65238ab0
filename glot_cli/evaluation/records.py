"""Compare a record with the truth: who was followed, and how far the bodies are off. Joint errors follow `metrics`.

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

from glot_cli.body.joints import COMMON_HIPS, common_joints
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.errors import GlotError
from glot_cli.metrics import acceleration, acceleration_error, auc, mpjpe, pa_mpjpe, pck
from glot_cli.results import Result
from glot_cli.smpl import SMPL_JOINTS

Floats = NDArray[np.floating]

GATE = 0.35  # of the true person's size in the picture; further off it is somebody else
VISIBLE = 0.3  # share of a person that others leave to be seen
CHUNK = 128  # rows whose surfaces are made at once
LIMBS = tuple(
    SMPL_JOINTS.index(f"{side}_{name}")
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)

PROTOCOL = {
    "mpjpe, pa_mpjpe, acceleration, pck, auc": "14 common joints (LSP order), regressed from each record's own body",
    "mpjpe, acceleration, pck, auc": "centred on the middle of the two hips, camera frame, no turning or scaling",
    "pa_mpjpe": "after the best similarity transform (Procrustes), frame by frame",
    "acceleration": "second differences of three frames in a row that one id covers; its error: their difference",
    "pck, auc": "joints within 150 mm; mean of that over 0 to 150 mm in steps of 5",
    "mpvpe": "all vertices of the surface, centred on the pelvis joint",
    "limb_error_2d": "12 limb joints in the picture, % of the true person's longer side there",
    "position_error": "pelvis in the camera frame, no alignment; depth: % of the true depth, bias: nearer is negative",
    "matching": f"least sum of 2D joint distances a frame, none above {GATE:.0%} of the person's size; "
    f"people less than {VISIBLE:.0%} visible are left out",
}


@dataclass(frozen=True)
class PersonErrors:
    """How one true person came out, or all of them together.

    visible: frames in which the person can be seen; found: share of those with a matched row; one_id: share under the
    most frequent id; switches: how often the id changed. Errors are means over matched frames, NaN where there are
    none: millimetres; accelerations in millimetres per frame squared; pck, auc, limb_error_2d, depth_error and
    depth_bias in %.
    """

    person: str
    visible: int
    found: float
    one_id: float
    switches: int
    mpjpe: float
    pa_mpjpe: float
    mpvpe: float
    acceleration: float
    acceleration_error: float
    pck: float
    auc: float
    limb_error_2d: float
    position_error: float
    depth_error: float
    depth_bias: float


@dataclass(frozen=True)
class Comparison:
    """people: one entry a true person; overall: frames weigh alike; extra_rows: estimates that match nobody visible."""

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


def compare(predicted: Result, truth: Result, body: Body) -> Comparison:
    """Compare a record with the truth of the same video, over the frames that the record looked at.

    body: the body model of both. Raises GlotError when the two cannot be of the same video.
    """
    return _comparison(*_follow(predicted, truth, body))


def pooled(pairs: Sequence[tuple[Result, Result]], body: Body) -> Comparison:
    """The comparison of several (predicted, truth) as if they were one; people are named video/number."""
    named: list[tuple[str, _Followed]] = []
    extra = 0
    for predicted, truth in pairs:
        people, surplus = _follow(predicted, truth, body)
        named += [(f"{predicted.meta.video}/{person}", followed) for person, followed in people]
        extra += surplus
    return _comparison(named, extra)


def _comparison(people: list[tuple[str, _Followed]], extra: int) -> Comparison:
    rows = [_figures(name, [followed]) for name, followed in people]
    return Comparison(rows, _figures("all", [followed for _, followed in people]), extra)


def _follow(predicted: Result, truth: Result, body: Body) -> tuple[list[tuple[str, _Followed]], int]:
    """Every true person's name and raw material, and the number of estimated rows that match nobody."""
    _check_same_video(predicted, truth)
    first = predicted.meta.start_frame
    looked_at = (truth.frame >= first) & (truth.frame < first + predicted.meta.frame_count)
    asked = truth.select(looked_at & (truth.score >= VISIBLE))
    if not len(asked):
        raise GlotError(f"{truth.meta.video}: nobody is visible in the {predicted.meta.frame_count} frames compared")
    match = match_rows(predicted, asked)
    # An estimate of somebody hidden is no surplus.
    hidden = truth.select(looked_at & (truth.score < VISIBLE))
    free = predicted.select(np.setdiff1d(np.arange(len(predicted)), match[match >= 0]))
    extra = len(free) - int((match_rows(free, hidden) >= 0).sum())
    return [(str(p), _person(predicted, asked, match, asked.person == p, body)) for p in asked.people], extra


def _check_same_video(predicted: Result, truth: Result) -> None:
    mine, other = predicted.meta, truth.meta
    if (mine.width, mine.height, mine.frame_rate) != (other.width, other.height, other.frame_rate):
        raise GlotError(
            f"{mine.video}: {mine.width}x{mine.height} at {mine.fps} frames/s, but the truth is of "
            f"{other.width}x{other.height} at {other.fps}; compare records of the same video"
        )
    if mine.body_model != other.body_model:
        raise GlotError(
            f"{mine.video}: made with the body '{mine.body_model}', the truth with '{other.body_model}'; "
            "run 'glot run' with a preset of the same body"
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


def stretches(predicted: Result, truth: Result) -> list[slice]:
    """Three or more matched rows in a row, without a gap, of one true person under one id.

    Across anything else, motion means nothing.
    """
    broken = (np.diff(truth.frame) != 1) | (np.diff(truth.person) != 0) | (np.diff(predicted.person) != 0)
    ends = [0, *(np.flatnonzero(broken) + 1).tolist(), len(truth)]
    return [slice(a, b) for a, b in itertools.pairwise(ends) if b - a > 2]


def picture_size(joints2d: Floats) -> Floats:
    """Longer side, in pixels, of the upright boxes around joints (N, K, 2): (N,)."""
    return np.maximum(np.ptp(joints2d, axis=1).max(-1), 1.0)


def _person(
    predicted: Result, truth: Result, match: NDArray[np.intp], mine: NDArray[np.bool_], body: Body
) -> _Followed:
    found = mine & (match >= 0)
    p, t = predicted.select(match[found]), truth.select(found)
    ids = p.person
    counts = np.unique(ids, return_counts=True)[1]
    errors = _errors(p, t, body)
    return _Followed(int(mine.sum()), int(counts.max(initial=0)), int((np.diff(ids) != 0).sum()), errors)


def _errors(p: Result, t: Result, body: Body) -> dict[str, Floats]:
    """Errors of matched rows, sorted by frame, of one true person; metres and shares."""
    mine, true = (np.zeros((len(t), 14, 3)) for _ in range(2))
    vertices = np.zeros(len(t))
    for start in range(0, len(t), CHUNK):
        part = slice(start, start + CHUNK)
        mine[part], surface = _surfaces(p.pose[part], p.betas[part], body)
        true[part], true_surface = _surfaces(t.pose[part], t.betas[part], body)
        vertices[part] = mpjpe(surface, true_surface)
    moving = [(mine[rows], true[rows]) for rows in stretches(p, t)]
    limbs = np.linalg.norm(p.joints2d[:, LIMBS] - t.joints2d[:, LIMBS], axis=-1).mean(-1)
    at, true_at = _pelvis(p, body), _pelvis(t, body)
    depth = (at[:, 2] - true_at[:, 2]) / true_at[:, 2]
    return {
        "mpjpe": mpjpe(mine, true),
        "pa_mpjpe": pa_mpjpe(mine, true) if len(t) else np.zeros(0),
        "mpvpe": vertices,
        "acceleration": np.concatenate([acceleration(a) for a, _ in moving] or [np.zeros(0)]),
        "acceleration_error": np.concatenate([acceleration_error(a, b) for a, b in moving] or [np.zeros(0)]),
        "pck": pck(mine, true),
        "auc": auc(mine, true),
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
    assert output.vertices is not None
    joints = common_joints(body, output)
    joints = joints - joints[:, COMMON_HIPS].mean(1, keepdim=True)
    return joints.double().numpy(), (output.vertices - output.joints[:, :1]).numpy()


@torch.inference_mode()
def _pelvis(rows: Result, body: Body) -> Floats:
    """Pelvis joint (N, 3) in the camera's frame, metres; no pose moves it."""
    return (body.rest_joints(torch.from_numpy(rows.betas))[:, 0].numpy() + rows.transl).astype(np.float64)


def _figures(name: str, parts: list[_Followed]) -> PersonErrors:
    """Means over the frames of all parts, in the units of `PersonErrors`."""

    def mean(key: str, unit: float) -> float:
        values = np.concatenate([part.errors[key] for part in parts])
        return unit * float(values.mean()) if len(values) else float("nan")

    visible = sum(part.visible for part in parts)
    return PersonErrors(
        person=name,
        visible=visible,
        found=sum(len(part.errors["mpjpe"]) for part in parts) / visible,
        one_id=sum(part.most_frequent for part in parts) / visible,
        switches=sum(part.switches for part in parts),
        mpjpe=mean("mpjpe", 1000),
        pa_mpjpe=mean("pa_mpjpe", 1000),
        mpvpe=mean("mpvpe", 1000),
        acceleration=mean("acceleration", 1000),
        acceleration_error=mean("acceleration_error", 1000),
        pck=mean("pck", 100),
        auc=mean("auc", 100),
        limb_error_2d=mean("limb_error_2d", 100),
        position_error=mean("position_error", 1000),
        depth_error=mean("depth_error", 100),
        depth_bias=mean("depth_bias", 100),
    )
