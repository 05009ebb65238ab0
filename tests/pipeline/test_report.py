"""What a run makes of what an earlier one left: a finished result is known by what the video is."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from glot_cli.errors import OutputError
from glot_cli.files.seal import sealed_json
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.record import _contradiction, doubts
from glot_cli.pipeline.report import Outcome, earlier_run, finish_report
from glot_cli.pipeline.video_source import Source
from glot_cli.progress import Progress
from glot_cli.results import Result, empty_arrays
from glot_cli.world.gravity import Direction
from tests.pipeline.made_results import WEIGHTS, finish, record


def earlier(place: ResultFolder, video: Path, options: Options | None = None, **weights: str) -> Any:
    return earlier_run(video, place, options or Options(), lambda: WEIGHTS | weights)


def test_a_finished_clip_is_skipped(place: ResultFolder, video: Path) -> None:
    finish(place, video)
    outcome = earlier(place, video, Options(batch_size=3, quiet=True))
    assert (outcome.skipped, outcome.other_options, outcome.people, outcome.frames) == (True, (), 2, 2)
    assert (outcome.overlay, outcome.mean_acceleration) == (place.path / "overlay.mp4", {1: 3.5})
    assert earlier(place, video, Options(focal=500.0, end=1.0)).other_options == ("focal", "end")
    assert earlier(place, video, glot="2" * 64).other_weights and not outcome.other_weights


def test_a_video_is_known_by_what_it_is(place: ResultFolder, video: Path, tmp_path: Path) -> None:
    finish(place, video)
    moved = tmp_path / "moved.mp4"
    video.rename(moved)
    assert isinstance(earlier(ResultFolder(place.path, Source.of(moved)), moved), Outcome)
    video.write_bytes(moved.read_bytes() + b"a longer take")
    with pytest.raises(OutputError, match="as it was before it changed; overwrite it"):
        earlier(ResultFolder(place.path, Source.of(video)), video)
    ResultFolder(place.path, Source.of(video)).check()  # told to overwrite, it may


def test_only_the_ends_of_a_long_video_are_read(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as file:
        file.truncate(8 << 30)  # bytes, none of which takes room
    begin = time.perf_counter()
    first = Source.of(path).video_id
    assert time.perf_counter() - begin < 1
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert Source.of(path).video_id != first


def test_a_folder_of_images_is_known_by_its_images(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
    first = Source.of(tmp_path).video_id
    (tmp_path / "notes.txt").touch()
    assert Source.of(tmp_path).video_id == first
    (tmp_path / "2.png").unlink()
    assert Source.of(tmp_path).video_id != first


@pytest.mark.parametrize("name", ["overlay.mp4", "frames"])
def test_what_is_made_of_the_record_is_made_again_from_it(place: ResultFolder, video: Path, name: str) -> None:
    finish(place, video)
    path = place.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    report = earlier(place, video)
    assert isinstance(report, dict) and report["people"] == 2
    assert earlier(place, video, Options(focal=500.0)) is None
    assert earlier(place, video, glot="2" * 64) is None
    assert isinstance(earlier(place, video, Options(style="side", quiet=True)), dict)


def test_frames_that_are_not_all_there_are_made_again(place: ResultFolder, video: Path) -> None:
    finish(place, video)
    (place.path / "frames/000001.npz").unlink()
    assert isinstance(earlier(place, video), dict)
    place.save_frames(record(video))
    (place.path / "frames/.DS_Store").touch()  # as a file manager leaves it
    assert isinstance(earlier(place, video), Outcome)


def test_a_picture_that_is_wanted_later_is_only_drawn(place: ResultFolder, video: Path) -> None:
    finish(place, video, options=asdict(Options(render=False)))
    (place.path / "overlay.mp4").unlink()
    assert isinstance(earlier(place, video, Options(render=False)), Outcome)
    assert isinstance(earlier(place, video), dict)
    assert isinstance(earlier(place, video, Options(focal=500.0)), Outcome)  # that would be another record


@pytest.mark.parametrize("changes", [{"fault": "no driver"}, {"finished": False}])
def test_a_clip_that_could_not_be_drawn_has_only_to_be_drawn(
    place: ResultFolder, video: Path, changes: dict[str, Any]
) -> None:
    finish(place, video, **changes)
    assert isinstance(earlier(place, video), dict)
    (place.path / "params.npz").unlink()
    assert earlier(place, video) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, sealed_json({"video": "x"})])
def test_a_report_that_makes_no_sense_is_no_report(place: ResultFolder, video: Path, text: str) -> None:
    finish(place, video)
    (place.path / "run.json").write_text(text)
    assert place.report() is None and earlier(place, video) is None


def test_reports_are_plain_json(place: ResultFolder, video: Path) -> None:
    finish(place, video)
    told = json.loads((place.path / "run.json").read_text())
    assert told["video"] == str(video) and place.report() == {k: v for k, v in told.items() if k != "seal"}


def test_a_result_of_before_some_options_is_still_finished(place: ResultFolder, video: Path) -> None:
    """Whether a detector may run says nothing of what comes of it."""
    told = asdict(Options(detector="people.torchscript"))
    for name in ("trust_detector", "max_pixels", "fps"):
        del told[name]
    finish(place, video, options=told, stages={})
    again = Options(detector="people.torchscript", trust_detector=True)
    assert earlier(place, video, again).other_options == ()
    (place.path / "overlay.mp4").unlink()
    report = earlier(place, video, again)
    finished = finish_report(report, again, 1.0, Progress("", quiet=True), None, None)
    assert finished["options"] == told | {"trust_detector": False, "max_pixels": Options().max_pixels, "fps": None}


ODD_FACTS = {
    "options": [[], None], "weights": ["x"], "finished": [1, None], "frames": ["2", -1, 10**30, 2.0], "people": [True],
    "seconds": [None, float("nan"), 1e300], "mean_acceleration": [{"a": 1.0}, {"1": "x"}, {"1": 10**400}, []],
    "fault": [3], "stages": [None], "warnings": ["x", [3]], "video": [None], "video_id": [7],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD_FACTS.items() for value in values])
def test_a_report_with_odd_facts_is_none(place: ResultFolder, video: Path, name: str, value: Any) -> None:
    finish(place, video)
    assert place.report() is not None
    place.write_report(place.report() | {name: value})
    assert place.report() is None and earlier(place, video) is None


def test_what_is_hardly_known_of_worlds_is_said_once_for_all_shots(video: Path) -> None:
    """Of shots that somebody is in, and whose cameras could have moved."""
    bare = record(video)
    count = 3
    arrays = empty_arrays(world=True)
    rows = {name: np.zeros((count, *values.shape[1:]), values.dtype) for name, values in arrays.items()}
    rows |= {"frame": np.array([0, 10, 30], np.int32), "shot": np.array([0, 1, 3], np.int32)}
    rows["person"] += 1
    meta = replace(
        bare.meta,
        frame_count=40,
        shots=[0, 5, 20, 29],
        camera_motion=["static"] * 4,
        camera_confidence=[0.9, 0.1, 0.0, 0.2],
        gravity_error=[2.0, 3.0, 30.0, 25.0],
        floor=[[0.0, -1.0, 0.0, 1.5]] * 4,
    )
    cameras = {"camera_rotation": np.tile(np.eye(3, dtype=np.float32), (40, 1, 1))}
    cameras["camera_translation"] = np.zeros((40, 3), np.float32)
    said = doubts(Result(rows, meta, cameras))
    assert len(said) == 2
    assert "from frame 5, and in 1 more shot, the background hardly shows" in said[0]
    assert "from frame 29, up is not known within 10 degrees" in said[1]
    one = replace(
        meta,
        frame_count=6,
        shots=[0, 5],
        **{name: getattr(meta, name)[:2] for name in ("camera_motion", "camera_confidence", "gravity_error", "floor")},
    )
    first = {name: values[:2] for name, values in rows.items()} | {"frame": np.array([0, 5], np.int32)}
    assert doubts(Result(first, one, {name: values[:6] for name, values in cameras.items()})) == []  # one frame
    assert doubts(bare) == []


def test_up_that_is_far_from_what_is_surely_seen_gets_a_word() -> None:
    aside = torch.tensor([2.0, 0.0, 0.0])
    seen = torch.tensor([0.0, -1.0, 0.0])
    said = _contradiction(aside, Direction(seen, math.radians(5)))
    assert said == "up as it was told is 90 degrees off what people and lines show (0.00,-1.00,0.00)"
    assert _contradiction(aside, Direction(seen, math.radians(12))) is None  # that is not sure
    near = torch.tensor([math.sin(math.radians(15)), -math.cos(math.radians(15)), 0.0])
    assert _contradiction(near, Direction(seen, math.radians(2))) is None
