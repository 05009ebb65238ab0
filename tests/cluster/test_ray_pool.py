"""Workers on a Ray that is started for it, with stubs in the place of networks. Skips without Ray."""

from pathlib import Path

import pytest

pytest.importorskip("ray")

from glot_cli.cluster.batch import run_batch
from glot_cli.cluster.batch_table import read_table
from glot_cli.cluster.ledger import ASIDE, DONE, FAILED
from glot_cli.pipeline.options import Options
from tests.cluster.stub_clips import NOTES, STUB
from tests.documents import ROOT


def test_a_pool_gives_every_clip_one_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of workers, which Ray starts
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    names = ["a.mp4", "crash.mp4", "bad.mp4", *(f"clip{number}.mp4" for number in range(20))]
    manifest = tmp_path / "list.txt"
    manifest.write_text("".join(f"{name}\n" for name in names))
    told: list[int] = []
    book = run_batch(
        manifest,
        str(tmp_path / "out"),
        Options(device="cpu"),
        workers=2,
        program=STUB,
        tell=lambda ledger, workers, began: told.append(workers),
    )
    assert [row.state for row in book.rows] == [DONE, ASIDE, FAILED, *[DONE] * 20]
    assert max(told) == 2 and all(row.node for row in book.rows)
    assert sorted((tmp_path / "notes").read_text().split()) == sorted(set(names) - {"crash.mp4", "bad.mp4"})
    rows, about = read_table(str(tmp_path / "out" / "batch.parquet"))
    assert rows == book.rows and about.over
