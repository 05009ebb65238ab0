"""Box arithmetic against closed forms and against plain dense linear algebra."""

import numpy as np
import pytest

from glot_cli.smoothing import fill_frames, whittaker
from glot_cli.tracking.boxes import (
    CUTOFF_HZ,
    box_overlap,
    complete_truncated,
    remove_outliers,
    smooth_boxes,
    square_crops,
)


def _moving(times: np.ndarray, velocity: float, acceleration: float, height: float = 300.0) -> np.ndarray:
    """Boxes of a person; velocity and acceleration in body heights a second (squared)."""
    x = 200 + height * (velocity * times + acceleration * times**2 / 2)
    y = np.full_like(times, 400.0)
    return np.stack([x - 0.2 * height, y - height / 2, x + 0.2 * height, y + height / 2], axis=1)


def test_overlap_of_known_boxes() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], float)
    b = np.array([[5, 0, 15, 10], [2, 2, 4, 4], [10, 0, 20, 10]], float)
    iou, inside = box_overlap(a, b)
    np.testing.assert_allclose(iou, [1 / 3, 0.04, 0])
    np.testing.assert_allclose(inside, [0.5, 1, 0])


def test_whittaker_solves_its_normal_equations() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    difference = np.diff(np.eye(50), n=3, axis=0)
    strength = (2 * np.sin(np.pi * 0.07)) ** -6
    expected = np.linalg.solve(np.eye(50) + strength * difference.T @ difference, values)
    np.testing.assert_allclose(whittaker(values, 0.07), expected, atol=1e-9)
    weights = np.random.default_rng(1).uniform(0.005, 2, 50)
    expected = np.linalg.solve(np.diag(weights) + strength * difference.T @ difference, weights[:, None] * values)
    np.testing.assert_allclose(whittaker(values, 0.07, weights), expected, atol=1e-8)


@pytest.mark.parametrize("rate", [25.0, 60.0, 240.0])
def test_whittaker_halves_the_cutoff_frequency_without_delay(rate: float) -> None:
    times = np.arange(round(20 * rate)) / rate
    wave = np.sin(2 * np.pi * CUTOFF_HZ * times)[:, None]
    middle = slice(round(5 * rate), round(15 * rate))
    np.testing.assert_allclose(whittaker(wave, CUTOFF_HZ / rate)[middle], wave[middle] / 2, atol=1e-3)


@pytest.mark.parametrize(
    ("fps", "every"), [(10.0, 1), (25.0, 1), (25.0, 3), (60.0, 1), (60.0, 5), (240.0, 1), (240.0, 3)]
)
@pytest.mark.parametrize(("velocity", "acceleration"), [(0, 0), (2.5, 0), (0.5, 3.0), (4.0, -4.0)])
def test_fast_motion_is_reproduced(fps: float, every: int, velocity: float, acceleration: float) -> None:
    """Within 1 % of the height at every frame, ends included: no lag, no rounding of corners."""
    frames = np.arange(0, round(2 * fps) // every * every + 1)
    keys = frames[::every]
    boxes = _moving(frames / fps, velocity, acceleration)
    got = smooth_boxes(keys, remove_outliers(keys, boxes[::every], fps), frames, fps)
    assert np.abs(got - boxes).max() < 0.01 * 300


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_noise_is_more_than_halved(fps: float) -> None:
    frames = np.arange(round(10 * fps))
    boxes = _moving(frames / fps, 0.8, 0)
    noisy = boxes + np.random.default_rng(0).normal(0, 5, boxes.shape)
    error = smooth_boxes(frames, remove_outliers(frames, noisy, fps), frames, fps) - boxes
    assert error.std() < 0.5 * (noisy - boxes).std()
    step = np.diff(error, axis=0).std()
    assert step < 0.1 * np.diff(noisy - boxes, axis=0).std()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_short_tracks(count: int) -> None:
    frames = np.arange(count)
    boxes = _moving(frames / 30, 1.0, 0)
    got = smooth_boxes(frames, remove_outliers(frames, boxes, 30), frames, 30)
    np.testing.assert_allclose(got, boxes, atol=0.5)


def test_single_bad_boxes_are_replaced_and_good_ones_untouched() -> None:
    frames = np.arange(60)
    boxes = _moving(frames / 30, 1.5, 0)
    bad = boxes.copy()
    bad[20:22, 3] -= 150  # legs hidden for two frames
    bad[40] += 400  # somebody else's box
    got = remove_outliers(frames, bad, 30)
    np.testing.assert_allclose(got, boxes, atol=15.1)  # one frame of motion: the median of the rest is a neighbour
    good = np.setdiff1d(frames, [20, 21, 40])
    np.testing.assert_array_equal(got[good], boxes[good])


def test_lasting_change_is_no_outlier() -> None:
    frames = np.arange(90)
    boxes = _moving(frames / 30, 0, 0)
    boxes[30:60, 1] += 120  # squats for a second
    np.testing.assert_array_equal(remove_outliers(frames, boxes, 30), boxes)


def test_filling_does_not_overshoot_and_goes_on_straight() -> None:
    keys = np.array([0, 1, 2, 30, 31, 32])
    values = np.array([0, 1, 2, 30, 31, 32], float)[:, None]
    np.testing.assert_allclose(fill_frames(keys, values, np.arange(-3, 36), 30)[:, 0], np.arange(-3, 36), atol=1e-9)
    step = fill_frames(keys, (values > 15).astype(float), np.arange(33), 30)
    assert step.min() >= 0 and step.max() <= 1


def test_someone_leaving_the_picture_keeps_their_size() -> None:
    frames = np.arange(40)
    whole = np.stack([600 + 5.0 * frames, np.full(40, 100.0), 760 + 5.0 * frames, np.full(40, 220.0)], axis=1)
    cut = np.minimum(whole, [800, 600, 800, 600])
    got = complete_truncated(frames, cut, (800, 600))
    # the last step inside the border's margin may go either way
    np.testing.assert_allclose(got, whole, atol=8.0)
    crops = square_crops(got, 1.25)
    np.testing.assert_allclose(crops[:, 2], 200, atol=10)
    np.testing.assert_allclose(crops[:, 0], (whole[:, 0] + whole[:, 2]) / 2, atol=5)


def test_someone_never_seen_whole_keeps_the_visible_box() -> None:
    boxes = np.tile([300.0, 50.0, 500.0, 600.0], (10, 1))
    np.testing.assert_array_equal(complete_truncated(np.arange(10), boxes, (800, 600)), boxes)


def test_square_crop() -> None:
    squares = square_crops(np.array([[10.0, 20.0, 30.0, 120.0], [0.0, 0.0, 40.0, 10.0]]), 1.25)
    np.testing.assert_allclose(squares, [[20, 70, 125], [20, 5, 50]])
    np.testing.assert_allclose(square_crops(np.array([[10.0, 20.0, 50.0, 120.0]]), 1.25), [[30, 70, 125]])
