"""Looks at one person made to agree: over time, and with the detector's keypoints.

Both networks see a frame at a time. Either may take left for right, or a limb for another; seldom both do so in the
same frame, and neither does for long. So which side is which is decided for a whole track at once (the cheapest path
through all frames, Viterbi 1967), and then, point by point, whom to believe where the two disagree.

Shapes: n looks at one person, in order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.landmarks import LANDMARK_HIPS, LANDMARK_NAMES
from glot_cli.camera import fit_weak_perspective, from_crop, to_crop
from glot_cli.clock import Ticks
from glot_cli.features.landmark_vector import SWAP, Landmarks, join, reliability, unpack
from glot_cli.tracking.detector import COCO_KEYPOINTS
from glot_cli.tracking.tracks import Track

Array = NDArray[np.floating]

LIMBS = [name for name in COCO_KEYPOINTS if name.split("_")[-1] in
         ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip
_LANDMARK = [LANDMARK_NAMES.index(name) for name in LIMBS]
_KEYPOINT = [COCO_KEYPOINTS.index(name) for name in LIMBS]
_OTHER = np.arange(len(LIMBS)) ^ 1  # left ones and right ones come in turn
# Landmarks that go where a limb point goes: those that the point carries.
_CARRIED = {
    "wrist": ("pinky", "index", "thumb"),
    "ankle": ("heel", "foot_index"),
}

AGREE = 0.04  # of the person's size: two opinions on one point differ by about so much
MOVE, MOVE_RATE = 0.03, 1.0  # of the size: noise of a point, and how far limbs move in a second
SWAPPED = 0.35, 0.25  # what it costs in each frame that the look has its sides exchanged, that the keypoints have
PART_SWAPPED = 0.5  # that the limbs of the arms alone, or of the legs alone, are exchanged in the look
CHOSEN = 0.6  # what it costs to believe the keypoint and not the look
DOUBT_LOOK, DOUBT_KEYPOINT = 2.0, 2.0  # what it costs more when the one believed is not sure at all
PIECE, AROUND = 2048, 64  # looks that are settled at once, and those beside them that are looked at too
PARTS = {"arms": ("elbow", "wrist"), "legs": ("knee", "ankle")}


def settle(track: Track, features: NDArray[np.float32], fps: float) -> dict[str, int]:
    """Make features of every frame of a track from those of the frames that were looked at.

    Args:
        track: the person, N frames.
        features: (N, 264), changed in place; rows that are NaN were not looked at.
        fps: ticks per second.

    Returns:
        Counts of what was mended, by name.
    """
    looked = np.isfinite(features[:, 0])
    looks = np.flatnonzero(looked)
    sides = points = 0
    # Piece by piece, for a track may be as long as its video; the looks around a piece only tell what goes on there.
    for start in range(0, len(looks), PIECE):
        first, end = max(0, start - AROUND), min(len(looks), start + PIECE)
        rows = looks[first : end + AROUND]
        if track.keypoints is not None:
            settled, swapped, moved = reconcile(
                features[rows],
                track.keypoints[rows],
                track.crops[rows],
                (track.boxes[rows, 2:] - track.boxes[rows, :2]).max(1).astype(float),
                track.ticks[rows] / fps,
                np.diff(track.segment[rows], prepend=-1) != 0,
            )
            own = slice(start - first, end - first)
            features[rows[own]] = settled[own]
            sides += int(swapped[own].sum())
            points += int(moved[own].sum())
    for start in range(0, len(looks), PIECE):
        rows = looks[max(0, start - AROUND) : start + PIECE + AROUND]
        wide = slice(rows[0], rows[-1] + 1)
        own = np.flatnonzero(~looked[wide]) + rows[0]
        own = own[(own > looks[start]) & (own < looks[min(start + PIECE, len(looks) - 1)])]
        if len(own):
            whole = fill_between(
                features[wide], looked[wide], track.crops[wide], track.ticks[wide], track.segment[wide]
            )
            features[own] = whole[own - rows[0]]
    return {"sides_exchanged": sides, "points_from_keypoints": points}


def reconcile(
    features: NDArray[np.float32],
    keypoints: NDArray[np.float32],
    crops: NDArray[np.float32],
    sizes: Array,
    times: Array,
    breaks: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Features of looks with left and right set right, and limb points taken from the keypoints where those are better.

    Args:
        features: (n, 264).
        keypoints: (n, 17, 3) of `detector.COCO_KEYPOINTS`: x, y in pixels, confidence.
        crops: (n, 3) centre x, y and side, pixels.
        sizes: (n,) of the person in the picture, pixels.
        times: (n,) seconds.
        breaks: (n,) true where a look has nothing to do with the one before it.

    Returns:
        The features; which looks had their sides exchanged (n,); which limb points were moved by more than two good
        opinions differ (n, 12).
    """
    parts = unpack(torch.from_numpy(features))
    square = torch.from_numpy(crops)
    seen = from_crop(parts.landmarks2d, square).numpy()  # (n, 33, 2) pixels
    look, sure = seen[:, _LANDMARK] / sizes[:, None, None], parts.presence.numpy()[:, _LANDMARK].astype(float)
    other = keypoints[:, _KEYPOINT, :2] / sizes[:, None, None]
    told = keypoints[:, _KEYPOINT, 2].astype(float)
    moves = MOVE + MOVE_RATE * np.diff(times, prepend=times[:1])
    moves[breaks] = np.inf

    swapped, told_swapped = _sides(look, sure, other, told, moves)
    parts = _exchange(parts, swapped, range(len(LANDMARK_NAMES)))
    other[told_swapped], told[told_swapped] = other[told_swapped][:, _OTHER], told[told_swapped][:, _OTHER]
    for names in PARTS.values():
        seen = from_crop(parts.landmarks2d, square).numpy()
        look, sure = seen[:, _LANDMARK] / sizes[:, None, None], parts.presence.numpy()[:, _LANDMARK].astype(float)
        some = [i for i, name in enumerate(LIMBS) if name.endswith(names)]
        wrong = _part_sides(look[:, some], sure[:, some], other[:, some], told[:, some], moves)
        # Whole names: left_index is of the arms, left_foot_index is not.
        carried = [i for i, name in enumerate(LANDMARK_NAMES) if name.partition("_")[2] in _with_carried(names)]
        parts = _exchange(parts, wrong, carried)
    seen = from_crop(parts.landmarks2d, square).numpy()
    look, sure = seen[:, _LANDMARK] / sizes[:, None, None], parts.presence.numpy()[:, _LANDMARK].astype(float)
    chosen = _choose(look, sure, other, told, moves)
    parts = _replace(parts, chosen, other * sizes[:, None, None], told, square)
    moved = chosen & (np.sum((look - other) ** 2, -1) > AGREE**2)
    return join(parts).numpy(), swapped, moved


def fill_between(
    features: NDArray[np.float32],
    looked: NDArray[np.bool_],
    crops: NDArray[np.float32],
    ticks: Ticks,
    segment: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Features of every frame from those of the frames that were looked at: landmarks move on cubic splines.

    Args:
        features: (N, 264).
        looked: (N,) which rows are known; of every segment the first and the last.
        crops: (N, 3) centre x, y and side, pixels: landmarks move in the picture, not in the crop.
        ticks: (N,) ascending.
        segment: (N,) number of the gap-free stretch.

    Returns:
        (N, 264).
    """
    from scipy.interpolate import CubicSpline, interp1d

    parts = unpack(torch.from_numpy(features))
    square = torch.from_numpy(crops)
    pixels = from_crop(parts.landmarks2d, square)
    depth = parts.z * square[:, 2:]
    moving = torch.cat([pixels.flatten(1), depth, parts.world.flatten(1)], 1).numpy()
    seen = torch.cat([parts.visibility, parts.presence], 1).numpy()
    for number in np.unique(segment):
        rows = np.flatnonzero(segment == number)
        known, missing = rows[looked[rows]], rows[~looked[rows]]
        if len(missing):
            moving[missing] = CubicSpline(ticks[known], moving[known])(ticks[missing])
            seen[missing] = interp1d(ticks[known], seen[known], axis=0)(ticks[missing])
    count = len(LANDMARK_NAMES)
    flat, depth, world = torch.split(torch.from_numpy(moving), [2 * count, count, 3 * count], 1)
    visibility, presence = torch.split(torch.from_numpy(seen), count, 1)
    landmarks2d = to_crop(torch.unflatten(flat, 1, (count, 2)), square)
    filled = Landmarks(landmarks2d, depth / square[:, 2:], visibility, presence, torch.unflatten(world, 1, (count, 3)))
    return join(filled).numpy()


def _with_carried(names: Sequence[str]) -> list[str]:
    return [*names, *(carried for name in names for carried in _CARRIED.get(name, ()))]


def _far(a: Array, b: Array, weight: Array, scale: Array | float) -> Array:
    """How far points (..., K, 2) lie apart, 0 to 1: the weighted mean of a robust distance, in units of `scale`."""
    off = np.sum((a - b) ** 2, -1) / np.asarray(scale)[..., None] ** 2
    return np.asarray((weight * off / (1 + off)).sum(-1) / np.maximum(weight.sum(-1), 1e-6))


def _sides(
    look: Array, sure: Array, other: Array, told: Array, moves: Array
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """In which looks (n,), and in which keypoints (n,), left and right are exchanged.

    Four states a frame: either, neither or both are. Each costs what the two disagree by then, what both are away from
    where they were the frame before, and something for every exchange.
    """
    count = len(look)
    both = ((0, 0), (0, 1), (1, 0), (1, 1))
    looks = np.stack([look, look[:, _OTHER]])  # (2, n, 12, 2)
    others = np.stack([other, other[:, _OTHER]])
    weights, weights_told = np.stack([sure, sure[:, _OTHER]]), np.stack([told, told[:, _OTHER]])
    # how much two opinions can say of each other: little where one of both does not know
    shared = np.minimum(1, told.mean(1) / 0.5)
    cost = np.empty((count, 4))
    for state, (a, b) in enumerate(both):
        apart = _far(looks[a], others[b], weights[a] * weights_told[b], AGREE)
        cost[:, state] = shared * apart + SWAPPED[0] * a + SWAPPED[1] * shared * b
    moved = np.empty((count, 2, 2))  # from the frame before in one state to this one in another
    moved_told = np.empty((count, 2, 2))
    for a in range(2):
        for b in range(2):
            moved[1:, a, b] = _far(looks[a, :-1], looks[b, 1:], weights[a, :-1] * weights[b, 1:], moves[1:])
            moved_told[1:, a, b] = _far(
                others[a, :-1], others[b, 1:], weights_told[a, :-1] * weights_told[b, 1:], moves[1:]
            )
    step = np.zeros((count, 4, 4))
    for i, (a, b) in enumerate(both):
        for j, (c, d) in enumerate(both):
            step[1:, i, j] = moved[1:, a, c] + shared[1:] * moved_told[1:, b, d]
    path = cheapest_path(cost, step)
    return path >= 2, path % 2 == 1


def _part_sides(look: Array, sure: Array, other: Array, told: Array, moves: Array) -> NDArray[np.bool_]:
    """In which looks (n,) the points of a part, (n, K, 2), left ones and right ones in turn, are exchanged."""
    turn = np.arange(look.shape[1]) ^ 1
    looks, weights = np.stack([look, look[:, turn]]), np.stack([sure, sure[:, turn]])
    shared = np.minimum(1, told.mean(1) / 0.5)
    cost = np.stack([shared * _far(looks[a], other, weights[a] * told, AGREE) for a in range(2)], 1)
    cost[:, 1] += PART_SWAPPED
    step = np.zeros((len(look), 2, 2))
    for a in range(2):
        for b in range(2):
            step[1:, a, b] = _far(looks[a, :-1], looks[b, 1:], weights[a, :-1] * weights[b, 1:], moves[1:])
    return np.asarray(cheapest_path(cost, step) == 1)


def cheapest_path(cost: Array, step: Array) -> NDArray[np.integer]:
    """The sequence of states whose sum of costs is least (Viterbi 1967).

    Args:
        cost: (n, S, ...) of being in a state in each frame; further axes are paths of their own.
        step: (n, S, S, ...) of coming to it, second axis, from one in the frame before, first; that of frame 0 counts
            nothing.

    Returns:
        (n, ...) states.
    """
    total = cost[0]
    came = np.zeros(cost.shape, int)
    for t in range(1, len(cost)):
        ways = total[:, None] + step[t]  # (S, S, ...)
        came[t] = ways.argmin(0)
        total = ways.min(0) + cost[t]
    path = np.empty((len(cost), *cost.shape[2:]), int)
    path[-1] = total.argmin(0)
    for t in range(len(cost) - 1, 0, -1):
        path[t - 1] = np.take_along_axis(came[t], path[t][None], 0)[0]
    return path


def _exchange(parts: Landmarks, rows: NDArray[np.bool_], which: Sequence[int]) -> Landmarks:
    """Landmarks with left and right exchanged in some rows (n,), for some of the 33.

    Depth goes along: networks that take left for right have mostly seen the rest rightly.
    """
    order = torch.arange(len(LANDMARK_NAMES))
    order[list(which)] = torch.tensor(SWAP)[list(which)]
    exchanged = [part[:, order] for part in parts]
    pick = torch.from_numpy(rows)
    return Landmarks(
        *(
            torch.where(pick.reshape(-1, *[1] * (old.ndim - 1)), new, old)
            for new, old in zip(exchanged, parts, strict=True)
        )
    )


def _choose(look: Array, sure: Array, other: Array, told: Array, moves: Array) -> NDArray[np.bool_]:
    """For which limb points (n, 12) the keypoint is to be believed, and not the look."""
    both = np.stack([look, other], 1)  # (n, 2, 12, 2)
    apart = np.sum((look - other) ** 2, -1) / AGREE**2
    matters = apart / (1 + apart)  # where they agree nothing is to be decided
    cost = np.stack([DOUBT_LOOK * (1 - sure), CHOSEN + DOUBT_KEYPOINT * (1 - told) + 10 * (told < 0.05)], 1)
    cost = cost * matters[:, None]
    off = np.sum((both[:-1, :, None] - both[1:, None]) ** 2, -1) / moves[1:, None, None, None] ** 2  # (n-1, 2, 2, 12)
    step = np.concatenate([np.zeros((1, 2, 2, 12)), off / (1 + off)])
    return np.asarray(cheapest_path(cost, step) == 1)


def _replace(parts: Landmarks, chosen: NDArray[np.bool_], other: Array, told: Array, crops: torch.Tensor) -> Landmarks:
    """Landmarks with the chosen limb points (n, 12) where the keypoints (n, 12, 2), pixels, lie, and what they carry.

    In space they are moved likewise, across the line of sight; nothing is known of their depth.
    """
    camera = fit_weak_perspective(parts.world, parts.landmarks2d, reliability(parts) + 1e-3)
    scale = camera[:, 0].clamp_min(0.1)
    target = to_crop(torch.from_numpy(other.astype(np.float32)), crops)
    points, world, presence = parts.landmarks2d.clone(), parts.world.clone(), parts.presence.clone()
    for index, name in enumerate(LIMBS):
        rows = torch.from_numpy(chosen[:, index])
        if not rows.any():
            continue
        at = _LANDMARK[index]
        shift = (target[rows, index] - points[rows, at])[:, None]  # (r, 1, 2)
        side, part = name.split("_")
        moved = [at, *(LANDMARK_NAMES.index(f"{side}_{carried}") for carried in _CARRIED.get(part, ()))]
        rows_at = rows.nonzero()
        points[rows_at, moved] += shift
        world[rows_at, moved, :2] += shift / scale[rows, None, None]
        presence[rows_at, moved] = torch.minimum(
            torch.maximum(presence[rows_at, moved], torch.tensor(0.5)),
            torch.from_numpy(told[chosen[:, index], index].astype(np.float32))[:, None],
        )
    world -= world[:, LANDMARK_HIPS].mean(1, keepdim=True)  # where they are counted from
    return parts._replace(landmarks2d=points, world=world, presence=presence)
