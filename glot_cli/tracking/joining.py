"""Pieces of one person put together again: by motion, size and, where given, looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glot_cli.smoothing import Array
from glot_cli.tracking.appearance import typical_looks
from glot_cli.tracking.boxes import box_centre_size, remove_outliers
from glot_cli.tracking.tracklets import Tracklet, concatenate

MAX_JOIN_OVERLAP = 2  # detected frames two pieces of one person may share
MOTION_WINDOW_S = 0.7  # the stretch at either end that velocity and size are fitted to
# A join costs the sum of squared deviations, each over its standard deviation; beyond this it is refused.
JOIN_LIMIT = 9.0
# Fewer detections than these are too little evidence to carry an identity across a long gap: false ones come singly.
SOLID = 3
# Of one minus the cosine of two people's looks: what one person differs by from one stretch to the next, more when
# seen alone only once. Different clothes make 0.1 to 0.3; people dressed alike stay below, and motion decides.
LOOKS_SIGMA, SIGHTING_SIGMA = 0.05, 0.1
MAX_LOOKS_COST = 6.0  # below the limit: somebody may step into the shade, so looks alone refuse nothing


@dataclass(frozen=True)
class _Ends:
    """State of K tracklets at one of their ends."""

    frame: Array  # (K,) ticks
    centre: Array  # (K,2) pixels
    velocity: Array  # (K,2) pixels per tick; 0 where unknown
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


def _looks_costs(
    tracklets: Sequence[Tracklet], earlier: NDArray[np.integer], later: NDArray[np.integer]
) -> Array | float:
    """What it costs (P,) that two tracklets of a pair look different; 0 where the looks of one are not known."""
    descriptors = [t.descriptors for t in tracklets if t.descriptors is not None]
    if len(descriptors) < len(tracklets):
        return 0.0
    looks = np.array([typical_looks(rows) for rows in descriptors])  # (K,D)
    sightings = np.array([np.isfinite(rows).all(axis=1).sum() for rows in descriptors])
    difference = 1 - np.sum(looks[earlier] * looks[later], axis=1)
    sigma = LOOKS_SIGMA + SIGHTING_SIGMA / np.maximum(np.minimum(sightings[earlier], sightings[later]), 1)
    return np.asarray(np.nan_to_num(np.minimum((difference / sigma) ** 2, MAX_LOOKS_COST), nan=0.0))


def join_costs(
    tracklets: Sequence[Tracklet],
    *,
    fps: float,
    detect_every: float,
    max_gap_s: float,
    image_size: tuple[int, int],
) -> tuple[NDArray[np.integer], NDArray[np.integer], Array]:
    """What it costs to let one tracklet follow another as the same person.

    The cost sums squared deviations in standard deviations: distance between each end and the other's prediction at
    constant velocity (forward and backward, in box heights; uncertainty grows with the gap), change of velocity, change
    of size, and, where both have descriptors, one minus the cosine of what is typical of each.

    Args:
        tracklets: K of them.
        fps: ticks per second.
        detect_every: ticks between two frames that were looked at.
        max_gap_s: the longest gap that may be closed, seconds.
        image_size: (width, height), pixels.

    Returns:
        For the P pairs whose gap allows it, numbers of the earlier (P,) and of the later (P,), and the cost (P,).
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

    gap = (starts.frame[later] - ends.frame[earlier])[:, None]  # (P,1) ticks
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
    # False detections come singly and would mislead the end they are joined to: demand more of short pieces.
    solid = np.array([len(tracklet) >= SOLID for tracklet in tracklets])
    score = np.array([tracklet.scores.mean() for tracklet in tracklets])
    unsure = ~(solid[earlier] & solid[later])
    cost[unsure] = 2 * cost[unsure] + ((score[earlier] - score[later])[unsure] / 0.2) ** 2
    cost += _looks_costs(tracklets, earlier, later)
    # Someone who has left the picture and someone who comes in later are two people, as far as motion can tell.
    middle = (ends.centre[earlier] + v_end * gap / 2 + starts.centre[later] - v_start * gap / 2) / 2
    outside = np.any((middle < 0) | (middle > np.array(image_size)), axis=1) & (gap_s > 0.3)
    cost[outside] = np.inf
    return earlier, later, cost


def best_links(
    earlier: NDArray[np.integer], later: NDArray[np.integer], cost: Array, count: int, limit: float = JOIN_LIMIT
) -> NDArray[np.integer]:
    """Who follows whom, so that the total cost is least.

    Args:
        earlier: (P,) the first of each pair, as `join_costs` gives them.
        later: (P,) the second.
        cost: (P,) of joining them.
        count: how many tracklets there are.
        limit: what it costs that nothing follows; dearer joins are refused.

    Returns:
        Successor of each tracklet (count,), -1 for none.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    successor = np.full(count, -1)
    cheap = cost < limit
    earlier, later, cost = earlier[cheap], later[cheap], cost[cheap]
    if not len(cost):
        return successor
    # Ends are rows, starts are columns; independent groups are solved alone, so that long clips stay cheap.
    graph = coo_array((np.ones(len(cost)), (earlier, later + count)), shape=(2 * count, 2 * count))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[earlier], kind="stable")
    for member in np.split(order, np.flatnonzero(np.diff(group[earlier][order])) + 1):
        rows, row = np.unique(earlier[member], return_inverse=True)
        columns, column = np.unique(later[member], return_inverse=True)
        # Extra columns at the limit: the price of leaving a row without a successor.
        table = np.full((len(rows), len(columns) + len(rows)), limit)
        table[row, column] = cost[member]
        for r, c in zip(*linear_sum_assignment(table), strict=True):
            if table[r, c] < limit:
                successor[rows[r]] = columns[c]
    return successor


def chain_pieces(pieces: Sequence[Tracklet], successor: NDArray[np.integer]) -> list[Tracklet]:
    """Concatenate pieces along successor (K,), -1 where nothing follows."""
    chains = []
    for head in np.setdiff1d(np.arange(len(pieces)), successor):
        chain = [int(head)]
        while successor[chain[-1]] >= 0:
            chain.append(int(successor[chain[-1]]))
        chains.append(concatenate([pieces[i] for i in chain]) if len(chain) > 1 else pieces[chain[0]])
    return chains


def join_pieces(
    pieces: Sequence[Tracklet],
    *,
    fps: float,
    detect_every: float,
    max_gap_s: float,
    image_size: tuple[int, int],
    limit: float = JOIN_LIMIT,
    solid_only: bool = False,
) -> tuple[list[Tracklet], int]:
    """Join pieces of one person, as one assignment over all pieces.

    Args:
        pieces: in any order.
        fps: ticks per second.
        detect_every: ticks between two frames that were looked at.
        max_gap_s: the longest gap that is closed, seconds.
        image_size: (width, height), pixels.
        limit: the cost beyond which a join is refused.
        solid_only: leave out pieces of fewer than SOLID detections.

    Returns:
        The pieces, and the number of joints.
    """
    candidates = [piece for piece in pieces if len(piece) >= SOLID or not solid_only]
    rest = [piece for piece in pieces if len(piece) < SOLID and solid_only]
    if len(candidates) < 2:
        return list(pieces), 0
    earlier, later, cost = join_costs(
        candidates, fps=fps, detect_every=detect_every, max_gap_s=max_gap_s, image_size=image_size
    )
    successor = best_links(earlier, later, cost, len(candidates), limit)
    return chain_pieces(candidates, successor) + rest, int(np.sum(successor >= 0))
