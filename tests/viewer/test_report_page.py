"""The page that says which seconds to trust: what it shows is so, and nothing in it can do anything."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glot_cli.files.seal import sealed
from glot_cli.pipeline.folder import OVERLAY, PAGE, ResultFolder
from glot_cli.pipeline.run import _page
from glot_cli.pipeline.video_source import Source
from glot_cli.results import Result, load_result
from glot_cli.video import VideoWriter
from glot_cli.viewer import report_page as page
from glot_cli.viewer.report_page import Still, report_page, still_times
from tests.cli.fixtures import Glot
from tests.exporting.made_records import made_record

REPORT = {"warnings": ["a <b>warning</b>"], "worlds": [], "stages": {"lift": {"seconds": 1.5}}, "seconds": 3.0}


class Tags(HTMLParser):
    """Names of all tags, and the attributes that could fetch or do something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href") or name.startswith("on")]


def falling(person: int, frames: int = 60, fps: float = 30.0) -> Result:
    """Somebody whose every joint falls with 9.81 m/s^2."""
    record = made_record([(person, 0, range(frames))], fps="30")
    transl = np.zeros((frames, 3), np.float32)
    transl[:, 1] = 9.81 / 2 * (np.arange(frames) / fps) ** 2
    transl[:, 2] = 5
    return Result({**record.arrays, "transl": transl, "joints3d": np.zeros((frames, 24, 3), np.float32)}, record.meta,
                  record.cameras)  # fmt: skip


def test_acceleration_is_metres_per_second_squared() -> None:
    times, values = page._acceleration(falling(1))
    assert len(times) == 58 and np.abs(values - 9.81).max() < 0.02


def test_no_acceleration_across_gaps_and_pauses() -> None:
    gap = made_record([(1, 0, [*range(10), *range(40, 50)])])
    times, values = page._acceleration(gap)
    assert len(times) == 16 and not ((times > 0.29) & (times < 1.35)).any()
    assert np.isfinite(values).all()


def test_a_page_has_a_strip_for_each_and_cells_where_they_are() -> None:
    record = made_record([(1, 0, range(100)), (2, 0, [*range(20), *range(60, 100)])])
    text = report_page(record, REPORT, [])
    strips = re.findall(r"<svg[^>]*>(<circle.*?)</svg>", text, re.DOTALL)
    assert len(strips) == 2
    cells = [strip.count("<rect") for strip in strips]
    assert cells == [100, 60]


def test_names_and_warnings_are_only_text() -> None:
    record = made_record([(1, 0, range(5))])
    evil = '</title><script>alert(1)</script><img src=x onerror="alert(1)">\udce9'  # a name that is no UTF-8
    record = replace(record, meta=replace(record.meta, video=evil, preset=evil, body_model=evil, program_version=evil))
    text = report_page(record, {**REPORT, "warnings": [evil], "fault": evil}, [Still(0.5, b"\xff\xd8", evil)])
    assert text.encode()
    tags = Tags(text)
    assert tags.names.isdisjoint({"script", "iframe", "object", "link", "form"})
    assert all(link.startswith("data:image/jpeg;base64,") for link in tags.links)
    assert "default-src 'none'" in text


@pytest.mark.parametrize("people", [[], [(1, 0, [3])]])
def test_nobody_and_one_frame(people: list[tuple[int, int, list[int]]]) -> None:
    record = made_record(people, frames=6)
    assert "Nothing was drawn" in report_page(record, REPORT, []) or not people
    assert len(still_times(record)) == len(people)


def test_a_long_record_makes_no_long_page() -> None:
    record = made_record([(person, 0, range(18_000)) for person in (1, 2, 3)])
    assert len(report_page(record, REPORT, [])) < 300_000


def test_pictures_are_spread_and_show_where_people_are_least_sure() -> None:
    record = made_record([(1, 0, range(100))])
    record.arrays["joint_error"][:] = 0.05
    record.arrays["joint_error"][40:45] = 0.4
    moments = still_times(record)
    assert [time for time, _ in moments] == sorted(time for time, _ in moments)
    doubtful = [time for time, why in moments if why]
    assert len(doubtful) == 1 and 39 / 30 < doubtful[0] < 45 / 30
    scores = replace(record, arrays={k: v for k, v in record.arrays.items() if k != "joint_error"})
    scores.score[70:75] = 0.1
    doubtful = [time for time, why in still_times(scores) if why]
    assert len(doubtful) == 1 and 69 / 30 < doubtful[0] < 75 / 30


def test_pictures_of_a_part_of_a_video_are_of_their_moments(tmp_path: Path) -> None:
    """The overlay begins at 0, the record at ten seconds; people come a little later."""
    times = 10 + np.arange(60) / 30
    record = made_record([(1, 0, range(6, 60))], times=times)
    with sealed(tmp_path / OVERLAY) as aside, VideoWriter(aside, 64, 48, time_base=Fraction(1, 1000), fps=30) as writer:
        for number, time in enumerate(times):
            writer.write(np.full((48, 64, 3), 4 * number, np.uint8), round(1000 * time))
    place = ResultFolder(tmp_path, Source("clip.mp4", tmp_path / "clip.mp4", ""))
    text = _page(place, record, {**REPORT, "fault": None})
    jpegs = re.findall(r'data:image/jpeg;base64,([^"]+)"', text)
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg)))).mean() / 4 for jpeg in jpegs]
    expected = [round(30 * (time - 10)) for time, _ in still_times(record)]
    assert np.abs(np.array(shown) - expected).max() < 0.6 and expected[0] == 6 and expected[-1] == 59


def test_a_run_writes_one_and_keeps_what_is_a_users(glot: Glot, drawable: str, person: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert glot("run", person, "--out", out, "--report", "--quiet").status == 0
    (folder,) = out.iterdir()
    text = (folder / "report.html").read_text("utf-8")
    assert text.count("data:image/jpeg") >= 2
    again = glot("run", person, "--out", out, "--report", "--overwrite", "--quiet")
    assert again.status == 0 and len(load_result(folder))
    (folder / "report.html").write_text("mine")
    refused = glot("run", person, "--out", out, "--report", "--overwrite", "--quiet")
    assert refused.status == 1 and "report.html" in refused.err[0]
    assert (folder / "report.html").read_text() == "mine"
    assert glot("run", person, "--out", out, "--overwrite", "--quiet").status == 0  # it is in nobody's way
    assert (folder / "report.html").read_text() == "mine"


def test_a_finished_result_gets_its_page_without_a_network(
    glot: Glot, drawable: str, person: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    glot("run", person, "--out", out, "--quiet")
    (folder,) = out.iterdir()
    before = (folder / "params.npz").stat().st_mtime_ns, (folder / "overlay.mp4").stat().st_mtime_ns
    assert glot("run", person, "--out", out, "--report", "--quiet").status == 0
    assert (folder / "report.html").exists()
    assert before == ((folder / "params.npz").stat().st_mtime_ns, (folder / "overlay.mp4").stat().st_mtime_ns)
    assert json.loads((folder / "run.json").read_text())["options"]["report"] is True


def test_a_name_that_is_no_text_still_has_its_page(tmp_path: Path) -> None:
    record = made_record([(1, 0, range(3))])
    text = report_page(Result(record.arrays, replace(record.meta, video="a\udcff.mp4"), record.cameras), {}, [])
    folder = ResultFolder(tmp_path, Source("a", tmp_path / "a", ""))
    folder.write_page(text)
    assert folder.has(PAGE) and r"a\udcff.mp4" in (tmp_path / PAGE).read_text("utf-8")
