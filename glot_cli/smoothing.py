"""Smoothing and filling of sampled values, without lag (Whittaker 1923; Eilers 2003)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Ticks

Array = NDArray[np.floating]


def stiffness(cutoff: float) -> float:
    """Weight (2 sin(pi cutoff))^-6 of squared third differences, beside squared errors, that halves a frequency.

    Args:
        cutoff: that frequency, cycles per sample.
    """
    return float((2 * np.sin(np.pi * min(cutoff, 0.5))) ** -6.0)


def whittaker(values: Array, cutoff: float, weights: Array | None = None, times: Array | None = None) -> Array:
    """Zero-phase smoothing of values (n,C) by penalised least squares (Whittaker 1923; Eilers 2003).

    Minimises sum weight (z - y)^2 + lambda sum (third difference of z)^2. The third difference leaves constant, linear
    and quadratic motion (constant acceleration) exactly as it is, up to the ends. Where samples lie unevenly, it is the
    divided one, and both sums count every sample for the time that it stands for.

    Args:
        values: samples (n,C); fewer than 4 return unchanged.
        cutoff: the frequency that keeps half its amplitude where weights are 1, in cycles per sample; lambda is its
            `stiffness`.
        weights: of the samples (n,), 1 unless given.
        times: of the samples (n,), ascending, in usual distances of two samples; even ones unless given.

    Returns:
        Smooth values (n,C) float64.
    """
    from scipy.linalg.lapack import dgbsv  # scipy takes its time to import, and not every run smooths

    values = np.asarray(values, float)
    n = len(values)
    if n < 4:
        return values.copy()
    times = np.arange(n, dtype=float) if times is None else np.asarray(times, float)
    weights = np.ones(n) if weights is None else np.asarray(weights, float)
    differences = third_differences(times) * np.sqrt(stiffness(cutoff))
    # The normal equations would square the condition, which at 600 samples a second is beyond double precision. So the
    # residuals of the differences d stay unknowns beside z: W z + D'd = W y, D z - d = 0. With d of row r between the
    # second and the third of the four z that it touches, the matrix is a band of three diagonals on either side.
    bands = np.zeros((10, 2 * n), order="F")  # LAPACK's form: element (i, j) in row 6 + i - j; three rows to work in
    bands[6, ::2] = weights * _spans(times)
    bands[6, 1::2] = -1.0  # three places hold no residual
    place = 2 * np.arange(n - 3) + 3
    for i, shift in enumerate((3, 1, -1, -3)):
        bands[6 + shift, place - shift] = differences[:, i]
        bands[6 - shift, place] = differences[:, i]
    del differences  # a track may be long
    mean = values.mean(axis=0)
    solved = np.zeros((2 * n, values.shape[1]), order="F")
    np.subtract(values, mean, out=solved[::2])
    solved[::2] *= bands[6, ::2, None]
    solved = dgbsv(3, 3, bands, solved, overwrite_ab=True, overwrite_b=True)[2]
    smooth: Array = solved[::2] + mean
    return smooth


def third_differences(times: Array) -> Array:
    """Factors (n-3,4) of four samples in a row that give their third difference: -1, 3, -3, 1 at even times (n,).

    Uneven ones give the third derivative times the root of the time that it stands for: the squares are summed.
    """
    count = max(0, len(times) - 3)
    four = [times[i : i + count] for i in range(4)]
    span = np.sqrt((four[3] - four[0]) / 3)
    products = [np.prod([one - other for other in four if other is not one], axis=0) for one in four]
    return np.stack([6 * span / product for product in products], axis=1)


def _spans(times: Array) -> Array:
    """The time (n,) that each sample stands for: half that between its neighbours, little of it in a gap."""
    steps = np.diff(times)
    before, after = np.append(steps[0], steps), np.append(steps, steps[-1])
    spans: Array = np.minimum((before + after) / 2, 2 * np.minimum(before, after))
    return spans


def fill_frames(key_frames: Ticks, values: Array, frames: Ticks, fps: float) -> Array:
    """Values at ticks between and beyond those where they are known.

    Between key frames monotone cubic interpolation (Fritsch and Carlson 1980: no overshoot in long gaps); before the
    first and after the last, the straight line fitted to the nearest third of a second.

    Args:
        key_frames: where values are known (k,), ascending.
        values: these values (k,C).
        frames: where they are wanted (m,).
        fps: ticks per second.

    Returns:
        Values (m,C).
    """
    from scipy.interpolate import PchipInterpolator

    if len(key_frames) == 1:
        return np.repeat(np.asarray(values, float), len(frames), axis=0)
    first, last = key_frames[0], key_frames[-1]
    if len(frames):
        # Somebody may be followed for hours, and asked for where another one passes: what is far off tells nothing.
        low, high = np.clip([frames.min(), frames.max()], first, last) + np.array([-fps / 3, fps / 3])
        near = slice(max(0, int(np.searchsorted(key_frames, low)) - 3), int(np.searchsorted(key_frames, high)) + 3)
        key_frames, values = key_frames[near], values[near]
    filled: Array = PchipInterpolator(key_frames, values, axis=0)(np.clip(frames, first, last))
    for outside, end in ((frames < first, first), (frames > last, last)):
        if outside.any():
            told = np.abs(key_frames - end) <= max(fps / 3, np.sort(np.abs(key_frames - end))[1])
            times = key_frames[told] - key_frames[told].mean()
            slope = times @ (values[told] - values[told].mean(axis=0)) / (times @ times)
            filled[outside] += (frames[outside] - end)[:, None] * slope
    return filled
