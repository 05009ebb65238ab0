"""Records that no run made: formats write sound files of them or refuse them in a line, soon and in little room."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.model import Body
from glot_cli.errors import InputError, UsageError
from glot_cli.exporting import characters as people
from glot_cli.exporting.catalogue import FORMATS
from glot_cli.exporting.characters import MOST_FRAMES, characters, even_times, frames_looked_at
from glot_cli.exporting.destinations import LONGEST_STEM, export_stem
from glot_cli.results import Result
from tests.exporting.made_records import made_record

OTHERS = {"usd", "c3d", "parquet"}  # need what may not be installed, and are made of the same parts
COMMON = [name for name in FORMATS if name not in OTHERS]
GAPPY = [(1, 0, range(12)), (2, 0, [*range(3, 5), *range(8, 12)])]


def altered(record: Result, arrays: dict[str, Any] | None = None, **meta: Any) -> Result:
    """A record with other values in it."""
    new = {name: np.asarray(v).astype(record.arrays[name].dtype) for name, v in (arrays or {}).items()}
    return Result(record.arrays | new, replace(record.meta, **meta), record.cameras)


def numbers_of(path: Path) -> np.ndarray:
    """All numbers of a file of text."""
    words = path.read_text("utf-8").replace(",", " ").split()
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return np.array(found)


@pytest.mark.parametrize("clock", ["stands still", "runs backward", "leaps"])
def test_clocks_that_no_camera_has(tmp_path: Path, clock: str) -> None:
    record = made_record(GAPPY, world=clock != "runs backward")
    times = {"stands still": 0 * record.time, "runs backward": -record.time, "leaps": np.round(record.time * 15) * 2}
    altered(record, {"time": times[clock]}).save(tmp_path / "params.npz")
    files = export(tmp_path, [name for name in COMMON if name not in ("obj", "ply")])
    told = [path for path in files if path.suffix in (".bvh", ".trc", ".mot", ".csv")]
    assert len(told) > 4
    assert all(np.isfinite(numbers_of(path)).all() for path in told)
    for path in tmp_path.glob("export/*_amass.npz"):
        with np.load(path) as file:
            assert np.isfinite(file["poses"]).all() and len(file["poses"])


@pytest.mark.parametrize("name", COMMON)
def test_frames_by_the_billion_are_refused_or_never_gone_through(tmp_path: Path, name: str) -> None:
    altered(made_record([(1, 0, range(2))], world=False), frame_count=1 << 31).save(tmp_path / "params.npz")
    if name in ("glb", "coco", "openpose"):
        with pytest.raises(InputError, match=r"has 2,147,483,648 frames, more than .*; run a part of the video"):
            export(tmp_path, [name])
        assert [p.name for p in tmp_path.iterdir()] == ["params.npz"]
    else:
        assert export(tmp_path, [name])


@pytest.mark.parametrize("name", ["bvh", "amass", "trc", "mot"])
def test_a_clock_that_lasts_for_years_is_refused(tmp_path: Path, name: str) -> None:
    record = made_record([(1, 0, range(2))], fps="100000", world=False)
    altered(record, {"time": [-1e9, 1e9]}).save(tmp_path / "params.npz")
    with pytest.raises(InputError, match=r"lasts 2,000,000,000 s, .* more than can be shown or exported"):
        export(tmp_path, [name])


def test_as_much_as_is_allowed_is_done() -> None:
    longest = altered(made_record([], world=False), frame_count=MOST_FRAMES)
    assert len(frames_looked_at(longest)) == MOST_FRAMES
    with pytest.raises(InputError):
        frames_looked_at(altered(longest, frame_count=MOST_FRAMES + 1))
    record = altered(made_record([(1, 0, range(2))], world=False), {"time": [0, (MOST_FRAMES - 1) / 30]})
    assert len(even_times(record, 30)) == MOST_FRAMES
    with pytest.raises(InputError):
        even_times(record, 31)


def test_thousands_of_people_take_no_longer_than_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 1000
    one = made_record([(1, 0, [0])], world=False)
    rows = one.select(np.zeros(count, int)).arrays
    rows |= {"person": np.arange(1, count + 1, dtype=np.int32), "frame": np.arange(count, dtype=np.int32) // 9}
    record = Result(rows, replace(one.meta, frame_count=count))
    body = Body.load(weights.locate("open-body"))
    looked_through: list[int] = []
    monkeypatch.setattr(people.np, "flatnonzero", lambda values: looked_through.append(len(values)))
    assert [(c.person, c.rows.tolist()) for c in characters(record, body, "camera")] == [
        (n + 1, [n]) for n in range(count)
    ]
    assert sum(looked_through) <= count
    monkeypatch.setattr(people, "MOST_CHARACTERS", count - 1)
    with pytest.raises(InputError, match=r"has 1,000 people, counted anew in every shot, more than 999"):
        characters(record, body, "camera")


@pytest.mark.parametrize("fps", [1e-5, 1e-4, 0.3, 1000.0])
def test_the_slowest_and_fastest_rates(tmp_path: Path, fps: float) -> None:
    made_record(GAPPY).save(tmp_path / "params.npz")
    for path in export(tmp_path, ["bvh", "amass", "trc", "mot", "csv"], fps=fps):
        assert path.stat().st_size and (
            path.suffix not in (".bvh", ".trc", ".mot") or np.isfinite(numbers_of(path)).all()
        )


@pytest.mark.parametrize("fps", [9e-6, 1e-300, 1000.1, float("inf"), -1.0])
def test_rates_beyond_are_usage(tmp_path: Path, fps: float) -> None:
    made_record(GAPPY).save(tmp_path / "params.npz")
    with pytest.raises(UsageError, match="must be from 1e-05 to 1000"):
        export(tmp_path, ["bvh"], fps=fps)


@pytest.mark.skipif(os.name != "posix", reason="names of bytes that are no text")
@pytest.mark.parametrize("name", ["\udcff\udcfe'\"\n<script>\\", "é" * 127, ". ."])
def test_every_name_of_a_folder_does(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    made_record([(1, 0, range(3))]).save(folder / "params.npz")
    formats = ["glb", "bvh", "trc", "amass", "coco", "openpose"]
    files = export(folder, formats, tmp_path / "o")
    assert len(files) == len(formats) + 2
    for path in files:
        str(path.relative_to(tmp_path)).encode("utf-8")
        assert path.is_file() and "\n" not in path.name and len(os.fsencode(path.name)) < 255 - 40
    assert json.loads((tmp_path / "o" / "export.json").read_text("utf-8"))["record"] == str(folder / "params.npz")
    assert export(folder, formats, tmp_path / "o") == files


def test_stems_are_text_of_a_length(tmp_path: Path) -> None:
    meta = made_record([]).meta
    for video, stem in (
        ("a.b.mp4", "a.b"),
        ("", "glot"),
        ("é" * 200 + ".mp4", "é" * (LONGEST_STEM // 2)),
        ("\udcff", "_xff"),
    ):
        assert export_stem(tmp_path / "000000.npz", replace(meta, video=video)) == stem
