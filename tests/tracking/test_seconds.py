"""Tracks count seconds: pauses, frames that are missing, stamps that waver, fast recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest

from glot_cli.clock import Clock, ticks_of
from glot_cli.smoothing import fill_frames
from glot_cli.tracking.online import Tracker
from glot_cli.tracking.shots import CutFinder, in_shots, looked_at
from glot_cli.tracking.tracklets import Tracklet, at_once
from glot_cli.tracking.tracks import Track, clean_tracks
from glot_cli.video import Frame
from glot_cli.video.planes import FrameConverter

FPS, SIZE = 30.0, (1280, 720)
RED, BLUE = np.eye(8)[0], np.eye(8)[1]


def walking(seconds: np.ndarray, x: float = 300.0, speed: float = 120.0) -> np.ndarray:
    """Boxes (n,4) of somebody who walks and sways."""
    middle = x + speed * seconds + 8 * np.sin(2 * np.pi * 0.7 * seconds)
    return np.stack([middle - 50, 200 + 0 * seconds, middle + 50, 500 + 10 * np.sin(2 * np.pi * 0.5 * seconds)], 1)


def seen(ticks: np.ndarray, boxes: np.ndarray, looks: np.ndarray | None = None) -> Tracklet:
    descriptors = None if looks is None else np.tile(looks, (len(ticks), 1)).astype(np.float32)
    return Tracklet(ticks, boxes.astype(np.float32), np.full(len(ticks), 0.8, np.float32), descriptors)


def cleaned(tracklets: list[Tracklet], ticks: np.ndarray, every: float = 3, fps: float = FPS) -> list[Track]:
    return clean_tracks(tracklets, fps=fps, ticks=ticks, detect_every=every, image_size=SIZE)[0]


def followed(seconds: np.ndarray, ticks: np.ndarray, every: float, fps: float) -> list[Track]:
    """What becomes of somebody who walks, from the tracker on."""
    tracker = Tracker(fps, every)
    for tick in looked_at(ticks, every):
        box = walking(seconds[ticks == tick])
        tracker.update(tick, np.column_stack([box, [0.9]]))
    return cleaned(tracker.finish(), ticks, every, fps)


def paused(gap: float = 30.0, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of action and ticks of a recording that was paused in its middle."""
    seconds = np.arange(count) / FPS
    return seconds, ticks_of(seconds + (np.arange(count) >= count // 2 + 1) * gap, FPS)


@pytest.mark.parametrize("gap", [1.05, 30.0, 1e6])
def test_a_pause_begins_a_segment_and_nothing_crosses_it(gap: float) -> None:
    """Both sides come out as they do alone, ends included, and the person remains one."""
    seconds, ticks = paused(gap)
    ((track, *others), half) = followed(seconds, ticks, 3, FPS), 31
    assert not others and track.person == 1
    np.testing.assert_array_equal(track.frames, np.arange(60))
    np.testing.assert_array_equal(track.segment, (np.arange(60) >= half).astype(int))
    np.testing.assert_array_equal(track.ticks, ticks)
    assert not track.interpolated.any()
    for part in (slice(0, half), slice(half, 60)):
        (alone,) = followed(seconds[part], ticks[part] - ticks[part][0], 3, FPS)
        np.testing.assert_allclose(track.boxes[part], alone.boxes, atol=1e-3)
        np.testing.assert_allclose(track.crops[part], alone.crops, atol=1e-3)
    assert track.key_rows(2)[[0, half - 1, half, 59]].all()


def test_a_short_gap_is_no_pause() -> None:
    seconds, ticks = paused(0.5)
    ((track,), where) = followed(seconds, ticks, 3, FPS), walking(seconds)
    assert not track.segment.any() and not track.interpolated.any()
    assert np.abs(track.boxes - where).max() < 5


def test_motion_goes_on_in_time_where_frames_are_missing() -> None:
    """Two stretches of frames are missing; the person walks on meanwhile, and comes out where it is."""
    seconds = np.delete(np.arange(90), [*range(30, 42), *range(60, 75)]) / FPS
    ticks = ticks_of(seconds, FPS)
    (track,) = followed(seconds, ticks, 3, FPS)
    assert not track.segment.any() and not track.interpolated.any()
    off = np.abs(track.boxes - walking(seconds)).max()
    (blind,) = followed(seconds, np.arange(float(len(seconds))), 3, FPS)
    assert off < 1.5 < 10 < np.abs(blind.boxes - walking(seconds)).max()


def test_stamps_that_waver_change_nothing() -> None:
    seconds = np.arange(90) / FPS
    late = np.round((seconds + np.random.default_rng(0).uniform(0, 0.014, 90)) * 1000) / 1000
    (steady,), (wavering,) = (followed(seconds, ticks_of(times, FPS), 3, FPS) for times in (seconds, late))
    np.testing.assert_array_equal(wavering.boxes, steady.boxes)
    np.testing.assert_array_equal(wavering.segment, steady.segment)


@pytest.mark.parametrize("fps", [240.0, 960.0, 1000.0])
def test_a_fast_recording_gives_the_same_boxes_at_the_same_times(fps: float) -> None:
    (slow,) = followed(np.arange(91) / FPS, np.arange(91.0), 3, FPS)
    count = round(3 * fps) + 1
    (fast,) = followed(np.arange(count) / fps, np.arange(float(count)), 0.1 * fps, fps)
    at = np.round(slow.frames / FPS * fps).astype(int)
    assert not fast.segment.any() and not fast.interpolated.any() and len(fast.frames) == count
    assert np.abs(fast.boxes[at] - slow.boxes).max() < 0.5  # of 300 pixels
    assert np.abs(np.diff(fast.boxes, 2, axis=0)).max() * fps**2 < 2000  # no corners: pixels a second squared


def test_who_moved_during_a_pause_is_known_by_looks() -> None:
    """Elsewhere and in the same clothes: the same. Somebody else is somebody else, though in the same place."""
    seconds, ticks = paused()
    early, late = ticks[:31:3], ticks[31::3]
    here, there = walking(seconds[:31:3], 200, 0), walking(seconds[31::3], 900, 0)
    (track,) = cleaned([seen(early, here, RED), seen(late, there, RED)], ticks)
    assert track.segment.max() == 1
    tracks = cleaned([seen(early, here, RED), seen(late, there, BLUE)], ticks)
    assert [t.person for t in tracks] == [1, 2]
    tracks = cleaned([seen(early, here), seen(late, there)], ticks)  # nothing says who it is
    assert [t.person for t in tracks] == [1, 2]
    same = seen(np.append(early, late), np.concatenate([here, here[: len(late)]]))
    for other, people in ((RED, 1), (BLUE, 2)):
        looks = np.repeat([RED, other], [len(early), len(late)], axis=0).astype(np.float32)
        assert len(cleaned([replace(same, descriptors=looks)], ticks)) == people
    gone = seen(early[:3], here[:3], RED)  # left the picture long before
    long = np.concatenate([np.arange(90.0), 1000 + np.arange(30.0)])
    back = seen(long[90::3], walking(long[90::3] / FPS * 0, 900, 0), RED)
    assert len(clean_tracks([gone, back], fps=FPS, ticks=long, detect_every=3, min_frames=6, image_size=SIZE)[0]) == 2


def test_who_was_lost_is_not_remembered_through_a_pause() -> None:
    """Somebody leaves; after half a minute without frames somebody steps in there, for a moment at first."""
    tracker = Tracker(FPS, 3)
    here = np.append(walking(np.zeros(1), 200)[0], 0.9)[None]
    for tick in (0, 3, 6, 9, 12, 912):
        tracker.update(tick, here if tick in (0, 3, 6, 912) else here[:0])
    assert [t.frames.tolist() for t in tracker.finish()] == [[0, 3, 6], [912]]


def test_people_keep_their_ids_across_many_pauses() -> None:
    """Two people change places in every one of them."""
    stretch = np.arange(0, 31.0)
    ticks = np.concatenate([stretch + 1000 * k for k in range(4)])
    pieces = [
        seen(stretch[::3] + 1000 * k, walking(stretch[::3] / FPS, 900 if (k + place) % 2 else 200, 0), looks)
        for k in range(4)
        for place, looks in enumerate((RED, BLUE))
    ]
    tracks = cleaned(pieces, ticks)
    assert [len(t.frames) for t in tracks] == [124, 124] and [t.segment.max() for t in tracks] == [3, 3]


def test_least_lengths_count_seconds() -> None:
    """Half a second is long enough, also where few frames are taken in it; a tenth is not, however many are."""
    slow = np.concatenate([np.arange(60.0), 60 + 6.0 * np.arange(30)])
    assert len(cleaned([seen(slow[70:73], walking(slow[70:73] / FPS))], slow)) == 1
    dense = np.concatenate([np.arange(60.0), 60 + 0.2 * np.arange(60)])
    looks = looked_at(dense, 1)
    some = looks[(looks > 62) & (looks < 65)]
    assert not cleaned([seen(some, walking(some / FPS))], dense, every=1)


def test_nobody_is_missed_where_there_are_no_frames() -> None:
    """Long steps all along: between them the detector had nothing to see."""
    ticks = np.cumsum(np.tile([1.0, 1, 1, 1, 1, 24], 20))
    (track,) = followed(ticks / FPS, ticks - ticks[0], 3, FPS)
    assert len(track.frames) == len(ticks) and not track.interpolated.any()
    weak = seen(looked_at(ticks, 3), walking(looked_at(ticks, 3) / FPS, speed=0))
    assert len(cleaned([replace(weak, scores=np.full(len(weak), 0.35, np.float32))], ticks)) == 1


def stream(times: list[float]) -> Iterator[Frame]:
    picture, converter = np.full((16, 16, 3), 90, np.uint8), FrameConverter()
    for index, time in enumerate(times):
        stamp = Fraction(time).limit_denominator(1000)
        yield Frame(index, stamp.numerator, Fraction(1, stamp.denominator), picture, converter)


@pytest.mark.parametrize("every", [1, 3, 2.5])
def test_frames_that_come_are_looked_at_as_planned(every: float) -> None:
    """Never more than so many ticks apart, but for gaps, whose both sides are looked at."""
    random = np.random.default_rng(4)
    times = np.cumsum(random.choice([1, 1, 1, 1, 2, 5, 60], 300)) / FPS
    looked, looks = 0.0, []
    for one in in_shots(stream(times.tolist()), CutFinder(FPS), Clock(FPS)):
        if one.since == 0 or one.until - looked > every:
            looked = one.since
            looks.append(one.tick)
    ticks = ticks_of(times, FPS)
    np.testing.assert_allclose(looks, looked_at(ticks, every), atol=1e-9)
    for before, after in pairwise(looks):
        assert after - before <= every + 1e-6 or not ((ticks > before + 1e-6) & (ticks < after - 1e-6)).any()
    assert looks[0] == 0 and looks[-1] == ticks[-1]
    np.testing.assert_array_equal(looked_at(np.arange(11.0), 3), [0, 3, 6, 9, 10])


def test_what_was_seen_before_a_pause_makes_no_flash() -> None:
    """A picture, half a minute of nothing, and after a moment of blinding light the picture again: cuts, no flash."""
    one = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    other = np.full_like(one, 250)
    for gap, expected in ((1.0, [0]), (900.0, [0, 10, 13])):
        finder = CutFinder(FPS)
        for number in range(30):
            finder.add(other if 10 <= number < 13 else one, number if number < 10 else number - 1 + gap)
        finder.finish()
        assert finder.starts == expected


def test_what_is_far_off_is_not_looked_at() -> None:
    """Somebody may be followed for hours while others pass: only what lies near in time is touched, NaN or not."""
    ticks = np.cumsum(np.random.default_rng(1).choice([1.0, 2.0, 5.0], 2000))
    values = walking(ticks / FPS)
    wanted = np.arange(*np.round(ticks[[1000, 1010]])) + 0.5
    whole, far = fill_frames(ticks, values, wanted, FPS), values.copy()
    far[:950] = far[1060:] = np.nan
    np.testing.assert_array_equal(fill_frames(ticks, far, wanted, FPS), whole)
    np.testing.assert_array_equal(seen(ticks, far).boxes_at(wanted), seen(ticks, values).boxes_at(wanted))
    beyond = ticks[-1] + np.arange(1.0, 9)
    np.testing.assert_array_equal(fill_frames(ticks[1900:], values[1900:], beyond, FPS),
                                  fill_frames(ticks, values, beyond, FPS))  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_spans_that_share_a_moment_are_found(count: int) -> None:
    random = np.random.default_rng(count)
    starts = random.integers(0, 50, count).astype(float)
    ends = starts + random.integers(0, 9, count)
    pairs = sorted(tuple(sorted(pair)) for pair in zip(*(side.tolist() for side in at_once(starts, ends)), strict=True))
    assert pairs == [(i, j) for i, j in combinations(range(count), 2) if starts[i] <= ends[j] and starts[j] <= ends[i]]


def test_segments_have_no_holes() -> None:
    """Seen only while beyond the border, on the way out: where it was before is told back to the border, no further."""
    ticks = np.arange(60.0)
    boxes = walking((ticks[6:18:3] - 6) / FPS, x=-20, speed=-400)
    (track,) = cleaned([seen(ticks[6:18:3], boxes)], ticks)
    assert (track.boxes[:, [0, 2]].mean(1) < 10).all() and track.frames[0] == 6
    np.testing.assert_array_equal(np.diff(track.frames), 1)


@pytest.mark.parametrize("every", [3, 7])
def test_segments_stay_apart_at_low_rates(every: int) -> None:
    """A frame a second, fewer looks than that, one miss before the last: no frame comes twice."""
    ticks = np.arange(4.0 * every + 1)
    looks = np.array([0, 1, 2, 4]) * every
    (track,) = cleaned([seen(ticks[looks], walking(looks / FPS, speed=0))], ticks, every, fps=1.0)
    assert track.segment.max() == 1
    assert (np.diff(track.frames) > 0).all()
    uneven = np.cumsum([1.0, 5, 5, 4, 5.4, 5, 5])
    (track,) = cleaned(
        [seen(uneven[[0, 1, 2, 4, 5, 6]], walking(uneven[[0, 1, 2, 4, 5, 6]], speed=0))], uneven, 5, fps=0.5
    )
    assert (np.diff(track.frames) > 0).all()
