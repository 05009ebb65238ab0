"""Time stamps become ticks: even ones where a camera is steady, true ones where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from glot_cli.clock import LEAST_STEP, Clock, ascending, stretches, ticks_of


def stamps_in_ms(seconds: np.ndarray, seed: int = 0, spread: float = 0.0) -> np.ndarray:
    """Stamps as browsers make them: late by up to `spread` seconds, rounded to milliseconds."""
    late = np.random.default_rng(seed).uniform(0, spread, len(seconds))
    return np.round((seconds + late) * 1000) / 1000


@pytest.mark.parametrize("rate", [0.5, 23.976, 25.0, 30000 / 1001, 30.0, 59.94, 120.0, 960.0])
def test_a_steady_rate_ticks_in_whole_numbers(rate: float) -> None:
    times = 12.3 + np.arange(3000) / rate
    np.testing.assert_array_equal(ticks_of(times, rate), np.arange(3000))
    assert not stretches(ticks_of(times, rate), rate).any()


@pytest.mark.parametrize("spread", [0.0, 0.014])
@pytest.mark.parametrize("fps", [30.0, 1000 / 33])
def test_stamps_that_waver_are_even(spread: float, fps: float) -> None:
    """Also where the rate that is meant, told by rounded stamps, is one percent off."""
    for seed in range(5):
        times = stamps_in_ms(np.arange(3000) / 30, seed, spread)
        np.testing.assert_array_equal(ticks_of(times, fps), np.arange(3000))


def test_frames_that_are_missing_and_pauses_are_gaps() -> None:
    seconds = np.concatenate([np.arange(20), np.arange(26, 40), np.arange(940, 960)]) / 30
    ticks = ticks_of(seconds, 30.0)
    np.testing.assert_allclose(ticks, seconds * 30, atol=1e-9)
    np.testing.assert_array_equal(stretches(ticks, 30.0), np.repeat([0, 1], [34, 20]))
    np.testing.assert_array_equal(stretches(np.array([0, 29, 59.0, 90]), 30.0), [0, 0, 0, 1])


@pytest.mark.parametrize("pattern", [(1, 2), (2, 1), (1, 1, 2), (1, 2, 2), (1, 3), (1, 1, 1, 1, 3)])
@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_frames_that_are_dropped_all_along_leave_the_others_where_they_were(
    pattern: tuple[int, ...], fps: float
) -> None:
    seconds = np.cumsum(np.tile(pattern, 40)) / 60
    np.testing.assert_allclose(ticks_of(seconds, fps), (seconds - seconds[0]) * fps, atol=1e-6)


@pytest.mark.parametrize(("fps", "rates"), [(30.0, (60, 30)), (60.0, (60, 30)), (30.0, (30, 24)), (30.0, (30, 7))])
def test_after_a_change_of_rate_ticks_follow_the_stamps(fps: float, rates: tuple[int, int]) -> None:
    seconds = np.cumsum(np.repeat(1 / np.array(rates), [200, 200]))
    ticks = ticks_of(seconds, fps)
    steps = np.diff(ticks)
    for rate, part in zip(rates, (steps[20:199], steps[220:]), strict=True):
        np.testing.assert_allclose(part, fps / rate, atol=1e-6)
    assert abs(ticks[-1] - (seconds[-1] - seconds[0]) * fps) < 6  # it takes a few frames to be noticed


def test_ticks_always_go_on() -> None:
    clock = Clock(30.0)
    ticks = [clock.add(time) for time in (5.0, 5.000001, 5.000002, 4.0)]
    assert np.diff(ticks).min() == pytest.approx(LEAST_STEP)
    assert list(clock.times) == [5.0, 5.000001, 5.000002, 4.0]


def test_times_that_ascend_stay_as_they_are_and_others_are_pushed_apart() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(1e-4, 0.1, 500)) + 1e6
    assert ascending(times, 1 / 30) is times
    assert len(ascending(np.zeros(0), 0.1)) == 0
    rng = np.random.default_rng(1)
    for odd in (np.zeros(99), -np.arange(99.0), rng.uniform(-1e9, 1e9, 99), np.array([5.0, 5.0, 6.0, 2.0])):
        for step in (1e-5, 1 / 30, 1e5):
            pushed = ascending(odd, step)
            assert (np.diff(pushed) > 0).all() and pushed[0] == pytest.approx(odd[0])
            assert pushed[-1] - odd.max() <= len(odd) * max(step * 1e-3, 1e-6)
