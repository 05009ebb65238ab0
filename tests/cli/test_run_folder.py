"""What a run does with a folder that holds something already: a finished result, another one's, a user's own files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from glot_cli import load_result
from glot_cli.errors import RenderError
from glot_cli.pipeline import run as pipeline
from tests.cli.clips import background, read_video, write_clip
from tests.cli.fixtures import Glot, assert_fault, leftovers


def test_finished_videos_are_skipped_and_others_results_refused(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = ("run", nobody, "--out", out, "--no-render", "-q")
    assert glot(*run).status == 0
    stamp = (out / "nobody/params.npz").stat().st_mtime_ns

    again = glot(*run)
    assert (again.status, again.err) == (0, []) and "finished before, skipped" in again.out
    said = glot(*run, "--refine").out  # aloud what is the preset's own way
    assert "finished before" in said and "other options" not in said
    for other_options in (("--focal", 200), ("--no-refine",)):
        assert "with other options" in glot(*run, *other_options).out
    other = tmp_path / "other" / "nobody.mp4"
    other.parent.mkdir()
    write_clip(other, [background()] * 4)
    assert_fault(glot("run", other, "--out", out, "--no-render", "-q"), 1, out / "nobody", nobody, "--out")
    again = glot("run", other, "--out", out, "--no-render", "-q", "--overwrite")
    assert_fault(again, 1, out / "nobody", nobody, "--out")  # our own files, but not of this video
    assert (out / "nobody/params.npz").stat().st_mtime_ns == stamp  # none of them touched it

    # The same without the report, as a run leaves it that was stopped while drawing.
    (out / "nobody/run.json").unlink()
    assert_fault(glot("run", other, "--out", out, "--no-render", "-q"), 1, out / "nobody", nobody)
    assert "6 frames" in glot(*run).out


def test_a_video_that_changed_under_its_name_is_done_anew_only_when_told(
    glot: Glot, nobody: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    shutil.copy(nobody, clip)
    run = ("run", clip, "--out", tmp_path / "out", "--no-render", "--no-frames", "-q")
    assert glot(*run).status == 0
    write_clip(clip, [background()] * 4)
    assert_fault(glot(*run), 1, tmp_path / "out/clip", "before it changed", "--overwrite")
    assert load_result(tmp_path / "out/clip").meta.frame_count == 6
    assert glot(*run, "--overwrite").status == 0
    assert load_result(tmp_path / "out/clip").meta.frame_count == 4


def test_a_users_own_files_are_refused_before_the_networks_run(
    glot: Glot, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What once was deleted with exit status 0: frames/, overlay.mp4 and run.json of the user's own."""
    monkeypatch.setattr(pipeline.Runner, "models", property(lambda self: pytest.fail("loaded networks")))
    folder = tmp_path / "nobody"
    (folder / "frames").mkdir(parents=True)
    (folder / "frames/mine.png").write_bytes(b"x")
    (folder / "overlay.mp4").write_bytes(b"y")
    (folder / "run.json").write_text("{}")
    for more in ((), ("--overwrite",), ("--no-render", "--no-frames", "--overwrite")):
        assert_fault(glot("run", nobody, "--out", tmp_path, *more), 1, folder, "in the way", "--out")
    assert leftovers(tmp_path) == ["nobody/frames/mine.png", "nobody/overlay.mp4", "nobody/run.json"]


def test_a_run_never_deletes_its_own_input(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    clip = tmp_path / "overlay/overlay.mp4"
    clip.parent.mkdir()
    shutil.copy(nobody, clip)
    for more in ((), ("--overwrite",)):
        assert_fault(glot("run", clip, "--out", tmp_path, *more), 1, clip, "is an input of this call")
    assert clip.read_bytes() == nobody.read_bytes() and leftovers(tmp_path) == ["overlay/overlay.mp4"]


@pytest.mark.parametrize("name", ["...mp4", "..mp4"])
def test_dots_lead_nowhere(glot: Glot, nobody: Path, tmp_path: Path, name: str) -> None:
    clip, out = tmp_path / "in" / name, tmp_path / "a/b"
    clip.parent.mkdir()
    shutil.copy(nobody, clip)
    assert glot("run", clip, "--out", out, "--no-render", "--no-frames", "-q").status == 0
    assert leftovers(tmp_path) == [f"a/b/{name}/params.npz", f"a/b/{name}/run.json", f"in/{name}"]


def test_a_run_whose_drawing_failed_only_draws_when_repeated(
    glot: Glot, drawable: str, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RenderError("the driver went away")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "draw", fails)
        assert_fault(glot("run", nobody, "--out", tmp_path, "-q"), 1, "the driver went away")
    stamp = (tmp_path / "nobody/params.npz").stat().st_mtime_ns
    monkeypatch.setattr(pipeline.Runner, "models", property(lambda self: pytest.fail("loaded networks")))
    ended = glot("run", nobody, "--out", tmp_path)
    assert ended.status == 0 and "no person" in ended.err[0]
    assert len(read_video(tmp_path / "nobody/overlay.mp4")[0]) == 6
    assert (tmp_path / "nobody/params.npz").stat().st_mtime_ns == stamp
    assert "finished before, skipped" in glot("run", nobody, "--out", tmp_path, "-q").out


def test_overwriting_leaves_nothing_older(glot: Glot, drawable: str, nobody: Path, tmp_path: Path) -> None:
    assert glot("run", nobody, "--out", tmp_path, "-q").status == 0
    assert glot("run", nobody, "--out", tmp_path, "-q", "--overwrite", "--no-render", "--no-frames").status == 0
    assert leftovers(tmp_path) == ["nobody/params.npz", "nobody/run.json"]
