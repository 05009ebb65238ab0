"""Arithmetic on person boxes: overlap, outliers, filling between key frames, smoothing without lag, square crops.

A box is x1, y1, x2, y2 in pixels. All functions are pure and work on whole arrays.
"""

from __future__ import annotations

import numpy as np

from glot_cli.clock import Ticks
from glot_cli.smoothing import Array, fill_frames, whittaker

# Half-amplitude frequency of the smoother. Walking sways and crouching stay below it, detector jitter lies above.
CUTOFF_HZ = 2.0
# Bursts of bad edges shorter than half of this window are outliers; a person cannot crouch and rise that fast.
OUTLIER_WINDOW_S = 0.5
OUTLIER_FRACTION = 0.12  # of the box size: deviations below this are jitter, which the smoother takes care of


def box_centre_size(boxes: Array) -> tuple[Array, Array]:
    """Centres (…,2) and sizes (…,2: width, height) of boxes (…,4), pixels."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def box_overlap(a: Array, b: Array) -> tuple[Array, Array]:
    """Overlap of boxes a (…,4) with b (…,4), pairwise along broadcast axes.

    Returns:
        Intersection over union and intersection over the smaller area, both (…,) in [0,1].
    """
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.clip(size, 0, None), axis=-1)
    area_a = np.prod(a[..., 2:] - a[..., :2], axis=-1)
    area_b = np.prod(b[..., 2:] - b[..., :2], axis=-1)
    tiny = np.finfo(np.float32).tiny
    return shared / np.maximum(area_a + area_b - shared, tiny), shared / np.maximum(np.minimum(area_a, area_b), tiny)


def remove_outliers(frames: Ticks, boxes: Array, fps: float) -> Array:
    """Replace single edges of boxes that leave their neighbourhood for a moment (Hampel's identifier).

    An edge further from the running median than OUTLIER_FRACTION of the box size (and than 3 robust standard deviations
    of its neighbours) takes the median's value; all others stay untouched, so steady motion passes through exactly.

    Args:
        frames: (n,) ticks, ascending.
        boxes: (n,4), pixels.
        fps: ticks per second.

    Returns:
        Boxes (n,4) float64.
    """
    boxes = np.asarray(boxes, float)
    n = len(boxes)
    if n < 4:
        return boxes.copy()
    spacing = float(np.median(np.diff(frames))) / fps
    half = int(np.clip(round(OUTLIER_WINDOW_S / 2 / spacing), 2, (n - 1) // 2 if n > 5 else 1))
    # Continue the ends by point reflection: that keeps a linear trend linear, so moving people have no edge outliers.
    head = 2 * boxes[0] - boxes[half:0:-1]
    tail = 2 * boxes[-1] - boxes[-2 : -half - 2 : -1]
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([head, boxes, tail]), 2 * half + 1, axis=0)
    median = np.median(windows, axis=-1)  # (n,4)
    # Spread around the local linear trend, not around the median: fast motion is not noise.
    slope = (windows[..., -1] - windows[..., 0])[..., None] / (2 * half) * np.arange(-half, half + 1)
    spread = 1.4826 * np.median(np.abs(windows - slope - median[..., None]), axis=-1)
    size = np.maximum(median[:, 2:] - median[:, :2], 1.0).max(axis=1, keepdims=True)
    outlier = np.abs(boxes - median) > np.maximum(OUTLIER_FRACTION * size, 3 * spread)
    return np.where(outlier, median, boxes)


def covered_share(box: Array, others: Array) -> float:
    """Share of the area of a box (4,) that boxes (k,4) together cover, measured at 32 x 32 points; 0 when k is 0."""
    if not len(others):
        return 0.0
    part = (np.arange(32) + 0.5) / 32
    x, y = box[0] + part * (box[2] - box[0]), box[1] + part * (box[3] - box[1])
    across = (x > others[:, :1]) & (x < others[:, 2:3])  # (k,32)
    down = (y > others[:, 1:2]) & (y < others[:, 3:])
    return float((across[:, None, :] & down[:, :, None]).any(0).mean())


def smooth_boxes(key_frames: Ticks, boxes: Array, frames: Ticks, fps: float) -> Array:
    """Boxes at frames in a row from those at key frames, jitter removed.

    Centre and logarithm of the size are filled between key frames and smoothed without lag; the cutoff is fixed in
    hertz, so that the result does not depend on the frame rate.

    Args:
        key_frames: (k,) ticks, ascending; these frames are among those wanted.
        boxes: (k,4) at key frames, pixels.
        frames: (m,) ticks, ascending.
        fps: ticks per second.

    Returns:
        Boxes (m,4) float64.
    """
    centre, size = box_centre_size(np.asarray(boxes, float))
    values = np.concatenate([centre, np.log(np.maximum(size, 1.0))], axis=1)
    inside = (frames >= key_frames[0]) & (frames <= key_frames[-1])
    seen = frames[inside]
    smooth = whittaker(fill_frames(key_frames, values, seen, fps), CUTOFF_HZ / fps, times=seen)
    values = fill_frames(seen, smooth, frames, fps)
    half = np.exp(values[:, 2:]) / 2
    return np.concatenate([values[:, :2] - half, values[:, :2] + half], axis=1)


def complete_truncated(frames: Ticks, boxes: Array, image_size: tuple[int, int]) -> Array:
    """Give boxes (n,4) that the picture's border cuts the size they had when they were whole.

    Where exactly one side along an axis touches the border, that extent becomes at least the one interpolated (held
    at the ends) from frames where the axis was whole, and grows beyond the border, away from the side that is seen.
    People who are cut in every frame keep their boxes.

    Args:
        frames: (n,) ticks, ascending.
        boxes: (n,4), pixels.
        image_size: (width, height), pixels.

    Returns:
        Boxes (n,4) float64.
    """
    whole_boxes = np.asarray(boxes, float).copy()
    for axis, length in enumerate(image_size):
        low, high = whole_boxes[:, axis], whole_boxes[:, axis + 2]
        margin = 0.01 * length
        cut_low, cut_high = low <= margin, high >= length - margin
        whole = ~(cut_low | cut_high)
        if not whole.any():
            continue
        extent = np.exp(np.interp(frames, frames[whole], np.log(np.maximum(high - low, 1.0)[whole])))
        extent = np.maximum(extent, high - low)
        whole_boxes[:, axis] = np.where(cut_low & ~cut_high, high - extent, low)
        whole_boxes[:, axis + 2] = np.where(cut_high & ~cut_low, low + extent, high)
    return whole_boxes


def square_crops(boxes: Array, scale: float) -> Array:
    """Square crops (n,3: centre x, centre y, side; pixels) of boxes (n,4): side = scale x the box's longer side."""
    centre, size = box_centre_size(boxes)
    return np.concatenate([centre, scale * size.max(axis=-1, keepdims=True)], axis=-1)
