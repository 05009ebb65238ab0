"""Where frames stand in time, told by their time stamps: what counts frames after this counts seconds."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# Stamps of a steady camera waver: browsers round them to milliseconds, and note when a picture was handed over, not
# when it was taken. Steps nearly a half longer or shorter than usual are even ones then, as long as they make up for
# each other: where the steps of late, the last 1 / SHARE_OF_NEW or so, are so much off as a whole, the rate changed. A
# half itself is what missing frames leave.
UNEVEN, CHANGED, SHARE_OF_NEW = 0.48, 0.15, 0.1
LEAST_STEP = 0.05  # of a tick: closer stamps are not those of a camera
PAUSE_S = 1.0  # nothing is smoothed, filled or joined across a longer step

Ticks = NDArray[np.floating]


class Clock:
    """Turns time stamps, which come in order, into ticks: one tick a frame at a steady rate, whole numbers there.

    Args:
        fps: ticks per second: the rate that is meant, one over the usual step.

    Attributes:
        times: seconds, of every frame.
        ticks: from 0, ascending, of every frame.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.times = array("d")
        self.ticks = array("d")
        self._off = 0.0  # by how much the steps of late were longer than one tick

    def add(self, time: float) -> float:
        """Take the next frame's time stamp, seconds: its tick."""
        tick = 0.0
        if self.times:
            step = (time - self.times[-1]) * self.fps
            self._off += SHARE_OF_NEW * (min(max(step - 1, -UNEVEN), UNEVEN) - self._off)
            even = abs(step - 1) < UNEVEN and abs(self._off) < CHANGED
            tick = self.ticks[-1] + (1.0 if even else max(step, LEAST_STEP))
        self.times.append(time)
        self.ticks.append(tick)
        return tick


def ticks_of(times: Iterable[float], fps: float) -> Ticks:
    """Ticks of frames from their time stamps (n,), seconds, strictly ascending: see `Clock`."""
    clock = Clock(fps)
    for time in times:
        clock.add(time)
    return np.array(clock.ticks)


def ascending(times: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Times (n,) of which each is later than the one before: as they are, where that holds, else pushed apart.

    Args:
        times: seconds.
        step: the usual one, of which a thousandth is the least between two.
    """
    # Far from zero a thousandth of a step may be lost in rounding.
    finest = 4 * float(np.spacing(np.abs(times).max(initial=0)))
    if (np.diff(times) > finest).all():
        return times
    least = np.arange(len(times)) * max(step * 1e-3, finest)
    later: NDArray[np.float64] = np.maximum.accumulate(times - least) + least
    return later


def stretches(ticks: Ticks, fps: float) -> NDArray[np.integer]:
    """Number of the stretch between pauses that each tick (n,) lies in, from 0. A steady rate has no pauses."""
    return np.cumsum(np.diff(ticks, prepend=ticks[:1]) > max(PAUSE_S * fps, 1 + UNEVEN))
