"""A lens that zooms, in the files of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.model import Body
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.timeline import focal_lengths_at, lens_keys
from glot_cli.results import Result, pose_bodies
from glot_cli.smpl import SMPL_JOINTS
from tests.exporting.files_of_animators import Gltf
from tests.exporting.made_records import made_record

LENGTHS = np.float32([700, 700, 700, 720, 760, 760, 900, 910, 920, 920])  # a cut before the seventh


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))


def record_of(lengths: np.ndarray = LENGTHS) -> Result:
    made = made_record([(1, 0, range(6)), (1, 1, range(6, 10))], fps="25")
    return Result(made.arrays, made.meta, made.cameras | {"camera_focal_length": lengths})


def test_keys_are_where_it_changes_and_hold_until_a_cut(body: Body) -> None:
    cast = Cast(record_of(), body, "camera", "a")  # in either space
    keys = lens_keys(cast)
    assert keys.times * 25 == pytest.approx(np.array([0, 2, 3, 4, 5.49, 5.51, 6, 7, 8]))
    assert focal_lengths_at(cast, np.arange(10) / 25) == pytest.approx(LENGTHS.astype(float))
    assert focal_lengths_at(cast, np.array([5.4, 5.6]) / 25) == pytest.approx([760, 900])
    assert len(lens_keys(Cast(record_of(np.full(10, 700, np.float32)), body, "floor", "a")).times) == 1


@pytest.mark.parametrize("space", ["floor", "camera"])
def test_usd_zooms(tmp_path: Path, space: str) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom

    record_of().save(tmp_path / "params.npz")
    (path,) = export(tmp_path, ["usd"], world=space)
    stage = Usd.Stage.Open(str(path))
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/World/camera"))
    for frame, length in enumerate(LENGTHS):
        seen = camera.GetCamera(frame)
        assert seen.horizontalAperture / seen.focalLength == pytest.approx(640 / length, rel=1e-5)


@pytest.mark.parametrize(("least", "told"), [(700, True), (902, True), (915, False)])
def test_glb_keeps_the_first_and_says_so(tmp_path: Path, least: float, told: bool) -> None:
    record_of(LENGTHS.clip(least)).save(tmp_path / "params.npz")
    notes: list[str] = []
    (path,) = export(tmp_path, ["glb"], warn=notes.append)
    lens = Gltf(path).json["cameras"][0]["perspective"]
    assert 240 / np.tan(lens["yfov"] / 2) == pytest.approx(least)
    assert any("the lens zooms" in note for note in notes) == told


def test_pixels_are_those_of_the_frames_own_lens(tmp_path: Path, body: Body) -> None:
    record = record_of()
    record.save(tmp_path / "params.npz")
    paths = {path.name: path for path in export(tmp_path, ["csv", "coco"])}
    _, joints = pose_bodies(body, record)
    pixels = joints[..., :2] / joints[..., 2:] * LENGTHS[:, None, None] + [320, 240]
    rows = [line.split(",") for line in paths[f"{tmp_path.name}_joints.csv"].read_text().splitlines()]
    columns = [rows[0].index(f"pixel_{axis}_px") for axis in "xy"]
    told = np.array([[float(row[column]) for column in columns] for row in rows[1:]]).reshape(10, 24, 2)
    assert np.abs(told - pixels).max() < 0.02
    marked = json.loads(paths[f"{tmp_path.name}_coco.json"].read_text())["annotations"]
    shoulders = np.array([np.reshape(entry["keypoints"], (17, 3))[5] for entry in marked])
    seen = shoulders[:, 2] > 0
    frames = np.array([entry["image_id"] for entry in marked])[seen]
    own = pixels[frames, SMPL_JOINTS.index("left_shoulder")]
    assert seen.any() and np.abs(shoulders[seen, :2] - own).max() < 60  # near the joint, which lies deeper
