"""Machines divided among workers."""

import pytest

from glot_cli.cli import batch as command_line
from glot_cli.cluster.sizing import MOST_WORKERS, WORKER_BYTES, Node, Share, shares
from glot_cli.errors import UsageError

GB = 1 << 30


def test_cores_and_memory_decide_how_many() -> None:
    found = shares([Node("a", 8, 0, 64 * GB), Node("b", 8, 0, 5 * GB), Node("c", 0, 0, 64 * GB)], "auto", None, 1)
    assert found == [Share("a", 1, 0, WORKER_BYTES)] * 8 + [Share("b", 4, 0, WORKER_BYTES)] * 2
    assert [share.threads for share in found] == [1] * 8 + [4] * 2


def test_a_small_machine_has_one_worker() -> None:
    assert shares([Node("a", 2, 0, GB)], "cpu", None, 1) == [Share("a", 2, 0, GB)]


def test_workers_that_are_asked_for_are_on_each_machine() -> None:
    found = shares([Node("a", 16, 0, 64 * GB), Node("b", 4, 0, 64 * GB), Node("c", 0, 0, GB)], "auto", 4, 1)
    assert found == [Share("a", 4, 0)] * 4 + [Share("b", 1, 0)] * 4
    assert shares([Node("a", 2, 0, GB)], "auto", 3, 1) == [Share("a", 0.6666, 0)] * 3


def test_gpus_are_shared() -> None:
    nodes = [Node("a", 16, 2, 64 * GB), Node("b", 64, 0, 64 * GB)]
    assert shares(nodes, "auto", None, 3) == [Share("a", 2, 1 / 3)] * 6
    assert shares(nodes, "cuda", 1, 1) == [Share("a", 16, 1)]
    assert len(shares(nodes, "cpu", None, 3)) == 16 + 32


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match="on no machine"):
        shares([Node("a", 8, 0, GB)], "cuda", None, 1)
    with pytest.raises(UsageError, match="lends a core"):
        shares([Node("a", 0, 0, GB)], "auto", 4, 1)


def test_the_command_line_knows_the_limits() -> None:
    assert command_line.MOST_WORKERS == MOST_WORKERS
    assert len(shares([Node("a", 2, 0, GB)], "auto", 10**9, 1)) == MOST_WORKERS
