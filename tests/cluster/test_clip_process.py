"""The process that runs clips, as it is: real networks on short clips."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from glot_cli.api import Options, prepare
from glot_cli.cluster.clip_process import ClipProcess, run_clip
from glot_cli.cluster.ledger import DONE, FAILED, Ledger
from glot_cli.cluster.manifest import Entry
from glot_cli.pipeline import borders
from tests.cluster.short_clips import EXAMPLE, make_clips
from tests.cluster.stub_clips import LOADING, STUB
from tests.documents import ROOT

SMALL = {"render": False, "frames": False, "quiet": True, "device": "cpu"}


def job(video: Path, folder: Path, **more: object) -> dict[str, object]:
    return {"video": str(video), "folder": str(folder), "known": False, "overwrite": False, **more}


def test_a_process_runs_clips_one_after_the_other_and_skips_what_is_finished(tmp_path: Path) -> None:
    (clip,) = make_clips(tmp_path / "clips", 1)
    (tmp_path / "text.mp4").write_text("no video")
    process = ClipProcess(asdict(Options(**SMALL)), threads=1, load=True)  # type: ignore[arg-type]
    try:
        assert process.fault is None
        done = process.run(job(clip, tmp_path / "out"))
        assert (done["state"], done["frames"], done["error"], done["people"]) == (
            "done",
            12,
            None,
            1,
        )  # the other one comes later
        assert json.loads((tmp_path / "out" / "run.json").read_text())["finished"] and done["stages"]["lift"] > 0
        failed = process.run(job(tmp_path / "text.mp4", tmp_path / "text"))
        assert failed["state"] == "failed" and "not a video that can be read" in failed["error"]
        assert process.run(job(clip, tmp_path / "out", known=True))["state"] == "skipped"
    finally:
        process.stop()


def test_what_takes_too_long_is_ended_and_counts_as_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("glot_cli.cluster.clip_process._START_SECONDS", 60.0)
    process = ClipProcess({}, threads=1, load=False, program=STUB, limit=1.0)
    report = process.run(job(tmp_path / "hangs.mp4", tmp_path / "out"))
    assert report == {"state": "died", "crashed": True, "error": "took longer than 1 s, its limit"}
    assert not process.stop.alive
    monkeypatch.setattr("glot_cli.cluster.clip_process._START_SECONDS", 1.0)
    monkeypatch.setenv(LOADING, "60")
    late = ClipProcess({}, threads=1, load=False, program=STUB)
    assert late.fault == "the process that runs clips does not start (no answer within 1 s)"


def test_a_long_clip_is_done_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borders, "LEAST_SPLIT", 1.0)
    (short,) = make_clips(tmp_path / "clips", 1)
    (tmp_path / "text.mp4").write_text("no video")
    videos = [EXAMPLE, short, tmp_path / "text.mp4"]
    runner, _ = prepare([], Path(), Options(end=2.4, **SMALL))  # type: ignore[arg-type]
    book = Ledger([(n, Entry(str(video), str(tmp_path / "out" / video.stem))) for n, video in enumerate(videos)])
    steps = []
    while (work := book.next()) is not None:
        steps.append(work.stage)
        told = {"split": 1.5, "stage": work.stage, "piece": work.piece}
        book.settle(work, run_clip(runner, **job(Path(work.row.video), Path(work.row.folder), **told)))  # type: ignore[arg-type]
    assert steps == [None, "follow", "follow", "join", "look", "look", "lift", "finish", None, None]
    assert [row.state for row in book.rows] == [DONE, DONE, FAILED]
    assert [(row.pieces, row.progress, row.frames) for row in book.rows] == [
        (2, 1.0, 72),
        (None, None, 12),
        (None,) * 3,
    ]
    assert [row.attempts for row in book.rows] == [1, 1, 1]
