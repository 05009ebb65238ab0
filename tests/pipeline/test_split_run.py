"""A video that is run in steps, on pieces, has the result of running it whole."""

import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from glot_cli.api import Options, prepare
from glot_cli.errors import GlotError, InputError, OutputError
from glot_cli.pipeline import borders, split_run
from glot_cli.pipeline.report import Outcome
from glot_cli.pipeline.run import Runner
from glot_cli.pipeline.split_run import SplitRun
from glot_cli.results import Result, load_result
from tests.documents import ROOT

CLIP = ROOT / "examples" / "clip.mp4"
STEPS = ["follow", "follow", "join", "look", "look", "lift", "draw", "draw", "finish"]


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borders, "LEAST_SPLIT", 1.0)


def runner(**options: object) -> Runner:
    told = Options(**{"start": 1.0, "end": 3.4, "quiet": True, "device": "cpu", **options})  # type: ignore[arg-type]
    return prepare([], Path(), told)[0]


def pictures(path: Path) -> tuple[list[int], np.ndarray]:
    """Time stamps of a video, and its pictures, (n, h, w, 3)."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        assert not film.streams.audio
    return [frame.pts for frame in frames], np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def same(first: Result, second: Result) -> bool:
    return all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays) and all(
        np.array_equal(first.cameras[name], second.cameras[name]) for name in first.cameras
    )


def test_a_video_in_pieces_has_the_record_and_the_picture_of_one_run_whole(tmp_path: Path) -> None:
    whole = runner(report=True).run(CLIP, tmp_path / "whole")
    taken = []
    cutting = runner(report=True)
    plan = SplitRun(cutting, CLIP, tmp_path / "cut", 1.5).plan()
    assert isinstance(plan, list)
    outcome = None
    for name, count in plan:
        for piece in reversed(range(count)):  # in whatever order a stage's steps are taken
            taken.append(name)
            assert outcome is None
            outcome = SplitRun(cutting, CLIP, tmp_path / "cut", 1.5).step(name, piece)
    assert taken == STEPS and isinstance(outcome, Outcome)
    assert (
        (outcome.people, outcome.frames, outcome.warnings)
        == (whole.people, whole.frames, whole.warnings)
        == (2, 72, [])
    )
    first, second = load_result(tmp_path / "whole" / "params.npz"), load_result(tmp_path / "cut" / "params.npz")
    assert first.meta == second.meta and first.meta.start_frame == 30
    assert same(first, second)
    stamps, drawn = pictures(tmp_path / "whole" / "overlay.mp4")
    stamps_cut, drawn_cut = pictures(tmp_path / "cut" / "overlay.mp4")
    assert stamps == stamps_cut and len(stamps) == 72
    some = np.arange(1, 71, 5)
    apart = np.abs(drawn[some].astype(int) - drawn_cut[some])
    for other in (some - 1, some + 1):  # each is that frame's picture, and not its neighbour's, where they differ
        steps = np.abs(drawn[some].astype(int) - drawn[other])
        for difference, step in zip(apart, steps, strict=True):
            assert difference[step > 40].mean() < 0.2 * step[step > 40].mean()
    names = {path.name for path in (tmp_path / "cut").iterdir()}
    assert names == {path.name for path in (tmp_path / "whole").iterdir()}  # nothing is left of the pieces
    again = SplitRun(runner(report=True), CLIP, tmp_path / "cut", 1.5).plan()
    assert isinstance(again, Outcome) and again.skipped and not again.other_options


def test_steps_that_are_done_are_not_done_again_and_what_is_not_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = {"start": 1.3, "end": 3.3, "render": False, "frames": False}
    cutting, place = runner(**shorter), tmp_path / "cut"

    def step(name: str, piece: int = 0) -> Outcome | None:
        return SplitRun(cutting, CLIP, place, 1.0).step(name, piece)

    assert SplitRun(cutting, CLIP, place, 1.0).plan() == [
        ("follow", 2),
        ("join", 1),
        ("look", 2),
        ("lift", 1),
        ("finish", 1),
    ]
    (folder,) = place.glob("pieces-*")
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"follow-0000\.npz"):
        step("join")
    step("follow", 0)
    step("follow", 1)
    with monkeypatch.context() as patch:
        patch.setattr(split_run, "watch", lambda *arguments: pytest.fail("was done again"))
        step("follow", 0)
        step("follow", 1)
    step("join")
    step("look", 0)
    step("look", 1)
    with pytest.raises(InputError, match="record of its pieces is gone"):
        step("finish")
    step("lift")
    (place / "params.npz").unlink()
    with pytest.raises(InputError, match="record of its pieces is gone"):
        step("finish")
    step("lift")
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "save_record", lambda *arguments: pytest.fail("was done again"))
        step("lift")
    outcome = step("finish")
    assert outcome is not None and outcome.overlay is None and outcome.people == 2
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    report = (place / "run.json").read_text()
    cutting.options = replace(cutting.options, overwrite=True)
    late = step("finish")  # of a worker that was lost from sight
    assert late is not None and late.skipped and (place / "run.json").read_text() == report
    cutting.options = replace(cutting.options, overwrite=False)
    assert same(load_result(place / "params.npz"), load_result(runner(**shorter).run(CLIP, tmp_path / "w").folder))


def test_a_record_that_another_run_has_put_in_the_place_is_not_taken_for_that_of_the_pieces(tmp_path: Path) -> None:
    told = {"start": 1.3, "end": 3.3, "render": False, "frames": False, "overwrite": True}
    cutting, place = runner(**told), tmp_path / "cut"
    plan = SplitRun(cutting, CLIP, place, 1.0).plan()
    assert isinstance(plan, list)
    for name, count in plan[:-1]:
        for piece in range(count):
            SplitRun(cutting, CLIP, place, 1.0).step(name, piece)
    other = runner(**told, max_people=1)
    for name in ("lift-0000.json", "follow-0000.json"):
        assert list(place.glob(f"pieces-*/{name}"))
    shutil.copytree(place, tmp_path / "kept")
    assert other.run(CLIP, place).people == 1
    assert not list(place.glob("pieces-*"))  # they were given up
    shutil.copytree(next((tmp_path / "kept").glob("pieces-*")), place / next((tmp_path / "kept").glob("pieces-*")).name)
    with pytest.raises(InputError, match="or another one now"):
        SplitRun(cutting, CLIP, place, 1.0).step("finish", 0)
    SplitRun(cutting, CLIP, place, 1.0).step("lift", 0)
    outcome = SplitRun(cutting, CLIP, place, 1.0).step("finish", 0)
    assert outcome is not None and outcome.people == 2


def test_what_is_short_or_in_the_way_is_told_before_anything_is_done(tmp_path: Path) -> None:
    assert SplitRun(runner(), CLIP, tmp_path / "cut", 60.0).plan() == []
    assert not (tmp_path / "cut").exists()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "params.npz").write_text("mine")
    with pytest.raises(OutputError, match="in the way"):
        SplitRun(runner(), CLIP, tmp_path / "cut", 2.0).plan()
    assert (tmp_path / "cut" / "params.npz").read_text() == "mine"
    with pytest.raises(GlotError, match="no such file"):
        SplitRun(runner(), tmp_path / "none.mp4", tmp_path / "other", 2.0)


def test_a_video_that_changes_between_steps_is_refused(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    shutil.copy(CLIP, video)
    cutting = runner(render=False, frames=False, end=3.0)
    SplitRun(cutting, video, tmp_path / "cut", 1.0).plan()
    step = SplitRun(cutting, video, tmp_path / "cut", 1.0)
    with video.open("r+b") as file:
        file.seek(100_000)
        file.write(b"\0" * 64)
    with pytest.raises(InputError, match="was changed or replaced"):
        step.step("follow", 0)
    with pytest.raises(InputError, match=r"follow-0000\.npz"):
        SplitRun(cutting, video, tmp_path / "cut", 1.0).step("join", 0)
