"""People who meet: frame by frame association may swap them; motion, size and looks before and after tell them apart.

Tracklets are cut where two boxes nearly cover each other, the pieces put together again by what they have in common,
and the detections of the meeting itself given to whom they fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Ticks
from glot_cli.smoothing import fill_frames
from glot_cli.tracking.boxes import box_overlap
from glot_cli.tracking.joining import JOIN_LIMIT, SOLID, best_links, chain_pieces, join_costs
from glot_cli.tracking.tracklets import Tracklet, at_once, concatenate, gather

# A meeting lasts while boxes overlap by the first; only those that reach the second leave doubt about who is who:
# people who meet, shake hands and turn back are told apart by their boxes, and their motion would mislead.
MEETING_IOU, MEETING_PEAK_IOU = 0.25, 0.5
# People who stay together for longer are followed better from frame to frame than by extrapolation.
MAX_MEETING_S = 2.0
REACH_S = 0.4  # how far beyond its ends a tracklet is thought to go on: people vanish behind each other
STAY_BONUS = 1.0  # in the costs of joining: what the frame by frame association is worth
RETURN_IOU = 0.4


def _meetings(tracklets: Sequence[Tracklet], looks: Ticks, fps: float) -> list[NDArray[np.bool_]]:
    """For each tracklet, which of its detections (n,) lie in a meeting with another one."""
    reach = round(REACH_S * fps)
    meeting = [np.zeros(len(t), bool) for t in tracklets]
    starts, ends = (np.array(ticks) for ticks in ([t.start for t in tracklets], [t.end for t in tracklets]))
    for i, j in zip(*(side.tolist() for side in at_once(starts - reach, ends + reach)), strict=True):
        first, last = max(starts[i], starts[j]) - reach, min(ends[i], ends[j]) + reach
        frames = looks[np.searchsorted(looks, first) : np.searchsorted(looks, last, side="right")]
        boxes = [
            fill_frames(t.frames, t.boxes, np.clip(frames, t.start - reach, t.end + reach), fps)
            for t in (tracklets[i], tracklets[j])
        ]
        iou, _ = box_overlap(*boxes)
        runs = np.split(np.arange(len(frames)), np.flatnonzero(np.diff(iou > MEETING_IOU)) + 1)
        for run in runs:
            if iou[run].max(initial=0) > MEETING_PEAK_IOU:
                for k in (i, j):
                    begin = np.searchsorted(tracklets[k].frames, frames[run[0]])
                    end = np.searchsorted(tracklets[k].frames, frames[run[-1]], side="right")
                    meeting[k][begin:end] = True
    return meeting


def _cut(tracklet: Tracklet, meeting: NDArray[np.bool_], fps: float) -> tuple[list[Tracklet], list[Tracklet]]:
    """Pieces between meetings, and the meetings cut out; only short meetings with solid pieces on both sides count."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], meeting.astype(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]  # rows [begin, end)
    pieces, loose, start = [], [], 0
    for k, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        next_begin = begins[k + 1] if k + 1 < len(begins) else len(tracklet)
        duration = (tracklet.frames[min(end, len(tracklet) - 1)] - tracklet.frames[begin]) / fps
        if begin - start < SOLID or next_begin - end < SOLID or duration > MAX_MEETING_S:
            continue
        pieces.append(tracklet.take(np.arange(start, begin)))
        loose.append(tracklet.take(np.arange(begin, end)))
        start = int(end)
    pieces.append(tracklet.take(np.arange(start, len(tracklet))))
    return pieces, loose


def _give_back(tracklets: Sequence[Tracklet], loose: Sequence[Tracklet], fps: float) -> list[Tracklet]:
    """Give each loose detection to the tracklet that lacks one there and passes through it."""
    from scipy.optimize import linear_sum_assignment

    pool = gather(loose)
    pool = pool.take(np.argsort(pool.frames, kind="stable"))
    fits = []  # (k,3) tracklet, row of the pool, IoU
    for i, tracklet in enumerate(tracklets):
        begin = np.searchsorted(pool.frames, tracklet.start, side="right")
        rows = np.arange(begin, np.searchsorted(pool.frames, tracklet.end))
        rows = rows[~np.isin(pool.frames[rows], tracklet.frames)]
        if len(rows):
            expected = fill_frames(tracklet.frames, tracklet.boxes, pool.frames[rows], fps)
            iou = box_overlap(expected, pool.boxes[rows].astype(float))[0]
            fits.append(np.stack([np.full(len(rows), i), rows, iou], 1)[iou > 0])
    wanted = np.concatenate([np.zeros((0, 3)), *fits])
    wanted = wanted[np.argsort(wanted[:, 1], kind="stable")]
    taken: list[list[int]] = [[] for _ in tracklets]
    frames = pool.frames[wanted[:, 1].astype(int)]
    for part in np.split(wanted, np.flatnonzero(np.diff(frames)) + 1):
        who, own = np.unique(part[:, 0].astype(int), return_inverse=True)
        rows, place = np.unique(part[:, 1].astype(int), return_inverse=True)
        fit = np.zeros((len(who), len(rows)))
        fit[own, place] = part[:, 2]
        for i, k in zip(*linear_sum_assignment(-fit), strict=True):
            if fit[i, k] > RETURN_IOU:
                taken[who[i]].append(int(rows[k]))
    return [
        concatenate([tracklet, pool.take(np.sort(rows))]) if rows else tracklet
        for tracklet, rows in zip(tracklets, taken, strict=True)
    ]


def undo_swaps(
    tracklets: Sequence[Tracklet], looks: Ticks, *, fps: float, detect_every: float, image_size: tuple[int, int]
) -> tuple[list[Tracklet], int]:
    """Decide anew who is who after each meeting.

    Args:
        tracklets: of one clip.
        looks: ticks of the frames that were looked at, ascending.
        fps: ticks per second.
        detect_every: ticks between two of them.
        image_size: (width, height), pixels.

    Returns:
        The tracklets, and the number of identities changed.
    """
    solid = [t for t in tracklets if len(t) >= SOLID]
    rest = [t for t in tracklets if len(t) < SOLID]
    pieces: list[Tracklet] = []
    loose: list[Tracklet] = []
    origin: list[int] = []
    for i, (tracklet, meeting) in enumerate(zip(solid, _meetings(solid, looks, fps), strict=True)):
        parts, cut_out = _cut(tracklet, meeting, fps)
        pieces += parts
        loose += cut_out
        origin += [i] * len(parts)
    if not loose:
        return list(tracklets), 0
    source = np.array(origin)
    earlier, later, cost = join_costs(
        pieces,
        fps=fps,
        detect_every=detect_every,
        max_gap_s=MAX_MEETING_S + REACH_S,
        image_size=image_size,
    )
    # Pieces of one tracklet stay together unless others fit better, however sudden the turn during the meeting.
    stays = later == earlier + 1
    stays &= source[earlier] == source[later]
    cost = np.where(stays, np.minimum(cost - STAY_BONUS, 0.9 * JOIN_LIMIT), cost)
    successor = best_links(earlier, later, cost, len(pieces))
    linked = np.flatnonzero(successor >= 0)
    changed = int(np.sum(source[linked] != source[successor[linked]]))
    return _give_back(chain_pieces(pieces, successor), loose, fps) + rest, changed
