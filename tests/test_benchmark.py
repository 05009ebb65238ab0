"""`glot bench`: it measures what it says it does. How fast is no matter for a test."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from glot_cli import benchmark
from glot_cli.cli import main


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two crops at once, four windows, the shortest of tracks."""
    rate = benchmark._rate

    def rate_of_two(name: str, unit: str, batch: Any, *rest: Any, **named: Any) -> benchmark.Speed:
        return rate(name, unit, batch[:2] if unit == "crops/s" else batch, *rest, **named)

    monkeypatch.setattr(benchmark, "_rate", rate_of_two)
    monkeypatch.setattr(benchmark, "OFFICIAL_BATCH", 4)
    monkeypatch.setattr(benchmark, "TRACK", 17)


def test_every_part_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--seconds", "0.01", "--device", "cpu"])
    assert not ended.value.code
    assert torch.get_num_threads() == threads
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("device cpu, ")
    assert [re.split(r"  +", row)[0] for row in rows] == [
        "BlazePose full", "BlazePose heavy", "SPIN, plain ResNet-50", "SPIN features", "SPIN features, half precision",
        "GLoT as the released demo runs it", "GLoT, features to SMPL parameters",
    ]  # fmt: skip
    assert [" x" in row for row in rows] == [False, False, False, True, True, False, True]


def test_without_smplx_the_released_demo_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    (ours,) = benchmark._lifting("cpu", 0.01)
    assert ours.name == "GLoT, features to SMPL parameters" and ours.compared is None


def test_a_rate_counts_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 1.0, 2.0, 4.0])
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    done: list[int] = []
    speed = benchmark._rate("a", "rows/s", torch.zeros(3, 2), lambda x: done.append(len(x)), "cpu", 2.0)
    assert done == [3, 3, 3] and speed.rate == 6 / 4.0  # one of the three was the warm-up
