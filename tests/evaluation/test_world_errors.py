"""Errors in the world, against numbers made by hand and by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli.evaluation.world_errors import (
    gravity_error,
    jitter,
    piece_errors,
    root_errors,
    skating,
    turn_errors,
)

RNG = np.random.default_rng(5)
TURN = Rotation.from_rotvec([0.3, -1.2, 2.0])


def about(axis: str, degrees: list[float]) -> Rotation:
    """One turn about an axis for each frame."""
    return Rotation.from_euler(axis, np.array(degrees)[:, None], degrees=True)


def walk(frames: int) -> np.ndarray:
    """(frames, 24, 3) joints that swing about a root that walks."""
    root = np.cumsum(RNG.normal([0.03, 0, 0.01], 0.01, size=(frames, 1, 3)), axis=0)
    return root + 0.5 * RNG.normal(size=(1, 24, 3)) + 0.05 * RNG.normal(size=(frames, 24, 3))


def fitted(predicted: np.ndarray, truth: np.ndarray, first: int) -> np.ndarray:
    """Distances (N,) after the similarity that SciPy finds for the first so many frames."""
    p, t = predicted[:first].reshape(-1, 3), truth[:first].reshape(-1, 3)
    turn, _ = Rotation.align_vectors(t - t.mean(0), p - p.mean(0))
    scale = (turn.apply(p - p.mean(0)) * (t - t.mean(0))).sum() / ((p - p.mean(0)) ** 2).sum()
    laid = scale * turn.apply(predicted.reshape(-1, 3) - p.mean(0)) + t.mean(0)
    return np.linalg.norm(laid.reshape(truth.shape) - truth, axis=-1).mean(-1)


def test_pieces_are_laid_on_the_truth_each_by_itself() -> None:
    truth = walk(250)
    predicted = 1.2 * TURN.apply((truth + 0.02 * RNG.normal(size=truth.shape)).reshape(-1, 3)).reshape(truth.shape)
    predicted += np.linspace(0, 1, 250)[:, None, None] * [1.0, 0, 0] + 7
    whole, beginning = piece_errors(predicted, truth, 100)
    parts = [slice(0, 100), slice(100, 200), slice(200, 250)]
    np.testing.assert_allclose(whole, np.concatenate([fitted(predicted[p], truth[p], 100) for p in parts]), atol=1e-9)
    np.testing.assert_allclose(beginning, np.concatenate([fitted(predicted[p], truth[p], 2) for p in parts]), atol=1e-9)
    assert beginning[150:200].mean() > 2 * whole[150:200].mean()  # drift shows from where it began


def test_a_similarity_is_no_error_in_pieces_and_scale_is_one_of_the_root() -> None:
    truth = walk(30)
    predicted = 1.1 * TURN.apply(truth.reshape(-1, 3)).reshape(truth.shape) - 3
    for errors in piece_errors(predicted, truth, 100):
        np.testing.assert_allclose(errors, 0, atol=1e-12)
    assert [len(errors) for errors in piece_errors(predicted[:0], truth[:0], 100)] == [0, 0]
    line = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [4, 0, 0]])  # 4 m long, its middle at 1.75
    shares = root_errors(1.1 * TURN.apply(line) + 5, line)
    np.testing.assert_allclose(shares, np.array([0.175, 0.075, 0.025, 0.225]) / 4, atol=1e-12)
    there_and_back = np.concatenate([line, line[::-1]])
    assert root_errors(1.1 * there_and_back, there_and_back).max() == pytest.approx(0.225 / 8)


def test_the_root_of_somebody_who_stands_has_no_share_of_its_path() -> None:
    assert root_errors(RNG.normal(size=(50, 3)), 0.001 * RNG.normal(size=(50, 3))).shape == (0,)


@pytest.mark.parametrize("fps", [30.0, 60.0, 23.976])
def test_jitter_is_the_third_derivative_at_any_rate(fps: float) -> None:
    time = np.arange(12) / fps
    joints = np.zeros((12, 2, 3))
    joints[:, 0, 1], joints[:, 1, 2] = 2 * time**3 + time**2, 4 * time**3  # 12 and 24 m/s^3
    joined = np.ones(11, bool)
    np.testing.assert_allclose(jitter(joints, time, joined), np.full(9, 18.0), rtol=1e-6)
    uneven = time + RNG.uniform(0, 0.3 / fps, size=12)
    joints[:, 0, 1], joints[:, 1, 2] = 2 * uneven**3 + uneven**2, 4 * uneven**3
    np.testing.assert_allclose(jitter(joints, uneven, joined), np.full(9, 18.0), rtol=1e-6)
    noise = RNG.normal(size=(12, 24, 3))
    expected = np.linalg.norm(noise[3:] - 3 * noise[2:-1] + 3 * noise[1:-2] - noise[:-3], axis=-1).mean(-1) * fps**3
    np.testing.assert_allclose(jitter(noise, time, joined), expected)
    joined[5] = False  # between frames 5 and 6: windows of 3, 4, 5 and on go
    np.testing.assert_allclose(jitter(noise, time, joined), expected[[0, 1, 2, 6, 7, 8]])
    assert len(jitter(noise[:3], time[:3], joined[:2])) == 0


def test_skating_counts_points_that_rest_twice_in_a_row() -> None:
    soles = np.zeros((5, 4, 3))
    soles[:, 0, 0] = [0, 0.003, 0.003, 0.009, 0.009]
    soles[:, 1, 2] = [0, 0.5, 1.0, 1.5, 2.0]  # walks, and rests only once
    soles[:, 3, 1] = [0, 0.004, 0.008, 0.012, 0.016]
    contact = np.zeros((5, 4), bool)
    contact[:, 0] = contact[2, 1] = contact[1:3, 3] = True
    joined = np.array([True, True, True, False])
    found = skating(soles, contact, np.arange(5) / 30, joined)
    np.testing.assert_allclose(np.sort(found), [0, 0.003, 0.004, 0.006], atol=1e-12)
    found = skating(soles, contact, np.arange(5) / 60, joined)  # the same way in half the time
    np.testing.assert_allclose(np.sort(found), [0, 0.006, 0.008, 0.012], atol=1e-12)
    assert len(skating(soles[:1], contact[:1], np.zeros(1), joined[:0])) == 0


def test_gravity_is_off_by_the_angle_between_the_ups() -> None:
    camera = Rotation.from_euler("xyz", [170, 10, 5], degrees=True)
    for degrees in (0, 1e-4, 3, 90, 180):
        tilted = camera * Rotation.from_euler("yx", [77, degrees], degrees=True)  # heading is no error
        assert gravity_error(tilted.as_matrix(), camera.as_matrix()) == pytest.approx(degrees, abs=1e-7)


def test_turns_are_compared_since_the_first_frame() -> None:
    """Whatever the frame of the world; one that turns by as much about another axis is wrong, too."""
    pan = about("y", [0, 10, 20, 30])
    mine, true = pan * TURN, pan * Rotation.from_rotvec([0.1, 0.2, 0.3])
    np.testing.assert_allclose(turn_errors(mine.as_matrix(), true.as_matrix()), 0, atol=1e-6)
    slow = about("y", [0, 9, 18, 30.5])
    np.testing.assert_allclose(turn_errors(slow.as_matrix(), pan.as_matrix()), [1, 2, 0.5], atol=1e-6)
    tilt = about("x", [0, 10, 20, 30])
    expected = [np.degrees((a * b.inv()).magnitude()) for a, b in zip(tilt[1:], pan[1:], strict=True)]
    np.testing.assert_allclose(turn_errors(tilt.as_matrix(), pan.as_matrix()), expected, atol=1e-6)
    assert turn_errors(pan.as_matrix()[:1], pan.as_matrix()[:1]).shape == (0,)
