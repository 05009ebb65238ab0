"""Errors of joints: MPJPE, PA-MPJPE, acceleration. Arrays in, arrays out; metres in, metres out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

LONGEST_STEP = 4.5  # ticks; over more, a difference is none of what trembles, nor of a movement


def mpjpe(predicted: Array, truth: Array) -> Array:
    """Mean distance of joints, per frame (MPJPE).

    Args:
        predicted: (N, K, 3) metres; centre both on the same root first.
        truth: (N, K, 3) metres.

    Returns:
        (N,) metres.
    """
    distances: Array = np.linalg.norm(predicted - truth, axis=-1).mean(-1)
    return distances


def similarity_align(predicted: Array, truth: Array, *, first: int | None = None, rigid: bool = False) -> Array:
    """Predicted points moved, turned and scaled onto the truth by least squares (Umeyama 1991), per frame.

    Args:
        predicted: (N, K, 3).
        truth: (N, K, 3).
        first: how many of the K points are laid on each other, the others being moved with them; None for all.
        rigid: whether nothing is scaled.

    Returns:
        (N, K, 3) in the truth's frame and unit.
    """
    mean_p, mean_t = predicted[:, :first].mean(1, keepdims=True), truth[:, :first].mean(1, keepdims=True)
    p, t = predicted[:, :first] - mean_p, truth[:, :first] - mean_t
    u, s, vt = np.linalg.svd(np.einsum("nki,nkj->nij", t, p))
    sign = np.ones_like(s)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))  # no reflections
    rotation = (u * sign[:, None]) @ vt
    scale = np.ones(len(p)) if rigid else (s * sign).sum(-1) / np.square(p).sum((1, 2))
    aligned: Array = scale[:, None, None] * np.einsum("nij,nkj->nki", rotation, predicted - mean_p) + mean_t
    return aligned


def pa_mpjpe(predicted: Array, truth: Array) -> Array:
    """MPJPE after `similarity_align`, per frame (PA-MPJPE): (N, K, 3) and (N, K, 3) -> (N,)."""
    return mpjpe(similarity_align(predicted, truth), truth)


def pck(predicted: Array, truth: Array, threshold: float = 0.15) -> Array:
    """Share of joints (N, K, 3) no further off than `threshold` metres (MPI-INF-3DHP: 150 mm), per frame: (N,)."""
    share: Array = (np.linalg.norm(predicted - truth, axis=-1) <= threshold).mean(-1)
    return share


def auc(predicted: Array, truth: Array, upto: float = 0.15, steps: int = 31) -> Array:
    """Mean of `pck` over thresholds from 0 to `upto` metres, 5 mm apart as in MPI-INF-3DHP's evaluation: (N,)."""
    distance = np.linalg.norm(predicted - truth, axis=-1)
    area: Array = (distance[..., None] <= np.linspace(0, upto, steps)).mean((-2, -1))
    return area


def second_differences(joints: Array, ticks: Array | None = None) -> Array:
    """Second differences of joints, divided by the time between them where that is uneven.

    Args:
        joints: (N, K, 3) metres.
        ticks: (N,) where the frames stand in time, one for each frame of a steady rate; so they do where None.

    Returns:
        (N-2, K, 3) metres per tick squared.
    """
    if ticks is None:
        return np.diff(joints, 2, axis=0)
    steps = np.diff(ticks)[:, None, None]
    return np.diff(np.diff(joints, axis=0) / steps, axis=0) / ((steps[1:] + steps[:-1]) / 2)


def acceleration(joints: Array, ticks: Array | None = None) -> Array:
    """Mean size of the `second_differences` of joints (N, K, 3): (N-2,), metres per frame squared."""
    sizes: Array = np.linalg.norm(second_differences(joints, ticks), axis=-1).mean(-1)
    return sizes


def acceleration_error(predicted: Array, truth: Array, ticks: Array | None = None) -> Array:
    """Mean distance between `second_differences` of joints (N, K, 3): (N-2,), metres per frame squared."""
    return acceleration(predicted - truth, ticks)


def mean_accelerations(
    joints: Array,
    person: NDArray[np.integer],
    frame: NDArray[np.integer],
    shot: NDArray[np.integer],
    ticks: Array | None = None,
) -> dict[int, float]:
    """Mean acceleration by person, over three frames in a row each, of one shot, with no gap in time between them.

    Args:
        joints: (M, K, 3) metres, relative to the pelvis; rows sorted by person, then frame.
        person: (M,) of every row.
        frame: (M,) of every row.
        shot: (M,) of every row.
        ticks: (M,) where every row stands in time, one for each frame of a steady rate; `frame` where None.

    Returns:
        Metres per tick squared by person; people without three frames in a row are left out.
    """
    if len(joints) < 3:
        return {}
    ticks = np.asarray(frame if ticks is None else ticks, float)
    ends = np.flatnonzero(~in_a_row(person, frame, shot, ticks)) + 1
    sizes: dict[int, list[Array]] = {}
    for rows in np.split(np.arange(len(joints)), ends):
        if len(rows) > 2:
            sizes.setdefault(int(person[rows[0]]), []).append(acceleration(joints[rows], ticks[rows]))
    return {number: float(np.concatenate(parts).mean()) for number, parts in sizes.items()}


def in_a_row(
    person: NDArray[np.integer], frame: NDArray[np.integer], shot: NDArray[np.integer], ticks: Array
) -> NDArray[np.bool_]:
    """Which of M rows are followed by the same person's next frame, in the same shot and after no long gap: (M-1,).

    Across anything else, motion means nothing. Arguments as for `mean_accelerations`.
    """
    ends = (np.diff(person) != 0) | (np.diff(frame) != 1) | (np.diff(shot) != 0)
    return np.asarray(~ends & (np.diff(ticks) < LONGEST_STEP))
