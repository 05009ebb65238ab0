"""Frames per second, from the time stamps of the frames: what a container says of it is often a guess."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

# NTSC's; every whole number is a rate too.
_BROADCAST = [Fraction(rate * 1000, 1001) for rate in (15, 24, 30, 48, 60, 72, 90, 100, 120, 240, 480, 960)]
_LONGEST_GAP = 4  # steps; of a longer one nobody knows how many frames it stands for
_CLOCK = Fraction(1, 1000)  # seconds; stamps in coarser units count frames
_ON_GRID, _STRAY = 0.1, 0.05  # of the shortest steps: how far others lie off their multiples; the share that may
_HALF = 0.4  # every second frame missing leaves as many short steps as long ones, or one more or less
_FINE = 1000  # units in a step, of clocks that round by less than what lies between two rates
_NOT_EXACT = 1001  # denominators of rates that are no other's


def meant_rate(stamps: Sequence[int], time_base: Fraction) -> Fraction | None:
    """The frame rate that is meant: one frame a median step of the stamps.

    A step of about two, three or four counts as so many, a longer one (a pause) not at all; so stamps that are rounded
    or late give the true mean. Where frames are missing from an even grid, no stamp is late: steps are not averaged
    with shorter ones, and where about half are the shortest there are, those are meant. What comes within the stamps'
    precision of a usual rate is that rate.

    Args:
        stamps: in units of `time_base`, in any order.
        time_base: seconds.

    Returns:
        Frames per second, None where there are fewer than two stamps, or nonsense.
    """
    unique = np.unique(np.asarray(stamps, np.int64))
    steps = unique[1:] - unique[:-1]
    steps = steps[steps > 0]  # nonsense at both ends of 64 bits wraps around, here and in the sum
    if not len(steps):
        return None
    median, rounded = float(np.median(steps)), time_base <= _CLOCK
    shortest = steps <= 1.25 * np.sort(steps)[len(steps) // 20]
    grid = float(steps[shortest].mean())
    off = np.abs(steps / grid - np.round(steps / grid)) > _ON_GRID
    on_grid = off.mean() <= _STRAY and grid > (1 / _ON_GRID if rounded else 0)
    if on_grid and shortest.mean() > _HALF:
        median = grid
    # Clocks of milliseconds tick unevenly at high rates.
    single = steps <= max(1.75 * median, median + rounded)
    counts = np.where(single, 1, np.round(steps / median)).astype(np.int64)
    known = counts <= _LONGEST_GAP
    if on_grid:
        known &= steps > 0.75 * median
    units, frames = int(steps[known].sum()), int(counts[known].sum())
    if units <= 0:
        return None
    rate = Fraction(frames) / (units * time_base)
    spread = float((steps[known] - counts[known] * (units / frames)).std())
    rounding = 0.5 / median if median >= _FINE else 0.0  # of steps that are all alike
    return usual_rate(rate, (1 + spread) / units if spread else rounding, exact=not spread)


def usual_rate(rate: Fraction, slack: float, exact: bool = False) -> Fraction:
    """The usual frame rate (frames per second) that a rate stands for.

    Args:
        rate: as measured or typed.
        slack: how far it may be off, as a share of it.
        exact: where no usual rate is that near, leave it as it is rather than round it.
    """
    nearest = min(_BROADCAST, key=lambda usual: abs(usual - rate))
    for usual in (Fraction(max(1, round(rate))), nearest):
        if abs(usual - rate) <= slack * rate:
            return usual
    return rate if exact else rate.limit_denominator(_NOT_EXACT)
