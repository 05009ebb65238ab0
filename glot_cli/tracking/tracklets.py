"""Pieces of tracks as online association leaves them, and the removal of those that show one person twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Ticks
from glot_cli.smoothing import Array
from glot_cli.tracking.boxes import box_overlap

DUPLICATE_IOU = 0.7


@dataclass(frozen=True, eq=False)
class Tracklet:
    """Detections linked to one person.

    Attributes:
        frames: ticks where there is one (n,), ascending.
        boxes: (n,4) x1, y1, x2, y2 in pixels.
        scores: (n,).
        descriptors: (n,D), what tells people apart by looks: unit vectors, or NaN where others are in the way.
        keypoints: (n,17,3) of `detector.COCO_KEYPOINTS`: x, y in pixels, confidence.
    """

    frames: Ticks
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[np.float32] | None = None
    keypoints: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def start(self) -> float:
        """Tick of the first frame."""
        return float(self.frames[0])

    @property
    def end(self) -> float:
        """Tick of the last frame."""
        return float(self.frames[-1])

    def box_at(self, frame: float) -> Array:
        """Box (4,) at a tick between the first and the last, in a straight line between detections."""
        return np.array([np.interp(frame, self.frames, edge) for edge in self.boxes.T])

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> Tracklet:
        """The tracklet of these rows alone."""
        return Tracklet(
            self.frames[rows],
            self.boxes[rows],
            self.scores[rows],
            None if self.descriptors is None else self.descriptors[rows],
            None if self.keypoints is None else self.keypoints[rows],
        )


def gather(pieces: Sequence[Tracklet]) -> Tracklet:
    """The rows of several tracklets one after another, which need not be frames in order."""
    return Tracklet(
        np.concatenate([piece.frames for piece in pieces]),
        np.concatenate([piece.boxes for piece in pieces]),
        np.concatenate([piece.scores for piece in pieces]),
        _all_or_none([piece.descriptors for piece in pieces]),
        _all_or_none([piece.keypoints for piece in pieces]),
    )


def _all_or_none(columns: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    known = [column for column in columns if column is not None]
    return np.concatenate(known) if len(known) == len(columns) else None


def concatenate(pieces: Sequence[Tracklet]) -> Tracklet:
    """One tracklet of several; where two pieces share a frame the higher score stays."""
    whole = gather(pieces)
    order = np.lexsort((-whole.scores, whole.frames))
    _, first = np.unique(whole.frames[order], return_index=True)
    return whole.take(order[first])


def _covered(strong: Tracklet, weak: Tracklet, max_gap: float) -> tuple[NDArray[np.bool_], Array]:
    """Where `strong` is present at weak's frames (n,), gaps up to max_gap ticks filled, and its boxes (n,4) there."""
    after = np.searchsorted(strong.frames, weak.frames)  # == len(strong) past the end
    before = np.searchsorted(strong.frames, weak.frames, side="right") - 1  # -1 ahead of the start
    inside = (before >= 0) & (after < len(strong))
    gap = strong.frames[np.minimum(after, len(strong) - 1)] - strong.frames[np.maximum(before, 0)]
    at = np.clip(weak.frames, strong.start, strong.end)
    return inside & (gap <= max_gap), np.stack([np.interp(at, strong.frames, edge) for edge in strong.boxes.T], axis=1)


def _same_person(weak: Tracklet, strong: Tracklet, covered: NDArray[np.bool_], expected: Array) -> bool:
    """Whether `weak` shows the person of `strong` where both exist."""
    if not covered.any():
        return False
    iou, inside = box_overlap(expected[covered], weak.boxes[covered].astype(float))
    if iou.mean() > DUPLICATE_IOU:
        return True
    # A part of a person (upper body, legs) taken for another: lies within the whole for nearly all of its life and
    # is less certain. Someone who really stands behind or in front comes out of the box sooner or later.
    nested = np.mean(inside > 0.9) > 0.7 and covered.mean() > 0.7
    return bool(nested and weak.scores.mean() < 0.8 * strong.scores.mean())


def remove_duplicates(tracklets: Sequence[Tracklet], max_gap: float = 0) -> tuple[list[Tracklet], int]:
    """Leave one tracklet where two show the same person at the same time.

    Duplicates are those with a mean IoU above 0.7 over the time they share, and less certain ones nested in another
    for most of their life. Of such a pair, the one with the smaller sum of scores is dissolved: what fills the other's
    gaps goes there, what lies outside of the other's time stays as pieces of its own (for joining), the rest goes.

    Args:
        tracklets: of one clip.
        max_gap: ticks; tracklets are taken to be present in gaps up to this.

    Returns:
        The tracklets, and how many were dissolved.
    """
    queue = sorted(tracklets, key=_weight)  # strongest at the end
    kept: list[Tracklet] = []
    dissolved = 0
    while queue:
        weak = queue.pop()
        for index, strong in enumerate(kept):
            if strong.start > weak.end or weak.start > strong.end:
                continue
            covered, expected = _covered(strong, weak, max_gap)
            if not _same_person(weak, strong, covered, expected):
                continue
            dissolved += 1
            fits = box_overlap(expected, weak.boxes.astype(float))[0] > 0.5
            fills = covered & fits & ~np.isin(weak.frames, strong.frames)
            if fills.any():
                kept[index] = concatenate([strong, weak.take(fills)])
            runs = np.split(np.arange(len(weak)), np.flatnonzero(np.diff(covered)) + 1)
            queue = sorted([*queue, *(weak.take(rows) for rows in runs if not covered[rows[0]])], key=_weight)
            break
        else:
            kept.append(weak)
    return kept, dissolved


def _weight(tracklet: Tracklet) -> float:
    return float(tracklet.scores.sum())
