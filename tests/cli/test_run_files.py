"""What a run on a clip with a person writes, and that its numbers agree with one another."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from glot_cli import load_result, weights
from glot_cli.body.model import Body
from glot_cli.results import Result
from glot_cli.schema import CAMERA_FIELDS, FIELDS, WORLD_ROWS
from tests.cli.clips import FOCAL, HEIGHT, WIDTH, people_frames, read_video, write_clip
from tests.cli.fixtures import COUNT, Glot


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def assert_pelvis_agrees(result: Result) -> None:
    """The two cameras of every row put the pelvis on the same pixel; joints2d is the pinhole's picture of joints3d."""
    meta = result.meta
    centre = np.array([meta.width, meta.height]) / 2
    # joints3d counts from the pelvis joint, whose own place in the body depends on the shape.
    pelvis = Body.load(weights.locate("open-body")).rest_joints(torch.from_numpy(result.betas))[:, 0].numpy()
    position = pelvis + result.transl
    pinhole = meta.focal_length * position[:, :2] / position[:, 2:] + centre
    s, shift = result.camera[:, :1], result.camera[:, 1:]
    weak = result.box[:, :2] + result.box[:, 2:] / 2 * s * (pelvis[:, :2] + shift)
    assert np.abs(weak - pinhole).max() < 1
    joints = result.joints3d + position[:, None]
    drawn = meta.focal_length * joints[..., :2] / joints[..., 2:] + centre
    assert np.abs(drawn - result.joints2d).max() < 0.1
    assert (position[:, 2] > 0).all()


def test_one_person_is_found_where_it_is(finished: Path, person: Path) -> None:
    result = load_result(finished)
    assert (result.people, len(result)) == ([1], COUNT)
    assert result.frame.tolist() == list(range(COUNT))
    assert result.time == pytest.approx(np.arange(COUNT) / 25)
    meta = result.meta
    assert (meta.video, meta.source) == ("person.mp4", str(person.resolve()))
    assert (meta.width, meta.height, meta.fps, meta.frame_count, meta.start_frame) == (WIDTH, HEIGHT, "25", COUNT, 0)
    assert meta.focal_length == pytest.approx(FOCAL, rel=0.1)  # estimated
    # Drawn 0.15 m right of the axis, 3 m away, walking 0.1 m/s: the pelvis must be there, 15 px is 11 cm.
    expected = WIDTH / 2 + FOCAL * (0.15 + 0.1 * result.time) / 3
    assert np.abs(result.joints2d[:, 0, 0] - expected).max() < 15
    assert (result.joints2d[:, 15, 1] < result.joints2d[:, 0, 1]).all()  # the head above the pelvis
    assert (result.joints2d[:, 7, 1] > result.joints2d[:, 4, 1]).all()  # ankles below knees
    assert (result.joints2d[:, 16, 0] > result.joints2d[:, 17, 0]).all()  # facing us: the left shoulder on the right
    assert_pelvis_agrees(result)


def test_the_files_are_complete_and_nothing_else_is_left(finished: Path) -> None:
    assert names(finished) == ["frames", "overlay.mp4", "params.npz", "run.json"]
    assert names(finished / "frames") == [f"{i:06d}.npz" for i in range(COUNT)]
    with np.load(finished / "params.npz", allow_pickle=False) as file:
        assert set(file.files) == {*FIELDS, *CAMERA_FIELDS, "meta"}
    whole = load_result(finished)
    parts = [load_result(finished / "frames" / name) for name in names(finished / "frames")]
    assert all(part.meta == whole.meta and (part.frame == i).all() for i, part in enumerate(parts))
    for name in FIELDS:
        joined = np.concatenate([part.arrays[name] for part in parts])
        assert np.array_equal(joined, whole.arrays[name])  # one person: by frame and by person is the same order


def test_run_json_tells_what_ran(finished: Path) -> None:
    report = json.loads((finished / "run.json").read_text())
    assert (report["people"], report["frames"], report["rows"], report["fault"]) == (1, COUNT, COUNT, None)
    assert report["warnings"] == [] and report["fps"] > 0
    assert report["options"]["detect_every"] == 3
    for name in ("detect and track", "features", "draw"):
        stage = report["stages"][name]
        assert stage["frames"] == COUNT and stage["fps"] == pytest.approx(COUNT / stage["seconds"], rel=0.05)
    assert sum(stage["seconds"] for stage in report["stages"].values()) <= report["seconds"] + 0.1


def test_the_overlay_is_the_video_with_a_mesh_on_it(finished: Path, person: Path) -> None:
    before, times_before = read_video(person)
    after, times = read_video(finished / "overlay.mp4")
    assert [t - times[0] for t in times] == [t - times_before[0] for t in times_before]
    assert after[0].shape == before[0].shape
    difference = np.abs(np.stack(after).astype(int) - np.stack(before)).mean(axis=(0, 3))
    assert difference[:, :40].mean() < 4  # nobody stands at the left edge
    at = load_result(finished).joints2d[:, 0].mean(0).astype(int)
    assert difference[at[1] - 10 : at[1] + 10, at[0] - 10 : at[0] + 10].mean() > 15
    with av.open(str(finished / "overlay.mp4")) as container:
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(COUNT / 25, abs=0.1)
        assert container.streams.video[0].codec_context.name == "h264"


def test_two_people_of_whom_one_may_stay(glot: Glot, tmp_path: Path, drawable: str) -> None:
    clip = write_clip(tmp_path / "two.mp4", people_frames(COUNT, [-0.5, 0.65]))
    assert glot("run", clip, "--out", tmp_path / "all", "--no-render", "-q").status == 0
    result = load_result(tmp_path / "all/two")
    assert len(result.people) == 2
    order = list(zip(result.person.tolist(), result.frame.tolist(), strict=True))
    assert order == sorted(set(order))  # by person, then frame; nobody twice in a frame
    left, right = (result.of_person(p).joints2d[:, 0, 0].mean() for p in result.people)
    assert abs(left - right) == pytest.approx(FOCAL * 1.15 / 3, abs=20)
    assert_pelvis_agrees(result)
    ended = glot("run", clip, "--out", tmp_path / "one", "--no-render", "-q", "--max-people", 1)
    assert (ended.status, load_result(tmp_path / "one/two").people) == (0, [1])
    assert "1 person, 12 frames" in ended.out


def test_focal_length_moves_the_person_away_and_keeps_the_picture(glot: Glot, person: Path, tmp_path: Path) -> None:
    assert glot("run", person, "--out", tmp_path, "--focal", 900, "--no-render", "--no-frames", "-q").status == 0
    result = load_result(tmp_path / "person")
    assert names(tmp_path / "person") == ["params.npz", "run.json"]
    assert result.meta.focal_length == 900
    assert np.median(result.transl[:, 2]) == pytest.approx(900 * 3 / FOCAL, rel=0.25)
    assert_pelvis_agrees(result)


def test_without_refinement_the_networks_pose_stays(glot: Glot, finished: Path, person: Path, tmp_path: Path) -> None:
    assert glot("run", person, "-o", tmp_path, "--no-render", "--no-frames", "--no-refine", "-q").status == 0
    plain, refined = load_result(tmp_path / "person"), load_result(finished)
    # One shape of the person, the robust mean of what the network says of every frame.
    apart = np.linalg.norm(plain.betas_frame - plain.betas, axis=1)
    assert np.linalg.norm(plain.betas[0] - plain.betas_frame.mean(0)) < apart.max()
    assert np.array_equal(plain.betas_frame, refined.betas_frame)
    assert not np.allclose(plain.betas, refined.betas, atol=1e-3)
    turned = np.abs(plain.pose - refined.pose).max((0, 2))
    assert turned[16:20].max() > 0.01 and np.abs(plain.joints2d - refined.joints2d).max() < 60
    assert_pelvis_agrees(plain)


def test_a_stretch_of_the_video(glot: Glot, person: Path, tmp_path: Path) -> None:
    """Frame numbers are those of the source, and a redrawing finds the same stretch."""
    ended = glot("run", person, "--out", tmp_path, "--start", 0.12, "--end", 0.36, "--min-frames", 2)
    assert (ended.status, ended.err) == (0, [])
    folder = tmp_path / "person"
    result = load_result(folder)
    assert result.frame.tolist() == [3, 4, 5, 6, 7, 8]
    assert (result.meta.start_frame, result.meta.frame_count) == (3, 6)
    assert names(folder / "frames") == [f"{i:06d}.npz" for i in range(3, 9)]
    source, _ = read_video(person)
    first, times = read_video(folder / "overlay.mp4")
    assert (len(first), times[0]) == (6, 0)
    assert np.abs(first[0][:, :40].astype(int) - source[3][:, :40]).mean() < 4
    ended = glot("render", folder / "params.npz", "-o", tmp_path / "again.mp4")
    assert (ended.status, ended.out.strip()) == (0, str(tmp_path / "again.mp4"))
    again, _ = read_video(tmp_path / "again.mp4")
    assert np.abs(np.stack(again).astype(int) - np.stack(first)).max() == 0


def test_variable_frame_rate_and_odd_size(glot: Glot, person_frames: list[np.ndarray], tmp_path: Path) -> None:
    stamps = [5, 7, 8, 12, 13, 14, 20, 21, 22, 23, 30, 31]
    clip = write_clip(tmp_path / "odd.mkv", [f[:239, :319] for f in person_frames], stamps, Fraction(1, 50))
    assert glot("run", clip, "--out", tmp_path, "--no-frames").status == 0
    result = load_result(tmp_path / "odd")
    assert (result.meta.width, result.meta.height) == (319, 239)
    assert result.time == pytest.approx(np.array(stamps) / 50, abs=0.002)
    frames, times = read_video(tmp_path / "odd/overlay.mp4")
    assert frames[0].shape == (240, 320, 3)
    assert [float(t) for t in times] == pytest.approx((np.array(stamps) - 5) / 50, abs=0.002)


def test_a_moved_result_and_a_moved_video(glot: Glot, finished: Path, person: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved" / "person"
    shutil.copytree(finished, folder)
    elsewhere = tmp_path / "elsewhere" / "film.mp4"
    elsewhere.parent.mkdir()
    clip = elsewhere.parent / "person.mp4"
    shutil.copy(person, clip)
    assert glot("run", clip, "--out", tmp_path / "r", "--no-render", "-q").status == 0
    clip.rename(elsewhere)
    ended = glot("render", tmp_path / "r/person")
    assert ended.status == 1
    assert len(ended.err) == 1 and str(clip) in ended.err[0] and "--video" in ended.err[0]
    for style in ("side", "plain", "wireframe", "world", "overlay"):
        ended = glot("render", tmp_path / "r/person", "--video", elsewhere, "--style", style)
        assert (ended.status, ended.err) == (0, [])
        frames, _ = read_video(tmp_path / f"r/person/{style}.mp4")
        assert len(frames) == COUNT and frames[0].shape == (240, 560 if style == "side" else 320, 3)
    plain, _ = read_video(tmp_path / "r/person/plain.mp4")
    assert np.abs(plain[0][:, :40].astype(int) - [236, 238, 241]).max() < 12


def test_a_record_without_a_world(glot: Glot, finished: Path, tmp_path: Path) -> None:
    """Older ones are drawn as ever; of a world there is no picture, told before the video is looked for."""
    result = load_result(finished)
    arrays = {name: values for name, values in result.arrays.items() if name not in WORLD_ROWS}
    nothing: dict[str, Any] = {"camera_motion": [], "camera_confidence": [], "gravity_error": [], "floor": []}
    Result(arrays, replace(result.meta, source="/gone.mp4", video="gone.mp4", **nothing)).save(tmp_path / "params.npz")
    ended = glot("render", tmp_path, "--style", "world")
    assert ended.status == 1 and len(ended.err) == 1 and not (tmp_path / "world.mp4").exists()
    assert "params.npz: the record has no world; run 'glot run' on the video again" in ended.err[0]
