"""What people look like, in few numbers: the colours of the upper and of the lower body.

One short vector a detection. It is coarse on purpose: it has to tell a black shirt from a white one after the person
has turned round, and to say nothing where two people wear the same.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Parts of a detection box, as shares of its height and width: wide enough for a body that leans, narrow enough for
# little background; head and feet are left out, for most are alike.
BANDS = ((0.16, 0.48), (0.52, 0.88))
LEFT, RIGHT = 0.25, 0.75
PATCH = (16, 16)  # pixels a band is averaged to, width and height
BINS = 8  # of each of the three channels
LOWEST, HIGHEST = np.array([0.0, -45.0, -45.0]), np.array([100.0, 45.0, 45.0])  # of CIE L, a, b; beyond counts as edge
DESCRIPTOR_DIM = len(BANDS) * 3 * BINS
MAX_COVERED = 0.3  # share of the part looked at that may lie in the box of somebody else


def describe(image: NDArray[np.uint8], boxes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Describe the people in the boxes of one frame.

    Args:
        image: (H,W,3) uint8 RGB.
        boxes: (N,>=4) x1, y1, x2, y2 in pixels.

    Returns:
        (N,DESCRIPTOR_DIM) unit vectors: roots of soft histograms of lightness and the two colour axes (CIE Lab), upper
        body first, so that the cosine of two is the mean Bhattacharyya coefficient. Rows are NaN where somebody else
        covers too much or nothing is to be seen.
    """
    boxes = np.asarray(boxes, float)[:, :4]
    looks = np.full((len(boxes), DESCRIPTOR_DIM), np.nan, np.float32)
    for index in np.flatnonzero(_uncovered(boxes)):
        patches = [_band(image, boxes[index], band) for band in BANDS]
        if all(patch is not None for patch in patches):
            histograms = np.concatenate([_histograms(patch) for patch in patches if patch is not None])
            looks[index] = np.sqrt(histograms / (len(BANDS) * 3))
    return looks


def typical_looks(descriptors: NDArray[np.floating]) -> NDArray[np.floating]:
    """What all rows have in common: their median, which a few bad ones do not move.

    Args:
        descriptors: (N,D); rows that are NaN do not count.

    Returns:
        A unit vector (D,), all NaN when no row counts.
    """
    known = descriptors[np.isfinite(descriptors).all(axis=1)]
    if not len(known):
        return np.full(descriptors.shape[1], np.nan)
    middle = np.median(known.astype(float), axis=0)
    if not middle.any():
        middle = known.mean(axis=0, dtype=float)
    typical: NDArray[np.floating] = middle / max(float(np.linalg.norm(middle)), 1e-12)
    return typical


def _uncovered(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which boxes (N,4) show one person alone where `describe` looks: (N,)."""
    width = boxes[:, 2] - boxes[:, 0]
    core = boxes.copy()
    core[:, 2], core[:, 0] = boxes[:, 0] + RIGHT * width, boxes[:, 0] + LEFT * width
    shared = np.minimum(core[:, None, 2:], boxes[None, :, 2:]) - np.maximum(core[:, None, :2], boxes[None, :, :2])
    area = np.prod(np.clip(shared, 0, None), axis=-1)  # (N,N) of core i in box j
    np.fill_diagonal(area, 0)
    uncovered: NDArray[np.bool_] = area.max(axis=1, initial=0) <= MAX_COVERED * np.prod(
        core[:, 2:] - core[:, :2], axis=1
    )
    return uncovered


def _band(
    image: NDArray[np.uint8], box: NDArray[np.floating], band: tuple[float, float]
) -> NDArray[np.floating] | None:
    """The pixels (P,3) in Lab of a band of a box, reduced to PATCH; None where it lies outside of the picture."""
    x1, y1, x2, y2 = box
    limit = np.array([image.shape[1], image.shape[0]])
    low = np.array([x1 + LEFT * (x2 - x1), y1 + band[0] * (y2 - y1)])
    high = np.array([x1 + RIGHT * (x2 - x1), y1 + band[1] * (y2 - y1)])
    left, top = np.clip(np.floor(low).astype(int), 0, limit)
    right, bottom = np.clip(np.ceil(high).astype(int), 0, limit)
    if right - left < 2 or bottom - top < 2:
        return None
    patch = cv2.resize(image[top:bottom, left:right], PATCH, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(patch.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32).reshape(-1, 3)


def _histograms(pixels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Histograms (3*BINS,) of the channels of pixels (P,3), each of sum 1; the middle of the patch counts most.

    A pixel is shared between the two nearest bins: a little more light moves the histogram a little.
    """
    across = 1 - np.abs(np.linspace(-1, 1, PATCH[0] + 2)[1:-1])
    weight = np.tile(across, PATCH[1])
    place = np.clip((pixels - LOWEST) / (HIGHEST - LOWEST), 0, 1) * (BINS - 1)
    lower = np.minimum(place.astype(int), BINS - 2)
    upper_share = place - lower
    channel = np.arange(3) * BINS
    bins = np.concatenate([lower + channel, lower + 1 + channel])
    shares = np.concatenate([1 - upper_share, upper_share]) * np.tile(weight, 2)[:, None]
    counts = np.bincount(bins.ravel(), shares.ravel(), minlength=3 * BINS).astype(float)
    return np.asarray(counts / weight.sum())
