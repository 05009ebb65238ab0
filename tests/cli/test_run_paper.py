"""The preset `paper`, whole: stand-ins in the official formats, added, run on a clip, held to the plain formulas."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import resnet50

from glot_cli import load_result
from glot_cli.cli import main
from glot_cli.pipeline import passes
from glot_cli.results import Result
from glot_cli.video import read_frames
from tests.cli.fixtures import Glot
from tests.parity import official_files, plain, standins, table

CLIP = Path(__file__).resolve().parents[2] / "examples" / "clip.mp4"
START, END = 1.5, 2.2  # seconds; two people are there, longer than a window of 16 frames
PART = ["--start", str(START), "--end", str(END)]
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
TOLERANCE = {"cpu": 1e-4, "cuda": 1e-3, "mps": 1e-3}


@pytest.fixture(scope="module")
def own_weights(added: Path, load_once: None) -> Iterator[None]:
    """All official files have been taken in by the command; runs share the networks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOT_WEIGHTS", str(added))
        yield


def run(out: Path, *arguments: str) -> Result:
    with pytest.raises(SystemExit) as ended:
        main(["run", str(CLIP), "--preset", "paper", *PART, "--out", str(out), "--quiet", *arguments])
    assert ended.value.code == 0
    return load_result(out / "clip")


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def result(own_weights: None, device: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("paper"), "--no-render", "--device", device)


@pytest.fixture(scope="module")
def plain_features(result: Result) -> np.ndarray:
    """(M, 2048) the feature of every row, from the video itself, with OpenCV and torchvision alone."""
    frames = {frame.index: frame.image for frame in read_frames(CLIP, START, END)}
    crops = []
    for index, (x, y, side) in zip(result.frame, result.box, strict=True):
        source = np.float32([[x, y], [x, y + side / 2], [x + side / 2, y]])
        target = np.float32([[112, 112], [112, 224], [224, 112]])
        crops.append(cv2.warpAffine(frames[int(index)], cv2.getAffineTransform(source, target), (224, 224)))
    pictures = np.stack(crops).astype(np.float32) / 255
    pictures = (pictures - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    network = resnet50(weights=None)
    network.fc = torch.nn.Identity()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in standins.state("spin").items()}, strict=False)
    parts = torch.split(torch.from_numpy(pictures).float().permute(0, 3, 1, 2), 2)  # small ones stay in the caches
    with torch.inference_mode():
        return torch.cat([network.eval()(part) for part in parts]).numpy()


def windows(count: int, edges: str) -> np.ndarray:
    """Frames of every window of a track without gaps: (n, 16)."""
    rows = []
    for middle in range(count):
        wanted = np.arange(middle - 8, middle + 8)
        if edges == "replicate":
            rows.append(np.clip(wanted, 0, count - 1))
        else:  # the released demo: 16 copies of a frame whose window would reach beyond the track
            rows.append(wanted if wanted[0] >= 0 and wanted[-1] < count else np.full(16, middle))
    return np.array(rows)


def states(result: Result, features: np.ndarray, edges: str = "replicate") -> dict[str, np.ndarray]:
    """What GLoT says of every row, unfolded, window by window."""
    parts = []
    for person in result.people:
        mine = features[result.person == person]
        assert (np.diff(result.frame[result.person == person]) == 1).all()
        batch = torch.from_numpy(mine[windows(len(mine), edges)])
        with torch.inference_mode():
            parts.append(table.official_glot()(batch).final)
    pose6d, shape, camera = (torch.cat([p[i][:, 0] for p in parts]).double().numpy() for i in range(3))
    return {"rotmat": plain.rotations(pose6d.reshape(-1, 24, 6)), "shape": shape, "camera": camera}


def rotmat(axis_angle: np.ndarray) -> np.ndarray:
    flat = [cv2.Rodrigues(v.astype(float))[0] for v in axis_angle.reshape(-1, 3)]
    return np.stack(flat).reshape(*axis_angle.shape[:-1], 3, 3)


def near(ours: np.ndarray, plain_one: np.ndarray, device: str) -> None:
    assert np.abs(ours - plain_one).max() < TOLERANCE[device] * max(1.0, np.abs(plain_one).max())


def test_the_networks_numbers_come_out_unaltered(result: Result, plain_features: np.ndarray, device: str) -> None:
    assert len(result.people) == 2 and len(result) > 30
    expected = states(result, plain_features)
    near(rotmat(result.pose[:, 1:]), expected["rotmat"][:, 1:], device)
    near(rotmat(result.global_orient_network), expected["rotmat"][:, 0], device)
    near(result.betas_frame, expected["shape"], device)
    near(result.camera_network, expected["camera"], device)


def test_the_rest_follows_from_them(result: Result, device: str) -> None:
    """Root rotation, joints and their places in the picture, by formulas written out here."""
    focal, centre = result.meta.focal_length, np.array([result.meta.width, result.meta.height]) / 2
    root = rotmat(result.pose[:, 0])
    network_root = rotmat(result.global_orient_network)
    for row in range(0, len(result), 7):
        ray = np.array([*(result.box[row, :2] - centre) / focal, 1.0])
        ray /= np.linalg.norm(ray)
        axis = np.cross([0, 0, 1.0], ray)  # from the optical axis to the ray of the crop, the shortest way
        angle = np.arcsin(np.linalg.norm(axis))
        turn = cv2.Rodrigues(axis / np.linalg.norm(axis) * angle)[0]
        near(root[row], turn @ network_root[row], device)
        _, joints = plain.skin(standins.smpl(), rotmat(result.pose[row]), result.betas[row].astype(float))
        near(result.joints3d[row], joints - joints[0], device)
        placed = joints + result.transl[row]
        assert np.abs(result.joints2d[row] - (placed[:, :2] / placed[:, 2:] * focal + centre)).max() < 0.1  # pixels
        # The camera in the record draws the pelvis where the body stands, as large as it stands away.
        s, tx, ty = result.camera[row]
        x, y, side = result.box[row]
        pelvis = np.array([x, y]) + side / 2 * s * (joints[0, :2] + [tx, ty])
        assert np.abs(pelvis - result.joints2d[row, 0]).max() < 0.1
        assert np.isclose(placed[0, 2], focal / (s * side / 2), rtol=1e-3)


def steady(values: np.ndarray, cutoff_hz: float, fps: float) -> np.ndarray:
    """Least sum of squared changes and of squared third differences, which keeps half of what swings at the cutoff."""
    third = np.diff(np.eye(len(values)), 3, axis=0)
    return np.linalg.solve(np.eye(len(values)) + (2 * np.sin(np.pi * cutoff_hz / fps)) ** -6 * third.T @ third, values)


def test_place_is_the_networks_camera_made_steady(result: Result, device: str) -> None:
    """Direction keeps half of what swings at 5 Hz, distance at 1.2 Hz; one shape a person, from the middle of all."""
    focal, centre = result.meta.focal_length, np.array([result.meta.width, result.meta.height]) / 2
    fps = float(result.meta.frame_rate)
    for person in result.people:
        mine = result.of_person(person)
        pelvis = standins.smpl()["J_regressor"][0] @ (
            standins.smpl()["v_template"] + standins.smpl()["shapedirs"] @ mine.betas[0].astype(float)
        )
        s, shift = mine.camera_network[:, :1].astype(float), mine.camera_network[:, 1:]
        pixel = mine.box[:, :2] + mine.box[:, 2:] / 2 * s * (pelvis[:2] + shift)
        direction = steady((pixel - centre) / focal, 5.0, fps)
        depth = np.exp(steady(np.log(focal / (s * mine.box[:, 2:] / 2)), 1.2, fps))
        near(mine.transl + pelvis, np.concatenate([direction * depth, depth], 1), device)
        assert (mine.betas == mine.betas[0]).all()
        spread = np.ptp(mine.betas_frame, axis=0)
        assert (np.abs(mine.betas[0] - np.median(mine.betas_frame, 0)) <= spread + 1e-6).all()


def test_official_edges(tmp_path: Path, result: Result, plain_features: np.ndarray) -> None:
    official = run(tmp_path, "--no-render", "--no-frames", "--edges", "official", "--device", "cpu")
    assert np.array_equal(official.box, result.box)  # so these are the same crops
    near(rotmat(official.pose[:, 1:]), states(official, plain_features, "official")["rotmat"][:, 1:], "cpu")
    apart = np.abs(official.pose - result.pose).max((1, 2))
    assert (apart > 1e-4).any()


def test_there_is_nothing_to_refine_with(own_weights: None, tmp_path: Path, glot: Glot) -> None:
    ended = glot("run", CLIP, "-o", tmp_path, "--preset", "paper", "--refine")
    assert ended.status == 2 and len(ended.err) == 1 and "--refine: preset paper sees no landmarks" in ended.err[0]
    assert not list(tmp_path.iterdir())


def test_features_of_long_tracks_lie_on_the_disk(
    tmp_path: Path, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2048 numbers a frame would fill the memory with a long video; the result is the same and nothing is left over."""
    monkeypatch.setattr(passes, "IN_MEMORY", 0)
    made = []

    original = np.memmap

    def memmap(*arguments: Any, **keywords: Any) -> np.ndarray:
        made.append(original(*arguments, **keywords))
        return made[-1]

    monkeypatch.setattr(np, "memmap", memmap)
    again = run(tmp_path, "--no-render", "--no-frames", "--device", "cpu")
    assert [len(rows) for rows in made] == [len(result)]  # one file for everybody
    np.testing.assert_allclose(again.pose, result.pose, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "clip").iterdir()) == ["params.npz", "run.json"]


def test_the_record_says_what_made_it(result: Result) -> None:
    meta = result.meta
    assert (meta.preset, meta.body_model) == ("paper", "smpl-neutral")
    assert {"features", "glot", "body", "detector", "mean-params", "grounding"} == set(meta.weights)
    assert result.joint_error is None is result.confidence  # there are no landmarks to tell them


def test_the_open_body_can_wear_the_pose(tmp_path: Path, result: Result, glot: Glot, drawable: str) -> None:
    ended = glot("run", CLIP, "--preset", "paper", "--body", "open", *PART, "--out", tmp_path)
    assert ended.status == 0 and any("average shape" in line for line in ended.err)
    dressed = load_result(tmp_path / "clip")
    assert dressed.meta.body_model == "open-neutral" and not dressed.betas.any()
    np.testing.assert_allclose(dressed.pose, result.pose, atol=1e-4)
    assert (tmp_path / "clip" / "overlay.mp4").stat().st_size > 0


def test_smpl_drawn_again_from_a_file(
    own_weights: None, official: dict[str, Path], tmp_path: Path, glot: Glot, person: Path
) -> None:
    """A body that is a file: the record names it, `glot render` finds it, and wants to be told when it has moved."""
    body = tmp_path / "SMPL_NEUTRAL.pkl"
    body.write_bytes(official[official_files.NEUTRAL].read_bytes())
    out = tmp_path / "out"
    short = ["--end", 0.08, "--min-frames", 1, "--style", "plain"]
    ended = glot("run", person, "--body", body, "--preset", "paper", *short, "--out", out, "-q")
    assert ended.status == 0
    result = load_result(out / "person")
    assert result.meta.body_model == str(body) and result.betas.any()
    assert glot("render", out / "person", "--style", "plain").status == 0
    body.rename(tmp_path / "moved.pkl")
    ended = glot("render", out / "person", "--style", "plain")
    assert ended.status == 1 and ended.err == [
        f"glot: {out / 'person/params.npz'}: needs the body '{body}', which is not there; "
        "say where the body's file is now (--body)"
    ]
    assert glot("render", out / "person", "--style", "plain", "--body", tmp_path / "moved.pkl").status == 0


def test_a_result_is_compared_on_its_own_body(tmp_path: Path, result: Result, glot: Glot) -> None:
    result.save(tmp_path / "params.npz")
    ended = glot("eval", tmp_path / "params.npz", "--against", tmp_path / "params.npz", "--json")
    assert ended.status == 0
    assert json.loads(ended.out)["overall"]["mpjpe"] == 0


def test_without_the_files_it_says_at_once_what_to_do(tmp_path: Path) -> None:
    """As a newcomer does it, in a process of its own."""
    environment = {"GLOT_WEIGHTS": str(tmp_path / "none"), "PATH": "", "HOME": str(tmp_path)}
    arguments = ["run", str(CLIP), "--preset", "paper", "--out", str(tmp_path)]
    code = (
        f"import sys; from glot_cli.cli import main\ntry: main({arguments!r})\nfinally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    for name in ("spin_model_checkpoint.pth.tar", "table1_3dpw_weights.pth.tar", "smpl_mean_params.npz",
                 "SMPL_NEUTRAL.pkl", "glot weights list", "glot weights add", "preset open"):  # fmt: skip
        assert name in done.stderr
    assert done.stdout == "False\n", "nothing heavy is imported first, so it takes a tenth of a second"
