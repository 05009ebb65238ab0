"""What official files become, frame by frame."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.datasets.add_dataset import AddedDataset, add_dataset
from glot_cli.datasets.dataset import Dataset
from glot_cli.datasets.known_datasets import OFFICIAL_DATA
from glot_cli.datasets.layouts import LAYOUTS
from glot_cli.files import rows
from tests.datasets import official_data
from tests.datasets.expected_rows import Arrays, check, expected_joints2d

pytestmark = pytest.mark.usefixtures("data_folder")


def take_in(tmp_path: Path, arrays: Arrays, name: str = "made", **how: Any) -> tuple[AddedDataset, Dataset]:
    path = official_data.dump(tmp_path / f"{name}_db.pt", arrays)
    added = add_dataset(path, quiet=True, **how)
    return added, Dataset.open(added.meta.name)


@pytest.mark.parametrize("chunk", [2048, 7])
@pytest.mark.parametrize("name", OFFICIAL_DATA)
def test_every_official_file(name: str, chunk: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rows, "CHUNK", chunk)
    path = official_data.write(tmp_path, name, seed=1)
    arrays = official_data.arrays_of(name, seed=1)
    added = add_dataset(path, quiet=True)
    assert (added.meta.name, added.folder.name, added.remark) == (name, name, "")
    dataset = Dataset.open(name)
    check(dataset, arrays)
    assert (dataset.name, len(dataset), dataset.feature_dim) == (name, 40 + 37 + 34, 32)
    assert dataset.starts.tolist() == [0, 40, 77] and dataset.lengths.tolist() == [40, 37, 34]
    assert dataset.rows(1) == slice(40, 77)
    first = {"3dpw": 5, "h36m": 5, "mpii3d": 1}.get(name.split("-")[0], 0)
    np.testing.assert_array_equal(dataset.frame, np.concatenate([np.arange(n) + first for n in (40, 37, 34)]))
    meta = json.loads((added.folder / "meta.json").read_text())
    assert meta["source"] == path.name and meta["source_size"] == path.stat().st_size
    assert (meta["has_joints3d"], meta["has_smpl"]) == (dataset.has_joints3d, dataset.has_smpl)
    assert dataset.has_smpl == name.startswith(("3dpw", "h36m"))
    assert dataset.has_joints3d == (not name.startswith(("insta", "penn", "pose")))
    layout = LAYOUTS.get(dataset.meta.joints3d, ())
    assert len(layout) == (arrays["joints3D"].shape[1] if dataset.has_joints3d else 0)


@pytest.mark.parametrize("how", [{"protocol": 0}, {"protocol": 2}, {"protocol": 4}])
def test_however_it_was_written(how: dict[str, Any], tmp_path: Path) -> None:
    add_dataset(official_data.write(tmp_path, "3dpw-test", **how), quiet=True)
    check(Dataset.open("3dpw-test"), official_data.arrays_of("3dpw-test"))


@pytest.mark.parametrize("chunk", [2048, 7])
@pytest.mark.parametrize("as_h5", [False, True])
def test_scattered_videos_are_gathered(chunk: int, as_h5: bool, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rows, "CHUNK", chunk)
    arrays = official_data.arrays_of("h36m-train-25fps", frames=30)
    order = np.random.default_rng(5).permutation(len(arrays["features"]))
    mixed = {key: array[order] for key, array in arrays.items()}
    path = official_data.dump(tmp_path / ("mixed_db.h5" if as_h5 else "mixed_db.pt"), mixed)
    add_dataset(path, quiet=True)
    dataset = Dataset.open("mixed")
    first_seen = list(dict.fromkeys(mixed["vid_name"].tolist()))
    assert list(dataset.videos) == first_seen
    by_video = np.argsort([first_seen.index(v) for v in mixed["vid_name"]], kind="stable")
    check(dataset, {key: array[by_video] for key, array in mixed.items()})
    np.testing.assert_array_equal(dataset.frame, mixed["frame_id"][by_video])
    assert dataset.lengths.sum() == len(dataset) == dataset.starts[-1] + dataset.lengths[-1]


def test_a_video_that_comes_again_is_one_video(tmp_path: Path) -> None:
    arrays = official_data.arrays_of("posetrack-train", videos=1, frames=6)
    arrays["vid_name"] = np.array(["b", "b", "a", "b", "a", "c"])
    _, dataset = take_in(tmp_path, arrays)
    assert dataset.videos == ("b", "a", "c") and dataset.lengths.tolist() == [3, 2, 1]
    np.testing.assert_array_equal(dataset.features, arrays["features"][[0, 1, 3, 2, 4, 5]])
    assert dataset.frame.tolist() == [0, 1, 2, 0, 1, 0], "without frame_id the place in the video"


@pytest.mark.parametrize(
    ("ids", "numbers"),
    [
        (np.array([4, 2, 9], np.int32), [4, 2, 9]),
        (np.array([4.0, 2.0, 9.0]), [4, 2, 9]),
        (np.array(["000004", "x_000002", "img_9"]), [4, 2, 9]),
        (np.array([b"7", b"8", b"30"]), [7, 8, 30]),
        (np.array(["4", "two", "9"]), [0, 1, 2]),
        (np.array([0.5, 1.0, np.nan]), [0, 1, 2]),
    ],
)
def test_numbers_of_frames(ids: np.ndarray, numbers: list[int], tmp_path: Path) -> None:
    arrays = official_data.arrays_of("posetrack-train", videos=1, frames=3)
    _, dataset = take_in(tmp_path, {**arrays, "frame_id": ids})
    assert dataset.frame.tolist() == numbers


def test_lists_in_place_of_arrays(tmp_path: Path) -> None:
    arrays = official_data.arrays_of("3dpw-train")
    lists = {key: arrays[key].tolist() for key in ("vid_name", "img_name", "frame_id", "valid")}
    _, dataset = take_in(tmp_path, {**arrays, **lists})
    check(dataset, arrays)


@pytest.mark.parametrize("chunk", [2048, 7])
def test_frames_that_are_broken_are_marked(chunk: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rows, "CHUNK", chunk)
    arrays = official_data.arrays_of("h36m-train-25fps", videos=2)
    arrays["features"][30, 4] = np.nan
    arrays["bbox"][12, 2] = 0
    arrays["bbox"][13, 3] = -4
    arrays["bbox"][20, 0] = np.inf
    arrays["pose"][35, 7] = -np.inf
    arrays["joints3D"][41, 2, 1] = np.nan
    arrays["joints2D"][5, 3, 0] = np.nan
    arrays["joints2D"][6, 3, 1] = 1e300
    arrays["bbox"][43, 1] = 1e300
    added, dataset = take_in(tmp_path, arrays)
    assert np.flatnonzero(~np.asarray(dataset.valid)).tolist() == [12, 13, 20, 30, 35, 41, 43]
    assert added.meta.invalid == 7
    assert added.remark.startswith("7 frames ") and added.remark.endswith("marked invalid (first row 12)")
    for name in ("features", "joints2d", "joints3d", "pose", "betas", "bbox"):
        assert np.isfinite(getattr(dataset, name)).all()
    assert not dataset.joints2d[12].any() and not dataset.joints2d[13].any()
    assert not dataset.joints2d[5:7, 3].any(), "a joint that is not there leaves the frame valid"
    good = expected_joints2d(arrays)
    np.testing.assert_allclose(dataset.joints2d[30], good[30], atol=1e-5)
    np.testing.assert_allclose(dataset.joints2d[5, 4:], good[5, 4:], atol=1e-5)


def test_zeros_in_place_of_smpl_are_none(tmp_path: Path) -> None:
    arrays = official_data.arrays_of("mpii3d-train-scale12")
    n = len(arrays["features"])
    added, dataset = take_in(tmp_path, {**arrays, "pose": np.zeros((n, 72)), "shape": np.zeros((n, 10))})
    assert not added.meta.has_smpl and dataset.pose is None and dataset.betas is None


def test_thirteen_and_seventeen_joints(tmp_path: Path) -> None:
    arrays = official_data.arrays_of("pennaction-train")
    arrays["joints2D"] = arrays["joints2D"][:, :13]
    added, dataset = take_in(tmp_path, arrays, "thirteen")
    assert added.meta.joints2d == "pennaction"
    check(dataset, arrays)
    arrays = official_data.arrays_of("mpii3d-val-scale12")
    arrays |= {key: arrays[key][:, :17] for key in ("joints2D", "joints3D")}
    added, dataset = take_in(tmp_path, arrays, "seventeen")
    assert added.meta.joints2d == added.meta.joints3d == "mpii3d_test"
    check(dataset, arrays)


def test_memory_holds_a_part_of_a_large_file(tmp_path: Path) -> None:
    n = 16_000
    arrays = official_data.arrays_of("posetrack-train", videos=1, frames=n, feature_dim=2)
    arrays["features"] = np.zeros((n, 2048), np.float32) + np.arange(n, dtype=np.float32)[:, None]
    path = official_data.dump(tmp_path / "large_db.pt", arrays)
    del arrays
    tracemalloc.start()
    add_dataset(path, quiet=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 130e6 and peak < 60e6
    assert Dataset.open("large").features[::1000, 5].tolist() == list(range(0, n, 1000))
