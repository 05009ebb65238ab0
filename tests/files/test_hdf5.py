"""HDF5 files: plain arrays of numbers and text are read, whatever leads elsewhere is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from glot_cli.files import faults, hdf5
from glot_cli.files.faults import Damaged, Refused, Unsupported
from glot_cli.files.hdf5 import open_h5
from glot_cli.files.hdf5_apart import open_h5_apart
from glot_cli.files.rows import take

NUMBERS = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float32)


def write(path: Path, fill: Callable[[Any], None]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def honest(file: Any) -> None:
    file.create_dataset("features", data=NUMBERS)
    file.create_dataset("packed", data=NUMBERS, chunks=(50, 7), compression="gzip", shuffle=True, fletcher32=True)
    file.create_dataset("lzf", data=NUMBERS, chunks=(50, 7), compression="lzf")
    file.create_dataset("vid_name", data=np.array([b"a", b"bcd"] * 150))
    file.create_dataset("words", data=["x", "yü"] * 150, dtype=h5py.string_dtype())
    file.create_dataset("whole", data=np.arange(300))
    file.create_dataset("empty", data=np.zeros((0, 3)))
    file.create_group("group").create_dataset("inner", data=NUMBERS)


def test_numbers_and_text(tmp_path: Path) -> None:
    with open_h5(write(tmp_path / "a.h5", honest)) as arrays:
        assert set(arrays) == {"features", "packed", "lzf", "vid_name", "words", "whole", "empty"}
        for name in ("features", "packed", "lzf"):
            assert arrays[name].shape == (300, 7) and arrays[name].dtype == np.float32
            np.testing.assert_array_equal(arrays[name][10:250], NUMBERS[10:250])
            rows = np.array([5, 6, 7, 100, 2, 299])
            np.testing.assert_array_equal(take(arrays[name], rows), NUMBERS[rows])
        assert arrays["vid_name"][1:3].tolist() == [b"bcd", b"a"]
        assert arrays["words"].dtype.kind == "S" and arrays["words"].shape == (300,)
        assert arrays["words"][0:2].tolist() == [b"x", "yü".encode()]
        assert arrays["empty"].shape == (0, 3)


def other_file(file: Any) -> str:
    path = Path(file.filename).with_name("other.h5")
    write(path, honest)
    return str(path)


def soft(file: Any) -> None:
    file["features"] = h5py.SoftLink("/etc/passwd")


def external_link(file: Any) -> None:
    file["features"] = h5py.ExternalLink(other_file(file), "features")


def external_storage(file: Any) -> None:
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(b"secret..")
    file.create_dataset("features", (8,), "u1", external=[(str(secret), 0, 8)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((300, 7), "f4")
    layout[:] = h5py.VirtualSource(other_file(file), "features", (300, 7))
    file.create_virtual_dataset("features", layout)


def reference(file: Any) -> None:
    file.create_dataset("other", data=NUMBERS)
    file.create_dataset("features", data=[file["other"].ref], dtype=h5py.ref_dtype)


def records(file: Any) -> None:
    file.create_dataset("features", data=np.zeros(3, [("a", "f4"), ("b", "i4")]))


def ragged(file: Any) -> None:
    file.create_dataset("features", (2,), h5py.vlen_dtype(np.float32))


def odd_filter(file: Any) -> None:
    file.create_dataset("features", data=np.arange(100, dtype="i4"), chunks=(50,), scaleoffset=0)


def claim(file: Any) -> None:
    file.create_dataset("features", (10**9, 2048), "f4", chunks=(1000, 2048))


def large_pieces(file: Any) -> None:
    file.create_dataset("features", (300, 200_000), "f4", chunks=(300, 300_000), maxshape=(300, None))


def many_names(file: Any) -> None:
    for i in range(hdf5.MAX_NAMES + 1):
        file.create_group(str(i))


REFUSED = {
    soft: "link to something else",
    external_link: "link to something else",
    external_storage: "lie in other files",
    virtual: "lie in other files",
    reference: "neither numbers nor text",
    records: "neither numbers nor text",
    ragged: "neither numbers nor text",
    odd_filter: "unknown filter 6",
    claim: r"claims 8192\.0 GB, far more",
    large_pieces: "pieces of more than",
    many_names: "1,000 names",
}


@pytest.mark.parametrize("fill", REFUSED, ids=lambda f: f.__name__)
def test_what_leads_elsewhere_is_refused(fill: Callable[[Any], None], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(faults, "ALWAYS", 1 << 30)
    path = write(tmp_path / "a.h5", fill)
    with pytest.raises(Refused, match=REFUSED[fill]), open_h5(path):
        pass


def test_long_text_is_refused_before_all_get_its_room(tmp_path: Path) -> None:
    words = ["x" * 100_000, *["y"] * 299]
    text = h5py.string_dtype()
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("words", data=words, dtype=text))
    with open_h5(path) as arrays, pytest.raises(Refused, match="text too long for names"):
        arrays["words"][0:300]


def test_arrays_without_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("features", (100, 10), "f4"))
    with pytest.raises(Damaged, match="no numbers for features"), open_h5(path):
        pass


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", honest)
    with open_h5(path) as here, open_h5_apart(path) as there:
        assert here.keys() == there.keys()
        for name, array in here.items():
            assert (array.shape, array.dtype) == (there[name].shape, there[name].dtype)
            np.testing.assert_array_equal(array[3:200], there[name][3:200], strict=True)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(Damaged, match="damaged or cut off HDF5 file"), open_h5_apart(path):
        pass


def test_broken_files(tmp_path: Path) -> None:
    data = write(tmp_path / "a.h5", honest).read_bytes()
    for name, broken in (("cut", data[: len(data) // 2]), ("head", data[:100]), ("zeros", data[:8] + bytes(5000))):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(Damaged, match="damaged"), open_h5(tmp_path / name):
            pass


def test_a_piece_that_does_not_unpack(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", lambda f: f.create_dataset("a", data=NUMBERS, chunks=(50, 7), compression="gzip"))
    with h5py.File(path) as file:
        place = file["a"].id.get_chunk_info(2).byte_offset
    data = bytearray(path.read_bytes())
    data[place : place + 20] = bytes(20)
    path.write_bytes(data)
    with open_h5(path) as arrays:
        np.testing.assert_array_equal(arrays["a"][0:100], NUMBERS[:100])
        with pytest.raises(Damaged, match="damaged HDF5 file"):
            arrays["a"][100:150]


def test_without_h5py(tmp_path: Path, monkeypatch: Any) -> None:
    path = write(tmp_path / "a.h5", honest)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(Unsupported, match=r"h5py reads; pip install 'glot-cli\[train\]'"), open_h5(path):
        pass
