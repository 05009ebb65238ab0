"""Who comes back after a cut or a pause: looks alone can say, for places and motion mean little across it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Ticks
from glot_cli.tracking.appearance import typical_looks
from glot_cli.tracking.joining import chain_pieces
from glot_cli.tracking.tracklets import Tracklet

# Of one minus the cosine of two people's looks. One person in two shots of one light differs by 0.00 to 0.03, strangers
# by 0.04 and more, a class in one uniform by 0.023. Somebody else must differ by so much more, or it may be either.
SAME_LOOKS, CLEARER = 0.02, 0.02
STRANGE_LOOKS = 0.1  # who stands where somebody stood before a pause is somebody else only in other clothes
BESIDE = 64  # detections on either side of a pause that say who is there
SIGHTINGS = 3  # detections with known looks that somebody must have to be known again


def recognise(shots: Sequence[Sequence[Tracklet]]) -> list[list[int]]:
    """Tell which people of different shots are one.

    In doubt they are two: somebody is known again only where they look the same, where nobody known before looks nearly
    as much the same, and nobody else in their shot does.

    Args:
        shots: the people of each shot.

    Returns:
        A number for each person of each shot, the same for one and the same; numbers of a shot are all different.
    """
    if any(person.descriptors is None for people in shots for person in people):
        ends = np.cumsum([len(people) for people in shots])
        return [list(range(end - len(people), end)) for end, people in zip(ends.tolist(), shots, strict=True)]
    numbers: list[list[int]] = []
    known = np.zeros((0, 0))  # (K,D) looks of everybody so far, once for each shot they are in
    owner = np.zeros(0, int)  # (K,) whose they are
    count = 0
    for people in shots:
        looks = np.array([_looks(person) for person in people])
        given = np.full(len(people), -1)
        if len(owner) and len(people):
            given = _matches(known, owner, looks, count)
        new = given < 0
        given[new] = count + np.arange(new.sum())
        count += int(new.sum())
        if len(people):
            known = np.concatenate([known.reshape(-1, looks.shape[1]), looks])
            owner = np.concatenate([owner, given])
        numbers.append(given.tolist())
    return numbers


def part_strangers(tracklets: Sequence[Tracklet], pauses: Ticks) -> list[Tracklet]:
    """Cut tracklets at pauses where they go on with somebody who looks plainly different.

    Args:
        tracklets: of one shot.
        pauses: (p,) ticks of the first frame after each.
    """
    parted: list[Tracklet] = []
    for tracklet in tracklets:
        begins = [0]
        inside = (pauses > tracklet.start) & (pauses <= tracklet.end)
        for pause in pauses[inside] if tracklet.descriptors is not None else ():
            before, after = _beside(tracklet, pause, begins[-1])
            if 1 - _looks(before) @ _looks(after) > STRANGE_LOOKS:
                begins.append(int(np.searchsorted(tracklet.frames, pause)))
        parted += [tracklet.take(rows) for rows in np.split(np.arange(len(tracklet)), begins[1:])]
    return parted


def reunite(people: Sequence[Tracklet], ticks: Ticks, pauses: Ticks, near: float) -> list[Tracklet]:
    """Join who is seen up to a pause to who is seen from it on, elsewhere, where `recognise` takes them for one.

    Args:
        people: of one shot.
        ticks: of all its frames.
        pauses: (p,) ticks of the first frame after each.
        near: ticks; who vanishes longer before a pause, or comes longer after it, has nothing to do with it.
    """
    starts, ends = (np.array(ends) for ends in ([p.start for p in people], [p.end for p in people]))
    successor = np.full(len(people), -1)
    for pause in pauses:
        last = ticks[np.searchsorted(ticks, pause) - 1]
        before = np.flatnonzero((starts < pause) & (ends >= last - near)).tolist()
        after = np.flatnonzero((ends >= pause) & (starts <= pause + near)).tolist()
        if not (ends[before] < pause).any() or not (starts[after] >= pause).any():
            continue  # nobody to be told apart
        numbers = recognise(
            [[_beside(people[i], pause)[side] for i in who] for side, who in enumerate((before, after))]
        )
        came = dict(zip(numbers[1], after, strict=True))
        for number, gone in zip(numbers[0], before, strict=True):
            new = came.get(number)
            if new is not None and ends[gone] < pause <= starts[new] and successor[gone] < 0 and new not in successor:
                successor[gone] = new
    return chain_pieces(people, successor)


def _matches(
    known: NDArray[np.floating], owner: NDArray[np.integer], looks: NDArray[np.floating], count: int
) -> NDArray[np.integer]:
    """Whose looks (P,D) the known ones (K,D) are, out of `count` people: (P,), -1 where that is not clear."""
    difference = np.full((count, len(looks)), np.inf)
    np.minimum.at(difference, owner, np.nan_to_num(1 - known @ looks.T, nan=np.inf))
    best = difference.argmin(axis=0)
    own = np.arange(len(looks))
    least = difference[best, own]
    past, present = difference.copy(), difference[best]  # (count,P) of everybody before, (P,P) of those in this shot
    past[best, own] = present[own, own] = np.inf
    rivals = np.minimum(past.min(axis=0), present.min(axis=1))
    clear = (least < SAME_LOOKS) & (rivals - np.where(np.isfinite(least), least, 0) > CLEARER)
    return np.where(clear, best, -1)


def _beside(person: Tracklet, pause: float, first: int = 0) -> tuple[Tracklet, Tracklet]:
    """The detections of a person next to a pause on either side, the earlier ones from row `first` on."""
    row = int(np.searchsorted(person.frames, pause))
    ends = (max(first, row - BESIDE), row), (row, min(row + BESIDE, len(person)))
    before, after = (person.take(np.arange(*end)) for end in ends)
    return before, after


def _looks(person: Tracklet) -> NDArray[np.floating]:
    """What is typical of a person (D,); NaN where too little of them was seen."""
    assert person.descriptors is not None
    looks = typical_looks(person.descriptors)
    enough = np.isfinite(person.descriptors).all(axis=1).sum() >= SIGHTINGS
    return looks if enough else np.full_like(looks, np.nan)
