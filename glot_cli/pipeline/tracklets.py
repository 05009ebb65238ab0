"""Pieces of tracks as online association leaves them, and the two repairs that need the whole clip.

One person may come out as two pieces at once (duplicates) or as several pieces one after the other (lost and found).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from glot_cli.pipeline.boxes import Array, box_centre_size, box_overlap, remove_outliers

MAX_JOIN_GAP_S = 2.5
# Short gaps are closed first: their joints are certain, and they give the longer ones better velocities to go by.
JOIN_ROUNDS_S = (0.4, 1.2, MAX_JOIN_GAP_S)
MAX_JOIN_OVERLAP = 2  # detected frames two pieces of one person may share
MOTION_WINDOW_S = 0.7  # the stretch at either end that velocity and size are fitted to
# A join costs the sum of squared deviations, each over its standard deviation; beyond this it is refused.
JOIN_LIMIT = 9.0


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


@dataclass(frozen=True)
class _Ends:
    """State of K tracklets at one of their ends."""

    frame: Array  # (K,)
    centre: Array  # (K,2) pixels
    velocity: Array  # (K,2) pixels per frame; 0 where unknown
    known: NDArray[np.bool_]  # (K,) whether there were enough detections for a velocity
    log_size: Array  # (K,2) of width and height


def _ends(tracklets: Sequence[Tracklet], fps: float, last: bool) -> _Ends:
    """Straight-line fit (least squares) to one end of each tracklet."""
    frame, centre, velocity, known, log_size = [], [], [], [], []
    for tracklet in tracklets:
        end = tracklet.end if last else tracklet.start
        distance = np.abs(tracklet.frames - end)
        near = distance <= MOTION_WINDOW_S * fps
        frames = tracklet.frames[near]
        boxes = remove_outliers(frames, tracklet.boxes[near].astype(float), fps)
        centres, sizes = box_centre_size(boxes)
        times = frames - frames.mean()
        enough = len(frames) >= 3 or (len(frames) == 2 and np.ptp(frames) >= 0.1 * fps)
        slope = times @ (centres - centres.mean(axis=0)) / (times @ times) if enough else np.zeros(2)
        frame.append(end)
        centre.append(centres.mean(axis=0) + (end - frames.mean()) * slope)
        velocity.append(slope)
        known.append(enough)
        log_size.append(np.log(np.maximum(np.median(sizes, axis=0), 1.0)))
    return _Ends(
        np.array(frame, float), np.array(centre), np.array(velocity), np.array(known, bool), np.array(log_size)
    )


def _mean_descriptors(tracklets: Sequence[Tracklet]) -> Array | None:
    """Unit vectors (K,D) of the mean descriptor of each tracklet; None unless all have one."""
    means = [t.descriptors.mean(axis=0, dtype=float) for t in tracklets if t.descriptors is not None]
    if len(means) < len(tracklets):
        return None
    stacked = np.array(means)
    return stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-12)


def join_costs(
    tracklets: Sequence[Tracklet],
    *,
    fps: float,
    detect_every: int,
    max_gap_s: float,
    image_size: tuple[int, int],
    appearance_sigma: float = 0.1,
) -> tuple[NDArray[np.integer], NDArray[np.integer], Array]:
    """What it costs to let one tracklet follow another as the same person.

    Returns (earlier (P,), later (P,), cost (P,)) for all pairs whose gap allows it. The cost sums squared deviations
    in standard deviations: distance between each end and the other's prediction at constant velocity (forward and
    backward, in box heights; uncertainty grows with the gap), change of velocity, change of size, and, where all
    tracklets have descriptors, one minus the cosine of their means over `appearance_sigma`.
    """
    ends, starts = _ends(tracklets, fps, last=True), _ends(tracklets, fps, last=False)
    order = np.argsort(starts.frame, kind="stable")
    sorted_starts = starts.frame[order]
    low = np.searchsorted(sorted_starts, ends.frame - MAX_JOIN_OVERLAP * detect_every, side="left")
    high = np.searchsorted(sorted_starts, ends.frame + detect_every + max_gap_s * fps, side="right")
    earlier = np.repeat(np.arange(len(tracklets)), high - low)
    later = np.concatenate([order[a:b] for a, b in zip(low, high, strict=True)]).astype(int)
    # Later in the sense of both ends: a short piece within the end of a long one is no continuation.
    valid = (
        (earlier != later) & (starts.frame[later] > starts.frame[earlier]) & (ends.frame[later] > ends.frame[earlier])
    )
    earlier, later = earlier[valid], later[valid]

    gap = (starts.frame[later] - ends.frame[earlier])[:, None]  # (P,1) frames
    gap_s = np.maximum(gap[:, 0], 0) / fps
    height = np.exp((ends.log_size[earlier, 1] + starts.log_size[later, 1]) / 2)
    v_end, v_start = ends.velocity[earlier], starts.velocity[later]
    knows_end, knows_start = ends.known[earlier], starts.known[later]
    # An end without a velocity of its own borrows the other's.
    v_end, v_start = np.where(knows_end[:, None], v_end, v_start), np.where(knows_start[:, None], v_start, v_end)
    forward = ends.centre[earlier] + v_end * gap - starts.centre[later]
    backward = starts.centre[later] - v_start * gap - ends.centre[earlier]
    distance = (np.linalg.norm(forward, axis=1) + np.linalg.norm(backward, axis=1)) / 2 / height
    blind = np.where(knows_end | knows_start, 0.0, 0.8)  # heights a second: nobody knows where these two went
    cost = (distance / (0.15 + (0.2 + blind) * gap_s)) ** 2
    turn = np.linalg.norm(v_end - v_start, axis=1) * fps / height  # heights per second
    cost += (turn / 0.8) ** 2
    resize = np.abs(ends.log_size[earlier] - starts.log_size[later]).mean(axis=1)
    cost += (resize / (0.2 + 0.1 * gap_s)) ** 2
    looks = _mean_descriptors(tracklets)
    if looks is not None:
        cost += ((1 - np.sum(looks[earlier] * looks[later], axis=1)) / appearance_sigma) ** 2
    # Someone who has left the picture and someone who comes in later are two people, as far as motion can tell.
    middle = (ends.centre[earlier] + v_end * gap / 2 + starts.centre[later] - v_start * gap / 2) / 2
    outside = np.any((middle < 0) | (middle > np.array(image_size)), axis=1) & (gap_s > 0.3)
    cost[outside] = np.inf
    return earlier, later, cost


def _links(earlier: NDArray[np.integer], later: NDArray[np.integer], cost: Array, count: int) -> NDArray[np.integer]:
    """Successor (count,) of each tracklet, -1 for none, minimising the total cost with JOIN_LIMIT for every end."""
    successor = np.full(count, -1)
    cheap = cost < JOIN_LIMIT
    earlier, later, cost = earlier[cheap], later[cheap], cost[cheap]
    if not len(cost):
        return successor
    # Ends are rows, starts are columns; independent groups are solved alone, so that long clips stay cheap.
    graph = coo_array((np.ones(len(cost)), (earlier, later + count)), shape=(2 * count, 2 * count))
    _, group = connected_components(graph, directed=False)
    for label in np.unique(group[earlier]):
        member = group[earlier] == label
        rows, row = np.unique(earlier[member], return_inverse=True)
        columns, column = np.unique(later[member], return_inverse=True)
        # Extra columns at the limit: the price of leaving a row without a successor.
        table = np.full((len(rows), len(columns) + len(rows)), JOIN_LIMIT)
        table[row, column] = cost[member]
        for r, c in zip(*linear_sum_assignment(table), strict=True):
            if table[r, c] < JOIN_LIMIT:
                successor[rows[r]] = columns[c]
    return successor


def join_pieces(
    tracklets: Sequence[Tracklet], *, fps: float, detect_every: int, image_size: tuple[int, int]
) -> tuple[list[Tracklet], int]:
    """Join pieces of one person by motion, size and (where given) looks, as one assignment over all pieces.

    Gaps up to MAX_JOIN_GAP_S are bridged, short ones first. Returns the joined tracklets and the number of joints.
    """
    pieces = list(tracklets)
    joints = 0
    for max_gap_s in JOIN_ROUNDS_S:
        if len(pieces) < 2:
            break
        pairs = join_costs(pieces, fps=fps, detect_every=detect_every, max_gap_s=max_gap_s, image_size=image_size)
        successor = _links(*pairs, len(pieces))
        joints += int(np.sum(successor >= 0))
        heads = np.setdiff1d(np.arange(len(pieces)), successor)
        joined = []
        for head in heads:
            chain = [int(head)]
            while successor[chain[-1]] >= 0:
                chain.append(int(successor[chain[-1]]))
            joined.append(concatenate([pieces[i] for i in chain]))
        pieces = joined
    return pieces, joints
