"""What is computed beside the reading comes in order, one batch late at most, and its faults arrive."""

from __future__ import annotations

import threading

import pytest

from glot_cli.pipeline.beside import Beside


def test_batches_are_used_in_order_by_the_thread_that_began_them() -> None:
    computed, used = [], []

    def compute(batch: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        computed.append(batch)
        return 10 * batch

    def use(batch: int, made: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        used.append((batch, made))

    with Beside(compute, use) as beside:
        for batch in range(5):
            beside.begin(batch)
            assert [number for number, _ in used] == list(range(batch)), "no more than one batch waits"
    assert computed == list(range(5)) and used == [(k, 10 * k) for k in range(5)]
    with Beside(compute, use):
        pass
    assert len(used) == 5


def test_a_batch_is_computed_while_its_beginner_goes_on() -> None:
    go = threading.Event()
    with Beside(lambda batch: go.wait(60), lambda batch, made: None) as beside:
        beside.begin(1)
        go.set()  # never reached, did `begin` wait for it


@pytest.mark.parametrize("count", [1, 2])
def test_a_fault_reaches_whoever_reads(count: int) -> None:
    """Of the last batch, or of one before; what went wrong in the reading is not hidden by it."""

    def fail(batch: int) -> None:
        raise KeyError(batch)

    used: list[int] = []
    with pytest.raises(KeyError, match="0"), Beside(fail, lambda batch, made: used.append(batch)) as beside:
        for batch in range(count):
            beside.begin(batch)
    with pytest.raises(ValueError, match="reading"), Beside(fail, lambda batch, made: None) as beside:
        beside.begin(0)
        raise ValueError("reading")
    assert not used
