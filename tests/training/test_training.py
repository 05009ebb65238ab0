"""The loop: losses, schedule, configuration; a killed run continues exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.cli.main import group
from glot_cli.errors import GlotError
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.models.config import GLoTConfig
from glot_cli.models.glot import GLoT
from glot_cli.training import loop
from glot_cli.training.config import TrainConfig, load_config
from glot_cli.training.data import Batches
from glot_cli.training.loop import Trainer, learning_rate, optimizers
from glot_cli.training.losses import LossWeights, Prediction, loss_terms, masked_mean
from glot_cli.training.motions import load_motions
from glot_cli.training.start import start, training_body
from glot_cli.weights import load_glot

TINY = GLoTConfig(feature_dim=SKELETON_DIM, global_dim=32, decoder_dim=32, local_dim=32, regressor_dim=32, heads=4)
RECIPES = Path(__file__).resolve().parents[2] / "weights" / "recipes"


@pytest.fixture
def motions(tmp_path) -> Path:
    generator = np.random.default_rng(0)
    poses = (0.1 * np.cumsum(generator.normal(size=(60, 24, 3)), 0) / 5).astype(np.float32)
    path = tmp_path / "motions.npz"
    np.savez(path, poses=poses, clip_index=np.repeat([0, 1], 30))
    return path


def config(motions: Path, **changes) -> TrainConfig:
    base = TrainConfig(
        motions=(motions,), steps=6, batch_size=4, warmup=2, vertices=10, checkpoint_every=3, ema=0.9, model=TINY
    )
    return replace(base, **changes)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_resumed_training_equals_uninterrupted(tmp_path, motions, monkeypatch, optimizer):
    monkeypatch.setattr(loop, "MUON_SMALLEST", 32)  # the tiny network's matrices count as large
    settings = config(motions, optimizer=optimizer)
    whole = load_glot(start(settings, tmp_path / "whole", quiet=True)).state_dict()

    update, seen = loop.Trainer.update, []

    def killed(self, *arguments):
        if len(seen) == 4:  # after the checkpoint of step 3
            raise KeyboardInterrupt
        seen.append(1)
        return update(self, *arguments)

    monkeypatch.setattr(loop.Trainer, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        start(settings, tmp_path / "cut", quiet=True)
    monkeypatch.setattr(loop.Trainer, "update", update)
    torch.rand(7)  # whatever happened in between
    resumed = load_glot(start(settings, tmp_path / "cut", quiet=True)).state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_folder_of_another_training_is_refused(tmp_path, motions):
    start(config(motions), tmp_path / "run", quiet=True)
    for other in (config(motions, optimizer="muon"), config(motions, model=replace(TINY, global_layers=1))):
        with pytest.raises(GlotError, match=r"other settings.*--out"):
            start(other, tmp_path / "run", quiet=True)


def test_features_of_another_size_are_refused(tmp_path, motions):
    with pytest.raises(GlotError, match=f"feature_dim = {SKELETON_DIM}"):
        start(config(motions, model=replace(TINY, feature_dim=264)), tmp_path / "run", quiet=True)


def test_every_parameter_has_one_optimizer():
    model = GLoT(replace(TINY, global_dim=64))
    muon, adam = optimizers(model, TrainConfig(optimizer="muon"))
    groups = [[p for group in o.param_groups for p in group["params"]] for o in (muon, adam)]
    assert sorted(id(p) for group in groups for p in group) == sorted(id(p) for p in model.parameters())
    assert groups[0] and all(p.dim() == 2 and min(p.shape) >= loop.MUON_SMALLEST for p in groups[0])
    assert not any(p.dim() == 2 and min(p.shape) >= loop.MUON_SMALLEST for p in groups[1])


def test_training_fits_a_batch(motions):
    """Shown one batch again and again, even a tiny network must learn it: both branches' joints end half as far off."""
    settings = config(motions, steps=120, learning_rate=5e-3, robust_loss=True, mask_ratio=0.0)
    body = training_body(settings)
    features, truth = Batches(settings, load_motions([motions]), body, LandmarkModel(), None).draw()
    trainer = Trainer(settings, body, "cpu")
    rows = [trainer.update(features, truth) for _ in range(settings.steps)]
    for branch in ("global", "local"):
        assert rows[-1][f"{branch}.keypoints3d"] < 0.5 * rows[0][f"{branch}.keypoints3d"]


def test_masked_loss_counts_masked_frames_alone():
    error = torch.arange(8.0).view(1, 8, 1).expand(2, 8, 3)
    mask = torch.zeros(2, 8)
    mask[0, 6] = 1
    assert masked_mean(error, mask) == 6
    assert masked_mean(error, None) == 3.5


def test_loss_terms_against_plain_sums():
    generator = torch.Generator().manual_seed(0)

    def some() -> Prediction:
        def draw(*shape):
            return torch.randn(2, 5, *shape, generator=generator)

        return Prediction(draw(24, 3, 3), draw(10), draw(24, 3), draw(24, 2), draw(7, 3))

    a, b = some(), some()
    terms = loss_terms(a, b, LossWeights(vertices=2.0), robust=False)
    assert terms["keypoints3d"] == pytest.approx(300 * float(np.mean((a.joints - b.joints).numpy() ** 2)), rel=1e-5)
    velocity = np.diff(a.image.numpy(), axis=1) - np.diff(b.image.numpy(), axis=1)
    assert terms["velocity2d"] == pytest.approx(10 * float(np.mean(velocity**2)), rel=1e-5)
    robust = loss_terms(a, b, LossWeights(vertices=2.0), robust=True)
    distance = np.linalg.norm((a.vertices - b.vertices).numpy(), axis=-1)
    assert robust["vertices"] == pytest.approx(2 * float(distance.mean()), rel=1e-4)


def test_learning_rate_warms_up_and_falls_to_a_tenth():
    settings = TrainConfig(steps=1000, warmup=10, learning_rate=1.0)
    assert learning_rate(0, settings) == pytest.approx(0.1)
    assert learning_rate(10, settings) == pytest.approx(1.0)
    assert learning_rate(1000, settings) == pytest.approx(0.1)
    assert learning_rate(505, settings) == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stepz = 3", "stepz"),
        ("steps = 'many'", "steps"),
        ("[model]\nheads = 1.5", "heads"),
        ("[noise]\nunknown = 1", "unknown"),
        ("steps = ", "TOML"),
        ("optimizer = 'sgd'", "optimizer"),
        ("[model]\nnearby = 9", "nearby"),
    ],
)
def test_configuration_faults_are_named(tmp_path, text, fault):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(GlotError, match=fault):
        load_config(path)


def test_recipe_is_what_the_shipped_weights_are():
    shipped = load_glot(weights.locate("glot-open")).config
    assert load_config(RECIPES / "glot_open.toml").model == shipped
    assert shipped.feature_dim == SKELETON_DIM and shipped.hscr_columns == "joint"


def test_command_line_trains_and_names_what_is_missing(tmp_path, motions):
    path = tmp_path / "c.toml"
    path.write_text(
        f"steps = 2\nbatch_size = 2\nvertices = 5\n[model]\nfeature_dim = {SKELETON_DIM}\nglobal_dim = 32\n"
        "decoder_dim = 32\nlocal_dim = 32\nregressor_dim = 32\nheads = 4\n"
    )
    arguments = ["train", str(path), "--out", str(tmp_path / "run"), "-q"]
    result = CliRunner().invoke(group, [*arguments, "--motions", str(motions)], standalone_mode=False)
    assert result.exception is None and (tmp_path / "run" / "glot.safetensors").exists()
    missing = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert isinstance(missing.exception, GlotError) and "--motions" in str(missing.exception)
