"""The user's data sets: what they may be called, and what opening one gives or says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glot_cli.datasets.add_dataset import add_dataset
from glot_cli.datasets.dataset import Dataset
from glot_cli.datasets.folders import FORMAT, name_of, names, user_data_folder
from glot_cli.datasets.known_datasets import OFFICIAL_DATA
from glot_cli.errors import InputError, UsageError
from tests.datasets import official_data

pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("3dpw_train_db.pt", "3dpw-train"),
        ("mpii3d_train_scale12_occ_db.pt", "mpii3d-train-scale12-occ"),
        ("h36m_test_25fps_db.pt", "h36m-test-25fps"),
        ("insta_train_db.h5", "insta-train"),
        ("a/b/H36M_Test_db.joblib", "h36m-test"),
        ("my data (2).pt", "my-data-2"),
    ],
)
def test_names_follow_from_files(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_the_catalogue_names_files_as_they_are_called() -> None:
    assert {data.name: name_of(Path(data.file)) for data in OFFICIAL_DATA.values()} == {
        name: name for name in OFFICIAL_DATA
    }


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "A", "a b", "x.", "a\n", "ä"])
def test_names_that_no_folder_should_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a data set"):
        add_dataset(official_data.write(tmp_path, "3dpw-val"), name, quiet=True)


def test_a_file_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name: .*_db\.pt: its name names no data set; give another name"):
        add_dataset(tmp_path / "_db.pt", quiet=True)


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLOT_DATA", str(tmp_path / "x"))
    assert user_data_folder() == tmp_path / "x"
    monkeypatch.delenv("GLOT_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert user_data_folder() == tmp_path / "glot" / "datasets"


def test_data_sets_are_opened_by_name_and_by_path(tmp_path: Path, data_folder: Path) -> None:
    for name in ("3dpw-val", "insta-train"):
        add_dataset(official_data.write(tmp_path, name), quiet=True)
    by_name = Dataset.open("3dpw-val")
    for path in (data_folder / "3dpw-val", f"{data_folder}/3dpw-val", f"{data_folder}/3dpw-val/"):
        dataset = Dataset.open(path)
        assert dataset.name == "3dpw-val"
        np.testing.assert_array_equal(dataset.features, by_name.features)
    assert isinstance(by_name.features, np.memmap) and not by_name.features.flags.writeable
    assert names() == ["3dpw-val", "insta-train"]
    with pytest.raises(UsageError, match="has no data set 'h36m'; choose one of 3dpw-val, insta-train, or add"):
        Dataset.open("h36m")
    with pytest.raises(UsageError, match=r"no data set \(it has no meta\.json\); make one"):
        Dataset.open(tmp_path)


def test_none_at_all() -> None:
    assert names() == []
    with pytest.raises(UsageError, match="has no data set '3dpw-val'; add it with 'glot data add'"):
        Dataset.open("3dpw-val")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def pickled(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def rewritten(**arrays: np.ndarray) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        np.save(path, arrays[path.stem])

    return change


BROKEN = {
    "features.npy": [Path.unlink, cut, pickled, rewritten(features=np.zeros((5, 32), np.float32)),
                     rewritten(features=np.zeros((111, 32)))],
    "joints3d.npy": [Path.unlink],
    "pose.npy": [Path.unlink],
    "video.npy": [rewritten(video=np.zeros(111, np.int32)), rewritten(video=np.arange(111, dtype=np.int32)),
                  rewritten(video=np.repeat([1, 0, 2], 37).astype(np.int32))],
    "meta.json": [lambda p: p.write_text("{"), lambda p: p.write_text("[]"), lambda p: p.write_text('{"format": 1}'),
                  lambda p: p.write_text(p.read_text().replace("111", '"111"'))],
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "number"), [(file, i) for file, changes in BROKEN.items() for i in range(len(changes))]
)
def test_damage_is_named(file: str, number: int, tmp_path: Path, data_folder: Path) -> None:
    add_dataset(official_data.write(tmp_path, "3dpw-val"), quiet=True)
    path = data_folder / "3dpw-val" / file
    BROKEN[file][number](path)
    with pytest.raises(InputError, match="; add the data set again") as error:
        Dataset.open("3dpw-val")
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_data_set_of_a_later_version(tmp_path: Path, data_folder: Path) -> None:
    add_dataset(official_data.write(tmp_path, "3dpw-val"), quiet=True)
    path = data_folder / "3dpw-val" / "meta.json"
    path.write_text(path.read_text().replace('"format": 1', f'"format": {FORMAT + 1}'))
    with pytest.raises(InputError, match="later version"):
        Dataset.open("3dpw-val")
