"""Files of joblib: honest ones are read as joblib reads them, others are refused or damaged."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib.numpy_pickle import NumpyPickler

from glot_cli.files.faults import Damaged, Refused, Unsupported
from glot_cli.files.joblib_pickles import read_joblib
from tests.files.joblib_files import assert_same, data_like, write


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_out_as_they_went_in(protocol: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a_db.pt", data_like(), protocol=protocol)
    found = read_joblib(path)
    assert_same(found, data_like())
    assert all(isinstance(a, np.memmap) for a in found.values() if a.size), "nothing is read before it is asked for"
    assert not found["features"].flags.writeable


@pytest.mark.parametrize("protocol", range(6))
def test_lists_of_text_and_numbers(protocol: int, tmp_path: Path) -> None:
    held = {
        "words": ["a", "bü", "ccc"] * 700,
        "bytes": [b"x", b"yz"],
        "tuple": (1, 2, 3),
        "numbers": [1.5, 2, True],
        "numpy": [np.float64(1.5), np.float64(2)],
        "numpy_words": list(np.array(["p", "qr"])),
        "after": np.arange(3.0),
        "left_out": None,
        "as_well": "text",
        "and": {"inner": 1},
    }
    found = read_joblib(write(tmp_path / "a", held, protocol=protocol))
    assert found["words"].tolist() == [w.encode() for w in held["words"]]
    assert found["bytes"].tolist() == [b"x", b"yz"]
    assert found["tuple"].tolist() == [1, 2, 3] and found["numbers"].tolist() == [1.5, 2, 1]
    assert found["numpy"].tolist() == [1.5, 2.0] and found["numpy_words"].tolist() == [b"p", b"qr"]
    assert found["after"].tolist() == [0, 1, 2]
    assert set(found) == {"words", "bytes", "tuple", "numbers", "numpy", "numpy_words", "after"}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("alignment", ["absent", "none"])
def test_files_without_alignment(alignment: str, protocol: int, tmp_path: Path, monkeypatch: Any) -> None:
    """joblib below 1.2 laid arrays right behind their description; so does any that cannot tell where it is."""
    make = NumpyPickler._create_array_wrapper

    def without(self: Any, array: np.ndarray) -> Any:
        wrapper = make(self, array)
        wrapper.numpy_array_alignment_bytes = None
        if alignment == "absent":
            del wrapper.numpy_array_alignment_bytes
        return wrapper

    monkeypatch.setattr(NumpyPickler, "_create_array_wrapper", without)
    path = write(tmp_path / "a", data_like(), protocol=protocol)
    assert (b"alignment" in path.read_bytes()) == (alignment == "none")
    assert_same(read_joblib(path), data_like())


def test_the_old_name_of_the_module_and_maps(tmp_path: Path) -> None:
    data = write(tmp_path / "a", {"a": np.arange(4.0)}, protocol=0).read_bytes()
    assert data.count(b"cjoblib.") == 1
    (tmp_path / "b").write_bytes(data.replace(b"cjoblib.", b"csklearn.externals.joblib."))
    assert read_joblib(tmp_path / "b")["a"].tolist() == [0, 1, 2, 3]
    mapped = np.memmap(tmp_path / "m", np.float32, "w+", shape=(3,))
    mapped[:] = [1, 2, 3]
    assert read_joblib(write(tmp_path / "c", {"a": mapped}))["a"].tolist() == [1, 2, 3]


def test_plain_pickles_hold_arrays_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps({"a": np.arange(3.0), "b": np.array(["x"])}, 2))
    assert_same(read_joblib(tmp_path / "a"), {"a": np.arange(3.0), "b": np.array(["x"])})


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "b", None], object),
        np.zeros(3, [("a", "f4"), ("b", "i4")]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, "c8"),
    ],
    ids=["objects", "records", "dates", "complex"],
)
def test_arrays_of_other_things_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="plain numbers"):
        read_joblib(write(tmp_path / "a", {"first": np.zeros(3), "a": array, "last": np.zeros(3)}))


@pytest.mark.parametrize("value", [["a", 1], [["a"]], [None], [np.zeros(2)]])
def test_lists_of_other_things_are_refused(value: list, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds names as a list of neither"):
        read_joblib(write(tmp_path / "a", {"names": value}))


@pytest.mark.parametrize("held", [np.zeros(3), [1, 2], "text"])
def test_files_without_names(held: Any, tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="without named arrays"):
        read_joblib(write(tmp_path / "a", held))


def test_joblib_before_0_10(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x80\x02}U\x01acjoblib.numpy_pickle\nNDArrayWrapper\n)\x81s.")
    with pytest.raises(Unsupported, match=r"before 0\.10"):
        read_joblib(tmp_path / "a")


@pytest.mark.parametrize("protocol", range(6))
def test_files_that_were_cut_off(protocol: int, tmp_path: Path) -> None:
    data = write(tmp_path / "a", data_like(), protocol=protocol).read_bytes()
    cut = tmp_path / "cut"
    for end in sorted({*np.random.default_rng(2).integers(1, len(data), 60).tolist(), len(data) - 1}):
        cut.write_bytes(data[:end])
        with pytest.raises(Damaged, match="cut off"):
            read_joblib(cut)
