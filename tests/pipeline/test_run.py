"""What a run refuses before it starts, and what it does with memory and time."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args, get_type_hints

import cv2
import numpy as np
import pytest

import glot_cli
from glot_cli.api import RunKeywords
from glot_cli.errors import GlotError, UsageError
from glot_cli.lifting import Edges
from glot_cli.pipeline import passes, run
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.report import Warnings
from glot_cli.pipeline.run import Runner
from glot_cli.rendering.styles import STYLES, Style
from glot_cli.video import VideoInfo, probe, read_frames


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
        {"style": "foo"},
        {"edges": "foo"},
        {"gender": "tall"},
        {"device": "abacus"},
        {"batch_size": "many"},
        {"batch_size": True},
        {"batch_size": 2.5},
        {"detect_every": None},
        {"detect_every": 11},
        {"half": 1},
        {"render": None},
        {"body": ""},
        {"detector": 3},
        {"style": np.array(["side"])},
        {"start": 10**400},
        {"focal": 1e-300},
        {"fps": 0},
        {"fps": float("nan")},
        {"fps": "30"},
        {"fps": 1e9},
        {"max_pixels": 0},
        {"max_pixels": 1e6},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    """Each is refused by its name, before anything is loaded or looked at, by whichever way it comes."""
    name = next(iter(options))
    with pytest.raises(UsageError, match=f"^{name}: ") as refused:
        Options(**options)
    assert refused.value.option == name
    with pytest.raises(UsageError, match=f"^{name}: "):
        glot_cli.run("gone.mp4", "out", **options)
    assert not Path("out").exists()


def test_options_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="speed: there is no such option") as refused:
        glot_cli.run("gone.mp4", "out", speed=3)  # type: ignore[call-arg]
    assert refused.value.option == "speed"
    with pytest.raises(UsageError, match="not both"):
        glot_cli.run("gone.mp4", "out", Options(), quiet=True)


def test_paths_and_numbers_of_numpy_are_taken() -> None:
    assert Options(detector=Path("a/b.pt")).detector == str(Path("a/b.pt"))  # type: ignore[arg-type]
    options = Options(detect_every=np.int64(2), focal=np.float32(900.0), quiet=np.bool_(True))  # type: ignore[arg-type]
    assert json.dumps(asdict(options)) == json.dumps(asdict(Options(detect_every=2, focal=900.0, quiet=True)))


def test_keywords_are_the_options() -> None:
    """A type checker sees the keywords of `run` in a class of their own, which must not drift from `Options`."""
    assert get_type_hints(RunKeywords) == get_type_hints(Options)
    assert get_args(Style) == tuple(STYLES) and get_args(Edges) == ("replicate", "official")


def test_a_style_is_refused_without_loading_anything(tmp_path: Path) -> None:
    code = (
        "import sys; from glot_cli import run\ntry: run('x.mp4', out='r', style='foo')\nfinally: print([*sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 1 and "UsageError: style: must be one of overlay, side" in told.stderr
    assert not {"'torch'", "'numpy'", "'av'", "'cv2'"} & set(told.stdout.strip("[]\n").split(", "))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_full_for_a_long_track_is_a_message_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space is claimed before anything is mapped: a full disk met while writing there would kill the process."""
    monkeypatch.setattr(passes, "IN_MEMORY", 0)
    room = passes.allocate((3, 5), tmp_path)
    room[1] = 7
    assert room.sum() == 35 and list(tmp_path.iterdir()) == []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(passes, "claim", full)
    with pytest.raises(GlotError, match=r"No space left on device.*another output folder"):
        passes.allocate((3, 5), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="device: cuda:99 is not on this machine"):
        Runner(Options(device="cuda:99"))


def test_what_reading_says_reaches_the_report(tmp_path: Path) -> None:
    """A list of lines is false as long as it is empty, but wanted."""
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "notes.txt").touch()
    warnings = Warnings()
    info = probe(tmp_path)
    assert len(list(read_frames(info, warn=warnings))) == 2
    run.tell_rate(info, Options(), warnings)
    assert [line.removeprefix(f"{tmp_path}: ") for line in warnings] == [
        "is read as a folder of images; left out: notes.txt",
        "does not say how many frames a second it has; taken for 30",
    ]


@pytest.mark.parametrize(
    ("fps", "fps_from", "words"),
    [
        (None, "stamps", []),
        (None, "stream", []),
        (120.0, "caller", []),
        (120.0, "stamps", ["x: its own time stamps say 30.00 frames a second, which stay"]),
    ],
)
def test_a_rate_that_is_not_used_is_told(fps: float | None, fps_from: str, words: list[str]) -> None:
    warnings = Warnings()
    info = VideoInfo(Path("x"), 8, 8, Fraction(30), fps_from, Fraction(1, 30), 100, False, 4.0)  # type: ignore[arg-type]
    run.tell_rate(info, Options(fps=fps), warnings)
    assert warnings == words


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(None, None, 100), (1.0, None, 75), (None, 2.0, 50), (1.0, 2.0, 25), (0.1, 0.5, 10), (9.0, None, 0)],
)
def test_the_bar_knows_the_stretch(start: float | None, end: float | None, expected: int) -> None:
    info = VideoInfo(Path("x"), 8, 8, Fraction(25), "stamps", Fraction(1, 25), 100, False, 4.0)
    assert passes.expected_frames(info, Options(start=start, end=end)) == expected
