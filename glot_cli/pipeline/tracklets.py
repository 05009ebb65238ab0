"""Pieces of tracks as online association leaves them, and the removal of those that show one person twice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glot_cli.pipeline.boxes import box_overlap


@dataclass(frozen=True, eq=False)
class Tracklet:
    """Detections linked to one person: frames (n,) ascending, boxes (n,4) x1,y1,x2,y2 in pixels, scores (n,).

    `descriptors` (n,D), optional, tell people apart by looks (colours, say): the cosine between means is compared.
    """

    frames: NDArray[np.int32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def start(self) -> int:
        """First frame."""
        return int(self.frames[0])

    @property
    def end(self) -> int:
        """Last frame."""
        return int(self.frames[-1])

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> "Tracklet":
        """The tracklet of these rows alone."""
        descriptors = None if self.descriptors is None else self.descriptors[rows]
        return Tracklet(self.frames[rows], self.boxes[rows], self.scores[rows], descriptors)


def concatenate(pieces: Sequence[Tracklet]) -> Tracklet:
    """One tracklet of several; where two pieces share a frame the higher score stays."""
    descriptors = None
    if all(piece.descriptors is not None for piece in pieces):
        descriptors = np.concatenate([piece.descriptors for piece in pieces if piece.descriptors is not None])
    whole = Tracklet(
        np.concatenate([piece.frames for piece in pieces]),
        np.concatenate([piece.boxes for piece in pieces]),
        np.concatenate([piece.scores for piece in pieces]),
        descriptors,
    )
    order = np.lexsort((-whole.scores, whole.frames))
    _, first = np.unique(whole.frames[order], return_index=True)
    return whole.take(order[first])


def _shared_rows(a: Tracklet, b: Tracklet) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    _, rows_a, rows_b = np.intersect1d(a.frames, b.frames, assume_unique=True, return_indices=True)
    return rows_a, rows_b


def _same_person(strong: Tracklet, weak: Tracklet) -> bool:
    """Whether `weak` shows the person of `strong` wherever both exist."""
    rows_strong, rows_weak = _shared_rows(strong, weak)
    if not len(rows_strong):
        return False
    iou, inside = box_overlap(strong.boxes[rows_strong], weak.boxes[rows_weak])
    if iou.mean() > 0.7:
        return True
    # A part of a person (upper body, legs) taken for another: lies within the whole for nearly all of its life and
    # is less certain. Someone who really stands behind or in front comes out of the box sooner or later.
    nested = np.mean(inside > 0.9) > 0.7 and len(rows_weak) > 0.7 * len(weak)
    return bool(nested and weak.scores.mean() < 0.8 * strong.scores[rows_strong].mean())


def remove_duplicates(tracklets: Sequence[Tracklet]) -> tuple[list[Tracklet], int]:
    """Leave one tracklet where two show the same person at the same time.

    Duplicates are those with a mean IoU above 0.7 over the frames they share, and less certain ones nested in another
    for most of their life. Of such a pair, the one with the smaller sum of scores loses the shared frames; what it
    has before and after stays as pieces of its own, for `join_pieces`. Returns the tracklets and how many lost frames.
    """
    queue = sorted(tracklets, key=lambda t: float(t.scores.sum()))  # strongest at the end
    kept: list[Tracklet] = []
    removed = 0
    while queue:
        weak = queue.pop()
        for index, strong in enumerate(kept):
            if strong.start > weak.end or weak.start > strong.end or not _same_person(strong, weak):
                continue
            removed += 1
            shared = np.isin(weak.frames, strong.frames)
            before, after = ~shared & (weak.frames < strong.start), ~shared & (weak.frames > strong.end)
            within = ~(shared | before | after)  # fills gaps of the strong one
            if within.any():
                kept[index] = concatenate([strong, weak.take(within)])
            queue += [weak.take(rows) for rows in (before, after) if rows.any()]
            queue.sort(key=lambda t: float(t.scores.sum()))
            break
        else:
            kept.append(weak)
    return kept, removed
