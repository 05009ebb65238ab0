"""Tables of joints, angles and events, read back by Python's csv and by pyarrow."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.model import Body
from glot_cli.exporting.anatomy import ANGLES, joint_angles
from glot_cli.exporting.characters import characters
from glot_cli.exporting.csv_tables import write
from glot_cli.exporting.foot_events import foot_events, resting
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import outbox
from glot_cli.results import Result, pose_bodies
from glot_cli.smpl import SMPL_JOINTS
from tests.exporting.made_records import made_record


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-neutral"))


@pytest.fixture
def gaps() -> Result:
    return made_record([(1, 0, [*range(5, 12), *range(30, 40)]), (2, 0, range(40)), (2, 1, range(40, 50))])


def columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    values = np.array(rows, dtype=str).reshape(len(rows), len(header)).T
    return dict(zip(header, values, strict=True))


def test_joints_are_the_record_s(tmp_path: Path, gaps: Result, body: Body) -> None:
    gaps.arrays["joint_error"] = np.random.default_rng(0).random((len(gaps), 24)).astype(np.float32)
    gaps.cameras["camera_focal_length"] = np.linspace(500, 900, 50, dtype=np.float32)  # a lens that zooms
    _, joints = pose_bodies(body, gaps, world=True)
    _, seen = pose_bodies(body, gaps)
    pixels = np.linspace(500, 900, 50)[gaps.frame, None, None] * seen[..., :2] / seen[..., 2:] + [320, 240]
    with outbox(tmp_path, {}) as box:
        write(Cast(gaps, body, "floor", "clip"), box)
    table = columns(box.files[0])
    assert list(table) == [
        "frame", "time_s", "person", "shot", "joint", "x_m", "y_m", "z_m", "pixel_x_px", "pixel_y_px", "score",
        "joint_error_m",
    ]  # fmt: skip
    errors = table["joint_error_m"].astype(float).reshape(-1, 24)
    assert np.abs(errors - gaps.arrays["joint_error"]).max() < 1e-4
    for name, values in (("frame", gaps.frame), ("person", gaps.person), ("shot", gaps.shot), ("time_s", gaps.time)):
        assert np.abs(table[name].astype(float).reshape(-1, 24) - values[:, None]).max() < 1e-6
    assert table["joint"].reshape(-1, 24).tolist() == [list(SMPL_JOINTS)] * len(gaps)
    found = np.stack([table[f"{axis}_m"].astype(float) for axis in "xyz"], 1).reshape(-1, 24, 3)
    assert np.abs(found - joints).max() < 2e-5
    drawn = np.stack([table[f"pixel_{axis}_px"].astype(float) for axis in "xy"], 1).reshape(-1, 24, 2)
    assert np.abs(drawn - pixels).max() < 0.02


def test_what_lies_behind_the_camera_has_no_pixels(tmp_path: Path) -> None:
    behind = made_record([(1, 0, range(4))])
    behind.arrays["transl"][2, 2] = -3.0
    behind.save(tmp_path / "params.npz")
    table = columns(export(tmp_path, ["csv"])[0])
    empty = (table["pixel_x_px"] == "").reshape(-1, 24).all(1)
    assert empty.tolist() == [False, False, True, False]


def test_angles_are_told_of_every_row(tmp_path: Path, gaps: Result, body: Body) -> None:
    gaps.save(tmp_path / "params.npz")
    table = columns(export(tmp_path, ["csv"])[1])
    assert list(table) == ["frame", "time_s", "person", "shot", *(f"{name}_deg" for name in ANGLES)]
    own = characters(gaps, body, "floor")
    assert table["frame"].astype(int).tolist() == gaps.frame.tolist()
    for name in ("knee_angle_l", "shoulder_elevation_r", "pelvis_rotation"):
        expected = np.concatenate([joint_angles(character)[name] for character in own])
        assert np.abs(table[f"{name}_deg"].astype(float) - expected).max() < 1e-3


def test_at_a_rate_only_what_is_seen_is_told(tmp_path: Path, gaps: Result) -> None:
    gaps.save(tmp_path / "params.npz")
    table = columns(export(tmp_path, ["csv"], fps=60, person=1)[1])
    times = table["time_s"].astype(float)
    assert np.abs((times - times[0]) * 60 % 1 - 0.5).min() > 0.49  # whole steps
    assert set(table["person"]) == {"1"}
    assert not ((times > 12 / 30) & (times < 29.4 / 30)).any()
    assert 2 * 17 - 4 <= len(times) <= 2 * 17 + 2


def test_steps_are_found_with_hysteresis(tmp_path: Path) -> None:
    record = made_record([(1, 0, range(40)), (2, 0, [*range(10), *range(30, 40)])])
    contact = record.arrays["contact"]
    contact[:] = 0.0
    contact[10:25, 0] = 0.9  # one heel of person 1 rests
    contact[14, 0], contact[18:20, 0] = 0.5, 0.45  # and wavers
    contact[20:30, 3] = 1.0  # right toes
    contact[40:50, 1], contact[50:, 1] = 0.0, 1.0  # person 2 is away while the toes come down
    record.save(tmp_path / "params.npz")
    table = columns(export(tmp_path, ["csv"])[2])
    rows = list(zip(*(table[name] for name in ("frame", "person", "side", "event")), strict=True))
    assert rows == [
        ("10", "1", "left", "heel_strike"), ("20", "1", "right", "toe_strike"), ("25", "1", "left", "heel_off"),
        ("30", "1", "right", "toe_off"),
    ]  # fmt: skip
    assert np.allclose(table["time_s"].astype(float), np.array([10, 20, 25, 30]) / 30, atol=1e-6)


def test_resting_begins_with_the_likelier_state() -> None:
    probability = np.array([0.55, 0.45, 0.55, 0.45, 0.39, 0.55, 0.61, 0.41])
    begins = np.array([1, 0, 0, 1, 0, 0, 0, 0], bool)
    assert resting(probability, begins).tolist() == [True, True, True, False, False, False, True, True]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_record_has_empty_tables(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pyarrow")
    for world in (True, False):
        made_record([], frames=5, world=world).save(tmp_path / "params.npz")
        files = export(tmp_path, [kind])
        assert [f.stem.rpartition("_")[2] for f in files] == ["joints", "angles", "events"]
        if kind == "csv":
            assert [len(f.read_text().splitlines()) for f in files] == [1, 1, 1]


def test_without_a_world_there_are_no_events(tmp_path: Path) -> None:
    record = made_record([(1, 0, range(9))], world=False)
    assert foot_events(record) == []
    record.save(tmp_path / "params.npz")
    assert len(columns(export(tmp_path, ["csv"])[1])["frame"]) == 9


def test_parquet_holds_what_csv_does(tmp_path: Path, gaps: Result) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    gaps.arrays["transl"][2, 2] = -3.0
    gaps.save(tmp_path / "params.npz")
    files = export(tmp_path, ["csv", "parquet"])
    for text, binary in zip(files[:3], files[3:], strict=True):
        told, held = columns(text), parquet.read_table(binary).to_pydict()
        assert list(told) == list(held)
        for name, cells in told.items():
            if name in ("joint", "side", "event"):
                assert cells.tolist() == held[name]
                continue
            missing = np.array([value is None for value in held[name]], bool)
            assert (missing == (cells == "")).all()
            values = np.array(held[name], float)[~missing]
            assert np.allclose(cells[~missing].astype(float), values, rtol=1e-6, atol=6e-3)
