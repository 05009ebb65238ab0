"""The loop: losses, schedule, configuration; a killed run continues exactly."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from glot_cli import weights
from glot_cli.cli.main import group
from glot_cli.errors import GlotError, UsageError
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.files.atomic import aside_name
from glot_cli.models.glot import GLoT
from glot_cli.training import loop, optim
from glot_cli.training.config import CONFIGS, LandmarkData, TrainConfig, find_config, load_config
from glot_cli.training.loop import LAST, Trainer
from glot_cli.training.losses import LossConfig, Prediction, loss_terms, masked_mean
from glot_cli.training.optim import learning_rate, optimizers
from glot_cli.training.processes import Processes
from glot_cli.training.start import first_model, make_task, start
from glot_cli.weights import load_glot
from tests.training.settings import TINY, landmark_config, write_motions

CPU = torch.device("cpu")


@pytest.fixture
def motions(tmp_path) -> Path:
    return write_motions(tmp_path / "motions.npz")


def log_lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("changes", [{}, {"optimizer": "muon"}, {"parts": 2, "mask_probability": 0.5}], ids=str)
def test_resumed_training_equals_uninterrupted(tmp_path, motions, monkeypatch, changes):
    """Weights and the loss curve, bit for bit, though the kill comes between a checkpoint and the next."""
    monkeypatch.setattr(optim, "MUON_SMALLEST", 32)  # the tiny network's matrices count as large
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    settings = landmark_config(motions, epochs=3, **changes)
    whole = load_glot(start(settings, tmp_path / "whole", quiet=True)).state_dict()

    step, seen = Trainer.step, []

    def killed(self):
        if len(seen) == 5:  # after the checkpoint of update 3, and after a line was logged beyond it
            raise KeyboardInterrupt
        seen.append(1)
        return step(self)

    monkeypatch.setattr(Trainer, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        start(settings, tmp_path / "cut", quiet=True)
    monkeypatch.setattr(Trainer, "step", step)
    torch.rand(7)  # whatever happened in between
    resumed = load_glot(start(settings, tmp_path / "cut", quiet=True)).state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert log_lines(tmp_path / "whole") == log_lines(tmp_path / "cut")
    assert [row["update"] for row in log_lines(tmp_path / "whole")] == [2, 4, 6, 8]


def test_states_that_killed_trainings_left_half_written_are_removed(tmp_path, motions):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "run"
    out.mkdir()
    mine = str(aside_name(out / "state.pt"))
    left, running = (Path(mine.replace(f"-{os.getpid()}-", f"-{number}-")) for number in (ended.pid, os.getppid()))
    left.write_bytes(b"half")
    running.write_bytes(b"of a process that runs")
    start(landmark_config(motions), out, quiet=True)
    assert not left.exists() and running.exists() and (out / "state.pt").exists()


def test_more_epochs_continue_a_finished_training(tmp_path, motions):
    start(landmark_config(motions), tmp_path / "run", quiet=True)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    start(landmark_config(motions, epochs=3), tmp_path / "run", quiet=True)
    assert state["update"] == 6 and torch.load(tmp_path / "run" / "state.pt", weights_only=True)["update"] == 9


def test_a_folder_of_another_training_is_refused(tmp_path, motions):
    start(landmark_config(motions), tmp_path / "run", quiet=True)
    for other, key in (
        (landmark_config(motions, optimizer="muon"), "optimizer"),
        (landmark_config(motions, model=replace(TINY, global_layers=1)), "model"),
        (landmark_config(motions, loss=LossConfig(pose=1.0)), "loss"),
        (landmark_config(motions, residual_share=0.5), "landmarks"),
        (landmark_config(motions, parts=2), "parts"),
    ):
        with pytest.raises(GlotError, match=rf"other settings.*{key}.*another output folder"):
            start(other, tmp_path / "run", quiet=True)


def test_features_of_another_size_are_refused(tmp_path, motions):
    with pytest.raises(GlotError, match=f"feature_dim = {SKELETON_DIM}"):
        start(landmark_config(motions, model=replace(TINY, feature_dim=264)), tmp_path / "run", quiet=True)


def test_every_parameter_has_one_optimizer(motions):
    model = GLoT(replace(TINY, global_dim=64))
    muon, adam = optimizers(model, landmark_config(motions, optimizer="muon"))
    groups = [[p for group in o.param_groups for p in group["params"]] for o in (muon, adam)]
    assert sorted(id(p) for group in groups for p in group) == sorted(id(p) for p in model.parameters())
    assert groups[0] and all(p.dim() == 2 and min(p.shape) >= optim.MUON_SMALLEST for p in groups[0])
    assert not any(p.dim() == 2 and min(p.shape) >= optim.MUON_SMALLEST for p in groups[1])


@pytest.mark.parametrize("branches", ["both", "global", "local"])
def test_training_fits_a_batch(motions, monkeypatch, branches):
    """Shown one batch again and again, even a tiny network must learn it: its joints end half as far off."""
    settings = landmark_config(
        motions, epochs=1, iterations=50, learning_rate=5e-3, loss=LossConfig(robust=True), mask_ratio=0.0,
        model=replace(TINY, branches=branches),
    )  # fmt: skip
    task = make_task(settings, CPU)
    batch = task.draw(0, 0, 1)
    monkeypatch.setattr(task, "draw", lambda *_: batch)
    trainer = Trainer(settings, task, first_model(settings, task), Processes())
    rows = []
    for _ in range(settings.updates):
        trainer.step()
        rows.append(trainer.means())
    branches = {"both": ("global", "local")}.get(branches, (branches,))
    for branch in branches:
        assert rows[-1][f"{branch}.keypoints3d"] < 0.5 * rows[0][f"{branch}.keypoints3d"]
    assert {name.split(".")[0] for name in rows[0]} - {"loss"} == set(branches)


def test_parts_of_a_batch_add_up(motions):
    """The gradient of a batch in two parts is the mean of the parts' own."""
    settings = landmark_config(motions, parts=2, ema=0.0, model=replace(TINY, dropout=0.0, drop_path=0.0))
    task = make_task(settings, CPU)
    trainer = Trainer(settings, task, first_model(settings, task), Processes())
    single = []
    for part in range(2):
        trainer.model.zero_grad()
        trainer._backward(part, 1, exchange=True)
        single.append({name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None})
    trainer.model.zero_grad()
    for part in range(2):
        trainer._backward(part, 2, exchange=True)
    for name, parameter in trainer.model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, (single[0][name] + single[1][name]) / 2, atol=1e-5), name
    assert sum(len(task.draw(0, part, 3)[0]) for part in range(3)) == settings.batch_size


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
    terms = loss_terms(a, b, LossConfig(vertices=2.0))
    assert terms["keypoints3d"] == pytest.approx(300 * float(np.mean((a.joints - b.joints).numpy() ** 2)), rel=1e-5)
    velocity = np.diff(a.image.numpy(), axis=1) - np.diff(b.image.numpy(), axis=1)
    assert terms["motion2d"] == pytest.approx(10 * float(np.mean(velocity**2)), rel=1e-5)
    robust = loss_terms(a, b, LossConfig(vertices=2.0, robust=True))
    distance = np.linalg.norm((a.vertices - b.vertices).numpy(), axis=-1)
    assert robust["vertices"] == pytest.approx(2 * float(distance.mean()), rel=1e-4)


def test_acceleration_stands_where_three_frames_count():
    generator = torch.Generator().manual_seed(1)
    a, b = (
        Prediction(*(torch.randn(2, 6, *shape, generator=generator) for shape in ((24, 3, 3), (10,), (24, 3), (24, 2))))
        for _ in range(2)
    )
    mask = torch.tensor([[1, 1, 1, 0, 1, 1], [0, 1, 1, 1, 1, 0]]).float()
    got = loss_terms(a, b, LossConfig(acceleration=True), mask)["motion3d"]
    error = np.square(np.diff((a.joints - b.joints).numpy(), 2, axis=1)).mean((-1, -2))  # (2, 4)
    whole = np.array([[1, 0, 0, 0], [0, 1, 1, 0]])
    assert got.item() == pytest.approx(100 * float((error * whole).sum() / whole.sum()), rel=1e-5)


def test_learning_rate_warms_up_and_falls_to_a_tenth():
    settings = TrainConfig(epochs=50, iterations=1000, warmup=5, learning_rate=1.0, landmarks=LandmarkData())
    at = [learning_rate(1000 * epoch, settings) for epoch in (0, 2.5, 5, 27.5, 50)]
    assert at == pytest.approx([0.1, 0.55, 1.0, 0.55, 0.1])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("epochz = 3", "epochz"),
        ("epochs = 'many'", "epochs"),
        ("epochs = true", "epochs"),
        ("[model]\nheads = 1.5", "heads"),
        ("[landmarks.noise]\nunknown = 1", "unknown"),
        ("epochs = ", "TOML"),
        ("optimizer = 'sgd'\n[landmarks]", "optimizer"),
        ("[model]\nnearby = 9", "nearby"),
        ("[model]\nmask_token = 'none at all'", "mask_token"),
        ("seed = 1", r"either \[landmarks\] or \[datasets\]"),
        ("[landmarks]\n[datasets]", "either"),
        ("[datasets]\nwith_3d = '3dpw'", "with_3d"),
        ("[datasets]\nshare_2d = 1.5", "share_2d"),
    ],
)
def test_configuration_faults_are_named(tmp_path, text, fault):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(GlotError, match=fault):
        load_config(path)


def test_lines_of_a_configuration_can_be_overruled(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("epochs = 3\n[landmarks]\nvertices = 5\n[model]\nnearby = 3")
    changes = ("epochs=7", "model.nearby = 2", "model.mask_token='learned'", "landmarks.noise.slow2d=0")
    changed = load_config(path, changes)
    assert (changed.epochs, changed.model.nearby, changed.model.mask_token) == (7, 2, "learned")
    assert changed.landmarks.vertices == 5 and changed.landmarks.noise.slow2d == 0
    with pytest.raises(UsageError, match=r"model\.mask_token=learned"):
        load_config(path, ("model.mask_token=learned",))
    with pytest.raises(GlotError, match="nonsense"):
        load_config(path, ("nonsense=1",))


def test_paper_configurations_hold_the_published_numbers():
    """Against the authors' configuration files, written down by hand."""
    table1, others, table2 = (
        load_config(find_config(name)) for name in ("paper-table1", "paper-table1-h36m-mpii3d", "paper-table2")
    )
    for config, epochs, iterations, warmup, loss2d, loss3d, decay in (
        (table1, 50, 1000, 5, 300, 300, 0.0),
        (others, 75, 1000, 8, 100, 150, 1e-5),
        (table2, 80, 500, 8, 100, 200, 1e-5),
    ):
        assert (config.epochs, config.iterations, config.warmup) == (epochs, iterations, warmup)
        loss = config.loss
        assert (loss.keypoints2d, loss.keypoints3d, loss.pose, loss.shape) == (loss2d, loss3d, 60, 0.06)
        assert (loss.motion2d, loss.motion3d, loss.acceleration) == (10, 100, False)
        assert (config.weight_decay, config.learning_rate, config.optimizer) == (decay, 1e-4, "adam")
        assert (config.batch_size, config.datasets.share_2d) == (64, 0.6)
        assert (config.mask_ratio, config.regressor) == (0.5, "spin")
        assert (config.mask_probability, config.clip, config.ema, config.datasets.overlap) == (1.0, 0, 0, 0)
        model = config.model
        assert (model.dropout, model.drop_path, model.regressor_dropout) == (0.1, 0.2, 0.25)
        assert (model.frames, model.nearby, model.global_layers, model.local_layers, model.heads) == (16, 4, 2, 3, 8)
        assert config.datasets.with_2d == ("insta-train",)
    assert [len(c.datasets.with_3d) for c in (table1, others, table2)] == [3, 3, 2]


def test_every_field_of_a_configuration_is_documented():
    from glot_cli.models.glot_config import GLoTConfig
    from glot_cli.motion.sampling import Augmentation
    from glot_cli.motion.viewing import Viewing
    from glot_cli.training.config import DatasetData
    from glot_cli.training.simulate import Noise

    for kind in (TrainConfig, LandmarkData, DatasetData, LossConfig, GLoTConfig, Noise, Viewing, Augmentation):
        for name in kind.__dataclass_fields__:
            if name not in ("model", "loss", "landmarks", "datasets", "augmentation", "viewing", "noise"):
                assert re.search(rf"\b{name}\b", kind.__doc__), f"{kind.__name__}.{name}"


def test_recipe_is_what_the_shipped_weights_are():
    shipped = load_glot(weights.locate("glot-open")).config
    assert load_config(CONFIGS / "open.toml").model == shipped
    assert shipped.feature_dim == SKELETON_DIM and shipped.hscr_columns == "joint"


def test_command_line_trains_and_names_what_is_missing(tmp_path, motions):
    path = tmp_path / "c.toml"
    path.write_text(
        f"epochs = 1\niterations = 2\nbatch_size = 2\n[landmarks]\nvertices = 5\n[model]\n"
        f"feature_dim = {SKELETON_DIM}\nglobal_dim = 32\ndecoder_dim = 32\nlocal_dim = 32\n"
        "regressor_dim = 32\nheads = 4\n"
    )
    arguments = ["train", str(path), "--out", str(tmp_path / "run"), "-q"]
    result = CliRunner().invoke(group, [*arguments, "--motions", str(motions)], standalone_mode=False)
    assert result.exception is None and (tmp_path / "run" / LAST).exists()
    missing = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert isinstance(missing.exception, GlotError) and "no motions" in str(missing.exception)
    unknown = CliRunner().invoke(group, ["train", "paper-table9", "--out", "x"], standalone_mode=False)
    assert isinstance(unknown.exception, UsageError) and "paper-table1" in str(unknown.exception)
