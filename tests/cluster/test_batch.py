"""A whole batch without Ray and without networks: outcomes, the table, going on after it was stopped."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glot_cli.cluster import batch as conductor
from glot_cli.cluster.batch import run_batch
from glot_cli.cluster.batch_table import SCHEMA, About, read_table, read_tables, write_table
from glot_cli.cluster.ledger import ASIDE, DONE, FAILED, RUNNING, Ledger, Row
from glot_cli.cluster.summary import failures, state_line
from glot_cli.errors import GlotError, InputError, OutputError, UsageError
from glot_cli.pipeline.options import Options
from tests.cli.fixtures import Glot
from tests.cluster.stub_clips import NOTES, REFUSING, STUB
from tests.documents import ROOT


@pytest.fixture(autouse=True)
def _stubs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stubs really did, a line a clip."""
    path = tmp_path / "notes"
    monkeypatch.setenv(NOTES, str(path))
    path.touch()
    return path


def run(folder: Path, *names: str, out: Path | None = None, **how: object) -> Ledger:
    manifest = folder / "list.txt"
    manifest.write_text("".join(f"{name}\n" for name in names))
    options = Options(**{"render": False, **how.pop("options", {})})  # type: ignore[arg-type]
    arguments = {"shard": (1, 1), "program": STUB, **how}
    return run_batch(manifest, str(out or folder / "out"), options, **arguments)  # type: ignore[arg-type]


def states(ledger: Ledger) -> list[str]:
    return [row.state for row in ledger.rows]


def test_every_clip_has_one_outcome_whatever_becomes_of_its_process(
    tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glot_cli.cluster.ledger.BUSY_SECONDS", 0.1)
    found = run(tmp_path, "a.mp4", "crash.mp4", "bad.mp4", "a.mp4", "busy.mp4", "b.mp4")
    assert states(found) == [DONE, ASIDE, FAILED, FAILED, DONE, DONE]
    crash = found.rows[1]
    assert (crash.attempts, crash.crashes) == (2, 2) and crash.error is not None
    assert crash.error.startswith("2 workers died at it, the last so: ended by SIGABRT")
    assert notes.read_text().splitlines() == ["a.mp4", "b.mp4", "busy.mp4"]
    rows, about = read_table(str(tmp_path / "out" / "batch-1-of-1.parquet"))
    assert rows == found.rows and about.over and about.options["render"] is False
    table = pq.read_table(tmp_path / "out" / "batch-1-of-1.parquet").to_pylist()
    assert table[0]["state"] == "done" and table[0]["people"] == 2 and table[0]["stages"] == [("lift", 1.0)]
    assert not list((tmp_path / "out").glob(".*"))


def test_kills_from_outside_are_told_from_crashes(tmp_path: Path) -> None:
    row = run(tmp_path, "kill.mp4").rows[0]
    assert (row.state, row.crashes, row.deaths) == (ASIDE, 0, 5)


def test_what_is_done_is_not_done_again(tmp_path: Path, notes: Path) -> None:
    run(tmp_path, "a.mp4", "bad.mp4")
    again = run(tmp_path, "a.mp4", "bad.mp4", "b.mp4")
    assert states(again) == [DONE, FAILED, DONE]
    assert [row.attempts for row in again.rows] == [1, 2, 1]
    assert notes.read_text().splitlines() == ["a.mp4", "b.mp4"]


def test_other_options_are_for_the_process_to_judge(tmp_path: Path, notes: Path) -> None:
    run(tmp_path, "a.mp4")
    run(tmp_path, "a.mp4", options={"detect_every": 1})
    run(tmp_path, "a.mp4", options={"detect_every": 1, "overwrite": True})
    assert len(notes.read_text().splitlines()) == 3


def test_a_batch_that_replaces_results_goes_on_where_it_was_stopped(tmp_path: Path, notes: Path) -> None:
    options = {"overwrite": True}

    def stop(ledger: Ledger, workers: int, began: float) -> None:
        if ledger.rows[0].state == DONE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "a.mp4", "b.mp4", options=options, tell=stop)
    table = str(tmp_path / "out" / "batch-1-of-1.parquet")
    assert [row.state for row in read_table(table)[0]] == [DONE, "waiting"] and not read_table(table)[1].over
    run(tmp_path, "a.mp4", "b.mp4", options=options)
    assert notes.read_text().splitlines() == ["a.mp4", "b.mp4"]
    run(tmp_path, "a.mp4", "b.mp4", options=options)
    assert notes.read_text().splitlines() == ["a.mp4", "b.mp4"] * 2


def test_shards_divide_a_manifest_and_are_told_together(tmp_path: Path, notes: Path) -> None:
    names = [f"{letter}.mp4" for letter in "abcde"]
    for shard in ((1, 2), (2, 2)):
        run(tmp_path, *names, shard=shard)
    assert notes.read_text().split() == ["a.mp4", "c.mp4", "e.mp4", "b.mp4", "d.mp4"]
    rows, abouts, missing = read_tables(str(tmp_path / "out"))
    assert [(row.number, Path(row.video).name) for row in rows] == list(enumerate(names)) and len(abouts) == 2
    run(tmp_path, *names, shard=(3, 3))  # cut anew
    assert [row.number for row in read_tables(str(tmp_path / "out"))[0]] == list(range(5))
    for number in (1, 2, 3):
        run(tmp_path, "e.mp4", "a.mp4", "x.mp4", shard=(number, 3))
    rows, abouts, missing = read_tables(str(tmp_path / "out"))
    assert [Path(row.video).name for row in rows] == ["e.mp4", "a.mp4", "x.mp4"] and (len(abouts), missing) == (3, 0)


@pytest.mark.parametrize("kind", ["fifo", "link", "text", "cut", "rows", "about"])
def test_what_is_no_table_stays_and_is_told(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "batch-1-of-1.parquet"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(tmp_path / "nowhere")
    elif kind == "text":
        place.write_text("mine")
    else:
        write_table(str(place), [Row(0, "a", "/out/a")], About({}, 1, 0.0, 1.0, False))
        table = pq.read_table(place)
        if kind == "cut":
            place.write_bytes(place.read_bytes()[:-20])
        elif kind == "rows":
            number = table.schema.get_field_index("number")
            pq.write_table(table.set_column(number, "number", pa.array([None], pa.int64())), place)
        else:
            told = {b"glot batch": json.dumps({"options": [], "workers": 1}).encode()}
            pq.write_table(table.replace_schema_metadata(told), place)
    before = place.lstat()
    with pytest.raises(InputError):
        read_tables(str(tmp_path))
    with pytest.raises(OutputError, match="in the way"):
        run(tmp_path, "a.mp4", out=tmp_path)
    assert place.lstat() == before


def test_a_file_that_comes_while_the_batch_goes_on_stays(tmp_path: Path) -> None:
    place = tmp_path / "batch.parquet"
    place.write_text("mine")
    with pytest.raises(OutputError, match="in the way"):
        write_table(str(place), [], About({}, 1, 0.0, 1.0, False))
    assert place.read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["batch.parquet"]
    (tmp_path / ".batch-1-of-1.parquet.lock").write_text("mine too")
    with pytest.raises(OutputError, match="in the way"):
        run(tmp_path, "a.mp4", out=tmp_path)
    assert (tmp_path / ".batch-1-of-1.parquet.lock").read_text() == "mine too"


def test_a_table_that_cannot_be_written_for_a_while_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conductor, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(conductor, "_UNWRITTEN_SECONDS", 0.0)
    written = []

    def write(*arguments: object) -> None:
        written.append(arguments)
        if 1 < len(written) < 4:
            raise OutputError("503", remedy="wait")

    monkeypatch.setattr(conductor, "write_table", write)
    assert states(run(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")) == [DONE] * 4
    assert len(written) > 4
    monkeypatch.setattr(conductor, "_MOST_UNWRITTEN", 1)
    written.clear()
    with pytest.raises(OutputError, match="503"):
        run(tmp_path, "a.mp4", "b.mp4", "c.mp4", out=tmp_path / "other")


def test_status_tells_what_is_not_finished(tmp_path: Path, glot: Glot) -> None:
    run(tmp_path, "a.mp4", "b.mp4", "c.mp4", shard=(2, 2))
    told = glot("batch", "--status", tmp_path / "out")
    assert told.status == 3 and told.out.splitlines()[1:] == ["1 of 2 shards has written no table"]
    run(tmp_path, "a.mp4", "b.mp4", "c.mp4", shard=(1, 2))
    assert glot("batch", "--status", tmp_path / "out").status == 0
    rows, about = read_table(str(tmp_path / "out" / "batch-1-of-2.parquet"))
    rows[0].state = RUNNING
    write_table(
        str(tmp_path / "out" / "batch-1-of-2.parquet"), rows, replace(about, over=False, written=about.written - 900)
    )
    told = glot("batch", "--status", tmp_path / "out")
    assert told.status == 3 and "1 left of 3 clips" in told.out
    place = str(tmp_path / "out" / "batch-2-of-2.parquet")
    rows, about = read_table(place)
    write_table(place, rows, replace(about, written=about.written - 900))
    assert "ago; has it been stopped?)" in glot("batch", "--status", tmp_path / "out").out


def test_a_batch_that_was_a_single_shard_before_misses_none(tmp_path: Path, glot: Glot) -> None:
    write_table(str(tmp_path / "batch-1-of-1.parquet"), [Row(0, "a", "/a", DONE)], About({}, 1, 0.0, 1.0, True))
    write_table(str(tmp_path / "batch.parquet"), [Row(0, "b", "/b", ASIDE, error="x")], About({}, 1, 0.0, 2.0, True))
    rows, abouts, missing = read_tables(str(tmp_path))
    assert ([row.video for row in rows], len(abouts), missing) == (["b"], 1, 0)
    told = glot("batch", "--status", tmp_path)
    assert told.status == 1 and told.out.splitlines()[-1] == "what was set aside is tried again with --retry"


def test_two_batches_do_not_write_one_table(tmp_path: Path) -> None:
    with conductor._alone(str(tmp_path / "out"), "batch-1-of-1.parquet"), pytest.raises(OutputError, match="another"):
        run(tmp_path, "a.mp4")


def test_a_table_that_glot_did_not_write_stays(tmp_path: Path) -> None:
    place = tmp_path / "out" / "batch-1-of-1.parquet"
    place.parent.mkdir()
    pq.write_table(SCHEMA.empty_table(), place)
    before = place.read_bytes()
    with pytest.raises(OutputError, match="in the way"):
        run(tmp_path, "a.mp4")
    assert place.read_bytes() == before


def test_a_driver_that_was_killed_is_started_again(tmp_path: Path, notes: Path) -> None:
    """A real kill: of what it was at, nothing is lost and nothing is done twice."""
    names = ["a.mp4", "slow1.mp4", "slow2.mp4", "slow3.mp4"]
    manifest = tmp_path / "list.txt"
    manifest.write_text("".join(f"{name}\n" for name in names))
    code = (
        "import sys; from pathlib import Path; from glot_cli.cluster.batch import run_batch\n"
        "from glot_cli.cluster import batch; batch._LEAST_SECONDS, batch._WRITING_PART = 0, 1e9\n"
        "from glot_cli.pipeline.options import Options\n"
        f"run_batch(Path({str(manifest)!r}), {str(tmp_path / 'out')!r}, Options(), shard=(1, 1), program={STUB!r},\n"
        "    tell=lambda ledger, workers, began: print(ledger.left, flush=True))"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert driver.stdout is not None
    while driver.stdout.readline().strip() != "2":  # a clip is done, and the next as good as begun
        assert driver.poll() is None
    driver.kill()
    driver.wait()
    driver.stdout.close()
    again = run(tmp_path, *names, options={"render": True})
    assert states(again) == [DONE] * 4
    lines = notes.read_text().split()
    assert set(lines) == set(names) and len(lines) <= len(names) + 1


def test_the_driver_loads_nothing_that_only_workers_need() -> None:
    code = (
        "import sys; from glot_cli.cluster import batch, clip_process, summary; from glot_cli.cli import batch\n"
        "print(sorted({'torch', 'cv2', 'av', 'scipy', 'onnxruntime'} & sys.modules.keys()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout == "[]\n"


def test_names_of_all_kinds_come_back_from_a_table(tmp_path: Path) -> None:
    rows = [Row(0, "a\nb \udcff.mp4", "/out/ü", FAILED, error="x\udcff", stages={"a": 1.0}, warnings=["w"])]
    place = str(tmp_path / "batch.parquet")
    write_table(place, rows, About({}, 1, 0.0, 1.0, False))
    (row,), about = read_table(place)
    assert (row.video, row.folder, row.error, row.stages) == ("a\nb \\xff.mp4", "/out/ü", "x\\xff", {"a": 1.0})
    assert about == About({}, 1, 0.0, 1.0, False)
    assert SCHEMA.names == list(Row.__dataclass_fields__)


def test_tables_at_urls(tmp_path: Path) -> None:
    write_table("memory://runs/batch.parquet", [Row(0, "a", "b")], About({}, 0, 0.0, 1.0, True))
    assert read_tables("memory://runs")[0] == [Row(0, "a", "b")]
    with pytest.raises(InputError, match="holds no batch"):
        read_tables("memory://elsewhere")


def test_the_line_of_progress_and_the_table_of_failures() -> None:
    rows = [
        Row(0, "a.mp4", "a", DONE, frames=100, attempts=1, ended=90.0),
        Row(1, "b\n.mp4", "b", FAILED, frames=20, attempts=1, ended=60.0, error="b\\n.mp4: is no video"),
        Row(2, "c.mp4", "c", RUNNING, attempts=1),
        Row(3, "d.mp4", "d"),
        Row(4, "e.mp4", "e", ASIDE, error="2 workers died", ended=1.0),
    ]
    assert state_line(rows, 3, 40.0, 100.0) == (
        "1 done, 2 failed, 2 left of 5 clips, 1 clip at work on 3 workers, 2.0 frames/s, 0:01:00 left"
    )
    assert list(failures(rows)) == [
        "number  state      video    why",
        "1       failed     b\\n.mp4  is no video",
        "4       set aside  e.mp4    2 workers died",
    ]
    pieces = [
        Row(0, "a.mp4", "a", DONE, pieces=4, progress=1.0, frames=600, attempts=1, began=0.0, ended=60.0),
        Row(1, "b.mp4", "b", RUNNING, pieces=4, progress=0.5, attempts=1, began=40.0),
        Row(2, "c.mp4", "c"),
    ]
    assert state_line(pieces, 2, 0.0, 100.0) == (  # 1.5 clips in 100 s, and 1.5 to come
        "1 done, 0 failed, 2 left of 3 clips, 1 clip at work on 2 workers, steps of 2 clips in pieces 75% done, "
        "6.0 frames/s, 0:01:40 left"
    )
    assert state_line(pieces[1:], 2, 90.0, 100.0).endswith("1 clip in pieces 50% done, 0:03:00 left")
    assert state_line(rows[:2], 0, 0.0, 0.0) == "1 done, 1 failed, 0 left of 2 clips, 120 frames"
    assert list(failures(rows[:1])) == []


@pytest.mark.parametrize(
    ("how", "words"),
    [({"shard": (3, 2)}, "K from 1 to N"), ({"workers": 2}, "takes no workers"), ({"ray": "x"}, "takes")],
)
def test_what_cannot_go_together_is_refused(tmp_path: Path, how: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(tmp_path, "a.mp4", **how)


def test_commands_of_a_batch(tmp_path: Path, glot: Glot, monkeypatch: pytest.MonkeyPatch) -> None:
    def stubbed(manifest: Path, out: str, options: Options, **how: object) -> Ledger:
        assert options.detect_every == 2 and options.frames is False and how["shard"] == (1, 1)
        return run_batch(manifest, out, options, **how, program=STUB)  # type: ignore[arg-type]

    monkeypatch.setattr(conductor, "run_batch", stubbed)
    (tmp_path / "list.txt").write_text("a.mp4\nbad.mp4\n")
    out = tmp_path / "out"
    how = ["--shard", "1/1", "--detect-every", "2", "--no-frames"]
    ended = glot("batch", tmp_path / "list.txt", "--out", out, *how)
    assert ended.status == 1
    assert ended.out.splitlines()[0] == f"1 done, 1 failed, 0 left of 2 clips, 30 frames -> {out}"
    assert ended.out.splitlines()[2].split(maxsplit=2) == ["1", "failed", f"{tmp_path / 'bad.mp4'}  is no video"]
    status = glot("batch", "--status", out)
    assert (status.status, status.out.splitlines()[1:]) == (1, ended.out.splitlines()[1:])
    assert glot("batch", "--status", tmp_path).err == [
        f"glot: {tmp_path}: holds no batch; name the folder that a batch writes its results to"
    ]
    assert glot("batch", "--out", out).status == glot("batch", tmp_path / "list.txt").status == 2
    assert glot("batch", tmp_path / "list.txt", "--out", out, "--shard", "2").status == 2


def test_a_machine_that_cannot_run_clips_is_told(tmp_path: Path) -> None:
    with pytest.raises(GlotError, match=r"missing\.pt: no such file"):
        run(tmp_path, "a.mp4", program=REFUSING)
    with pytest.raises(GlotError, match=r"does not start .*exit status 3: dear me"):
        run(tmp_path, "a.mp4", program="import sys; print('dear me', file=sys.stderr); sys.exit(3)")


def test_options_travel_as_json() -> None:
    told = conductor._told(Options(up=(0.0, -1.0, 0.0)))
    assert json.loads(json.dumps(told)) == told and told["up"] == [0.0, -1.0, 0.0]
