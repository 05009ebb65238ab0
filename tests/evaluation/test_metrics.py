import numpy as np
import standins
from scipy.spatial.transform import Rotation

from glot_cli.evaluation import metrics


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
