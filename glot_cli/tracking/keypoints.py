"""The detector's keypoints along a track: between the frames it looked at, and which way up they show a person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Ticks
from glot_cli.smoothing import Array, whittaker

FACE, SHOULDERS, HIPS = slice(0, 5), slice(5, 7), slice(11, 13)  # of `detector.COCO_KEYPOINTS`
UPRIGHT_CUTOFF_HZ = 1.5  # people do not turn over faster; a detector that takes hands for feet does
UPRIGHT_ROUNDS = 10  # of finding frames that disagree with those around them
DISAGREEING = np.radians(40)  # from the others' direction, counts a quarter
UNTOLD = 0.05  # confidence below which a frame does not say which way is up
FILLED = 0.01  # what it counts instead, with what the frames around it say: a curve left to itself turns people over


def fill_keypoints(
    key_frames: Ticks, keypoints: NDArray[np.float32], frames: Ticks, stride: float
) -> NDArray[np.float32]:
    """Keypoints at frames between those where they are known, in straight lines.

    Args:
        key_frames: (k,) ticks, ascending.
        keypoints: (k,17,3) x, y in pixels, confidence.
        frames: (n,) ticks where they are wanted.
        stride: ticks between two that the detector looked at; across more, and beyond the ends, nothing is known.

    Returns:
        (n,17,3); the confidence is the lesser of both sides', 0 where nothing is known.
    """
    after = np.clip(np.searchsorted(key_frames, frames), 0, len(key_frames) - 1)
    before = np.clip(np.searchsorted(key_frames, frames, side="right") - 1, 0, len(key_frames) - 1)
    span = key_frames[after] - key_frames[before]
    share = ((frames - key_frames[before]) / np.where(span > 0, span, 1))[:, None, None]
    points = keypoints[before, :, :2] * (1 - share) + keypoints[after, :, :2] * share
    inside = (frames >= key_frames[0]) & (frames <= key_frames[-1]) & (span <= stride)
    confidence = np.minimum(keypoints[before, :, 2], keypoints[after, :, 2]) * inside[:, None]
    return np.concatenate([points, confidence[..., None]], -1).astype(np.float32)


def lean(keypoints: NDArray[np.float32], segment: NDArray[np.integer], ticks: Ticks, fps: float) -> NDArray[np.float32]:
    """How far people lean to the right in the picture: the angle of what is up for their trunk and head.

    Directions from hips to shoulders and from shoulders to face, as sure as both ends are; smooth over time, and frames
    that disagree with those around them hardly count (Geman and McClure's weights).

    Args:
        keypoints: (n,17,3) of a track, as `fill_keypoints` gives them.
        segment: (n,) gap-free stretches.
        ticks: (n,) ascending.
        fps: ticks per second.

    Returns:
        (n,) radians, 0 where the head is up; 0 throughout stretches of which nothing is known.
    """

    def middle(part: slice) -> tuple[Array, Array]:
        weight = keypoints[:, part, 2].astype(float)
        total = weight.sum(1)
        centre = (keypoints[:, part, :2] * weight[..., None]).sum(1) / np.maximum(total, 1e-6)[:, None]
        return centre, total / weight.shape[1]

    (face, face_sure), (shoulders, shoulders_sure), (hips, hips_sure) = (middle(p) for p in (FACE, SHOULDERS, HIPS))
    up = hips_sure[:, None] * (shoulders - hips) + face_sure[:, None] * (face - shoulders)
    up *= shoulders_sure[:, None]
    sure = np.maximum(face_sure, hips_sure) * shoulders_sure
    direction = up / np.maximum(np.linalg.norm(up, axis=1), 1e-6)[:, None]
    angle = np.zeros(len(keypoints), np.float32)
    for number in np.unique(segment):
        rows = np.flatnonzero(segment == number)
        told = np.flatnonzero(sure[rows] > UNTOLD)
        if not len(told):
            continue
        at = ticks[rows]
        known = np.stack([np.interp(at, at[told], axis) for axis in direction[rows[told]].T], 1)
        counts = np.where(sure[rows] > UNTOLD, sure[rows], FILLED)
        smooth, weight = known, counts
        for _ in range(UPRIGHT_ROUNDS):
            smooth = whittaker(known, UPRIGHT_CUTOFF_HZ / fps, np.maximum(weight, 1e-4), at)
            off = np.arctan2(known[:, 0] * smooth[:, 1] - known[:, 1] * smooth[:, 0], (known * smooth).sum(1))
            weight = counts / (1 + (off / DISAGREEING) ** 2) ** 2
        angle[rows] = np.where(smooth.any(1), np.arctan2(smooth[:, 0], -smooth[:, 1]), 0)
    return angle
