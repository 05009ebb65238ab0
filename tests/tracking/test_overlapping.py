"""People followed through overlapping pieces: everybody stays one, and nothing is lost or counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from glot_cli.tracking.overlapping import join_overlapping
from glot_cli.tracking.tracklets import Tracklet

WIDE, TALL = 60.0, 150.0  # of everybody's box, pixels
BORDERS = (50.0, 100.0)
SPANS = (range(0, 61), range(40, 111), range(90, 150))  # ticks of pieces, 10 beyond each border


def boxes_of(places: NDArray[np.floating]) -> NDArray[np.float32]:
    """Boxes (n, 4) around places (n, 2)."""
    half = np.array([WIDE / 2, TALL / 2])
    return np.concatenate([places - half, places + half], 1).astype(np.float32)


def walk(ticks: Iterable[float], start: float, speed: float, person: int, piece: int = 0) -> Tracklet:
    """Somebody who walks to the right; the scores tell who it is, the keypoints in which piece it was seen."""
    frames = np.array(list(ticks), float)
    places = np.stack([start + speed * frames, np.full(len(frames), 300.0)], 1)
    looks = np.tile(np.eye(4, dtype=np.float32)[person], (len(frames), 1))
    seen_in = np.full((len(frames), 17, 3), piece, np.float32)
    return Tracklet(frames, boxes_of(places), np.full(len(frames), 0.1 * person, np.float32), looks, seen_in)


def people_of(tracklet: Tracklet) -> list[int]:
    """Numbers of the people in a tracklet."""
    return sorted(set(np.rint(10 * tracklet.scores).astype(int).tolist()))


def within(span: range, ticks: range) -> range:
    return range(max(span.start, ticks.start), min(span.stop, ticks.stop))


def test_one_person_is_one_through_three_pieces() -> None:
    pieces = [[walk(span, 100, 3, 1, number)] for number, span in enumerate(SPANS)]
    (whole,) = join_overlapping(pieces, BORDERS)
    expected = walk(range(150), 100, 3, 1)
    for name in ("frames", "boxes", "scores", "descriptors"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))
    assert whole.keypoints is not None
    np.testing.assert_array_equal(whole.keypoints[:, 0, 0], np.repeat([0, 1, 2], 50))  # believed from each border on


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("meet", [42, 50, 58])
def test_two_who_cross_in_the_overlap_keep_apart(meet: int, order: int) -> None:
    def pair(span: range) -> list[Tracklet]:
        return [walk(span, 500 - 4 * meet, 4, 1), walk(span, 500 + 4 * meet, -4, 2)]

    found = join_overlapping([pair(SPANS[0]), pair(SPANS[1])[::order], pair(SPANS[2])], BORDERS)
    assert [people_of(tracklet) for tracklet in found] == [[1], [2]]
    assert all(tracklet.frames.tolist() == list(range(150)) for tracklet in found)


def test_of_those_who_are_alike_in_part_of_the_overlap_the_most_alike_go_on() -> None:
    """Where boxes are not the same in both pieces: one was seen 10 pixels to the side, beside somebody else."""
    for shift in (-10, 10):
        first = [walk(SPANS[0], 300, 0, 1), walk(SPANS[0], 330, 0, 2)]
        second = [walk(SPANS[1], 330 + shift, 0, 2), walk(SPANS[1], 300 + shift, 0, 1)]
        found = join_overlapping([first, second], BORDERS[:1])
        assert sorted(map(people_of, found)) == [[1], [2]]


def test_whom_somebody_was_seen_as_for_longer_counts_for_more() -> None:
    """Of two whose boxes were the same for a moment, and nearly the same all the time, it is the latter."""
    shift = WIDE / 10
    first = [walk(range(0, 42), 300, 0, 1), walk(SPANS[0], 300 + shift, 0, 2)]
    found = join_overlapping([first, [walk(SPANS[1], 300, 0, 2)]], BORDERS[:1])
    assert [people_of(tracklet) for tracklet in found] == [[1], [2]]


def test_of_two_who_are_seen_where_one_was_one_goes_on() -> None:
    """A detector that sees somebody twice makes two of one, not one of two."""
    double = walk(SPANS[1], 303, 0, 2)
    for later in ([walk(SPANS[1], 300, 0, 1), double], [double, walk(SPANS[1], 300, 0, 1)]):
        found = join_overlapping([[walk(SPANS[0], 300, 0, 1)], later], BORDERS[:1])
        assert [(people_of(tracklet), tracklet.start) for tracklet in found] == [([1], 0.0), ([2], 50.0)]


@pytest.mark.parametrize(
    "here",
    [
        range(45, 150),  # comes before the border
        range(55, 150),  # after it, where the piece before sees it too but is not believed
        range(50, 150),
        range(0, 45),
        range(0, 56),
        range(0, 50),
        range(43, 48),
        range(52, 58),
        range(48, 53),
    ],
    ids=lambda here: f"{here.start} to {here.stop}",
)
@pytest.mark.parametrize("number", [0, 1])
def test_who_comes_or_goes_within_an_overlap_is_one(here: range, number: int) -> None:
    """While another one walks by all the time, listed before or after."""
    pieces = []
    for span in SPANS:
        somebody = within(span, here)
        seen = [walk(somebody, 600, 0, 2)] if len(somebody) else []
        pieces.append([*seen[number:], walk(span, 100, 3, 1), *seen[:number]])
    found = join_overlapping(pieces, BORDERS)
    assert sorted(map(people_of, found)) == [[1], [2]]
    other = next(tracklet for tracklet in found if people_of(tracklet) == [2])
    assert other.frames.tolist() == list(here)


def test_they_come_in_the_order_in_which_they_begin() -> None:
    people = {1: range(20, 150), 2: range(0, 150), 3: range(95, 150)}
    pieces = [
        [walk(here, 300 * person, 0, person) for person in people if len(here := within(span, people[person]))]
        for span in SPANS
    ]
    found = join_overlapping(pieces, BORDERS)
    assert [people_of(tracklet) for tracklet in found] == [[2], [1], [3]]
    assert [tracklet.start for tracklet in found] == [0.0, 20.0, 95.0]


def test_pieces_that_looked_at_other_frames_fit_together() -> None:
    """Every third frame, but never the same; and one of them every frame."""
    for steps, offsets in (((3, 3, 3), (0, 1, 2)), ((3, 1, 2), (0, 0, 1))):
        spans = [
            range(span.start + offset, span.stop, step)
            for span, step, offset in zip(SPANS, steps, offsets, strict=True)
        ]
        pieces = [[walk(span, 500, -4, 1), walk(span, 100, 4, 2)] for span in spans]
        found = join_overlapping(pieces, BORDERS)
        believed = [
            tick
            for span, begin, end in zip(spans, (0, 50, 100), (50, 100, 150), strict=True)
            for tick in span
            if begin <= tick < end
        ]
        assert sorted(map(people_of, found)) == [[1], [2]]
        assert all(tracklet.frames.tolist() == believed for tracklet in found)


def test_others_in_the_same_place_are_others() -> None:
    """Who is gone before anybody comes there, and who stands beside: half a box apart, a third of both is common."""
    first = [walk(range(0, 44), 300, 0, 1)]
    later = [walk(range(46, 111), 300, 0, 2)]
    assert [people_of(t) for t in join_overlapping([first, later], [50.0])] == [[1], [2]]
    beside = [walk(SPANS[1], 300 + WIDE / 2, 0, 2)]
    found = join_overlapping([[walk(SPANS[0], 300, 0, 1)], beside], [50.0])
    assert [(people_of(t), t.start, t.end) for t in found] == [([1], 0.0, 49.0), ([2], 50.0, 110.0)]


def test_pieces_may_be_empty() -> None:
    one = [walk(SPANS[0], 100, 0, 1)]
    assert join_overlapping([], []) == []
    assert join_overlapping([[], [], []], BORDERS) == []
    (found,) = join_overlapping([one, [], []], BORDERS)
    assert found.frames.tolist() == list(range(50))
    (found,) = join_overlapping([one, []], [np.inf])  # the video ended before the second piece
    assert found.frames.tolist() == list(range(61))
    late = [walk(SPANS[2], 100, 0, 1)]
    assert [t.frames.tolist() for t in join_overlapping([one, [], late], BORDERS)] == [
        list(range(50)),
        list(range(100, 150)),
    ]
    assert [t.frames.tolist() for t in join_overlapping([[], late], BORDERS[1:])] == [list(range(100, 150))]
    # Nothing was shown in the second, so the third began to look before it.
    paused = [tick for tick in range(30, 150) if not 45 <= tick < 110]
    (found,) = join_overlapping([[walk(range(45), 100, 0, 1)], [], [walk(paused, 100, 0, 1)]], BORDERS)
    assert found.frames.tolist() == [*range(45), *range(110, 150)]


def crowd(rng: np.random.Generator, length: int) -> list[Tracklet]:
    """People who stroll about, come and go, and are missed in one look of five; scores tell who is who."""
    people = []
    for person in range(12):
        begin = int(rng.integers(0, length - 20)) if person % 3 else 0
        end = int(rng.integers(begin + 15, length + 1)) if person % 4 else length
        steps = np.cumsum(rng.normal(0, 0.4, (length, 2)), 0)
        places = rng.uniform((0, 0), (600, 300)) + np.cumsum(steps * 0.3, 0)
        seen = np.flatnonzero(rng.random(length) > 0.2)
        seen = seen[(seen >= begin) & (seen < end)]
        if len(seen):
            people.append(Tracklet(seen.astype(float), boxes_of(places[seen]), np.full(len(seen), person, np.float32)))
    return people


def cut(people: Sequence[Tracklet], low: float, high: float, rng: np.random.Generator) -> list[Tracklet]:
    """What a piece sees of them, in any order."""
    parts = [person.take((person.frames >= low) & (person.frames < high)) for person in people]
    return [parts[k] for k in rng.permutation(len(parts)) if len(parts[k])]


@pytest.mark.parametrize("seed", range(20))
def test_in_a_crowd_everybody_is_one_and_nothing_is_lost_or_doubled(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(200, 400))
    people = crowd(rng, length)
    borders = sorted(rng.choice(np.arange(30, length - 30), 4, replace=False) - 0.5)
    overlap = float(rng.integers(8, 25))
    ends = [-np.inf, *borders, np.inf]
    pieces = [cut(people, low - overlap, high + overlap, rng) for low, high in pairwise(ends)]
    found = join_overlapping(pieces, borders)

    def detections(tracklets: Iterable[Tracklet]) -> Counter[tuple[float, float, tuple[float, ...]]]:
        return Counter(
            (score, tick, tuple(box))
            for tracklet in tracklets
            for score, tick, box in zip(
                tracklet.scores.tolist(), tracklet.frames.tolist(), tracklet.boxes.tolist(), strict=True
            )
        )

    assert detections(found) == detections(people)
    assert all(len(set(tracklet.scores.tolist())) == 1 for tracklet in found)
    assert all((np.diff(tracklet.frames) > 0).all() for tracklet in found)
    # One chain each, unless nobody saw the person within an overlap: who is missed there goes on as another.
    for person in people:
        chains = [tracklet for tracklet in found if tracklet.scores[0] == person.scores[0]]
        unseen = [
            b for b in borders if person.start < b < person.end and not (np.abs(person.frames - b) < overlap).any()
        ]
        assert len(chains) == 1 + len(unseen)
