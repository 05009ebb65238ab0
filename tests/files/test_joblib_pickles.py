"""Files of joblib: honest ones are read as joblib reads them, all others are refused or damaged, and nothing runs."""

from __future__ import annotations

import builtins
import bz2
import io
import os
import pickle
import struct
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyPickler

from glot_cli.datasets import unpack
from glot_cli.errors import GlotError
from glot_cli.files import joblib_pickles as joblib_file
from glot_cli.files.joblib_pickles import MAX_ARRAYS, read_joblib
from glot_cli.files.pickles import Damaged, Refused
from glot_cli.files.sources import open_source
from tests.parity.official_files import Exploit

Arrays = dict[str, np.ndarray]


def data_like() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "features": rng.standard_normal((60, 33)).astype(np.float32),
        "vid_name": np.array(["a", "b", "ccc"] * 20),
        "bytes": np.array([b"a", b"bb"]),
        "fortran": np.asfortranarray(rng.standard_normal((5, 4, 3))),
        "big_endian": rng.standard_normal(7).astype(">f8"),
        "slice": np.arange(24.0).reshape(4, 6)[::2, 1:4],
        "empty": np.zeros((0, 3)),
        "none": np.array(2.5),
        "flags": np.array([True, False]),
        "whole": np.arange(5, dtype=np.uint16),
        "half": rng.standard_normal(3).astype(np.float16),
    }


def write(path: Path, held: Any, **how: Any) -> Path:
    joblib.dump(held, path, **how)
    return path


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape


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


# What must not happen.


def fired() -> None:
    raise AssertionError("the pickle was run")


class Nested:
    """Hides a call inside the arguments of another."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return dict, ([("a", Exploit(os.system, "echo fired"))],)


EXPLOITS: dict[str, tuple[Any, str]] = {
    "os.system": (Exploit(os.system, "echo fired"), f"{os.name}.system"),
    "eval": (Exploit(builtins.eval, "__import__('os').abort()"), "eval"),
    "exec": (Exploit(builtins.exec, "raise SystemExit"), "exec"),
    "subprocess": (Exploit(subprocess.check_output, ["true"]), "check_output"),
    "getattr": (Exploit(getattr, "text", "upper"), "getattr"),
    "import": (Exploit(__import__, "antigravity"), "__import__"),
    "open": (Exploit(open, "/etc/passwd"), "open"),
    "joblib.load": (Exploit(joblib.load, "other"), "load"),
    "np.load": (Exploit(np.load, "other"), "load"),
    "nested": (Nested(), "dict"),
    "own function": (Exploit(fired), "fired"),
}


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


HAND_MADE = {
    "stacked name": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "instance": b"(S'true'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'true'\no.",
    "object of a known class": b"(cnumpy\nndarray\no.",
    "new object": b"\x80\x02cos\nsystem\nU\x04true\x85\x81.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__dict__\x93.",
    "persistent": b"P123\n.",
    "binary persistent": b"K\x01Q.",
    "registered extension": b"\x82\x01.",
    "out of band": b"\x80\x05\x97.",
    "set": b"\x80\x04\x8f.",
    "two bases": b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.",
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_every_way_to_name_something_is_closed(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(HAND_MADE[name])
    with pytest.raises((Refused, Damaged)):
        read_joblib(tmp_path / "a")


@pytest.mark.parametrize("state", [b"}", b"N}U\x01aK\x01s\x86", b"N}U\x08__init__Ns\x86"])
@pytest.mark.parametrize(
    "name", [b"numpy\nndarray", b"numpy\ndtype", b"joblib.numpy_pickle\nNumpyArrayWrapper", b"_codecs\nencode"]
)
def test_what_names_stand_for_cannot_be_altered(name: bytes, state: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x80\x02c" + name + b"\n" + state + b"b.")
    with pytest.raises(Damaged):
        read_joblib(tmp_path / "a")
    assert_same(read_joblib(write(tmp_path / "b", data_like())), data_like())


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
    with pytest.raises(GlotError, match=r"before 0\.10"):
        read_joblib(tmp_path / "a")


@pytest.mark.parametrize("protocol", range(6))
def test_files_that_were_cut_off(protocol: int, tmp_path: Path) -> None:
    data = write(tmp_path / "a", data_like(), protocol=protocol).read_bytes()
    cut = tmp_path / "cut"
    for end in sorted({*np.random.default_rng(2).integers(1, len(data), 60).tolist(), len(data) - 1}):
        cut.write_bytes(data[:end])
        with pytest.raises(Damaged, match="cut off"):
            read_joblib(cut)


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


def put_bomb() -> bytes:
    return b"\x80\x02K\x01r" + struct.pack("<I", 2**31) + b"."


def put_text_bomb() -> bytes:
    return b"I1\np" + b"9" * 4000 + b"\n."


def long_bytes() -> bytes:
    return b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"short."


def long_bytearray() -> bytes:
    return b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"short."


def long_frame() -> bytes:
    return b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N."


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
    return b"\x80\x02" + b"K\x01" * (joblib_file.MAX_STEPS + 1) + b"."


def many_arrays() -> bytes:
    return b"\x80\x02}U\x01a(" + _small_array() * (MAX_ARRAYS + 1) + b"ls."


def _small_array() -> bytes:
    """The description of an array of no numbers, without alignment."""
    state = b"}(U\x05shapeK\x00\x85U\x05orderU\x01CU\x05dtypecnumpy\ndtype\nU\x02f8\x85Ru"
    return b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b"


def endless_hash() -> bytes:
    """A key made of two times two times two ... tuples, whose hash would take for ever."""
    return b"\x80\x02}N" + b"2\x86" * 60 + b"K\x01s."


def endless_hash_at_once() -> bytes:
    return b"\x80\x02(N" + b"2\x86" * 60 + b"K\x01d."


def endless_name() -> bytes:
    """A data type named by such a tuple, which would be written out."""
    return honest().replace(b"X\x02\x00\x00\x00f8q", b"N" + b"2\x86" * 60 + b"q", 1)


def long_list() -> bytes:
    """One long text and many short ones: as an array each would be as long as the first."""
    return b"\x80\x02}U\x01a(" + b"X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"U\x01b" * 10_000 + b"ls."


BOMBS = [
    put_bomb, put_text_bomb, long_bytes, long_bytearray, long_frame, endless_line, huge_shape, overflowing_shape,
    negative_shape, many_steps, many_arrays, endless_hash, endless_hash_at_once, endless_name, long_list,
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda f: f.__name__)
def test_neither_memory_nor_time_goes(bomb: Callable[[], bytes], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(joblib_file, "MAX_STEPS", 100_000)  # tracing makes steps ten times as slow
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
    monkeypatch.setattr(joblib_file, "MAX_PROGRAM", 1 << 16)
    path = write(tmp_path / "a", {"a": np.zeros((100, 1000)), "b": ["a" * 10_000] * 3})
    assert read_joblib(path)["a"].shape == (100, 1000), "numbers of arrays do not count"
    with pytest.raises(Refused, match="beside its arrays"):
        read_joblib(write(path, {"b": ["a" * 50_000, "b" * 50_000]}))


# Compressed ones.


@pytest.mark.parametrize("protocol", [None, 0, 2])
@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_compressed_files(kind: str, protocol: int | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a_db.pt", data_like(), compress=(kind, 3), protocol=protocol)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_source(path, scratch) as found:
        assert_same(dict(found), data_like())  # type: ignore[arg-type]
        assert isinstance(found["features"], np.memmap)
    assert not list(scratch.iterdir())


def test_one_after_another_as_parallel_compressors_write(tmp_path: Path) -> None:
    data = write(tmp_path / "a", data_like()).read_bytes()
    (tmp_path / "b").write_bytes(b"".join(bz2.compress(data[i : i + 999]) for i in range(0, len(data), 999)))
    with open_source(tmp_path / "b", tmp_path) as found:
        assert_same(dict(found), data_like())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_compressed_files_that_are_broken(kind: str, tmp_path: Path) -> None:
    data = write(tmp_path / "a", data_like(), compress=(kind, 3)).read_bytes()
    for name, broken, words in (
        ("cut", data[: len(data) // 2], "cut off"),
        ("altered", data[:200] + bytes(b ^ 255 for b in data[200:260]) + data[260:], "damaged|cut off"),
        ("longer", data + b"something", "follows its end|damaged"),
    ):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(Damaged, match=words), open_source(tmp_path / name, tmp_path):
            pass
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz"])
def test_compression_bombs(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(unpack, "ALWAYS", 1 << 20)
    path = write(tmp_path / "a", {"a": np.zeros(4 << 20)}, compress=(kind, 9))
    written = []
    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda p, **k: (written.append(p.stat().st_size), real(p, **k))[1])
    with pytest.raises(Refused, match="unpacks to more than"), open_source(path, tmp_path):
        pass
    assert max(written) < 16 << 20 and not (tmp_path / "unpacked").exists()


def test_compressed_files_on_a_full_disk(tmp_path: Path, monkeypatch: Any) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: Usage)
    path = write(tmp_path / "a", data_like(), compress=3)
    with pytest.raises(GlotError, match=r"free in .*GLOT_DATA"), open_source(path, tmp_path):
        pass


@pytest.mark.parametrize(
    ("start", "words"), [(b"\x04\x22\x4d\x18", "lz4"), (b"ZF0x12", r"before 0\.10"), (b"PK\x03\x04", "archive")]
)
def test_other_packings_are_named(start: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(start + bytes(100))
    with pytest.raises(GlotError, match=words), open_source(tmp_path / "a", tmp_path):
        pass


def test_an_exploit_in_a_compressed_file(tmp_path: Path, capfd: Any) -> None:
    path = write(tmp_path / "a", {"a": np.zeros(30), "b": Exploit(os.system, "echo fired")}, compress=3)
    with pytest.raises(Refused, match="system"), open_source(path, tmp_path):
        pass
    assert "fired" not in capfd.readouterr().out
