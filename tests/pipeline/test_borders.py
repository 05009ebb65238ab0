"""Where a long video is cut into pieces, and which of its frames each of them looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from glot_cli.pipeline.borders import LEAST_SPLIT, MOST_PIECES, borders_of, overlap_of, stretch_of
from glot_cli.pipeline.options import Options
from glot_cli.video import VideoInfo


def video(duration: float | None, fps: Fraction | int = 30) -> VideoInfo:
    return VideoInfo(Path("a.mp4"), 640, 360, Fraction(fps), "stamps", Fraction(1, 90000), None, False, duration)


def in_frames(borders: Sequence[float], fps: Fraction | int = 30) -> list[float]:
    """Borders as numbers of the frames that come after them, counted from the video's first."""
    return [border * float(fps) + 0.5 for border in borders]


def test_pieces_are_of_one_length_and_no_longer_than_they_may_be() -> None:
    assert in_frames(borders_of(video(300.0), Options(), 60.0)) == pytest.approx([1800, 3600, 5400, 7200])
    for duration, seconds in ((100.0, 30.0), (61.0, 60.0), (3600.0, 45.5), (7200.0, 600.0)):
        borders = borders_of(video(duration), Options(), seconds)
        lengths = np.diff([0.0, *borders, duration])
        assert len(lengths) == math.ceil(duration / seconds)
        assert np.ptp(lengths) < 0.5 and lengths.max() < seconds + 0.25


def test_what_is_short_or_of_unknown_length_is_not_cut() -> None:
    assert borders_of(video(None), Options(), 60.0) == []
    assert borders_of(video(60.0), Options(), 60.0) == []
    assert len(borders_of(video(60.1), Options(), 60.0)) == 1
    assert borders_of(video(LEAST_SPLIT), Options(), 1.0) == []  # pieces may not be that short
    assert len(borders_of(video(10 * LEAST_SPLIT), Options(), 1.0)) == 9
    for options in (Options(start=100.0), Options(start=200.0, end=300.0), Options(start=95.0), Options(end=9.0)):
        assert borders_of(video(100.0), options, 10.0) == []


@pytest.mark.parametrize("every", [1, 3, 10])
@pytest.mark.parametrize("fps", [Fraction(30000, 1001), 25, 50, 60, 144, 240])
@pytest.mark.parametrize("start", [None, 7.3])
def test_whole_rounds_of_looks_lie_between_borders(fps: Fraction | int, every: int, start: float | None) -> None:
    """So that people are looked for in the frames in which they would be without pieces: every n-th from the first."""
    borders = borders_of(video(200.0, fps), Options(detect_every=every, start=start), 23.0)
    first = math.ceil((start or 0.0) * fps - 1e-6)
    apart = math.floor(every * max(1.0, float(fps) / 120))  # of a steady rate, no more than may lie between
    frames = np.array(in_frames(borders, fps)) - first
    assert len(frames) == 8
    assert np.abs(frames - np.rint(frames)).max() < 1e-6
    assert (
        np.rint(frames).astype(int) % (2 * apart) == 0
    ).all()  # a look at a whole frame, then one around who is there


def test_start_and_end_say_what_is_cut() -> None:
    borders = borders_of(video(100.0), Options(start=20.0, end=80.0), 20.0)
    assert in_frames(borders) == pytest.approx([1200, 1800])
    assert borders_of(video(100.0), Options(start=20.0, end=500.0), 40.0) == pytest.approx([60 - 0.5 / 30])
    assert borders_of(video(100.0), Options(end=40.0), 20.0) == pytest.approx([20 - 0.5 / 30])


@pytest.mark.parametrize("fps", [Fraction(1, 10), Fraction(1, 2), 1, 5, 25, 30])
@pytest.mark.parametrize("every", [1, 3, 10])
@pytest.mark.parametrize("duration", [11.0, 35.0, 101.0, 5000.0, 1e6])
def test_there_are_never_too_many_pieces_and_none_is_little_but_overlap(
    duration: float, every: int, fps: Fraction | int
) -> None:
    """However few frames a second there are: in time lapse, ten seconds may be one frame."""
    info, options = video(duration, fps), Options(detect_every=every)
    for seconds in (10.0, 17.0, 60.0):
        borders = borders_of(info, options, seconds)
        assert len(borders) < MOST_PIECES
        overlap = overlap_of(info, options)
        assert overlap >= max(2.0 - 0.1 / float(fps), 3 * 2 * every / float(fps))
        assert not borders or all(
            later - earlier > 2 * overlap for earlier, later in pairwise([0.0, *borders, duration])
        )


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), 25, Fraction(30000, 1001), 50, 144, Fraction(1, 2)])
@pytest.mark.parametrize("every", [1, 3, 10])
def test_a_piece_looks_at_the_frames_that_others_look_at(fps: Fraction | int, every: int) -> None:
    """It begins before its border, in a frame that is looked at without pieces, and ends after the next one's."""
    info, options = (
        video(500.0 / float(fps) * 30, fps),
        Options(detect_every=every, start=3.0, end=490.0 / float(fps) * 30),
    )
    borders = borders_of(info, options, 100.0 / float(fps) * 30)
    assert len(borders) == 4
    stretches = [stretch_of(piece, borders, info, options) for piece in range(5)]
    overlap = overlap_of(info, options)
    assert (stretches[0].begin, stretches[-1].end, stretches[-1].next_begin) == (3.0, options.end, None)
    apart = math.floor(every * max(1.0, float(fps) / 120))
    for (_, end, next_begin), later, border in zip(stretches, stretches[1:], borders, strict=False):
        assert end == pytest.approx(border + overlap) and next_begin == later.begin
        frame = in_frames([later.begin], fps)[0] - math.ceil(3.0 * fps - 1e-6)
        assert frame == pytest.approx(round(frame), abs=1e-6) and round(frame) % (2 * apart) == 0
        assert border - later.begin == pytest.approx(overlap)


def test_a_piece_keeps_within_the_stretch_that_is_run() -> None:
    info, options = video(100.0), Options(start=20.0, end=40.0)
    assert stretch_of(1, [21.0, 39.0], info, options) == (20.0, 40.0, 37.0)
