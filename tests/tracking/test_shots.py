"""Cuts: found at the right frame, also close to the ends; light, motion and what passes by are none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf

import cv2
import numpy as np
import pytest

from glot_cli.clock import Clock
from glot_cli.tracking.shots import WINDOW, CutFinder, in_shots
from glot_cli.video import Frame
from glot_cli.video.planes import FrameConverter

HEIGHT, WIDTH = 180, 320


def scene(seed: int, count: int, *, speed: float = 1.0) -> list[np.ndarray]:
    """Frames of coloured clutter, over which the camera glides, `speed` pixels a frame, while something moves."""
    rng = np.random.default_rng(seed)
    wide = np.full((HEIGHT, 4 * WIDTH, 3), rng.uniform(80, 150, 3))
    for cells in (3, 12):
        noise = rng.normal(0, 45, (cells, 4 * cells, 3)).astype(np.float32)
        wide += cv2.resize(noise, (4 * WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    frames = []
    for t in range(count):
        x = int(speed * t) % (3 * WIDTH)
        picture = wide[:, x : x + WIDTH].copy()
        picture[60:150, 20 + 5 * t % 250 : 60 + 5 * t % 250] = (200, 60, 60)
        frames.append(np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8))
    return frames


def starts(frames: list[np.ndarray], fps: float = 30.0) -> list[int]:
    finder = CutFinder(fps)
    for number, frame in enumerate(frames):
        finder.add(frame, number)
    finder.finish()
    assert finder.decided == len(frames)
    return finder.starts


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lengths", [(20, 20), (1, 20), (2, 20), (20, 1), (20, 2), (7, 8, 30, 9)])
def test_a_cut_is_found_at_its_frame(lengths: tuple[int, ...], seed: int) -> None:
    frames = [f for k, n in enumerate(lengths) for f in scene(10 * seed + k, n)]
    assert starts(frames) == [0, *np.cumsum(lengths)[:-1].tolist()]


@pytest.mark.parametrize("fps", [1.0, 30.0, 240.0])
def test_a_cut_to_another_view_of_the_same_scene_is_found(fps: float) -> None:
    whole = scene(3, 40)
    closer = [cv2.resize(f[30:150, 50:263], (WIDTH, HEIGHT)) for f in whole]
    assert starts(whole[:20] + closer[20:], fps) == [0, 20]


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = scene(1, 40, speed=0)
    for t in range(18, 18 + length):
        frames[t] = np.clip(0.6 * frames[t].astype(float) + 100, 0, 255).astype(np.uint8)
    assert starts(frames) == [0]


@pytest.mark.parametrize("length", [3, 4, 5])
def test_short_shots_of_two_cameras_in_turn_are_no_flashes(length: int) -> None:
    cameras = scene(1, 6 * length), scene(2, 6 * length)
    frames = [cameras[t // length % 2][t] for t in range(6 * length)]
    assert starts(frames) == [*range(0, 6 * length, length)]


@pytest.mark.parametrize("level", [255, 5])
def test_a_blank_picture_is_no_shot(level: int) -> None:
    """The white of a flash, or a hand before the lens."""
    frames = scene(1, 30, speed=0)
    frames[14:17] = [np.full_like(frames[0], level)] * 3
    assert starts(frames) == [0]


def test_a_flash_that_blows_out_all_but_the_shadows_is_no_shot() -> None:
    frames = scene(1, 30, speed=0)
    frames[12:16] = [np.clip(5.0 * frame, 0, 255).astype(np.uint8) for frame in frames[12:16]]
    assert starts(frames) == [0]


def test_what_passes_the_lens_is_no_cut() -> None:
    frames = scene(2, 40, speed=0)
    for t, x in zip(range(15, 18), (-60, 90, 230), strict=True):
        frames[t][:, max(0, x) : x + 200] = 30
    assert starts(frames) == [0]


def test_light_that_goes_out_is_no_cut() -> None:
    frames = scene(4, 40)
    assert starts(frames[:20] + [(f * 0.4).astype(np.uint8) for f in frames[20:]]) == [0]


@pytest.mark.parametrize("speed", [3, 15, 60])
def test_a_fast_camera_makes_no_cuts(speed: int) -> None:
    assert starts(scene(5, 40, speed=speed)) == [0]
    still, moving = scene(5, 15, speed=0), scene(5, 10, speed=speed)
    end = [moving[-1]] * 15
    assert starts(still + moving + end) == [0]  # a whip pan


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_short_and_still_sources_are_one_shot(count: int) -> None:
    assert starts(scene(6, count)) == [0]
    assert starts(scene(6, 1) * count) == [0]


def test_frames_come_with_their_places_and_few_are_held() -> None:
    pictures = scene(7, 9) + scene(8, 5) + scene(9, 1)
    taken = 0
    converter = FrameConverter()

    def source() -> Iterator[Frame]:
        nonlocal taken
        for index, picture in enumerate(pictures):
            taken += 1
            yield Frame(index, index, Fraction(1, 30), picture, converter)

    places = []
    for frame, tick, since, until in in_shots(source(), CutFinder(30.0), Clock(30.0)):
        assert frame.image is pictures[len(places)]
        assert (tick, until) in ((frame.index, since + 1), (frame.index, inf))
        places.append((since, until == inf))
        assert taken - len(places) <= WINDOW + 1
    assert places == [
        *((t, t == 8) for t in range(9)),
        *((t, t == 4) for t in range(5)),
        (0, True),
    ]


def test_what_the_finder_keeps_does_not_grow() -> None:
    finder = CutFinder(30.0)
    sizes = []
    for number, frame in enumerate(scene(1, 60)):
        finder.add(frame, number)
        sizes.append((len(finder._pictures), len(finder._layouts), len(finder._detector._buffer)))
    assert sizes[20] == sizes[-1]


def test_a_single_frame_and_none() -> None:
    frame = Frame(0, 0, Fraction(1, 30), scene(0, 1)[0], FrameConverter())
    assert [one[1:] for one in in_shots([frame], CutFinder(30.0), Clock(30.0))] == [(0, 0, inf)]
    assert list(in_shots([], CutFinder(30.0), Clock(30.0))) == []
