"""Files of joblib that attack: nothing in them runs, and neither memory nor time goes."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyPickler

from glot_cli.files import joblib_pickles
from glot_cli.files.faults import Damaged, Refused
from glot_cli.files.joblib_pickles import MAX_ARRAYS, read_joblib
from tests.files.exploits import ENDLESS, STATES, long_bytearray, long_bytes, long_frame, put_bomb
from tests.files.exploits import EXPLOITS as EXPLOITS_OF_ALL
from tests.files.exploits import HAND_MADE as WAYS_TO_NAME
from tests.files.joblib_files import assert_same, data_like, write
from tests.parity.official_files import Exploit

EXPLOITS = EXPLOITS_OF_ALL | {
    "joblib.load": (Exploit(joblib.load, "other"), "load"),
    "np.load": (Exploit(np.load, "other"), "load"),
}
HAND_MADE = WAYS_TO_NAME | {"object of a known class": b"(cnumpy\nndarray\no."}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("behind", [False, True], ids=["first", "behind an array"])
@pytest.mark.parametrize("name", EXPLOITS)
def test_exploits_are_refused_by_name(name: str, behind: bool, protocol: int, tmp_path: Path, capfd: Any) -> None:
    payload, asked = EXPLOITS[name]
    arrays = {"features": np.random.default_rng(1).standard_normal((50, 9))}
    held = {**arrays, "x": payload} if behind else {"x": payload, **arrays}
    path = write(tmp_path / "a_db.pt", held, protocol=protocol)
    with pytest.raises(Refused, match=asked.replace(".", r"\.")):
        read_joblib(path)
    assert "fired" not in capfd.readouterr().out


def test_the_exploits_are_real(tmp_path: Path) -> None:
    assert joblib.load(write(tmp_path / "a", {"x": np.zeros(3), "y": Exploit(eval, "6 * 7")}))["y"] == 42


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("where", ["subclass", "shape", "order", "dtype", "numpy_array_alignment_bytes"])
def test_an_exploit_in_the_description_of_an_array(where: str, protocol: int, tmp_path: Path, monkeypatch: Any) -> None:
    make = NumpyPickler._create_array_wrapper

    def spoilt(self: Any, array: np.ndarray) -> Any:
        wrapper = make(self, array)
        setattr(wrapper, where, Exploit(os.system, "echo fired"))
        return wrapper

    monkeypatch.setattr(NumpyPickler, "_create_array_wrapper", spoilt)
    monkeypatch.setattr(NumpyArrayWrapper, "write_array", lambda *_: None)
    path = write(tmp_path / "a", {"a": np.arange(4.0)}, protocol=protocol)
    with pytest.raises(Refused, match="system"):
        read_joblib(path)


@pytest.mark.parametrize("name", HAND_MADE)
def test_every_way_to_name_something_is_closed(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(HAND_MADE[name])
    with pytest.raises((Refused, Damaged)):
        read_joblib(tmp_path / "a")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "name", [b"numpy\nndarray", b"numpy\ndtype", b"joblib.numpy_pickle\nNumpyArrayWrapper", b"_codecs\nencode"]
)
def test_what_names_stand_for_cannot_be_altered(name: bytes, state: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x80\x02c" + name + b"\n" + state + b"b.")
    with pytest.raises(Damaged):
        read_joblib(tmp_path / "a")
    assert_same(read_joblib(write(tmp_path / "b", data_like())), data_like())


def places_outside_arrays(path: Path) -> list[int]:
    """Bytes of a file that are not numbers of its arrays."""
    inside = np.zeros(path.stat().st_size, bool)
    for array in read_joblib(path).values():
        if isinstance(array, np.memmap):
            inside[array.offset : array.offset + array.nbytes] = True
    return np.flatnonzero(~inside).tolist()


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # a flipped backslash
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_no_flipped_bit_does_harm(protocol: int, tmp_path: Path) -> None:
    """The file is read with other numbers, or refused, or damaged; nothing else happens, and not slowly."""
    path = write(tmp_path / "a", data_like(), protocol=protocol)
    data, flipped = path.read_bytes(), tmp_path / "flipped"
    rng = np.random.default_rng(3)
    outcomes = {"read": 0, "refused": 0}
    begin = time.perf_counter()
    tracemalloc.start()
    for place in rng.choice(places_outside_arrays(path), 400).tolist():
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(changed)
        try:
            for array in read_joblib(flipped).values():
                array.sum() if array.dtype.kind in "biuf" else array.tobytes()
            outcomes["read"] += 1
        except (Refused, Damaged):
            outcomes["refused"] += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes["read"] > 20 and outcomes["refused"] > 100
    assert time.perf_counter() - begin < 60 and peak < 16 << 20
    assert_same(read_joblib(path), data_like())


def put_text_bomb() -> bytes:
    return b"I1\np" + b"9" * 4000 + b"\n."


def endless_line() -> bytes:
    return b"S'" + b"a" * (1 << 20)


def honest() -> bytes:
    file = io.BytesIO()
    joblib.dump({"a": np.zeros(3)}, file, protocol=2)
    return file.getvalue()


def huge_shape() -> bytes:
    held = b"K\x03\x85"  # the shape (3,)
    assert honest().count(held) == 1
    return honest().replace(held, b"\x8a\x06" + (2**44).to_bytes(6, "little") + b"\x85")


def overflowing_shape() -> bytes:
    n = b"\x8a\x06" + (2**43).to_bytes(6, "little")
    return honest().replace(b"K\x03\x85", b"(" + n * 8 + b"t")


def negative_shape() -> bytes:
    return honest().replace(b"K\x03\x85", b"J\xff\xff\xff\xff\x85")


def many_steps() -> bytes:
    return b"\x80\x02" + b"K\x01" * (joblib_pickles.MAX_STEPS + 1) + b"."


def many_arrays() -> bytes:
    return b"\x80\x02}U\x01a(" + _small_array() * (MAX_ARRAYS + 1) + b"ls."


def _small_array() -> bytes:
    """The description of an array of no numbers, without alignment."""
    state = b"}(U\x05shapeK\x00\x85U\x05orderU\x01CU\x05dtypecnumpy\ndtype\nU\x02f8\x85Ru"
    return b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b"


def endless_hash() -> bytes:
    """A key made of two times two times two ... tuples, whose hash would take for ever."""
    return b"\x80\x02}" + ENDLESS + b"K\x01s."


def endless_hash_at_once() -> bytes:
    return b"\x80\x02(" + ENDLESS + b"K\x01d."


def endless_name() -> bytes:
    """A data type named by such a tuple, which would be written out."""
    return honest().replace(b"X\x02\x00\x00\x00f8q", ENDLESS + b"q", 1)


def long_list() -> bytes:
    """One long text and many short ones: as an array each would be as long as the first."""
    return b"\x80\x02}U\x01a(" + b"X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"U\x01b" * 10_000 + b"ls."


BOMBS = [
    put_bomb, put_text_bomb, long_bytes, long_bytearray, long_frame, endless_line, huge_shape, overflowing_shape,
    negative_shape, many_steps, many_arrays, endless_hash, endless_hash_at_once, endless_name, long_list,
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda f: f.__name__)
def test_neither_memory_nor_time_goes(bomb: Callable[[], bytes], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(joblib_pickles, "MAX_STEPS", 100_000)  # tracing makes steps ten times as slow
    (tmp_path / "a").write_bytes(bomb())
    begin = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises((Refused, Damaged)):
            read_joblib(tmp_path / "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 128 << 20 and time.perf_counter() - begin < 30


def test_a_program_may_not_be_long(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(joblib_pickles, "MAX_PROGRAM", 1 << 16)
    path = write(tmp_path / "a", {"a": np.zeros((100, 1000)), "b": ["a" * 10_000] * 3})
    assert read_joblib(path)["a"].shape == (100, 1000), "numbers of arrays do not count"
    with pytest.raises(Refused, match="beside its arrays"):
        read_joblib(write(path, {"b": ["a" * 50_000, "b" * 50_000]}))
