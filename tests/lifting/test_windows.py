"""Windows over a track, both sides of a person treated alike, one shape for one person."""

from __future__ import annotations

import pytest
import torch

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat
from glot_cli.features.landmark_vector import mirror_features
from glot_cli.features.skeleton import SKELETON_DIM, network_input
from glot_cli.lifting.windows import estimate, mirror_state, robust_mean, window_indices
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot import GLoT
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.smpl import SMPL_MIRROR

CONFIG = GLoTConfig()


def test_windows_repeat_the_edge_frames() -> None:
    windows = window_indices(torch.zeros(40), CONFIG)
    assert windows.shape == (40, 16)
    assert windows[20].tolist() == list(range(12, 28))  # the middle frame is number 8 of 16
    assert windows[0].tolist() == [0] * 9 + [1, 2, 3, 4, 5, 6, 7]
    assert windows[39].tolist() == list(range(31, 40)) + [39] * 7
    assert torch.equal(windows[:, 8], torch.arange(40))


def test_official_windows_at_the_edges_are_copies_of_one_frame() -> None:
    windows = window_indices(torch.zeros(40), CONFIG, edges="official")
    still = (windows == windows[:, :1]).all(1)
    assert still.nonzero()[:, 0].tolist() == [*range(8), *range(33, 40)]  # first 8 and last 7
    assert all(windows[i].tolist() == [i] * 16 for i in (0, 7, 33, 39))
    assert torch.equal(windows[~still], window_indices(torch.zeros(40), CONFIG)[~still])


@pytest.mark.parametrize("edges", ["replicate", "official"])
@pytest.mark.parametrize("step", [1, 2])
def test_windows_never_mix_segments(edges: str, step: int) -> None:
    segment = torch.tensor([3] * 30 + [5] * 4 + [6] * 21)
    windows = window_indices(segment, CONFIG, step, edges)  # type: ignore[arg-type]
    assert torch.equal(segment[windows], segment[:, None].expand(-1, 16))
    assert torch.equal(windows[:, 8], torch.arange(55))


def test_a_faster_video_takes_every_second_frame() -> None:
    assert window_indices(torch.zeros(60), CONFIG, step=2)[30].tolist() == list(range(14, 46, 2))


@pytest.mark.parametrize("count", [1, 5, 15])
def test_short_tracks(count: int) -> None:
    windows = window_indices(torch.zeros(count), CONFIG)
    assert windows.shape == (count, 16)
    assert (windows.min(), windows.max()) == (0, count - 1)
    official = window_indices(torch.zeros(count), CONFIG, edges="official")
    assert torch.equal(official, torch.arange(count)[:, None].expand(-1, 16))


def test_robust_mean_is_not_pulled_by_outliers() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.linspace(-1, 1, 10)
    values = true + 0.1 * torch.randn(100, 10, generator=generator)
    values[:25] += 20
    found = robust_mean(values, torch.ones(100))
    assert (found - true).norm() < 0.25 < (values.mean(0) - true).norm()
    weights_ = torch.ones(100)
    weights_[:60] = 0
    values[:60] = 50
    assert (robust_mean(values, weights_) - true).norm() < 0.25
    assert torch.allclose(robust_mean(true.expand(7, -1), torch.zeros(7)), true, atol=1e-5)


@pytest.fixture(scope="module")
def network() -> FoldedGLoT:
    torch.manual_seed(3)
    config = GLoTConfig(
        feature_dim=SKELETON_DIM, global_dim=32, decoder_dim=32, local_dim=32, regressor_dim=32, heads=4
    )
    return FoldedGLoT(GLoT(config))


def some_features(count: int, seed: int = 0) -> torch.Tensor:
    return 0.3 * torch.randn(count, 264, generator=torch.Generator().manual_seed(seed))


def test_a_mirrored_person_moves_in_the_mirror(network: FoldedGLoT, body: Body) -> None:
    """Whatever the network has learnt, left and right are treated alike."""
    features, segment = some_features(40), torch.tensor([0] * 25 + [1] * 15)
    both = {"prepare": network_input, "mirror": mirror_features}
    seen = estimate(network, features, segment, **both)
    rows = torch.tensor([0, len(segment) // 2, len(segment) - 1])
    some = estimate(network, features, segment, **both, rows=rows)
    assert all(torch.allclose(a, b[rows], atol=1e-5) for a, b in zip(some, seen, strict=True))
    mirrored = estimate(network, mirror_features(features), segment, **both)
    for a, b in zip(mirror_state(seen), mirrored, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    posed = [
        body(pose6d_to_rotmat(state.pose6d.unflatten(-1, (24, 6))), torch.zeros(40, 10), vertices=False).joints
        for state in (seen, mirrored)
    ]
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(posed[0][:, list(SMPL_MIRROR)] * flip, posed[1], atol=1e-3)
    assert (posed[0] - posed[1]).abs().max() > 0.1


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))
