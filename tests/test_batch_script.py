"""`examples/batch.sh`: one process a clip, and which of them failed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from glot_cli.video.images import IMAGE_SUFFIXES
from glot_cli.video.media import VIDEO_SUFFIXES

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "batch.sh"


@pytest.fixture
def fake_glot(tmp_path: Path) -> dict[str, str]:
    """An environment whose `glot` notes its arguments and fails for clips that have `bad` in their name."""
    script = tmp_path / "bin" / "glot"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nprintf "%s|" "$@" >> "$NOTES"; echo >> "$NOTES"\ncase "$*" in *bad*) exit 1;; esac\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "NOTES": str(tmp_path / "notes")}


def batch(*arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_batch_runs_every_clip_and_reports_failures(tmp_path: Path, fake_glot: dict[str, str]) -> None:
    clips = tmp_path / "my clips"
    clips.mkdir()
    for name in ("a b.mp4", "bad one.MOV", "ünï*.mkv", "notes.txt"):
        (clips / name).touch()
    done = batch(clips, tmp_path / "out", "--no-render", env=fake_glot)
    assert done.returncode == 1
    calls = [line.split("|")[:-1] for line in (tmp_path / "notes").read_text("utf-8").splitlines()]
    assert {tuple(call[:-1]) for call in calls} == {("run", "--out", str(tmp_path / "out"), "--no-render", "--")}
    assert sorted(call[-1] for call in calls) == [str(clips / name) for name in ("a b.mp4", "bad one.MOV", "ünï*.mkv")]
    assert "1 of 3 clips failed" in done.stderr and str(clips / "bad one.MOV") in done.stderr
    (clips / "bad one.MOV").unlink()
    assert batch(clips, tmp_path / "out", env=fake_glot).returncode == 0


def test_batch_takes_what_run_takes_and_names_the_rest(tmp_path: Path, fake_glot: dict[str, str]) -> None:
    clips = tmp_path / "clips"
    for name in ("shots/1.PNG", "papers/a.pdf", "results/a/overlay.mp4"):
        (clips / name).parent.mkdir(parents=True)
        (clips / name).touch()
    taken = [clips / f"clip {suffix[1:]}{suffix.upper()}" for suffix in VIDEO_SUFFIXES]
    for path in (*taken, clips / "notes.txt", clips / "photo.jpg"):
        path.touch()
    done = batch(clips, clips / "results", env=fake_glot)
    calls = [line.split("|")[:-1][-1] for line in (tmp_path / "notes").read_text("utf-8").splitlines()]
    assert done.returncode == 0 and sorted(calls) == sorted(map(str, [*taken, clips / "shots"]))
    named = {line.strip() for line in done.stderr.splitlines()[1:]}
    assert named == {str(clips / name) for name in ("notes.txt", "papers", "photo.jpg")}


def test_batch_knows_the_kinds_of_images() -> None:
    kinds = re.search("^image_kinds='(.*)'$", SCRIPT.read_text("utf-8"), re.MULTILINE)
    assert kinds and {f".{kind}" for kind in kinds[1].split("|")} == IMAGE_SUFFIXES


def test_batch_refuses_wrong_usage(tmp_path: Path, fake_glot: dict[str, str]) -> None:
    for arguments in ([], [tmp_path / "none", tmp_path / "out"], [tmp_path, tmp_path / "out"]):
        done = batch(*arguments, env=fake_glot)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert not (tmp_path / "notes").exists()
