"""Data sets as `glot data add` keeps them: arrays mapped from the disk, one row a frame, videos one after another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.datasets.folders import DatasetMeta, locate, read_meta
from glot_cli.errors import InputError
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import map_npy

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

# Type and shape of a row; None: any number.
_COLUMNS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "features": ("f4", (None,)),
    "joints2d": ("f4", (49, 3)),
    "joints3d": ("f4", (49, 3)),
    "pose": ("f4", (72,)),
    "betas": ("f4", (10,)),
    "valid": ("b1", ()),
    "scored": ("b1", ()),
    "bbox": ("f4", (4,)),
    "video": ("i4", ()),
    "frame": ("i8", ()),
    "image": ("S", ()),
}
_REMEDY = "add the data set again in its place"
_ALWAYS = ("features", "joints2d", "valid", "video", "frame")


@dataclass(frozen=True, eq=False)
class Dataset:
    """N frames of V videos; arrays are read-only maps of files, None where the data set has none.

    Attributes:
        name: of its folder.
        folder: where it lies.
        meta: what stands in its meta.json.
        videos: names of the V videos.
        starts: (V,) first row of each video; its rows follow each other.
        lengths: (V,) rows of each video.
        features: (N,F).
        joints2d: (N,49,3) x, y from -1 to 1 across the crop, and confidence; SPIN's order.
        valid: (N,) False where anything of the frame is broken, or the source says so.
        video: (N,) index in `videos`.
        frame: (N,) number of the frame in its video.
        joints3d: (N,49,3) metres; SPIN's order; 0 for joints that the source's layout, `meta.joints3d`, lacks.
        pose: (N,72) axis-angle, radians.
        betas: (N,10) SMPL's shape.
        scored: (N,) frames that count in the data set's own evaluation; None: all do.
        bbox: (N,4) centre x, y, width, height in pixels; the crop is 1.2 times as wide and high.
        image: (N,) names of the pictures, UTF-8.
    """

    name: str
    folder: Path
    meta: DatasetMeta
    videos: tuple[str, ...]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    features: Floats
    joints2d: Floats
    valid: Flags
    video: NDArray[np.int32]
    frame: NDArray[np.int64]
    joints3d: Floats | None = None
    pose: Floats | None = None
    betas: Floats | None = None
    scored: Flags | None = None
    bbox: Floats | None = None
    image: NDArray[np.bytes_] | None = None

    @staticmethod
    def open(name_or_path: str | Path) -> Dataset:
        """A data set of the user's, or one that lies elsewhere.

        Args:
            name_or_path: its name, or the path of its folder (a Path, or text with a slash).

        Raises:
            UsageError: it is not there.
            InputError: it is damaged.
        """
        folder = locate(name_or_path)
        meta = read_meta(folder)
        columns = {name: array for name in _COLUMNS if (array := _map(folder, name, meta)) is not None}
        video = columns["video"]
        starts = np.flatnonzero(np.diff(video, prepend=-1)).astype(np.int64)
        if not np.array_equal(video[starts], np.arange(len(meta.videos))):
            raise _damaged(folder / "video.npy", f"its rows are not those of {len(meta.videos):,} videos in order")
        lengths = np.diff(starts, append=meta.frames)
        return Dataset(folder.resolve().name, folder, meta, meta.videos, starts, lengths, **columns)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def feature_dim(self) -> int:
        return int(self.features.shape[1])

    @property
    def has_joints3d(self) -> bool:
        return self.joints3d is not None

    @property
    def has_smpl(self) -> bool:
        return self.pose is not None and self.betas is not None

    def rows(self, video: int) -> slice:
        """The rows of a video."""
        return slice(int(self.starts[video]), int(self.starts[video] + self.lengths[video]))


def _map(folder: Path, name: str, meta: DatasetMeta) -> NDArray[Any] | None:
    """An array of the data set, or None where it has none. Raises InputError where it is missing or damaged."""
    path = folder / f"{name}.npy"
    kind, row = _COLUMNS[name]
    wanted = (
        name in _ALWAYS or (name == "joints3d" and meta.has_joints3d) or (name in ("pose", "betas") and meta.has_smpl)
    )
    if not path.exists():
        if wanted:
            raise _damaged(path, "is missing")
        return None
    try:
        array = map_npy(path)
    except FileFault as error:
        raise error.about(path, InputError, remedy=_REMEDY) from error
    row = (meta.feature_dim,) if name == "features" else row
    if array.shape != (meta.frames, *row):
        raise _damaged(path, f"is no array of shape {(meta.frames, *row)}")
    if array.dtype.kind != "S" if kind == "S" else array.dtype != np.dtype(kind):
        raise _damaged(path, f"holds {array.dtype}, not {kind}")
    return array


def _damaged(path: Path, fault: str) -> InputError:
    return InputError(fault, path=path, remedy=_REMEDY)
