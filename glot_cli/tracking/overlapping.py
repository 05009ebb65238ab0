"""People followed through overlapping pieces of a video, joined where the pieces overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from glot_cli.tracking.boxes import box_overlap
from glot_cli.tracking.tracklets import Tracklet, gather

SAME_BOX = 0.5  # mean IoU over the overlap, above which two tracklets follow the same person


def join_overlapping(pieces: Sequence[Sequence[Tracklet]], borders: Sequence[float]) -> list[Tracklet]:
    """Tracklets of a whole video.

    Up to a border, which lies within the overlap of two pieces, the earlier piece is believed, from there on the later
    one. Who is who is told by the boxes in the overlap: most of them are the same to the last bit.

    Args:
        pieces: tracklets of each piece, by ticks of the video, in the order of the pieces.
        borders: tick from which on the next piece is believed, between each two.

    Returns:
        The tracklets, in the order in which they begin.
    """
    chains: list[list[Tracklet]] = []
    before: list[tuple[Tracklet, list[Tracklet]]] = []  # of the piece before, with the chains that they go on in
    for number, piece in enumerate(pieces):
        begin = borders[number - 1] if number else -np.inf
        end = borders[number] if number < len(borders) else np.inf
        partners = _partners([tracklet for tracklet, _ in before], piece)
        now = []
        for tracklet, partner in zip(piece, partners, strict=True):
            chain: list[Tracklet] = before[partner][1] if partner >= 0 else []
            if partner < 0:
                chains.append(chain)
            own = tracklet.take((tracklet.frames >= begin) & (tracklet.frames < end))
            if len(own):
                chain.append(own)
            now.append((tracklet, chain))
        before = now or before  # a piece that lies within a pause has nobody, and the next one begins before it
    joined = [gather(chain) for chain in chains if chain]
    return sorted(joined, key=lambda tracklet: tracklet.start)


def _partners(earlier: Sequence[Tracklet], later: Sequence[Tracklet]) -> NDArray[np.integer]:
    """Which of the earlier piece's tracklets each of the later piece's goes on from: (N,), -1 where there is none."""
    partners = np.full(len(later), -1)
    if not earlier or not later:
        return partners
    shared = np.zeros((len(earlier), len(later)))  # sum of IoU over the detections in common
    spans = np.array([(tracklet.start, tracklet.end) for tracklet in earlier])
    for column, new in enumerate(later):
        for row in np.flatnonzero((spans[:, 0] <= new.end) & (spans[:, 1] >= new.start)).tolist():
            old = earlier[row]
            common = (new.frames >= old.start) & (new.frames <= old.end)
            if common.any():
                overlap = box_overlap(old.boxes_at(new.frames[common]), new.boxes[common].astype(float))[0]
                shared[row, column] = overlap.sum() if overlap.mean() > SAME_BOX else 0.0
    for row, column in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        if shared[row, column] > 0:
            partners[column] = row
    return partners
