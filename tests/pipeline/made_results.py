"""Results as a run leaves them, made without one."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from glot_cli.files.seal import seal_file
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.video_source import Source
from glot_cli.results import Result, empty_arrays
from glot_cli.schema import Meta
from tests.cli.clips import background, write_clip

WEIGHTS = {"glot": "1" * 64}


def record(video: Path) -> Result:
    """A record of nobody in two frames of a video."""
    source = Source.of(video)
    meta = Meta(
        video=video.name,
        source=str(source.path),
        width=8,
        height=8,
        fps="25",
        frame_count=2,
        start_frame=0,
        focal_length=10.0,
        body_model="open-body",
        body_model_sha256="0" * 64,
        preset="open",
        weights=WEIGHTS,
        program_version="0",
        video_id=source.video_id,
    )
    return Result(empty_arrays(), meta)


def finish(place: ResultFolder, video: Path, **changes: Any) -> None:
    """Write what a run on a video leaves: record, files of frames, picture and report, the report with changes."""
    place.path.mkdir(parents=True, exist_ok=True)
    place.save(record(video), frames=True)
    shutil.copy(video, place.path / "overlay.mp4")
    seal_file(place.path / "overlay.mp4")
    report = {
        "video": str(place.source.path),
        "video_id": place.source.video_id,
        "finished": True,
        "fault": None,
        "people": 2,
        "frames": 2,
        "mean_acceleration": {"1": 3.5},
        "seconds": 3.0,
        "options": asdict(Options()),
        "weights": WEIGHTS,
        "stages": {},
        "warnings": [],
    }
    place.write_report(report | changes)


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", [background(64, 48)] * 2).read_bytes()


@pytest.fixture
def video(tmp_path: Path, clip_bytes: bytes) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_bytes)
    return path


@pytest.fixture
def place(tmp_path: Path, video: Path) -> ResultFolder:
    return ResultFolder(tmp_path / "out/clip", Source.of(video), [video])
