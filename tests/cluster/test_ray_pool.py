"""Workers on a Ray that is started for it, with stubs in the place of networks. Skips without Ray."""

from pathlib import Path

import pytest

pytest.importorskip("ray")

from glot_cli.cluster.batch import run_batch
from glot_cli.cluster.batch_table import read_table
from glot_cli.cluster.ledger import ASIDE, DONE, FAILED, Ledger
from glot_cli.pipeline.options import Options
from tests.cluster.stub_clips import LOADING, NOTES, STUB
from tests.documents import ROOT


def test_a_pool_gives_every_clip_one_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of workers, which Ray starts
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    names = ["a.mp4", "crash.mp4", "bad.mp4", *(f"slow{number}.mp4" for number in range(20))]
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


def test_machines_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    monkeypatch.setenv(LOADING, "6")
    names = [f"slow{number}.mp4" for number in range(40)]
    manifest = tmp_path / "list.txt"
    manifest.write_text("".join(f"{name}\n" for name in names))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes: list[object] = []

        def tell(ledger: Ledger, workers: int, began: float) -> None:
            if not nodes:  # it comes while the first worker still loads
                nodes.append(cluster.add_node(num_cpus=1))
            there = {row.node for row in ledger.rows if row.node}
            if len(nodes) == 1 and len(there) == 2:  # the other worker is at a clip, most likely
                cluster.remove_node(nodes[0], allow_graceful=False)
                nodes.append(None)

        out, options = str(tmp_path / "out"), Options(device="cpu")
        book = run_batch(manifest, out, options, ray=cluster.address, program=STUB, tell=tell)
    finally:
        cluster.shutdown()
    assert len(nodes) == 2 and len({row.node for row in book.rows}) == 2
    assert [row.state for row in book.rows] == [DONE] * len(names)
    assert sum(row.deaths for row in book.rows) <= 1
    assert all(row.attempts == 1 + row.deaths and not row.crashes for row in book.rows)
    notes = (tmp_path / "notes").read_text().split()
    assert set(notes) == set(names) and len(notes) <= len(names) + 1
