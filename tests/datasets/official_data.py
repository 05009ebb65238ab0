"""Stand-ins for the official files of preprocessed data sets, written as VIBE's and TCMR's scripts write them.

People made of noise: what is right about them is names, shapes, types, units, and that labels of a frame agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import pytest

from glot_cli.cli import main
from glot_cli.datasets.known_datasets import OFFICIAL_DATA

Arrays = dict[str, np.ndarray]


def write_all(folder: Path, seed: int = 0, videos: int = 3, frames: int = 40, feature_dim: int = 32) -> dict[str, Path]:
    """Every official file: what glot calls it -> its path. See `arrays_of`."""
    return {name: write(folder, name, seed, videos, frames, feature_dim) for name in OFFICIAL_DATA}


def write(
    folder: Path, name: str, seed: int = 0, videos: int = 3, frames: int = 40, feature_dim: int = 32, **how: Any
) -> Path:
    """One official file, by what glot calls it. how: compress, protocol (of joblib.dump)."""
    return dump(folder / OFFICIAL_DATA[name].file, arrays_of(name, seed, videos, frames, feature_dim), **how)


def dump(path: Path, arrays: Arrays, **how: Any) -> Path:
    """Write arrays as joblib or, if the path says so, as HDF5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=np.char.encode(array, "ascii") if array.dtype.kind == "U" else array)
    else:
        joblib.dump(arrays, path, **how)
    return path


def arrays_of(name: str, seed: int = 0, videos: int = 3, frames: int = 40, feature_dim: int = 32) -> Arrays:
    """What the official file of that name holds: `videos` videos, the first of `frames` frames, each further one of
    three frames fewer (at least one), with features of `feature_dim` numbers."""
    rng = np.random.default_rng([seed, *name.encode()])
    lengths = [max(1, frames - 3 * i) for i in range(videos)]
    people = [_person(rng, length) for length in lengths]
    held = {key: np.concatenate([person[key] for person in people]) for key in people[0]}
    set_name, count = name.split("-")[0], sum(lengths)
    arrays = {
        "vid_name": np.concatenate([np.array([_video_name(set_name, i)] * n) for i, n in enumerate(lengths)]),
        "joints2D": held["joints2D"],
        "features": rng.standard_normal((count, feature_dim)).astype(np.float32),
    }
    within = np.concatenate([np.arange(n) for n in lengths])
    if set_name == "insta":
        pixels = held["joints2D"][:, rng.permutation(49)[:25]]
        pixels[..., :2] = 112 + 60 * rng.standard_normal((count, 25, 2))
        return {**arrays, "joints2D": pixels, "frame_id": within}
    arrays["bbox"] = held["bbox"]
    arrays["img_name"] = np.array([f"data/{v}/{f:06d}.jpg" for v, f in zip(arrays["vid_name"], within, strict=True)])
    if set_name == "pennaction":
        arrays["joints2D"] = held["joints2D"][:, 25:39]
        arrays["joints2D"][:, 12] = 0  # it has no neck
    if set_name in ("pennaction", "posetrack"):
        return arrays
    arrays["joints3D"] = held["joints3D"]
    if set_name == "mpii3d":
        arrays["frame_id"] = np.array([f"img_{f + 1:06d}" for f in within])
        if "val" in name:
            arrays["valid_i"] = (rng.random((count, 1)) > 0.2).astype(np.float64)
        return arrays
    arrays |= {"frame_id": within + 5, "pose": held["pose"], "shape": held["shape"]}
    if set_name == "3dpw":
        arrays["joints2D"] = held["joints2D"][:, 25:39]
        arrays["joints2D"][:, 12:, 2] = 0  # nor neck nor top of the head
        arrays["valid"] = (rng.random(count) > 0.1).astype(np.int64)
        if "train" not in name:
            arrays["joints3D"] = held["joints3D"][:, 25:39]
    return arrays


def _video_name(set_name: str, number: int) -> str:
    return {
        "3dpw": f"courtyard_{number:02d}_0",
        "h36m": f"./data/h36m/images/s_09_act_{2 + number:02d}_subact_01_ca_01_9",
        "mpii3d": f"subj{1 + number}_seg0",
        "insta": f"insta_variety_00.tfrecord-{number}",
    }.get(set_name, f"./{set_name}/labels/{number:04d}.mat")


def _person(rng: np.random.Generator, frames: int) -> Arrays:
    """One person who moves a little: SMPL, 49 joints in metres and in the picture, box in pixels."""
    pose = rng.normal(0, 0.3, 72) + np.cumsum(rng.normal(0, 0.02, (frames, 72)), 0)
    joints = rng.normal(0, 0.3, (49, 3)) + np.cumsum(rng.normal(0, 0.01, (frames, 49, 3)), 0)
    joints -= joints[:, 39:40]
    side = rng.uniform(200, 400) * np.ones((frames, 1))
    centre = rng.uniform(300, 700, 2) + np.cumsum(rng.normal(0, 3, (frames, 2)), 0)
    pixels = centre[:, None] + joints[..., :2] * side[:, None] / 2
    seen = (rng.random((frames, 49, 1)) > 0.1).astype(float)
    return {
        "pose": pose.astype(np.float32),
        "shape": np.repeat(rng.normal(0, 1, (1, 10)), frames, 0).astype(np.float32),
        "joints3D": joints.astype(np.float32),
        "joints2D": np.concatenate([pixels, seen], -1),
        "bbox": np.concatenate([centre, side, side], 1),
    }


@contextmanager
def taken_in(folder: Path, added: Path, names: Iterable[str], **sizes: int) -> Iterator[None]:
    """Data sets of these names (see `write`) taken in by the command, below `folder`.

    That, and `added`, which holds SMPL, SPIN and GLoT, are the user's own folders until the block ends.
    """
    data = [write(folder / "official", name, **sizes) for name in names]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOT_WEIGHTS", str(added))
        patch.setenv("GLOT_DATA", str(folder / "data"))
        with pytest.raises(SystemExit) as ended:
            main(["data", "add", *map(str, data)])
        assert ended.value.code == 0
        yield
