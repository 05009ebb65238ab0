"""The network against the official one's outputs on stand-ins, and its folded form against itself."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.global_motion import random_masking
from glot_cli.models.glot import GLoT, initialise
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.official import DEAD_PREFIXES
from glot_cli.smpl import ancestors
from tests.parity import standins
from tests.parity.plain import rotations
from tests.parity.table import official_glot

TOLERANCE = 1e-4  # of an array's own scale


@pytest.fixture(scope="module")
def model() -> GLoT:
    return official_glot()


def assert_theta(state, theta: np.ndarray) -> None:
    """A state (..., .) against the official camera 3, axis-angle 72, betas 10."""
    theta = theta.reshape(-1, 85)
    assert np.abs(state.camera.reshape(-1, 3).numpy() - theta[:, :3]).max() < TOLERANCE * np.abs(theta[:, :3]).max()
    assert np.abs(state.shape.reshape(-1, 10).numpy() - theta[:, 75:]).max() < TOLERANCE * np.abs(theta[:, 75:]).max()
    truth = Rotation.from_rotvec(theta[:, 3:75].reshape(-1, 3)).as_matrix()
    assert np.abs(rotations(state.pose6d.numpy().reshape(-1, 24, 6)).reshape(-1, 3, 3) - truth).max() < TOLERANCE


@torch.no_grad()
def test_inference_equals_the_official_network(model):
    estimate = model(torch.from_numpy(standins.features()))
    expected = standins.expected()
    assert_theta(estimate.final, expected["infer.final.theta"])
    assert_theta(estimate.initial, expected["infer.global.theta"])


@torch.no_grad()
def test_masked_training_forward_equals_the_official_network(model):
    expected = standins.expected()
    masking = random_masking(torch.from_numpy(expected["train.mask_noise"]), 0.5)
    assert np.array_equal(masking.dropped.numpy(), expected["train.mask"][..., 0])
    estimate = model.forward_train(torch.from_numpy(standins.features()), masking)
    assert_theta(estimate.final, expected["train.final.theta"])
    assert_theta(estimate.initial, expected["train.global.theta"])


def test_size_is_the_published_one(model):
    unused = sum(v.size for k, v in standins.state("glot").items() if k.startswith(DEAD_PREFIXES))
    assert sum(p.numel() for p in model.parameters()) + unused == pytest.approx(16.74e6, abs=0.005e6)


@torch.no_grad()
def test_folded_equals_unfolded(model):
    features = torch.from_numpy(standins.features(8))
    plain = model(features)
    folded = FoldedGLoT(model)(features)
    scale = plain.final.cat().abs().max()
    assert (folded.final.cat() - plain.final.cat()).abs().max() < 1e-5 * scale
    assert (folded.initial.cat() - plain.initial.cat()).abs().max() < 1e-5 * scale


SMALL = {"feature_dim": 20, "global_dim": 32, "decoder_dim": 32, "local_dim": 32, "regressor_dim": 32, "heads": 4}
VARIANTS = [
    {"branches": "global"},
    {"branches": "local"},
    {"correction": "plain"},
    {"branches": "local", "correction": "plain"},
    {"mask_token": "learned"},
    {"frames": 9, "nearby": 2, "global_layers": 1},
]


def small(**changes) -> GLoT:
    torch.manual_seed(3)
    model = GLoT(GLoTConfig(**SMALL, **changes))
    initialise(model, torch.randn(157))
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_variants_fold_too(changes):
    model = small(**changes)
    features = torch.randn(5, model.config.frames, 20)
    plain, folded = model(features), FoldedGLoT(model)(features)
    assert torch.allclose(plain.final.cat(), folded.final.cat(), atol=1e-5)
    assert (plain.initial is None) == (folded.initial is None) == (changes.get("branches") == "local")


@torch.no_grad()
def test_each_branch_alone_sees_its_own_frames():
    """The local branch alone must not see frames beyond the nearby ones, nor the global branch's weights exist."""
    features = torch.randn(2, 16, 20)
    far = features.clone()
    far[:, 0] += 5.0
    near = features.clone()
    near[:, 10] += 5.0
    local, both = small(branches="local"), small()
    assert torch.equal(local(features).final.cat(), local(far).final.cat())
    assert not torch.allclose(local(features).final.cat(), local(near).final.cat())
    assert not torch.allclose(both(features).final.cat(), both(far).final.cat())
    alone = small(branches="global")
    assert torch.equal(alone(features).final.cat(), alone(features).initial.cat())
    assert not any("local_correction" in name for name in alone.state_dict())
    assert alone.forward_train(features, None).final.camera.shape == (2, 3, 3)


def test_plain_correction_sees_no_ancestors():
    """With equal first layers, joint 18's correction depends on the pelvis' layer only through the hierarchy."""
    for correction, depends in (("hierarchical", True), ("plain", False)):
        model = small(correction=correction)
        features = torch.randn(2, 16, 20)
        before = model(features).final.pose6d.unflatten(-1, (24, 6))
        with torch.no_grad():
            model.local_correction.regressor.joints[0].bias += 1.0
        after = model(features).final.pose6d.unflatten(-1, (24, 6))
        assert not torch.allclose(before[..., 0, :], after[..., 0, :])
        assert torch.allclose(before[..., 18, :], after[..., 18, :], atol=1e-7) != depends


@torch.no_grad()
def test_mask_tokens():
    """A hidden frame is a function of the mean parameters, a vector of its own, or nothing."""
    noise = torch.rand(2, 16, generator=torch.Generator().manual_seed(0))
    masking = random_masking(noise, 0.5)
    features = torch.randn(2, 16, 20)
    for token in ("template", "learned", "none"):
        model = small(mask_token=token)
        before = model.forward_train(features, masking).initial.cat()
        if token == "template":
            model.global_motion.mask_token[-1].bias += 1.0
        elif token == "learned":
            model.global_motion.learned_token += 1.0
        after = model.forward_train(features, masking).initial.cat()
        assert torch.equal(before, after) == (token == "none")


@torch.no_grad()
def test_windows_over_a_track_equal_windows_one_by_one(model):
    track = torch.from_numpy(standins.features(1, frames=40)[0])
    windows = torch.arange(25)[:, None] + torch.arange(16)
    together = FoldedGLoT(model).lift_track(track, windows, batch_size=7)
    for window in (0, 11, 24):
        alone = model(track[None, window : window + 16])
        assert torch.allclose(together.final.cat()[window], alone.final.cat()[0], atol=2e-5)


def test_gradient_of_local_branch_stops_at_the_global_estimate():
    torch.manual_seed(0)
    model = GLoT(GLoTConfig(feature_dim=32, global_dim=32, decoder_dim=32, local_dim=32, regressor_dim=32, heads=4))
    initialise(model, torch.from_numpy(standins.mean_state()))
    estimate = model.forward_train(torch.randn(2, 16, 32), None)
    estimate.final.cat().square().sum().backward()
    regressor = model.global_motion.regressor
    assert all(p.grad is None for p in regressor.parameters())
    assert model.local_correction.regressor.pose_fc.weight.grad.abs().max() > 0


@pytest.mark.parametrize("columns", ["official", "joint"])
def test_spatial_regressor_reads_the_columns_it_is_told(columns):
    """A change of one joint's global pose reaches the corrections of exactly the joints that read its columns."""
    torch.manual_seed(0)
    model = GLoT(GLoTConfig(feature_dim=32, local_dim=32, regressor_dim=32, hscr_columns=columns)).eval()
    regressor = model.local_correction.regressor
    with torch.no_grad():
        regressor.pose_fc.weight.zero_()  # the only other way from the global pose to the corrections
        state = torch.randn(1, 144)
        x = torch.zeros(1, 32)

        def corrections(pose6d: torch.Tensor) -> torch.Tensor:
            from glot_cli.models.regressors import State

            start = State(pose6d, torch.zeros(1, 10), torch.zeros(1, 3))
            return regressor(x, start).pose6d - pose6d

        moved = state.clone()
        moved[:, 6 * 7] += 1.0  # first value of the left ankle
        changed = (corrections(moved) - corrections(state)).reshape(24, 6).abs().amax(1) > 1e-7
    if columns == "joint":
        readers = {7}
    else:
        readers = {j for j in range(24) if j <= 42 < j + 6}  # none: official windows end at column 29
        assert not readers
    affected = {j for j in range(24) if j in readers or readers & set(ancestors(j))}
    assert set(np.flatnonzero(changed.numpy())) == affected


def test_configuration_rejects_what_cannot_work():
    with pytest.raises(ValueError, match="hscr_columns"):
        GLoTConfig(hscr_columns="other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nearby"):
        GLoTConfig(nearby=9)
