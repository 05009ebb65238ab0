"""TRC, C3D and OpenSim's motions: read back by others, or by the rules that OpenSim's own reader keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.model import Body
from glot_cli.exporting.anatomy import joint_angles
from glot_cli.exporting.characters import characters
from glot_cli.exporting.markers import MARKERS
from glot_cli.exporting.opensim_motion import COORDINATES, ORIGIN, PELVIS
from glot_cli.files.npz import load_npz
from glot_cli.results import Result, pose_bodies
from glot_cli.smpl import SMPL_JOINTS
from tests.exporting.made_records import made_record

NAMES = (*MARKERS, *SMPL_JOINTS)
KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame"]


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))


@pytest.fixture
def gaps() -> Result:
    """One who comes late and is away for a while, and one who is there throughout."""
    return made_record([(1, 0, [*range(5, 12), *range(30, 40)]), (2, 0, range(40))], fps="30000/1001")


def read_trc(path: Path) -> tuple[dict[str, str], list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Header, names, frames, times and places (T, K, 3) metres, as OpenSim's TRCFileAdapter reads them.

    A tab ends a cell, so that nothing follows the last one of a line. The header has no empty cells.
    """
    lines = path.read_text("utf-8").split("\n")
    assert lines[0].split()[0] == "PathFileType"
    assert lines[0].split("\t")[1:3] == ["4", "(X/Y/Z)"]
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert list(header) == [*KEYS, "OrigNumFrames"]
    labels = [cell for cell in lines[3].split("\t") if cell]
    assert labels[:2] == ["Frame#", "Time"]
    count = int(header["NumMarkers"])
    assert [cell for cell in lines[4].split("\t") if cell] == [f"{a}{n}" for n in range(1, count + 1) for a in "XYZ"]
    assert lines[5] == "" and lines[-1] == ""
    rows = [line.split("\t") for line in lines[6:-1]]
    assert {len(row) for row in rows} == {2 + 3 * count + 1} and {row[-1] for row in rows} == {""}
    assert len(rows) == int(header["NumFrames"]) == int(header["OrigNumFrames"])
    values = np.array([[float(cell) if cell else np.nan for cell in row[:-1]] for row in rows])
    return header, labels[2:], values[:, 0], values[:, 1], values[:, 2:].reshape(len(rows), count, 3)


def test_trc_has_the_layout_that_opensim_reads(tmp_path: Path, gaps: Result, body: Body) -> None:
    (tmp_path / "clip").mkdir()
    gaps.save(tmp_path / "clip" / "params.npz")
    files = export(tmp_path / "clip", ["trc"])
    assert [file.name for file in files] == ["clip_person1.trc", "clip_person2.trc"]
    vertices, joints = pose_bodies(body, gaps, world=True)
    for person, file in enumerate(files, 1):
        header, names, frames, times, places = read_trc(file)
        assert (header["Units"], header["DataRate"], header["OrigDataStartFrame"]) == ("m", "29.97", "1")
        assert names == list(NAMES)
        own = np.flatnonzero(gaps.person == person)
        seen = np.isin(frames - 1, gaps.frame[own])
        assert frames.tolist() == list(range(gaps.frame[own][0] + 1, 41))
        # Frame f was taken at (f - OrigDataStartFrame) / DataRate.
        assert np.abs((frames - 1) / (30000 / 1001) - times).max() < 1e-5
        assert np.isnan(places[~seen]).all() and (~seen).sum() == (18 if person == 1 else 0)
        expected = np.concatenate([vertices[own][:, list(MARKERS.values())], joints[own]], 1)
        assert np.abs(places[seen] - expected).max() < 2e-5


def test_markers_lie_where_anatomy_has_them(body: Body) -> None:
    """On the mean body, which stands 1.70 m tall: y up, faces +z, left at +x."""
    held = load_npz(weights.locate("open-body"))
    at = {name: held["v_template"][vertex] for name, vertex in MARKERS.items()}
    joints = dict(zip(SMPL_JOINTS, body.joint_template.numpy(), strict=True))
    for name, vertex in MARKERS.items():
        if name[0] in "LR":
            other = ("R" if name[0] == "L" else "L") + name[1:]
            assert held["mirror_vertices"][vertex] == MARKERS[other]
            assert (at[name][0] > 0) == (name[0] == "L")
        else:
            assert abs(at[name][0]) < 1e-5
    for joint, outer, inner in (("knee", "LFC", "MFC"), ("ankle", "LMAL", "MMAL")):
        middle = (at[f"L{outer}"] + at[f"L{inner}"]) / 2
        assert np.linalg.norm(middle - joints[f"left_{joint}"]) < 0.02
        assert at[f"L{outer}"][0] > joints[f"left_{joint}"][0] > at[f"L{inner}"][0]
    assert at["LLMAL"][1] < at["LMMAL"][1]  # the outer ankle bone is the lower one
    elbow = (at["LLEL"] + at["LMEL"]) / 2
    assert np.linalg.norm(elbow - joints["left_elbow"]) < 0.02
    assert at["LLEL"][1] > at["LMEL"][1]  # arms sideways, crook in front: the thumb's side is up
    assert at["LFAradius"][2] > at["LFAulna"][2]  # palms down: the thumb is in front
    # Bell et al. (1990): the hip's centre is 22 % of the width between ASIS behind them and 30 % below.
    width = 2 * at["LASI"][0]
    below, behind = (at["LASI"] - joints["left_hip"])[1:] / width
    assert 0.2 < width < 0.28 and abs(below - 0.3) < 0.06 and behind > 0.22
    assert at["LPSI"][1] > at["LASI"][1] and at["LPSI"][2] < joints["pelvis"][2] - 0.06
    assert at["C7"][2] < 0 < at["CLAV"][2] and 0.02 < at["C7"][1] - at["CLAV"][1] < 0.08
    assert at["STRN"][1] - at["T10"][1] < 0.03 and at["HEAD"][1] == held["v_template"][:, 1].max()
    assert at["LCAL"][2] < joints["left_ankle"][2] - 0.04 and at["LTOE"][2] > at["LMT5"][2] > joints["left_ankle"][2]
    assert np.linalg.norm(at["LACR"] - joints["left_shoulder"]) < 0.08 and at["LACR"][1] > joints["left_shoulder"][1]


def test_c3d_is_read_by_another_reader(tmp_path: Path, gaps: Result, body: Body) -> None:
    pytest.importorskip("ezc3d")
    reader = pytest.importorskip("c3d")
    gaps.save(tmp_path / "params.npz")
    files = export(tmp_path, ["c3d"], names="mixamo")
    assert sorted(p.name for p in (tmp_path / "export").iterdir()) == ["export.json", *sorted(f.name for f in files)]
    vertices, joints = pose_bodies(body, gaps, world=True)
    for person, path in enumerate(files, 1):
        with path.open("rb") as file, pytest.warns(UserWarning, match="No analog data"):
            held = reader.Reader(file)
            numbers, points = zip(*((n, p) for n, p, _ in held.read_frames()), strict=True)
        labels = [label.strip() for label in held.point_labels]
        assert labels[: len(MARKERS)] == list(MARKERS) and labels[len(MARKERS)] == "mixamorig:Hips"
        assert abs(held.point_rate - 30000 / 1001) < 1e-4
        assert held.get("POINT").get("UNITS").string_value.strip() == "mm"
        own = np.flatnonzero(gaps.person == person)
        seen = np.isin(np.array(numbers) - 1, gaps.frame[own])
        assert list(numbers) == list(range(gaps.frame[own][0] + 1, 41))
        residuals = np.array(points)[..., 3]
        assert (residuals[seen] == 0).all() and (residuals[~seen] == -1).all()
        expected = 1000 * np.concatenate([vertices[own][:, list(MARKERS.values())], joints[own]], 1)
        z_up = expected[..., [0, 2, 1]] * [1, -1, 1]
        assert np.abs(np.array(points)[seen][..., :3] - z_up).max() < 0.01


def test_c3d_says_when_frames_are_too_many_to_be_named(
    tmp_path: Path, gaps: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ezc3d")
    reader = pytest.importorskip("c3d")
    monkeypatch.setattr("glot_cli.exporting.c3d_points.LAST", 39)
    gaps.save(tmp_path / "params.npz")
    said: list[str] = []
    (path,) = export(tmp_path, ["c3d"], person=1, fps=60, warn=said.append)
    assert len(said) == 1 and "begins at frame 1" in said[0]
    with path.open("rb") as file, pytest.warns(UserWarning, match="No analog data"):
        assert reader.Reader(file).first_frame == 1


def test_opensim_motion_holds_the_angles(tmp_path: Path, gaps: Result, body: Body) -> None:
    pytest.importorskip("matplotlib")
    gaps.save(tmp_path / "params.npz")
    said: list[str] = []
    export(tmp_path, ["mot"], person=1, warn=said.append)
    assert len(said) == 1 and "person1 is not seen all the time" in said[0]
    files = export(tmp_path, ["mot"], person=2, plot=True, warn=said.append)
    assert [f.suffix for f in files] == [".mot", ".png"] and len(said) == 1
    text = files[0].read_text("utf-8")
    header, table = text.split("endheader\n")
    assert header.startswith("Coordinates\nversion=1\nnRows=40\n") and "\ninDegrees=yes\n" in header
    lines = table.splitlines()
    names = lines[0].split("\t")
    assert names == ["time", *PELVIS, *COORDINATES] and f"nColumns={len(names)}\n" in header
    values = dict(zip(names, np.array([line.split("\t") for line in lines[1:]], float).T, strict=True))
    own = characters(gaps, body, "floor")[1]
    angles = joint_angles(own)
    assert np.abs(values["time"] - own.times).max() < 1e-5
    assert all(np.abs(values[name] - angles[name]).max() < 0.05 for name in COORDINATES)
    # The model's hips come to lie where ours do: z of the pelvis goes from the left to the right one.
    turn = Rotation.from_euler("ZXY", np.stack([values[name] for name in PELVIS[:3]], 1), degrees=True)
    hips = np.stack([values[name] for name in PELVIS[3:]], 1) - turn.apply(ORIGIN)
    assert np.abs(hips - own.joints[:, 1:3].mean(1)).max() < 1e-4
    assert files[1].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_uneven_times_become_a_steady_rate(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    uneven = 7.0 + np.cumsum(rng.uniform(0.02, 0.05, 60))
    made_record([(1, 0, range(60))], times=uneven).save(tmp_path / "params.npz")
    for rate in (None, 12.5):
        (file,) = export(tmp_path, ["trc"], fps=rate)
        header, _, frames, times, places = read_trc(file)
        assert header["DataRate"] == f"{rate or 30:g}"
        assert np.abs(np.diff(times) - 1 / (rate or 30)).max() < 2e-6 and (np.diff(frames) == 1).all()
        assert abs(times[0] - uneven[0]) < 1e-6 and times[-1] <= uneven[-1] + 1e-6
        assert np.isfinite(places).all()


def test_every_shot_has_its_files(tmp_path: Path) -> None:
    made_record([(1, 0, range(4)), (1, 1, range(4, 9)), (3, 1, range(5, 9))]).save(tmp_path / "params.npz")
    for kind in ("trc", "mot"):
        stems = ["person1_shot0", "person1_shot1", "person3_shot1"]
        assert [f.name for f in export(tmp_path, [kind])] == [f"{tmp_path.name}_{stem}.{kind}" for stem in stems]


@pytest.mark.parametrize("kind", ["trc", "c3d", "mot"])
def test_nobody_makes_no_files_and_too_short_a_while_is_said(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("ezc3d")
    made_record([], frames=5).save(tmp_path / "params.npz")
    assert export(tmp_path, [kind]) == []
    made_record([(1, 0, range(40)), (2, 0, [13, 14])]).save(tmp_path / "params.npz")
    said: list[str] = []
    assert len(export(tmp_path, [kind], fps=1, warn=said.append)) == 1
    assert said == [f"{kind}: person2 is not there at any frame of this rate"]


def test_other_bodies_have_joints_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glot_cli.exporting.markers._BODY", "another")
    made_record([(1, 0, range(3))]).save(tmp_path / "params.npz")
    said: list[str] = []
    (file,) = export(tmp_path, ["trc"], warn=said.append)
    assert read_trc(file)[1] == list(SMPL_JOINTS)
    assert len(said) == 1 and "joints only" in said[0]
