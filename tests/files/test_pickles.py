"""Pickles of others: what body models consist of is read in every protocol, everything else is refused by name."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from glot_cli.files.faults import Damaged, Refused
from glot_cli.files.pickles import MAX_STEPS, unpickle
from tests.files.exploits import ENDLESS, HAND_MADE, STATES, long_bytearray, long_bytes, long_frame, put_bomb
from tests.files.exploits import EXPLOITS as EXPLOITS_OF_ALL
from tests.parity.official_files import Exploit, chumpy

DENSE = sparse.random(24, 60, 0.2, random_state=1).toarray()


def body_like() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "double": rng.standard_normal((5, 3)),
        "fortran": np.asfortranarray(rng.standard_normal((4, 3, 2)).astype(np.float32)),
        "whole": np.array([[2**32 - 1, 0], [0, 1]], np.uint32),
        "big_endian": rng.standard_normal(7).astype(">f8"),
        "slice": np.arange(24.0).reshape(4, 6)[::2, 1:4],
        "empty": np.zeros((0, 3)),
        "yes": np.array([True, False]),
    }


def written(protocol: int) -> bytes:
    with chumpy() as array:
        held = {
            **body_like(),
            "chumpy": array(np.arange(6.0).reshape(2, 3)),
            "csc": sparse.csc_matrix(DENSE),
            "csr": sparse.csr_matrix(DENSE),
            "number": np.float64(2.5),
            "text": "lbs",
            "list": [1, "two", None, (3.0, True)],
        }
        return pickle.dumps(held, protocol)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_a_body_are_read_in_every_protocol(protocol: int) -> None:
    held = unpickle(written(protocol))
    for name, expected in body_like().items():
        np.testing.assert_array_equal(held[name].plain(), expected)
        assert held[name].plain().dtype == expected.dtype
    np.testing.assert_array_equal(held["chumpy"].plain(), np.arange(6.0).reshape(2, 3))
    np.testing.assert_allclose(held["csc"].plain(), DENSE)
    np.testing.assert_allclose(held["csr"].plain(), DENSE)
    assert held["number"].plain() == 2.5
    assert held["text"] == "lbs" and held["list"] == [1, "two", None, (3.0, True)]


@pytest.mark.parametrize("old", [False, True])
def test_old_names_of_modules_are_known(old: bool) -> None:
    data = written(2)
    for new, name in (
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
        (b"scipy.sparse._csc", b"scipy.sparse.csc"),
        (b"scipy.sparse._csr", b"scipy.sparse.csr"),
    ):
        assert (new in data) or (name in data)
        data = data.replace(*((new, name) if old else (name, new)))
    np.testing.assert_allclose(unpickle(data)["csc"].plain(), DENSE)


EXPLOITS = EXPLOITS_OF_ALL | {
    "object array": (np.array([Exploit(os.system, "echo fired"), None], object), "system"),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", EXPLOITS)
def test_exploits_are_refused_by_the_name_of_what_they_ask_for(name: str, protocol: int, capfd: Any) -> None:
    payload, asked = EXPLOITS[name]
    data = pickle.dumps({"v_template": np.zeros(3), "J": payload}, protocol)
    with pytest.raises(Refused, match=asked.replace(".", r"\.")):
        unpickle(data)
    assert "fired" not in capfd.readouterr().out


def test_an_array_of_objects_is_refused() -> None:
    held = unpickle(pickle.dumps({"a": np.array([1, "b", None], object)}))
    with pytest.raises((Refused, Damaged)):
        held["a"].plain()


@pytest.mark.parametrize("name", HAND_MADE)
def test_every_way_to_name_something_is_closed(name: str) -> None:
    with pytest.raises((Refused, Damaged)):
        unpickle(HAND_MADE[name])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", [b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct", b"_codecs\nencode"])
def test_what_names_stand_for_cannot_be_altered(name: bytes, state: bytes) -> None:
    """A state given to the class itself would stay for every later file."""
    with pytest.raises(Damaged):
        unpickle(b"\x80\x02c" + name + b"\n" + state + b"b.")
    np.testing.assert_array_equal(unpickle(written(2))["double"].plain(), body_like()["double"])


def test_a_file_that_was_cut_off_is_named_as_such() -> None:
    data = written(2)
    for share in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(Damaged, match=r"cut off|damaged"):
            held = unpickle(data[: int(len(data) * share)])
            held["double"].plain()


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")  # a flipped backslash
def test_no_flipped_bit_does_more_than_change_numbers() -> None:
    """Whatever single bits are turned: numbers change, or the file is refused or damaged; nothing else happens."""
    data = bytearray(written(2))
    outcomes = {"read": 0, "refused": 0}
    for place in np.random.default_rng(3).integers(0, len(data) * 8, 3000).tolist():
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            held = unpickle(bytes(flipped))
            for value in held.values() if isinstance(held, dict) else ():
                if hasattr(value, "plain"):
                    value.plain()
            outcomes["read"] += 1
        except (Refused, Damaged):
            outcomes["refused"] += 1
    assert outcomes["read"] > 100 and outcomes["refused"] > 100


def huge_shape() -> bytes:
    data = pickle.dumps({"a": np.zeros(3)}, 2)
    held = b"K\x03\x85"  # the shape (3,)
    assert data.count(held) == 1
    return data.replace(held, b"\x8a\x06" + (2**44).to_bytes(6, "little") + b"\x85")


def huge_sparse() -> bytes:
    matrix = sparse.csc_matrix((4, 4))
    matrix._shape = (2**30, 4)
    return pickle.dumps({"a": matrix}, 2)


def many_steps() -> bytes:
    return b"\x80\x02" + b"K\x01" * (MAX_STEPS + 1) + b"."


def copied_text() -> bytes:
    """One megabyte of text, turned into bytes five thousand times."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    again = b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R"
    return b"\x80\x02(" + text + b"q\x00c_codecs\nencode\nq\x01" + again * 5000 + b"l."


BOMBS = [put_bomb, long_bytes, long_bytearray, long_frame, huge_shape, huge_sparse, many_steps, copied_text]


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda f: f.__name__)
def test_memory_does_not_go(bomb: Callable[[], bytes]) -> None:
    data = bomb()
    tracemalloc.start()
    try:
        if bomb is copied_text:
            unpickle(data)
        else:
            with pytest.raises((Refused, Damaged)):
                unpickle(data)["a"].plain()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize(
    ("indices", "indptr"), [([0, 99], [0, 1, 2]), ([0, -5], [0, 1, 2]), ([0, 1], [0, 5, 2]), ([0, 1], [0, 2])]
)
def test_sparse_indices_that_lead_outside_are_seen(indices: list[int], indptr: list[int]) -> None:
    matrix = sparse.csc_matrix(np.eye(2))
    matrix.indices, matrix.indptr = np.array(indices, np.int32), np.array(indptr, np.int32)
    with pytest.raises(Damaged, match="indices"):
        unpickle(pickle.dumps({"a": matrix}))["a"].plain()


def test_exploits_here_are_real() -> None:
    """Read freely, these pickles do run; otherwise the tests above would show nothing."""
    ran = pickle.loads(pickle.dumps(Exploit(eval, "6 * 7")))
    assert ran == 42
    assert any(code.name == "REDUCE" for code, _, _ in pickletools.genops(pickle.dumps(Exploit(os.system, "true"))))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02}" + ENDLESS + b"K\x01s.",  # the key of a dictionary, set alone,
        b"\x80\x02}(" + ENDLESS + b"K\x01u.",  # among several,
        b"\x80\x02(" + ENDLESS + b"K\x01d.",  # or when it is made
        b"\x80\x04\x8f(" + ENDLESS + b"\x90.",  # the member of a set
        b"\x80\x04(" + ENDLESS + b"\x91.",
    ],
    ids=["one", "several", "made", "set", "frozen set"],
)
def test_what_would_be_hashed_for_ever_is_refused(data):
    with pytest.raises((Refused, Damaged)):
        unpickle(data)


def test_a_data_type_that_would_be_written_for_ever_is_refused():
    data = pickle.dumps({"a": np.zeros(2)}, 2)
    named = pickle.dumps("f8", 2)[2:-3]  # the name of the type, without the pickle's ends and memory
    assert data.count(named) == 1
    with pytest.raises((Refused, Damaged)):
        unpickle(data.replace(named, ENDLESS))["a"].plain()
