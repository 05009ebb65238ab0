"""What a run refuses before it starts, and what it takes for granted of an earlier one."""

from __future__ import annotations

import errno
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from glot_cli.errors import GlotError, UsageError
from glot_cli.pipeline import run
from glot_cli.pipeline.run import Options, Runner, output_folders
from glot_cli.video import VideoInfo

REPORT = {"video": "", "fault": None, "people": 2, "frames": 9, "seconds": 3.0}


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "paperback"},
        {"batch_size": 0},
        {"detect_every": 0},
        {"focal": 0.0},
        {"focal": float("nan")},
        {"focal": float("inf")},
        {"max_people": 0},
        {"start": float("nan")},
        {"end": float("inf")},
        {"start": -1.0},
        {"end": 2.0, "start": 2.0},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(options)).replace('_', '-')}"):
        Runner(Options(**options))


def test_a_disk_too_full_for_a_long_track_is_a_message_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space is claimed before anything is mapped: a full disk met while writing there would kill the process."""
    monkeypatch.setattr(run, "IN_MEMORY", 0)
    room = run._room((3, 5), tmp_path)
    room[1] = 7
    assert room.sum() == 35 and list(tmp_path.iterdir()) == []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "claim", full)
    with pytest.raises(GlotError, match=r"No space left on device.*another --out"):
        run._room((3, 5), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="--device abacus"):
        Runner(Options(device="abacus"))


def test_every_video_gets_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tmp_path / "holiday.2024"
    images.mkdir()
    videos = [Path("a/clip.mp4"), Path("b/other.clip.mov"), images]
    assert output_folders(videos, Path("out")) == [Path("out/clip"), Path("out/other.clip"), Path("out/holiday.2024")]
    monkeypatch.chdir(images)
    assert output_folders([Path(".")], Path("out")) == [Path("out/holiday.2024")]
    for pair in ([Path("a/clip.mp4"), Path("b/clip.mov")], [Path("a/clip.mp4")] * 2):
        with pytest.raises(UsageError, match="out/clip"):
            output_folders(pair, Path("out"))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(None, None, 100), (1.0, None, 75), (None, 2.0, 50), (1.0, 2.0, 25), (0.1, 0.5, 10), (9.0, None, 0)],
)
def test_the_bar_knows_the_stretch(start: float | None, end: float | None, expected: int) -> None:
    info = VideoInfo(Path("x"), 8, 8, Fraction(25), Fraction(1, 25), 100, 0, False, 4.0, Fraction(1))
    assert Runner(Options(start=start, end=end))._expected(info) == expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a run on tmp_path/clip.mp4 leaves, as far as the next run looks at it."""
    (tmp_path / "clip/frames").mkdir(parents=True)
    for name in ("params.npz", "overlay.mp4"):
        (tmp_path / "clip" / name).touch()
    return tmp_path / "clip"


def finished(folder: Path, options: Options, **changes: Any) -> Any:
    """What a Runner thinks of the folder when its run.json is REPORT with changes."""
    video = folder.parent / "clip.mp4"
    told = {name: getattr(Options(), name) for name in Options.__dataclass_fields__}
    report = REPORT | {"video": str(video.resolve()), "options": told} | changes
    (folder / "run.json").write_text(json.dumps(report))
    return Runner(options)._finished(video, folder)


def test_a_finished_clip_is_skipped(folder: Path) -> None:
    outcome = finished(folder, Options(batch_size=3, quiet=True))
    assert (outcome.skipped, outcome.other_options, outcome.people, outcome.frames) == (True, False, 2, 9)
    assert finished(folder, Options(focal=500.0)).other_options
    assert finished(folder, Options(overwrite=True)) is None


@pytest.mark.parametrize("name", ["params.npz", "overlay.mp4", "frames"])
def test_a_clip_whose_files_are_gone_is_not_finished(folder: Path, name: str) -> None:
    path = folder / name
    path.rmdir() if path.is_dir() else path.unlink()
    assert finished(folder, Options()) is None


def test_a_clip_that_could_not_be_drawn_is_not_finished(folder: Path) -> None:
    assert finished(folder, Options(), fault="no driver") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"video": "x"}'])
def test_a_report_that_makes_no_sense_is_no_report(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    assert Runner(Options())._finished(folder.parent / "clip.mp4", folder) is None
