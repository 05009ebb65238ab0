"""Errors of lifting: against sums done by hand, and of the shipped network on landmarks that are simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.body.joints import COMMON_JOINTS, common_joints
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.evaluation.body_errors import mean_errors
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot import GLoT
from glot_cli.motion.motions import Motions, load_motions
from glot_cli.motion.viewing import Viewing
from glot_cli.training import landmark_task
from glot_cli.training.config import LandmarkData, TrainConfig
from glot_cli.training.landmark_task import LandmarkTask
from glot_cli.training.simulate import Noise
from glot_cli.training.validation import FIGURES, clip_errors, evaluate_simulated
from tests.training.settings import TINY, write_motions


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))


@pytest.fixture(scope="module")
def network() -> FoldedGLoT:
    return FoldedGLoT(weights.load_glot(weights.locate("glot-open")))


@pytest.fixture(scope="module")
def motions(tmp_path_factory: pytest.TempPathFactory) -> Motions:
    """Two people who stride on the spot, swinging their arms: a second each."""
    time = np.arange(30) / 30 * 2 * np.pi
    poses = np.zeros((60, 24, 3), np.float32)
    for clip, size in enumerate((0.4, 0.6)):
        rows = poses[30 * clip : 30 * clip + 30]
        swing = size * np.sin(time)
        rows[:, 1, 0], rows[:, 2, 0] = -swing, swing  # hips
        rows[:, 4, 0], rows[:, 5, 0] = size * (1 + np.sin(time)), size * (1 - np.sin(time))  # knees
        rows[:, 16, 2], rows[:, 17, 2] = -1.2, 1.2  # arms down
        rows[:, 18, 1], rows[:, 19, 1] = -0.4 - 0.5 * swing, 0.4 - 0.5 * swing
    path: Path = tmp_path_factory.mktemp("motions") / "stride.npz"
    np.savez(path, poses=poses, clip_index=np.repeat([0, 1], 30))
    return load_motions([path])


def test_a_turned_body_costs_the_way_of_its_joints(body: Body) -> None:
    """Turned about the vertical by an angle a, a joint at a distance r from the hips' middle goes 2 r sin(a / 2)."""
    frames, angle = 6, 0.5
    rotmat = torch.eye(3).repeat(frames, 24, 1, 1)
    rotmat[:, 16:18] = axis_angle_to_rotmat(torch.tensor([[0.3, 0.2, -0.9], [-0.4, 0.1, 0.7]]))
    betas = torch.linspace(-1, 1, 10).repeat(frames, 1)
    turned = rotmat.clone()
    turned[:, 0] = axis_angle_to_rotmat(torch.tensor([0.0, angle, 0.0]))
    joints = common_joints(body, body(rotmat[:1], betas[:1]))[0]
    root = joints[[COMMON_JOINTS.index(f"{side}_hip") for side in ("left", "right")]].mean(0)
    across = (joints - root)[:, [0, 2]].norm(dim=-1).mean().item()
    errors = clip_errors((turned, betas), (rotmat, betas), body)
    np.testing.assert_allclose(errors["mpjpe"], 2 * np.sin(angle / 2) * across, rtol=1e-4)
    np.testing.assert_allclose(errors["pa_mpjpe"], 0, atol=1e-5)
    np.testing.assert_allclose(errors["acceleration_error"], 0, atol=1e-5)
    total = mean_errors("twice", [errors, errors])
    assert total.frames == 2 * frames and total.mpjpe == pytest.approx(1000 * errors["mpjpe"][0], rel=1e-4)


def test_the_shipped_network_lifts_what_it_never_saw(network: FoldedGLoT, motions: Motions, body: Body) -> None:
    plain = Viewing(tumble=0.0, truncated=0.0)
    usual = evaluate_simulated(network, motions, body, viewing=plain, views=2, seed=1)
    assert usual.frames == 2 * 2 * 30
    assert usual.mpjpe < 90 and usual.pa_mpjpe < 60 and usual.acceleration_error < 10
    exact = Noise(**{name: 0.0 for name in vars(Noise())})
    clean = evaluate_simulated(network, motions, body, viewing=plain, noise=exact, views=2, seed=1)
    wild = replace(Noise(), slow2d=0.09, slow3d=0.14, tilt_std=27.0)
    noisy = evaluate_simulated(network, motions, body, viewing=plain, noise=wild, views=2, seed=1)
    assert clean.pa_mpjpe < usual.pa_mpjpe < noisy.pa_mpjpe
    assert clean.mpjpe < 60


def test_each_validation_file_is_reported_by_its_name(tmp_path: Path, monkeypatch) -> None:
    """And the mean of the first figure over the crops, which decides, stands before all."""
    errors = {"one": 10.0, "two": 30.0, "walks": 99.0}
    found = {name: SimpleNamespace(**dict.fromkeys(FIGURES, value)) for name, value in errors.items()}
    paths = {name: write_motions(tmp_path / f"{name}.npz") for name in errors}
    monkeypatch.setattr(landmark_task.Crops, "load", lambda files, *_, **__: files[0].stem)
    monkeypatch.setattr(landmark_task, "evaluate_crops", lambda _, crops, __: found[crops])
    monkeypatch.setattr(landmark_task, "evaluate_simulated", lambda *_, **__: found["walks"])
    for crops, first in ((("one", "two"), 20.0), ((), 99.0)):
        data = LandmarkData((paths["walks"],), (), (paths["walks"],), tuple(paths[name] for name in crops))
        task = LandmarkTask(TrainConfig(model=TINY, landmarks=data), data, torch.device("cpu"))
        rows = task.validate(GLoT(TINY))
        assert next(iter(rows.items())) == ("pa_mpjpe", first)
        assert {n: v for n, v in rows.items() if n.endswith(".pa_mpjpe")} == {
            **{f"crops.{name}.pa_mpjpe": errors[name] for name in crops},
            "simulated.walks.pa_mpjpe": 99.0,
        }
    both = landmark_task._named([tmp_path / "a" / "val.npz", tmp_path / "b" / "val.npz", tmp_path / "val2.npz"])
    assert list(both) == [str(tmp_path / "a" / "val.npz"), str(tmp_path / "b" / "val.npz"), "val2"]
