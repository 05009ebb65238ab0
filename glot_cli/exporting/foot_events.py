"""When heels and toes come to rest on the floor and leave it, from a record's `contact`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import PAUSE_S
from glot_cli.results import Result

ON, OFF = 0.6, 0.4  # probabilities at which a point comes to rest, and no longer rests
_POINTS = ("left heel", "left toes", "right heel", "right toes")  # the order of `contact`
EVENTS = {"heel": ("heel_strike", "heel_off"), "toes": ("toe_strike", "toe_off")}


class FootEvent(NamedTuple):
    """A point of a foot that comes to rest, or leaves the floor.

    Attributes:
        frame: the first one of the new state.
        time: of that frame, seconds.
        person: who.
        shot: in which shot.
        side: left or right.
        event: one of `EVENTS`.
    """

    frame: int
    time: float
    person: int
    shot: int
    side: str
    event: str


def foot_events(result: Result) -> list[FootEvent]:
    """Events of everybody, sorted by person, then time; none of a record without a world.

    A point rests from a probability of `ON` until one of `OFF`, so that one that wavers about a half makes no events.
    What somebody does while they are not in the record is not told: the first state after a gap makes none.
    """
    if result.contact is None:
        return []
    found = []
    steps = np.diff(result.time)
    keys = np.stack([result.person, result.shot], 1)
    usual = 1 / float(result.meta.frame_rate)
    joined = (np.diff(keys, axis=0) == 0).all(1) & (steps > 0) & (steps <= min(max(2.5 * usual, 0.1), PAUSE_S))
    for point, name in enumerate(_POINTS):
        rests = resting(result.contact[:, point], np.concatenate([[True], ~joined]))
        side, part = name.split()
        for row in np.flatnonzero(joined & (rests[1:] != rests[:-1])) + 1:
            frame, time = int(result.frame[row]), float(result.time[row])
            who, shot, event = int(result.person[row]), int(result.shot[row]), EVENTS[part][int(not rests[row])]
            found.append(FootEvent(frame, time, who, shot, side, event))
    return sorted(found, key=lambda event: (event.person, event.time, event.side, event.event))


def resting(probability: NDArray[np.floating], begins: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a point rests (T,), with hysteresis.

    Args:
        probability: (T,) that it does.
        begins: (T,) where nothing before is known; the likelier state holds from there.
    """
    told = (probability >= ON) | (probability <= OFF) | begins
    last = np.maximum.accumulate(np.where(told, np.arange(len(told)), 0))
    return (probability >= 0.5)[last]
