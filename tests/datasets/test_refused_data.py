"""Files that are no data set, or not as they should be: named in one line, and nothing of them is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.datasets.add_dataset import add_dataset
from glot_cli.errors import InputError
from glot_cli.files import faults
from glot_cli.files.faults import Damaged, FileFault, Refused
from tests.datasets import official_data
from tests.datasets.expected_rows import Arrays

pytestmark = pytest.mark.usefixtures("data_folder")


def without(*keys: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: array for key, array in arrays.items() if key not in keys}


def changed(key: str, change: Callable[[np.ndarray], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, key: change(arrays[key])}


FAULTS: dict[str, tuple[Callable[[Arrays], Arrays], type[FileFault], str]] = {
    "no features": (without("features"), Damaged, "no features and so is no data set.*it holds bbox"),
    "no joints": (without("joints2D"), Damaged, "no joints2D"),
    "no videos": (without("vid_name"), Damaged, "no vid_name"),
    "no boxes": (without("bbox"), Damaged, "no bbox"),
    "nothing": (lambda _: {"a": np.zeros(3)}, Damaged, "no features"),
    "no rows": (lambda a: {key: array[:0] for key, array in a.items()}, Damaged, "no features"),
    "2-D layout": (changed("joints2D", lambda a: a[:, :12]), Refused, r"joints2D of 12 joints.*13 \(pennaction\), 14"),
    "3-D layout": (changed("joints3D", lambda a: a[:, :13]), Refused, "joints3D of 13 joints"),
    "no confidence": (changed("joints2D", lambda a: a[..., :2]), Damaged, r"joints2D of shape.*\(\?, \?, 3\) belongs"),
    "flat features": (changed("features", lambda a: a[:, 0]), Damaged, "features of shape"),
    "whole features": (changed("features", lambda a: a.astype(int)), Refused, "no floating-point"),
    "text for numbers": (changed("bbox", lambda a: a.astype("U")), Refused, "bbox that are no numbers"),
    "numbers for text": (changed("vid_name", lambda a: np.arange(len(a))), Refused, "vid_name that are no names"),
    "shorter": (changed("bbox", lambda a: a[1:]), Damaged, "111 rows of features, but 110 of bbox"),
    "shorter names": (changed("vid_name", lambda a: a[2:]), Damaged, "111 rows of features, but 109 of vid_name"),
    "one name": (changed("img_name", lambda a: np.array("x")), Damaged, "1 of img_name"),
    "flags": (changed("valid", lambda a: a.astype("U")), Damaged, "valid of shape"),
    "other pose": (changed("pose", lambda a: a[:, :69]), Damaged, r"pose of shape.*72\) belongs"),
    "wide": (changed("features", lambda a: np.zeros((len(a), 20_000), a.dtype)), Refused, "more than 65,536 bytes a"),
    "long names": (changed("img_name", lambda a: np.array(["x" * 20_000] * len(a))), Refused, "65,536 bytes a frame"),
    "no letters": (changed("vid_name", lambda a: np.full((len(a), 1), 2**31, "<u4").view("U1")[:, 0]), Damaged,
                   "no text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_are_not_as_they_should_be(fault: str, tmp_path: Path, data_folder: Path) -> None:
    change, kind, words = FAULTS[fault]
    path = official_data.dump(tmp_path / "odd_db.pt", change(official_data.arrays_of("3dpw-train")))
    with pytest.raises(InputError, match=words) as error:
        add_dataset(path, quiet=True)
    assert type(error.value.__cause__) is kind
    assert str(error.value).startswith(f"{path}: ") and "; " in str(error.value) and "\n" not in str(error.value)
    assert list(data_folder.iterdir()) == [], "nothing is left"


def test_small_files_make_no_large_data_sets(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where joints of 13 bytes a frame become 49 of four."""
    monkeypatch.setattr(faults, "ALWAYS", 0)
    monkeypatch.setattr(faults, "MAX_RATIO", 2)
    arrays = official_data.arrays_of("pennaction-train", frames=200)
    few = {"features": arrays["features"][:, :1].astype(np.float16), "joints2D": arrays["joints2D"].astype(np.int8)}
    path = official_data.dump(tmp_path / "small_db.pt", {**arrays, **few, "img_name": arrays["vid_name"]})
    with pytest.raises(InputError, match=r"makes a data set of 0\.0 GB, far more than its size allows"):
        add_dataset(path, quiet=True)
    assert list(data_folder.iterdir()) == [], "nothing is left"


@pytest.mark.parametrize("how", [{"compress": 3}, {"compress": ("xz", 1), "protocol": 2}, {"compress": ("gzip", 9)}])
def test_compressed_files(how: dict[str, Any], tmp_path: Path, data_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-test", **how)
    with pytest.raises(InputError, match=r": is compressed with \w+, which glot does not read; decompress it") as error:
        add_dataset(path, quiet=True)
    assert error.value.path == path
    assert list(data_folder.iterdir()) == [], "nothing is left"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read .*check the name"),
        (b"", "is empty; download"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04" + bytes(99), "archive"),
        (b"\xff\xd8\xff\xe0 a picture", "no joblib file"),
        (b"\x89HDF\r\n\x1a\n", "damaged or cut off HDF5"),
    ],
)
def test_files_of_another_kind(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x_db.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        add_dataset(path, quiet=True)
    assert str(error.value).startswith(f"{path}: ")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; give the files in it"):
        add_dataset(tmp_path, quiet=True)
