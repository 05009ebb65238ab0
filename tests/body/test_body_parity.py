"""SMPL forward pass and the 49 joints against the official network's outputs on a seeded body."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from glot_cli.body.joints import COMMON_SLICE, SPIN_JOINTS, common_joints, spin_joints
from glot_cli.body.model import Body

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"
pytestmark = pytest.mark.skipif(not (PARITY / "seeded.py").is_file(), reason="parity material is not here")


@pytest.fixture(scope="module")
def parity():
    sys.path.insert(0, str(PARITY))
    try:
        import seeded
    finally:
        sys.path.remove(str(PARITY))
    expected = np.load(PARITY / "expected.npz", allow_pickle=False)
    body = Body(seeded.smpl_arrays())
    rotmat = torch.from_numpy(expected["infer.final.rotmat"])
    betas = torch.from_numpy(expected["infer.final.theta"][:, 75:85])
    return seeded, expected, body, body(rotmat, betas)


def close(actual: torch.Tensor, wanted: np.ndarray) -> None:
    assert actual.shape == wanted.shape
    assert np.abs(actual.numpy() - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_vertices_match_the_official_body(parity):
    _, expected, body, output = parity
    assert body.pose_planes is not None
    close(output.vertices[:, ::137], expected["infer.final.verts"])


def test_49_joints_match(parity):
    seeded, expected, body, output = parity
    joints = spin_joints(body, output, torch.from_numpy(seeded.j_regressor_extra()))
    assert len(SPIN_JOINTS) == 49
    close(joints, expected["infer.final.kp_3d"])


def test_common_joints_are_the_14_of_spin(parity):
    seeded, expected, body, output = parity
    joints = common_joints(body, output, torch.from_numpy(seeded.j_regressor_extra()))
    close(joints, expected["infer.final.kp_3d"][:, COMMON_SLICE])
