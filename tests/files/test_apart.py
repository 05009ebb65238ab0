"""Processes that read files: what they answer, and how they end, arrives as one line."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from glot_cli.files import apart
from glot_cli.files.apart import Reader
from glot_cli.files.faults import Damaged, FileFault, Refused, TooMuch

MODULE = """
import os
import numpy as np
from glot_cli.files.apart import answer_orders, bound_memory
from glot_cli.files.faults import Refused


def do(order, payload):
    if order["do"] == "die":
        print("last words of a library", flush=True)
        os.kill(os.getpid(), 9)
    if order["do"] == "spin":
        while True:
            pass
    if order["do"] == "refuse":
        raise Refused("asks for the moon", remedy="give it the sun")
    if order["do"] == "fault":
        raise KeyError("a\\nb")
    if order["do"] == "fill":
        bound_memory(256 << 20)
        return {}, np.ones((1 << 30,))
    return {"done": order["do"]}, payload * 2


def main():
    answer_orders(do)
"""


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    (tmp_path / "reading_aside.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Reader("reading_aside")


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 3), np.int16), np.array(3, np.float32)])
def test_arrays_go_there_and_come_back(reader: Reader, array: np.ndarray) -> None:
    reply, doubled = reader.ask({"do": "double"}, array, seconds=10)
    assert reply == {"done": "double"} and doubled is not None
    np.testing.assert_array_equal(doubled, array * 2, strict=True)


def test_faults_arrive_and_the_process_goes_on(reader: Reader) -> None:
    with pytest.raises(Refused, match="asks for the moon; give it the sun"):
        reader.ask({"do": "refuse"}, seconds=10)
    with pytest.raises(Damaged, match=r"cannot be read \('a.*b'\)"):
        reader.ask({"do": "fault"}, seconds=10)
    assert reader.ask({"do": "x"}, np.ones(1), seconds=10)[0] == {"done": "x"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is counted on Linux alone")
def test_memory_is_bounded(reader: Reader) -> None:
    with pytest.raises(TooMuch, match="more memory than there is for it"):
        reader.ask({"do": "fill"}, seconds=10)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_death_of_the_process_is_a_fault_of_the_file(reader: Reader) -> None:
    with pytest.raises(Damaged, match=r"ends the process that reads it \(ended by SIGKILL: last words of a library\)"):
        reader.ask({"do": "die"}, seconds=10)
    with pytest.raises(Damaged, match="ends the process"):
        reader.ask({"do": "x"}, seconds=10)


def test_who_takes_too_long_is_killed(reader: Reader) -> None:
    began = time.monotonic()
    with pytest.raises(TooMuch, match=r"takes more than 0\.5 s here"):
        reader.ask({"do": "spin"}, seconds=0.5)
    assert time.monotonic() - began < 30


def test_the_process_ends_with_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reading_aside.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    process = Reader("reading_aside")._process
    gc.collect()
    assert process.poll() == 0


def test_a_process_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileFault, match=r"for want of a process to read it in \(exit status 1: ModuleNotFoundError"):
        Reader("glot_cli.no_such_module")
    monkeypatch.setattr(apart, "START_TIMEOUT", 0.3)
    with pytest.raises(FileFault, match=r"no answer within 0\.3 s"):
        Reader("time import sleep; sleep(60); from glot_cli")
