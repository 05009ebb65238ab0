"""Files of named arrays: what NumPy wrote comes back, and no damage to one looks like a fault of glot's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.body.model import read_body_arrays
from glot_cli.errors import GlotError
from glot_cli.files import faults
from glot_cli.files.faults import Damaged, FileFault, Refused
from glot_cli.files.npz import load_npz, map_npy
from glot_cli.motion.motions import load_motions
from glot_cli.results import load_result
from glot_cli.synth.acting import Takes
from glot_cli.synth.contact_sheet import contact_sheet
from glot_cli.synth.rendered_crops import read_pictures
from glot_cli.training.training_crops import Crops
from glot_cli.weights.bodies import load_body

ARRAYS: dict[str, Any] = {
    "numbers": np.random.default_rng(0).standard_normal((30, 7)),
    "fortran": np.asfortranarray(np.arange(12.0, dtype=np.float32).reshape(3, 4)),
    "one": np.array("ü of text"),
    "words": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "nothing": np.array(""),
    "times": np.array(["2020-01-01"], "datetime64[D]"),
}

# Whoever reads an npz of the user's, and the arrays that it asks for.
READERS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "motions": (lambda path: load_motions([path]), ("poses", "clip_index")),
    "crops": (
        lambda path: Crops.load([path], None, None),  # type: ignore[arg-type]  # neither is come to
        ("clip", "pose6d", "betas", "pelvis", "box", "features"),
    ),
    "body": (read_body_arrays, ("v_template",)),
    "foreign body": (lambda path: load_body(str(path)), ("v_template",)),
    "takes": (Takes.read, ("poses", "trans", "clip_index", "clip_names")),
    "pictures": (
        read_pictures,
        ("clip", "pose6d", "betas", "pelvis", "frame", "outline", "border", "jpeg_size", "jpeg"),
    ),
    "contact sheet": (contact_sheet, ("jpeg", "jpeg_size", "clip")),
    "result": (load_result, ("meta", "frame")),
}


def damaged(path: Path, how: str, names: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(0)
    np.savez_compressed(path, allow_pickle=True, **{name: rng.random(4000) for name in names})
    data = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        for place in range(len(data) // 10, len(data), len(data) // 10):
            data[place] ^= 0x55
        path.write_bytes(data)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("this is\nno archive")
    elif how == "array":
        with path.open("wb") as file:
            np.save(file, rng.random(4000))
    elif how == "objects":
        np.savez(path, allow_pickle=True, **{name: np.array([{}, None], object) for name in names})
    return path


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "text", "array", "objects", "missing"])
@pytest.mark.parametrize("reader", READERS)
def test_damage_is_told_in_one_line_by_everyone_who_reads_arrays(tmp_path: Path, reader: str, how: str) -> None:
    read, names = READERS[reader]
    path = tmp_path / "file.npz"
    if how != "missing":
        damaged(path, how, names)
    with pytest.raises(GlotError) as caught:
        read(path)
    assert not isinstance(caught.value, FileFault)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value) and caught.value.remedy


def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **ARRAYS)
        found = load_npz(tmp_path / "a.npz")
        assert list(found) == list(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array, strict=True)
            assert found[name].flags.writeable and found[name].flags.f_contiguous == array.flags.f_contiguous
    assert list(load_npz(tmp_path / "a.npz", ("words", "none such"))) == ["words"]


def test_every_byte_may_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(20), b=np.array(["x", "y"]))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ int(rng.integers(1, 256))]) + data[place + 1 :])
        try:
            load_npz(path)
        except (Damaged, Refused):
            continue


def test_no_more_is_read_than_a_file_of_its_size_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 20), b=np.arange(9))
    assert load_npz(tmp_path / "a.npz")["a"].size == 1 << 20
    monkeypatch.setattr(faults, "ALWAYS", 1 << 20)
    with pytest.raises(Refused, match="far more than its size allows"):
        load_npz(tmp_path / "a.npz")
    assert list(load_npz(tmp_path / "a.npz", ("b",))) == ["b"]


def test_an_array_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (ARRAYS["numbers"], ARRAYS["fortran"], ARRAYS["bytes"]):
        np.save(path, array)
        found = map_npy(path)
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, array)
        data = path.read_bytes()
        headers = data.replace(b"descr", b"xxxxx"), data.replace(b"}", b" "), data[:6] + b"\x09"
        for broken in (b"", data[:-1], data[:100], b"text", *headers):
            path.write_bytes(broken)
            with pytest.raises(Damaged):
                map_npy(path)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(Refused):
        map_npy(path)
