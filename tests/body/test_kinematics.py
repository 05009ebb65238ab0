"""Our own forward kinematics against smplx's, and bodies where smplx is not installed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from smplx.lbs import batch_rigid_transform

from glot_cli.body.kinematics import forward_kinematics, smplx_kinematics
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.errors import UsageError, WeightsError
from glot_cli.pipeline import presets
from glot_cli.smpl import SMPL_PARENTS, SMPL_VERTICES
from glot_cli.weights.bodies import load_body
from tests.parity import standins


def test_they_are_smplx_own_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (1, 7, 256):
        rotmat = axis_angle_to_rotmat(torch.randn(count, 24, 3, generator=generator))
        joints = torch.randn(count, 24, 3, generator=generator)
        placed, transforms = batch_rigid_transform(rotmat, joints, torch.tensor(SMPL_PARENTS))
        for pose in (forward_kinematics, smplx_kinematics("body")):
            ours, bones = pose(rotmat, joints, SMPL_PARENTS)
            assert torch.equal(ours, placed) and torch.equal(bones, transforms[:, :, :3, :3])


def test_a_hand_hangs_on_the_arm() -> None:
    """A quarter turn of the shoulder about z, done by hand."""
    rotmat = torch.eye(3).repeat(1, 3, 1, 1)
    rotmat[:, 1] = axis_angle_to_rotmat(torch.tensor([0.0, 0.0, torch.pi / 2]))
    joints = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [3.0, 1.0, 0.5]]])
    placed, bones = forward_kinematics(rotmat, joints, (-1, 0, 1))
    torch.testing.assert_close(placed[0], torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 3.0, 0.5]]))
    torch.testing.assert_close(bones[0, 2], rotmat[0, 1])


def test_the_open_body_does_without_smplx() -> None:
    """In a process in which it cannot be imported; and gives the same numbers as in one in which it can."""
    code = """if True:
        import sys
        sys.modules["smplx"] = None
        import torch
        from glot_cli.body.landmarks import LandmarkModel
        from glot_cli.weights.bodies import load_body
        body = load_body("open-body")
        posed = body(torch.eye(3).repeat(1, 24, 1, 1), torch.ones(1, 10))
        print(float(posed.vertices.double().sum()), float(LandmarkModel()(posed).double().sum()))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    posed = load_body("open-body")(torch.eye(3).repeat(1, 24, 1, 1), torch.ones(1, 10))
    assert posed.vertices is not None
    assert float(done.stdout.split()[0]) == pytest.approx(float(posed.vertices.double().sum()), rel=1e-6)


def test_smpl_says_that_it_needs_smplx(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    path = tmp_path / "smpl.npz"
    np.savez(path, **standins.smpl())
    assert load_body(str(path)).num_vertices == SMPL_VERTICES
    monkeypatch.setitem(sys.modules, "smplx", None)
    monkeypatch.setitem(sys.modules, "smplx.lbs", None)
    with pytest.raises(WeightsError, match=r"smpl\.npz: is an SMPL body, which needs smplx; pip install smplx$"):
        load_body(str(path))


def test_presets_say_it_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "absent", lambda files: [])
    monkeypatch.setattr(presets, "official_checkpoint", lambda: "glot-any")
    assert presets.choose("paper").body == "smpl-neutral"
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(UsageError, match=r"^preset: .*needs smplx, which is not installed; pip install smplx$"):
        presets.choose("paper")
    with pytest.raises(UsageError, match=r"^body: .*needs smplx"):
        presets.choose("open", body="smpl")
    assert presets.choose("open").body == "open-neutral"
    assert presets.choose("paper", body="open").body == "open-neutral"
