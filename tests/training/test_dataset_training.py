"""Each of the paper's configurations trained for a few steps on stand-ins in the official formats."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from glot_cli.body.joints import SpinJoints, spin_joints
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.cli import main
from glot_cli.datasets.dataset import Dataset
from glot_cli.errors import GlotError
from glot_cli.training.config import find_config, load_config
from glot_cli.training.dataset_task import DatasetTask, DatasetWindows, Deck
from glot_cli.training.start import first_model, make_task
from glot_cli.weights import load_glot
from glot_cli.weights.bodies import load_body
from tests.datasets import official_data
from tests.parity import standins

CPU = torch.device("cpu")
NAMES = (
    "3dpw-train", "3dpw-train-occ", "3dpw-val", "mpii3d-train-scale12", "mpii3d-train-scale12-occ", "h36m-train-25fps",
    "h36m-train-25fps-occ", "insta-train", "pennaction-train", "posetrack-train",
)  # fmt: skip
PAPER = ("paper-table1", "paper-table1-h36m-mpii3d", "paper-table2")


@pytest.fixture(scope="module", autouse=True)
def there(tmp_path_factory, added):
    with official_data.taken_in(tmp_path_factory.mktemp("own"), added, NAMES, frames=36, feature_dim=2048):
        yield


@pytest.mark.parametrize("name", PAPER)
def test_paper_configurations_train_on_the_official_formats(tmp_path, name):
    """An update of the whole published network by the command, then another after a stop."""
    short = ["--set", "iterations=1", "--set", "batch_size=6", "--set", "validate_from=2", "--set", "warmup=1"]
    for epochs in (1, 2):
        arguments = ["train", name, "--out", str(tmp_path), "--quiet", *short, "--set", f"epochs={epochs}"]
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    best = load_glot(tmp_path / "best.safetensors")
    assert best.config.feature_dim == 2048 and (tmp_path / "last.safetensors").exists()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"val.pa_mpjpe", "val.mpjpe", "val.acceleration_error"} <= rows[-1].keys()
    assert list((tmp_path / "tensorboard").iterdir())


def test_training_starts_from_spins_regressor():
    config = load_config(find_config("paper-table1"), ("batch_size=4",))
    task = make_task(config, CPU)
    model = first_model(config, task)
    official = standins.state("spin")
    regressor = model.global_motion.regressor
    for layer in ("fc1", "decpose", "decshape", "deccam"):
        assert np.array_equal(getattr(regressor, layer).weight.detach().numpy(), official[f"{layer}.weight"])
    assert torch.equal(regressor.mean_state, torch.from_numpy(standins.mean_state()).float())
    with pytest.raises(GlotError, match="random"):
        first_model(replace(config, model=replace(config.model, regressor_dim=512)), task)


def test_labels_are_those_of_the_files():
    """Every drawn window is found again in the official arrays, its labels equal to them."""
    config = load_config(find_config("paper-table1"), ("batch_size=20",))
    task = DatasetTask(config, config.datasets, CPU)
    features, labels = task.draw(0, 0, 1)
    assert task.count_2d == 12 and features.shape == (20, 16, 2048)
    assert labels.has_joints[:8].mean() > 0.8 and not labels.has_joints[8:].any()
    held = {name: official_data.arrays_of(name, frames=36, feature_dim=2048) for name in NAMES}
    for sample in range(20):
        (name, row), = (
            (name, int(rows[0]))
            for name, arrays in held.items()
            if len(rows := np.flatnonzero((arrays["features"] == features[sample, 0].numpy()).all(1)))
        )  # fmt: skip
        arrays, part = held[name], slice(row, row + 16)
        assert np.array_equal(arrays["features"][part], features[sample].numpy())
        assert len(set(arrays["vid_name"][part])) == 1
        has_smpl = name.startswith("3dpw")  # table 1 leaves Human3.6M's aside, and MPI-INF-3DHP has none
        valid = arrays.get("valid", np.ones(len(arrays["features"])))[part].astype(float)
        assert labels.has_smpl[sample].tolist() == (valid * has_smpl).tolist()
        if name == "insta-train":
            assert not labels.joints[sample].any() and labels.image[sample].any()
            continue
        assert np.allclose(labels.joints[sample].numpy(), arrays["joints3D"][part], atol=1e-6)
        box = arrays["bbox"][part]
        given = arrays["joints2D"][part]
        assert labels.has_joints[sample].tolist() == valid.tolist()
        confidence = labels.image[sample, ..., 2].numpy()
        assert not confidence[valid == 0].any() and confidence[valid == 1].any()
        scaled = (given[..., :2] - box[:, None, :2]) / (0.6 * box[:, None, 2:])
        columns = slice(25, 39) if given.shape[1] == 14 else slice(None)
        assert np.allclose(labels.image[sample, :, columns, :2].numpy(), scaled, atol=1e-4)
        if has_smpl:
            rotmat = axis_angle_to_rotmat(torch.from_numpy(arrays["pose"][part]).view(-1, 24, 3))
            assert torch.allclose(labels.rotmat[sample], rotmat, atol=1e-5)


def test_parts_of_a_batch_are_the_batch():
    config = load_config(find_config("paper-table1"), ("batch_size=10",))
    task = DatasetTask(config, config.datasets, CPU)
    whole = task.draw(3, 0, 1)[0]
    parts = [task.draw(3, part, 3)[0] for part in range(3)]
    together = torch.cat([*parts])
    assert sorted(whole[:, 0, 0].tolist()) == sorted(together[:, 0, 0].tolist())


def test_decks_deal_every_window_once_a_round():
    deck = Deck(7, seed=1, name=0)
    dealt = np.concatenate([deck.draw(first, 3) for first in range(0, 21, 3)])
    for round_ in range(3):
        assert sorted(dealt[7 * round_ : 7 * round_ + 7]) == list(range(7))
    assert not np.array_equal(dealt[:7], dealt[7:14])
    assert np.array_equal(deck.draw(4, 5), dealt[4:9])


def test_windows_stay_in_one_video():
    dataset = Dataset.open("3dpw-train")
    windows = DatasetWindows.over([dataset], 8, 0.5)
    for start in windows.start:
        rows = slice(start, start + 8)
        assert len(set(dataset.video[rows].tolist())) == 1
    assert len(windows) == sum((length - 8) // 4 + 1 for length in dataset.lengths)
    with pytest.raises(GlotError, match="3dpw-train"):
        DatasetWindows.over([dataset], 300, 0.0)


def test_reduced_body_gives_spins_joints():
    body = load_body("smpl-neutral")
    rotmat = axis_angle_to_rotmat(0.4 * torch.randn(5, 24, 3, generator=torch.Generator().manual_seed(0)))
    betas = torch.randn(5, 10, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(SpinJoints(body)(rotmat, betas), spin_joints(body, body(rotmat, betas)), atol=1e-5)
