"""Smoothing and filling of evenly sampled values, without lag (Whittaker 1923; Eilers 2003)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

THIRD_DIFFERENCE = (-1.0, 3.0, -3.0, 1.0)


def stiffness(cutoff: float) -> float:
    """Weight (2 sin(pi cutoff))^-6 of squared third differences, beside squared errors, that halves a frequency.

    Args:
        cutoff: that frequency, cycles per sample.
    """
    return float((2 * np.sin(np.pi * min(cutoff, 0.5))) ** -6.0)


def whittaker(values: Array, cutoff: float, weights: Array | None = None) -> Array:
    """Zero-phase smoothing of values (n,C) sampled evenly, by penalised least squares (Whittaker 1923; Eilers 2003).

    Minimises sum weight (z - y)^2 + lambda sum (third difference of z)^2. The third difference leaves constant, linear
    and quadratic motion (constant acceleration) exactly as it is, up to the ends.

    Args:
        values: samples (n,C); fewer than 4 return unchanged.
        cutoff: the frequency that keeps half its amplitude where weights are 1, in cycles per sample; lambda is its
            `stiffness`.
        weights: of the samples (n,), 1 unless given.

    Returns:
        Smooth values (n,C) float64.
    """
    from scipy.linalg import solveh_banded  # scipy takes its time to import, and not every run smooths

    values = np.asarray(values, float)
    n = len(values)
    if n < 4:
        return values.copy()
    strength = stiffness(cutoff)
    bands = np.zeros((4, n))  # lower form: bands[k, j] is element (j + k, j) of W + lambda D'D
    for k in range(4):
        for i in range(4 - k):  # row r of D touches columns r..r+3
            bands[k, i : i + n - 3] += strength * THIRD_DIFFERENCE[i] * THIRD_DIFFERENCE[i + k]
    weights = np.ones(n) if weights is None else np.asarray(weights, float)
    bands[0] += weights
    mean = values.mean(axis=0)
    smooth: Array = solveh_banded(bands, weights[:, None] * (values - mean), lower=True) + mean
    return smooth


def fill_frames(key_frames: NDArray[np.integer], values: Array, frames: NDArray[np.integer], fps: float) -> Array:
    """Values at frames between and beyond those where they are known.

    Between key frames monotone cubic interpolation (Fritsch and Carlson 1980: no overshoot in long gaps); before the
    first and after the last, the straight line fitted to the nearest third of a second.

    Args:
        key_frames: where values are known (k,), ascending.
        values: these values (k,C).
        frames: where they are wanted (m,).
        fps: frames per second.

    Returns:
        Values (m,C).
    """
    from scipy.interpolate import PchipInterpolator

    if len(key_frames) == 1:
        return np.repeat(np.asarray(values, float), len(frames), axis=0)
    first, last = key_frames[0], key_frames[-1]
    filled: Array = PchipInterpolator(key_frames, values, axis=0)(np.clip(frames, first, last))
    for outside, end in ((frames < first, first), (frames > last, last)):
        if outside.any():
            near = np.abs(key_frames - end) <= max(fps / 3, np.sort(np.abs(key_frames - end))[1])
            times = key_frames[near] - key_frames[near].mean()
            slope = times @ (values[near] - values[near].mean(axis=0)) / (times @ times)
            filled[outside] += (frames[outside] - end)[:, None] * slope
    return filled
