"""Every output of the official GLoT and SPIN on stand-ins, and the formulas behind them evaluated another way."""

from __future__ import annotations

import numpy as np
import pytest
import smplx
import torch

from glot_cli.benchmark import PlainBody, plain_forward
from glot_cli.body.joints import SPIN_JOINTS
from glot_cli.body.model import Body
from glot_cli.models.glot import GLoT
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.regressors import State
from tests.parity import plain, standins, table

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
NAMES = [name for name in standins.expected() if name not in table.INPUTS]


@pytest.fixture(scope="module")
def rows() -> dict[str, table.Row]:
    return {row.name: row for row in table.rows()}


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_official_output(rows: dict[str, table.Row], name: str) -> None:
    assert rows[name].holds, rows[name]


def test_so_does_the_folded_network(rows: dict[str, table.Row]) -> None:
    folded = [row for name, row in rows.items() if name.endswith(" folded")]
    assert {row.name for row in folded} == {f"{n} folded" for n in NAMES if n.startswith("infer.")}
    assert all(row.holds for row in folded)


@pytest.mark.parametrize("device", DEVICES[1:])
def test_a_device_agrees_with_the_cpu(device: str) -> None:
    assert [row for row in table.rows(device) if row.error > 1e-3 * row.scale] == []


def test_the_table_sees_a_difference() -> None:
    row = table.compare("infer.final.kp_3d", np.array([1.0, 2.0]), np.array([1.0, 2.001], np.float32))
    assert not row.holds
    turn = np.zeros((1, 85), np.float32)
    turn[0, 3] = 3.0
    same = turn.copy()
    same[0, 3] = 3.0 - 2 * np.pi  # the same rotation
    assert table.compare("infer.final.theta", same, turn).holds
    same[0, 3] = 2.9
    assert not table.compare("infer.final.theta", same, turn).holds


def test_official_columns_matter() -> None:
    """With each joint's own six columns the same weights give another answer: the released fault is reproduced."""
    official = table.official_glot()
    other = GLoT(GLoTConfig(hscr_columns="joint"))
    other.load_state_dict(official.state_dict())
    with torch.inference_mode():
        features = torch.from_numpy(standins.features())
        apart = other.eval()(features).final.pose6d - official(features).final.pose6d
    assert apart.abs().max() > 1e-3


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    some = [table.Row("a", 1e-6, 1.0), table.Row("b", 1e-3, 1.0)]
    monkeypatch.setattr(table, "rows", lambda device: some)
    monkeypatch.setattr("sys.argv", ["table.py"])
    assert table.main() == 1
    assert "1 of 2 rows hold" in capsys.readouterr().out
    monkeypatch.setattr(table, "rows", lambda device: some[:1])
    assert table.main() == 0


@pytest.fixture(scope="module")
def posed() -> tuple[np.ndarray, np.ndarray]:
    """Rotations (3, 24, 3, 3) far from rest and shapes (3, 10)."""
    pose6d = np.eye(3)[:, :2].reshape(-1) + 0.8 * standins.normal("some_pose", (3, 24, 6))
    return plain.rotations(pose6d), standins.normal("some_betas", (3, 10)).astype(float)


def test_skinning_equals_its_formula(posed: tuple[np.ndarray, np.ndarray]) -> None:
    rotmat, betas = posed
    out = Body(standins.smpl())(torch.from_numpy(rotmat).float(), torch.from_numpy(betas).float())
    for number in range(3):
        vertices, joints = plain.skin(standins.smpl(), rotmat[number], betas[number])
        np.testing.assert_allclose(out.vertices[number], vertices, atol=2e-6 * np.abs(vertices).max())
        np.testing.assert_allclose(out.joints[number], joints, atol=2e-6)


def test_the_body_is_smplx_own(posed: tuple[np.ndarray, np.ndarray]) -> None:
    """Vertices, the 24 joints and the vertex joints are those of smplx.SMPL, whose arrays were handed over."""
    rotmat, betas = (torch.from_numpy(x).float() for x in posed)
    arrays = {**standins.smpl(), "J_regressor_extra": standins.joints_extra()}
    theirs = PlainBody(arrays)
    vertices, joints = theirs(rotmat, betas)
    body = Body(arrays)
    out = body(rotmat, betas)
    torch.testing.assert_close(out.vertices, vertices, atol=1e-5, rtol=1e-5)
    assert isinstance(theirs.smpl, smplx.SMPL)
    torch.testing.assert_close(table.spin_joints(body, out), joints, atol=1e-5, rtol=1e-5)
    assert joints.shape == (3, len(SPIN_JOINTS), 3)


def test_spatial_regressor_equals_its_formula() -> None:
    state = {name: value.astype(float) for name, value in standins.state("glot").items()}
    token = standins.normal("token", (2, 256)).astype(float)
    pose, shape, camera = (standins.normal(name, (2, size)).astype(float)
                           for name, size in (("p", 144), ("s", 10), ("c", 3)))  # fmt: skip
    regressor = table.official_glot().local_correction.regressor.double()
    with torch.inference_mode():
        start = State(*(torch.from_numpy(x)[:, None] for x in (pose, shape, camera)))
        ours = regressor(torch.from_numpy(token)[:, None], start)
    for row in range(2):
        theirs = plain.correct(state, token[row], pose[row], shape[row], camera[row])
        for mine, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine[row, 0], expected, atol=1e-10)


def test_the_plain_forward_that_speed_is_measured_against_is_the_official_one() -> None:
    arrays = {**standins.smpl(), "J_regressor_extra": standins.joints_extra()}
    out = plain_forward(table.official_glot(), PlainBody(arrays), torch.from_numpy(standins.features()))
    expected = standins.expected()
    for name, key in (("joints3d", "kp_3d"), ("joints2d", "kp_2d")):
        assert table.compare(key, out[name], expected[f"infer.final.{key}"]).holds
    assert table.compare("verts", out["vertices"][:, ::137], expected["infer.final.verts"]).holds
