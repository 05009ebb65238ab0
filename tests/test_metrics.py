import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli import metrics
from glot_cli.metrics import auc, mean_accelerations, pa_mpjpe, pck
from tests.parity import standins


def joints() -> tuple[np.ndarray, np.ndarray]:
    predicted = standins.normal("pred_j", (30, 14, 3)) * 0.3
    truth = predicted + standins.normal("gt_j", (30, 14, 3)) * 0.05
    return tuple(j - j[:, [2, 3]].mean(1, keepdims=True) for j in (predicted, truth))


def test_metrics_equal_the_official_ones():
    predicted, truth = joints()
    expected = standins.expected()
    for name, found in (
        ("mpjpe", metrics.mpjpe(predicted, truth)),
        ("pa_mpjpe", metrics.pa_mpjpe(predicted, truth)),
        ("accel", metrics.acceleration(predicted)),
        ("accel_err", metrics.acceleration_error(predicted, truth)),
    ):
        official = expected[f"metric.{name}"]
        assert np.abs(found - official).max() < 1e-4 * np.abs(official).max(), name


def test_alignment_undoes_a_similarity_for_any_number_of_frames():
    """Two or three frames are where a well-known transpose fault shows."""
    generator = np.random.default_rng(0)
    for count in (1, 2, 3, 14):
        truth = generator.normal(size=(count, 14, 3))
        turn = Rotation.random(count, random_state=1).as_matrix()
        moved = 1.7 * np.einsum("nij,nkj->nki", turn, truth) + generator.normal(size=(count, 1, 3))
        assert np.abs(metrics.similarity_align(moved, truth) - truth).max() < 1e-9


def test_alignment_never_mirrors():
    truth = np.random.default_rng(0).normal(size=(5, 14, 3))
    mirrored = truth * [-1, 1, 1]
    assert metrics.pa_mpjpe(mirrored, truth).min() > 0.1


def test_pck_and_auc_against_counting():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(5, 14, 3))
    apart = rng.uniform(0, 0.3, (5, 14))
    direction = rng.normal(size=(5, 14, 3))
    predicted = truth + apart[..., None] * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    for frame in range(5):
        assert pck(predicted, truth)[frame] == pytest.approx(sum(d < 0.15 for d in apart[frame]) / 14)
        shares = [sum(d <= 0.005 * step for d in apart[frame]) / 14 for step in range(31)]
        assert auc(predicted, truth)[frame] == pytest.approx(sum(shares) / 31)


def test_mean_accelerations_keep_people_and_gaps_apart():
    """Parabolas accelerate by twice their coefficient; nothing counts across gaps, cuts or people."""
    t = np.arange(6.0)
    joints = np.zeros((14, 2, 3))
    joints[:6, :, 0] = (0.5 * 0.01 * t**2)[:, None]
    joints[6:12, :, 1] = (0.5 * 0.03 * np.array([0, 1, 2, 9, 10, 11.0]) ** 2)[:, None]
    joints[12:] = 100.0
    person = np.array([1] * 6 + [4] * 6 + [5] * 2)
    frame = np.array([0, 1, 2, 3, 4, 5, 0, 1, 2, 9, 10, 11, 0, 1])
    found = mean_accelerations(joints, person, frame, np.zeros(14, int))
    assert found == {1: pytest.approx(0.01), 4: pytest.approx(0.03)}
    joints[3:6] += 50.0  # another shot of the first person
    found = mean_accelerations(joints, person, frame, (np.arange(14) >= 3).astype(int))
    assert found == {1: pytest.approx(0.01), 4: pytest.approx(0.03)}


def test_mean_accelerations_go_by_time():
    """Frames twice as dense are no calmer for it; and what lies beyond a gap in time has not been accelerated to."""
    ticks = np.cumsum([0, 1, 1, 1, 0.5, 0.5, 0.5, 1, 900, 1, 1, 2, 1, 1])
    joints = np.zeros((14, 2, 3))
    joints[:, :, 0] = (0.5 * 0.01 * ticks**2)[:, None]
    joints[8:, :, 0] = (0.5 * 0.01 * (ticks[8:] - ticks[8]) ** 2)[:, None]  # somebody sat down in the pause
    ones, frame = np.ones(14, int), np.arange(14)
    assert mean_accelerations(joints, ones, frame, ones, ticks) == {1: pytest.approx(0.01)}
    assert mean_accelerations(joints, ones, frame, ones)[1] > 0.03


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 14])
@pytest.mark.parametrize("count", [2, 3, 14])
def test_alignment_is_right_for_every_number_of_frames_and_joints(frames, count):
    """A batch of 2 or 3 (or joints that are 3) is the well-known trap: shapes that look like a transposed matrix."""
    rng = np.random.default_rng(frames)
    truth = rng.normal(size=(frames, count, 3))
    turn = Rotation.random(frames, random_state=1).as_matrix()
    moved = 1.7 * np.einsum("nij,nkj->nki", turn, truth) + rng.normal(size=(frames, 1, 3))
    assert pa_mpjpe(moved, truth).max() < 1e-12
    noisy = moved + 0.1 * rng.normal(size=moved.shape)
    one_by_one = [pa_mpjpe(noisy[i : i + 1], truth[i : i + 1])[0] for i in range(frames)]
    assert pa_mpjpe(noisy, truth) == pytest.approx(one_by_one)
