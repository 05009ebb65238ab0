"""Pieces of tracks as online association leaves them, and the removal of those that show one person twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

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

    def boxes_at(self, frames: Ticks) -> Array:
        """Boxes (m,4) at ticks (m,), ascending: in straight lines between detections, at rest beyond them."""
        first = max(0, int(np.searchsorted(self.frames, frames[0], side="right")) - 1)
        near = slice(first, int(np.searchsorted(self.frames, frames[-1])) + 1)
        return np.stack([np.interp(frames, self.frames[near], edge) for edge in self.boxes[near].T], axis=1)

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
    return inside & (gap <= max_gap), strong.boxes_at(weak.frames)


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
    queue = [(-float(t.scores.sum()), -number, t) for number, t in enumerate(tracklets)]  # the strongest comes first
    heapify(queue)
    number = len(queue)
    kept: list[Tracklet] = []
    spans = np.zeros((2, 0))  # first and last ticks of those, which fills do not change
    dissolved = 0
    while queue:
        weak = heappop(queue)[-1]
        for index in np.flatnonzero((spans[0] <= weak.end) & (spans[1] >= weak.start)).tolist():
            strong = kept[index]
            covered, expected = _covered(strong, weak, max_gap)
            if not _same_person(weak, strong, covered, expected):
                continue
            dissolved += 1
            fits = box_overlap(expected, weak.boxes.astype(float))[0] > 0.5
            fills = covered & fits & ~np.isin(weak.frames, strong.frames)
            if fills.any():
                kept[index] = concatenate([strong, weak.take(fills)])
            runs = np.split(np.arange(len(weak)), np.flatnonzero(np.diff(covered)) + 1)
            for piece in (weak.take(rows) for rows in runs if not covered[rows[0]]):
                heappush(queue, (-float(piece.scores.sum()), -number, piece))
                number += 1
            break
        else:
            kept.append(weak)
            spans = np.append(spans, [[weak.start], [weak.end]], axis=1)
    return kept, dissolved


def at_once(starts: Array, ends: Array) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Which of K spans of time have a moment in common, without looking at all pairs.

    Args:
        starts: (K,).
        ends: (K,), no earlier than these.

    Returns:
        The P pairs: number of the one that starts first, and of the other, (P,) each.
    """
    order = np.argsort(starts, kind="stable")
    last = np.searchsorted(starts[order], ends[order], side="right")
    count = last - np.arange(1, len(order) + 1)
    earlier = np.repeat(np.arange(len(order)), count)
    later = earlier + 1 + np.arange(len(earlier)) - np.repeat(np.cumsum(count) - count, count)
    return order[earlier], order[later]
