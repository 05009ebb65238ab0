"""The store: what official files become, frame by frame, and what is left when something goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.body.joints import SPIN_JOINTS
from glot_cli.datasets import folders as shelf
from glot_cli.datasets import write_dataset as write
from glot_cli.datasets.add_dataset import Added, add
from glot_cli.datasets.dataset import Dataset, list_datasets, user_data_folder
from glot_cli.datasets.folders import name_of
from glot_cli.datasets.known_datasets import OFFICIAL
from glot_cli.datasets.layouts import LAYOUTS
from glot_cli.errors import GlotError, UsageError
from glot_cli.files import rows
from glot_cli.files.pickles import Damaged, Refused
from tests.datasets import official_data

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets of the user's own for every test."""
    folder = tmp_path / "own data"
    monkeypatch.setenv("GLOT_DATA", str(folder))
    return folder


def expected_joints2d(arrays: Arrays) -> np.ndarray:
    """Joint by joint and frame by frame, as the rule says it."""
    joints = arrays["joints2D"]
    names = next(n for n in LAYOUTS.values() if len(n) == joints.shape[1])
    found = np.zeros((len(joints), 49, 3))
    for n, frame in enumerate(joints):
        for k, (x, y, confidence) in enumerate(frame):
            if "bbox" in arrays:
                cx, cy, w, h = arrays["bbox"][n]
                left, top = cx - 1.2 * w / 2, cy - 1.2 * h / 2
                with np.errstate(divide="ignore", invalid="ignore"):
                    u, v = (x - left) / (1.2 * w) * 2 - 1, (y - top) / (1.2 * h) * 2 - 1
            else:
                u, v = 2 * x / 224 - 1, 2 * y / 224 - 1
            found[n, SPIN_JOINTS.index(names[k])] = u, v, confidence
    return found


def expected_joints3d(arrays: Arrays) -> np.ndarray:
    joints = arrays["joints3D"]
    names = next(n for n in LAYOUTS.values() if len(n) == joints.shape[1])
    found = np.zeros((len(joints), 49, 3))
    for k, name in enumerate(names):
        found[:, SPIN_JOINTS.index(name)] = joints[:, k]
    return found


def check(dataset: Dataset, arrays: Arrays) -> None:
    """Everything in the store against what the file holds, whose rows are in order."""
    n = len(arrays["features"])
    np.testing.assert_array_equal(dataset.features, arrays["features"])
    np.testing.assert_allclose(dataset.joints2d, expected_joints2d(arrays), atol=1e-5)
    assert dataset.has_joints3d == ("joints3D" in arrays)
    if dataset.joints3d is not None:
        np.testing.assert_allclose(dataset.joints3d, expected_joints3d(arrays), atol=1e-6)
    assert dataset.has_smpl == (bool(arrays["pose"].any()) if "pose" in arrays else False)
    if dataset.pose is not None and dataset.betas is not None:
        np.testing.assert_allclose(dataset.pose, arrays["pose"])
        np.testing.assert_allclose(dataset.betas, arrays["shape"])
    np.testing.assert_array_equal(dataset.valid, arrays.get("valid", np.ones(n)) != 0)
    if "valid_i" in arrays:
        assert dataset.scored is not None
        np.testing.assert_array_equal(dataset.scored, arrays["valid_i"].reshape(n, -1)[:, 0] != 0)
    else:
        assert dataset.scored is None
    if "bbox" in arrays:
        assert dataset.bbox is not None
        np.testing.assert_allclose(dataset.bbox, arrays["bbox"], rtol=1e-6)
    else:
        assert dataset.bbox is None
    videos = [dataset.videos[v] for v in dataset.video]
    assert videos == [v.decode() if isinstance(v, bytes) else v for v in arrays["vid_name"].tolist()]
    if "img_name" in arrays:
        assert dataset.image is not None
        assert [name.decode() for name in dataset.image] == arrays["img_name"].tolist()
    else:
        assert dataset.image is None


def take_in(tmp_path: Path, arrays: Arrays, name: str = "made", **how: Any) -> tuple[Added, Dataset]:
    path = official_data.dump(tmp_path / f"{name}_db.pt", arrays)
    added = add(path, quiet=True, **how)
    return added, Dataset.open(added.meta.name)


@pytest.mark.parametrize("chunk", [2048, 7])
@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_file(name: str, chunk: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rows, "CHUNK", chunk)
    path = official_data.write(tmp_path, name, seed=1)
    arrays = official_data.arrays_of(name, seed=1)
    added = add(path, quiet=True)
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
    assert dataset.joints3d_known.sum() == (arrays["joints3D"].shape[1] if dataset.has_joints3d else 0)


@pytest.mark.parametrize("how", [{"compress": 3}, {"protocol": 0}, {"compress": ("xz", 1), "protocol": 2}])
def test_however_it_was_written(how: dict[str, Any], tmp_path: Path) -> None:
    add(official_data.write(tmp_path, "3dpw-test", **how), quiet=True)
    check(Dataset.open("3dpw-test"), official_data.arrays_of("3dpw-test"))


@pytest.mark.parametrize("chunk", [2048, 7])
@pytest.mark.parametrize("as_h5", [False, True])
def test_scattered_videos_are_gathered(chunk: int, as_h5: bool, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rows, "CHUNK", chunk)
    arrays = official_data.arrays_of("h36m-train-25fps", frames=30)
    order = np.random.default_rng(5).permutation(len(arrays["features"]))
    mixed = {key: array[order] for key, array in arrays.items()}
    path = official_data.dump(tmp_path / ("mixed_db.h5" if as_h5 else "mixed_db.pt"), mixed)
    add(path, quiet=True)
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


def without(*keys: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: array for key, array in arrays.items() if key not in keys}


def changed(key: str, change: Callable[[np.ndarray], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, key: change(arrays[key])}


FAULTS: dict[str, tuple[Callable[[Arrays], Arrays], type[GlotError], str]] = {
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
    "no letters": (changed("vid_name", lambda a: np.full((len(a), 1), 2**31, "<u4").view("U1")[:, 0]), Damaged,
                   "no text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_are_not_as_they_should_be(fault: str, tmp_path: Path, own_folder: Path) -> None:
    change, kind, words = FAULTS[fault]
    path = official_data.dump(tmp_path / "odd_db.pt", change(official_data.arrays_of("3dpw-train")))
    with pytest.raises(kind, match=words) as error:
        add(path, quiet=True)
    assert str(error.value).startswith(f"{path}: ") and "; " in str(error.value) and "\n" not in str(error.value)
    assert list(own_folder.iterdir()) == [], "nothing is left"


def test_memory_holds_a_part_of_a_large_file(tmp_path: Path) -> None:
    n = 16_000
    arrays = official_data.arrays_of("posetrack-train", videos=1, frames=n, feature_dim=2)
    arrays["features"] = np.zeros((n, 2048), np.float32) + np.arange(n, dtype=np.float32)[:, None]
    path = official_data.dump(tmp_path / "large_db.pt", arrays)
    del arrays
    tracemalloc.start()
    add(path, quiet=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 130e6 and peak < 60e6
    assert Dataset.open("large").features[::1000, 5].tolist() == list(range(0, n, 1000))


# What is left when something goes wrong.


def test_a_disk_that_is_too_small_is_seen_first(tmp_path: Path, own_folder: Path, monkeypatch: Any) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(write.shutil, "disk_usage", lambda _: Usage)
    path = official_data.write(tmp_path, "3dpw-val")
    with pytest.raises(GlotError, match=r"takes 0\.00 GB in .*own data, where 0\.00 GB are free; name another folder"):
        add(path, quiet=True)
    assert list(own_folder.iterdir()) == []


FILLS = """
import resource, signal, sys
from glot_cli.cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
main(["data", "add", sys.argv[1]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("compress", [0, 3])
def test_a_disk_that_fills_up(compress: int, tmp_path: Path, own_folder: Path) -> None:
    """A file may not outgrow 30 kB here, which ends writing as a full disk does."""
    path = official_data.write(tmp_path, "3dpw-val", compress=compress)
    done = subprocess.run([sys.executable, "-c", FILLS, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(f"glot: {own_folder}: cannot be written (") and done.stderr.count("\n") == 1
    assert "GLOT_DATA" in done.stderr
    assert list(own_folder.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), RuntimeError])
def test_an_end_in_the_middle_leaves_what_was_there(error: Any, tmp_path: Path, own_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val")
    add(path, quiet=True)
    before = {p.name: p.read_bytes() for p in (own_folder / "3dpw-val").iterdir()}
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: Any) -> None:
            raise error

        patch.setattr("glot_cli.datasets.add_dataset.write_meta", fail)
        with pytest.raises(GlotError if isinstance(error, OSError) else error):
            add(path, replace=True, quiet=True)
    assert [p.name for p in own_folder.iterdir()] == ["3dpw-val"]
    assert {p.name: p.read_bytes() for p in (own_folder / "3dpw-val").iterdir()} == before


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, own_folder: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = official_data.write(tmp_path, "3dpw-val")
    add(path, quiet=True)
    (own_folder / "3dpw-val").rename(own_folder / f".3dpw-val.{ended.pid}.old")  # killed between two renamings
    (own_folder / f".x.{ended.pid}.part").mkdir()
    (own_folder / f".x.{os.getpid()}.part").mkdir()  # of a process that runs
    (own_folder / ".mine.part").mkdir()
    add(official_data.write(tmp_path, "3dpw-test"), quiet=True)
    left = sorted(p.name for p in own_folder.iterdir())
    assert left == sorted([f".x.{os.getpid()}.part", ".mine.part", "3dpw-test", "3dpw-val"])
    assert len(Dataset.open("3dpw-val")) == 111


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path, own_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val", seed=1)
    add(path, quiet=True)
    other = official_data.write(tmp_path, "3dpw-val", seed=2)
    with pytest.raises(GlotError, match="3dpw-val: is there already; --replace"):
        add(other, quiet=True)
    check(Dataset.open("3dpw-val"), official_data.arrays_of("3dpw-val", seed=1))
    held = Dataset.open("3dpw-val")
    add(other, replace=True, quiet=True)
    check(Dataset.open("3dpw-val"), official_data.arrays_of("3dpw-val", seed=2))
    check(held, official_data.arrays_of("3dpw-val", seed=1))  # who has it open keeps what it had
    assert [p.name for p in own_folder.iterdir()] == ["3dpw-val"]
    (own_folder / "photos").mkdir()
    with pytest.raises(GlotError, match="something else than a data set"):
        add(other, "photos", replace=True, quiet=True)


def test_a_data_set_that_lies_elsewhere_is_replaced_here(tmp_path: Path, own_folder: Path) -> None:
    path = official_data.write(tmp_path, "3dpw-val")
    add(path, quiet=True)
    (own_folder / "3dpw-val").rename(tmp_path / "elsewhere")
    (own_folder / "3dpw-val").symlink_to(tmp_path / "elsewhere")
    assert len(Dataset.open("3dpw-val")) == 111
    add(path, replace=True, quiet=True)
    assert not (own_folder / "3dpw-val").is_symlink() and (tmp_path / "elsewhere" / "meta.json").is_file()
    assert [p.name for p in own_folder.iterdir()] == ["3dpw-val"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, own_folder: Path) -> None:
    own_folder.write_text("a file")
    with pytest.raises(GlotError, match=r"cannot be written .*GLOT_DATA"):
        add(official_data.write(tmp_path, "3dpw-val"), quiet=True)


# Files that are none.


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
    with pytest.raises(GlotError, match=words) as error:
        add(path, quiet=True)
    assert str(error.value).startswith(f"{path}: ")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(GlotError, match="is a folder; give the files in it"):
        add(tmp_path, quiet=True)


# Names.


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("3dpw_train_db.pt", "3dpw-train"),
        ("mpii3d_train_scale12_occ_db.pt", "mpii3d-train-scale12-occ"),
        ("h36m_test_25fps_db.pt", "h36m-test-25fps"),
        ("insta_train_db.h5", "insta-train"),
        ("a/b/H36M_Test_db.pt.gz", "h36m-test"),
        ("my data (2).pt", "my-data-2"),
    ],
)
def test_names_follow_from_files(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_the_catalogue_names_files_as_they_are_called() -> None:
    assert {data.name: name_of(Path(data.file)) for data in OFFICIAL.values()} == {name: name for name in OFFICIAL}


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "A", "a b", "x.", "a\n", "ä"])
def test_names_that_no_folder_should_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a data set"):
        add(official_data.write(tmp_path, "3dpw-val"), name, quiet=True)


def test_a_file_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--name"):
        add(tmp_path / "_db.pt", quiet=True)


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLOT_DATA", str(tmp_path / "x"))
    assert user_data_folder() == tmp_path / "x"
    monkeypatch.delenv("GLOT_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert user_data_folder() == tmp_path / "glot" / "datasets"


# Opening.


def test_data_sets_are_opened_by_name_and_by_path(tmp_path: Path, own_folder: Path) -> None:
    for name in ("3dpw-val", "insta-train"):
        add(official_data.write(tmp_path, name), quiet=True)
    by_name = Dataset.open("3dpw-val")
    for path in (own_folder / "3dpw-val", f"{own_folder}/3dpw-val", f"{own_folder}/3dpw-val/"):
        dataset = Dataset.open(path)
        assert dataset.name == "3dpw-val"
        np.testing.assert_array_equal(dataset.features, by_name.features)
    assert isinstance(by_name.features, np.memmap) and not by_name.features.flags.writeable
    assert [meta.name for meta in list_datasets()] == ["3dpw-val", "insta-train"]
    with pytest.raises(UsageError, match="has no data set 'h36m'; there is 3dpw-val, insta-train"):
        Dataset.open("h36m")
    with pytest.raises(UsageError, match="is no data set"):
        Dataset.open(tmp_path)


def test_none_at_all() -> None:
    assert list_datasets() == []
    with pytest.raises(UsageError, match="has no data set '3dpw-val'; 'glot data add'"):
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
def test_damage_is_named(file: str, number: int, tmp_path: Path, own_folder: Path) -> None:
    add(official_data.write(tmp_path, "3dpw-val"), quiet=True)
    path = own_folder / "3dpw-val" / file
    BROKEN[file][number](path)
    with pytest.raises(GlotError, match="; add the data set again") as error:
        Dataset.open("3dpw-val")
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_data_set_of_a_later_version(tmp_path: Path, own_folder: Path) -> None:
    add(official_data.write(tmp_path, "3dpw-val"), quiet=True)
    path = own_folder / "3dpw-val" / "meta.json"
    path.write_text(path.read_text().replace('"format": 1', f'"format": {shelf.FORMAT + 1}'))
    with pytest.raises(GlotError, match="later version"):
        Dataset.open("3dpw-val")
    assert list_datasets() == []
