"""The arrays of an official file, checked and put into the form of a data set, some thousand frames at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.datasets.layouts import BY_COUNT, to_spin
from glot_cli.files.faults import Damaged, Refused
from glot_cli.files.inert import is_text
from glot_cli.files.rows import Rows, chunks, parts, release, take

MARGIN = 1.2  # side of the crop over the side of the box
MAX_ROW = 1 << 16  # bytes of a frame's features, or of anything else of it; official ones have 8192
CROP = 224  # pixels across a crop, of whose corner InstaVariety's joints are counted

_LAYOUTS_2D = tuple(sorted(BY_COUNT))
_LAYOUTS_3D = (14, 17, 49)
_USED = ("features", "joints2D", "joints3D", "bbox", "pose", "shape", "valid", "valid_i", "vid_name", "frame_id",
         "img_name")  # fmt: skip


@dataclass(frozen=True)
class Column:
    """An array of a data set: the type and shape of each row."""

    dtype: np.dtype[Any]
    row: tuple[int, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * int(np.prod(self.row, dtype=np.int64))


FLOAT, FLAG = np.dtype(np.float32), np.dtype(bool)


class Conversion:
    """What becomes of a file.

    Args:
        arrays: what the file holds, by the names that all such files use.

    Attributes:
        frames: N, rows of every array.
        feature_dim: numbers of a frame's features.
        videos: their names, in the order in which `parts` gives their frames.
        columns: the arrays that come of it.
        joints2d: layout of the file's joints in the picture.
        joints3d: layout of its joints in metres, "" where it has none.
        invalid: frames that `parts` had to mark invalid.
        first_invalid: the first of them as a row of the file, -1 where there is none.

    Raises:
        Damaged: an array is missing or is not as all files have it.
        Refused: an array holds something else than all files have there.
    """

    def __init__(self, arrays: Mapping[str, Rows]) -> None:
        self.invalid = 0
        self.first_invalid = -1
        self._features = _needed(arrays, "features", None)
        self.frames, self.feature_dim = self._features.shape
        if not self.frames or not self.feature_dim:
            raise Damaged("holds no features")
        if self._features.dtype.kind != "f":
            raise Refused("holds features that are no floating-point numbers")
        self._joints2d = _needed(arrays, "joints2D", None, 3)
        self.joints2d = _layout(self._joints2d, "joints2D", _LAYOUTS_2D)
        self._joints3d = _numbers(arrays, "joints3D", None, 3)
        self.joints3d = "" if self._joints3d is None else _layout(self._joints3d, "joints3D", _LAYOUTS_3D)
        self._bbox = _numbers(arrays, "bbox", 4)
        if self._bbox is None and self.joints2d != "insta":
            raise Damaged("holds no bbox, so that there is no telling where the crops are")
        self._smpl = _smpl(arrays)
        self._flags = {}
        for ours, theirs in (("valid", "valid"), ("scored", "valid_i")):
            if theirs in arrays:
                self._flags[ours] = _flag_rows(arrays[theirs], theirs)
        names = arrays.get("vid_name")
        if names is None:
            raise Damaged("holds no vid_name, so that there is no telling which frames follow each other")
        self._images = arrays.get("img_name")
        self._used = {name: arrays[name] for name in _USED if name in arrays}
        for name, array in self._used.items():
            if math.prod(array.shape[1:]) * array.dtype.itemsize > MAX_ROW:
                raise Refused(f"holds {name} of more than {MAX_ROW:,} bytes a frame")
            if not array.shape or array.shape[0] != self.frames:
                count = array.shape[0] if array.shape else 1
                raise Damaged(f"holds {self.frames:,} rows of features, but {count:,} of {name}")
        self.videos, self._video, self._order = _group(names)
        self._frame = _frame_numbers(arrays.get("frame_id"), self._video)
        self.columns = self._columns()

    def _columns(self) -> dict[str, Column]:
        columns = {
            "features": Column(FLOAT, (self.feature_dim,)),
            "joints2d": Column(FLOAT, (49, 3)),
            "valid": Column(FLAG),
            "video": Column(np.dtype(np.int32)),
            "frame": Column(np.dtype(np.int64)),
        }
        if self._joints3d is not None:
            columns["joints3d"] = Column(FLOAT, (49, 3))
        if self._smpl is not None:
            columns |= {"pose": Column(FLOAT, (72,)), "betas": Column(FLOAT, (10,))}
        if "scored" in self._flags:
            columns["scored"] = Column(FLAG)
        if self._bbox is not None:
            columns["bbox"] = Column(FLOAT, (4,))
        if self._images is not None and (width := _text_width(self._images)):
            columns["image"] = Column(np.dtype(f"S{width}"))
        return columns

    @property
    def n_bytes(self) -> int:
        """Of all columns."""
        return self.frames * sum(column.n_bytes for column in self.columns.values())

    def parts(self) -> Iterator[dict[str, NDArray[Any]]]:
        """The columns, some rows at a time, frames of a video one after another."""
        self.invalid, self.first_invalid = 0, -1
        for part in chunks(self.frames):
            yield self._part(self._order[part])
            for array in self._used.values():
                release(array)

    def _part(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        good = np.ones(len(rows), bool)
        made: dict[str, NDArray[Any]] = {"features": _finite(take(self._features, rows), good)}
        box = None
        if self._bbox is not None:
            box = take(self._bbox, rows).astype(np.float64)
            made["bbox"] = _finite(box, good)
            good &= (made["bbox"][:, 2:] > 0).all(1)
        made["joints2d"] = _in_crop(take(self._joints2d, rows).astype(np.float64), self.joints2d, box)
        if self._joints3d is not None:
            made["joints3d"] = to_spin(_finite(take(self._joints3d, rows), good), self.joints3d)
        if self._smpl is not None:
            made |= {name: _finite(take(array, rows), good) for name, array in self._smpl.items()}
        self._count(rows[~good])
        flags = {name: _as_flags(take(array, rows)) for name, array in self._flags.items()}
        made |= {**flags, "valid": good & flags.get("valid", good)}
        made |= {"video": self._video[rows], "frame": self._frame[rows]}
        if "image" in self.columns:
            assert self._images is not None
            made["image"] = _as_bytes(take(self._images, rows))
        return {name: made[name].astype(column.dtype, copy=False) for name, column in self.columns.items()}

    def _count(self, bad: NDArray[np.int64]) -> None:
        if len(bad):
            first = int(bad.min())
            self.first_invalid = min(first, self.first_invalid) if self.invalid else first
            self.invalid += len(bad)


def _numbers(arrays: Mapping[str, Rows], name: str, *row: int | None) -> Rows | None:
    """An array of numbers whose rows have this shape (None: any), or None where there is none."""
    array = arrays.get(name)
    if array is None:
        return None
    if array.dtype.kind not in "biuf":
        raise Refused(f"holds {name} that are no numbers")
    shape = array.shape[1:]
    if len(shape) != len(row) or any(want not in (None, has) for want, has in zip(row, shape, strict=True)):
        wanted = ", ".join("?" if n is None else str(n) for n in (None, *row))
        raise Damaged(f"holds {name} of shape {array.shape}, where ({wanted}) belongs")
    return array


def _needed(arrays: Mapping[str, Rows], name: str, *row: int | None) -> Rows:
    array = _numbers(arrays, name, *row)
    if array is None:
        there = ", ".join(sorted(arrays)[:20]) or "nothing"
        raise Damaged(f"holds no {name} and so is no data set of video features (it holds {there})")
    return array


def _layout(joints: Rows, name: str, counts: tuple[int, ...]) -> str:
    count = joints.shape[1]
    if count not in counts:
        known = ", ".join(f"{n} ({BY_COUNT[n]})" for n in counts)
        raise Refused(f"holds {name} of {count} joints, a layout that glot does not know; it knows {known}")
    return BY_COUNT[count]


def _smpl(arrays: Mapping[str, Rows]) -> dict[str, Rows] | None:
    """Pose and shape where the file has them and they are meant: some files carry zeros in their place."""
    pose, betas = _numbers(arrays, "pose", 72), _numbers(arrays, "shape", 10)
    if pose is None or betas is None or not any(np.any(part) for _, part in parts(pose)):
        return None
    return {"pose": pose, "betas": betas}


def _flag_rows(array: Rows, name: str) -> Rows:
    if array.dtype.kind not in "biuf" or len(array.shape) not in (1, 2) or 0 in array.shape:
        raise Damaged(f"holds {name} of shape {array.shape}, where one flag a frame belongs")
    return array


def _as_flags(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) or the first column of (n,k): what is neither zero nor no number."""
    column = values.reshape(len(values), -1)[:, 0]
    flags: NDArray[np.bool_] = (column != 0) & np.isfinite(column)
    return flags


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    """The values as data sets keep them; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _finite(values: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The values (n, ...) with 0 for what is no number. `good` (n,) becomes False where such a thing was."""
    single = _single(values)
    finite = np.isfinite(single)
    if finite.all():
        return single
    good &= finite.reshape(len(single), -1).all(1)
    return np.where(finite, single, np.float32(0))


def _in_crop(joints: NDArray[Any], layout: str, box: NDArray[np.float64] | None) -> NDArray[np.float32]:
    """Joints (n,K,3) of a layout as SPIN's (n,49,3): x, y from -1 to 1 across the crop, and confidence.

    box (n,4): centre and sides of the box in the picture's pixels, of which the joints are; without it they are pixels
    of the crop. Joints that the layout lacks, that are no numbers, or whose box has no size are 0 with confidence 0.
    Those that the file itself gives no confidence are placed like all: velocities of their neighbours in time ask for
    them.
    """
    if box is None:
        centre, half = np.full(2, CROP / 2), np.full(2, CROP / 2)
    else:
        centre, half = box[:, None, :2], MARGIN / 2 * box[:, None, 2:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        placed = _single(np.concatenate([(joints[..., :2] - centre) / half, joints[..., 2:]], -1))
    there = np.isfinite(placed).all(-1, keepdims=True) & (half > 0).all(-1, keepdims=True)
    return to_spin(np.where(there, placed, np.float32(0)), layout)


def _text(array: Rows, name: str) -> Rows:
    if array.dtype.kind not in "SU" or len(array.shape) != 1:
        raise Refused(f"holds {name} that are no names")
    return array


def _as_bytes(values: NDArray[Any]) -> NDArray[np.bytes_]:
    """Text as UTF-8."""
    if values.dtype.kind == "S":
        return values
    if not is_text(values):
        raise Damaged("holds names that are no text")
    return np.char.encode(values, "utf-8", "replace")


def _text_width(array: Rows) -> int:
    """Bytes of the longest name as UTF-8."""
    _text(array, "img_name")
    return max(int(np.char.str_len(_as_bytes(part)).max()) for _, part in parts(array))


def _group(names: Rows) -> tuple[tuple[str, ...], NDArray[np.int32], NDArray[np.int64]]:
    """Videos in order of first appearance, the video (N,) of each row, and the rows (N,) gathered by video.

    Rows of a video keep their order.
    """
    _text(names, "vid_name")
    count = names.shape[0]
    number: dict[bytes, int] = {}
    video = np.empty(count, np.int32)
    for rows, text in parts(names):
        part = _as_bytes(text)
        firsts = np.r_[0, np.flatnonzero(part[1:] != part[:-1]) + 1]
        ids = [number.setdefault(bytes(part[i]), len(number)) for i in firsts]
        video[rows] = np.repeat(ids, np.diff(np.r_[firsts, len(part)]))
    videos = tuple(name.decode(errors="replace") for name in number)
    return videos, video, np.argsort(video, kind="stable")


def _frame_numbers(ids: Rows | None, video: NDArray[np.int32]) -> NDArray[np.int64]:
    """The number of each frame in its video (N,).

    What the file says, if every row has one (also as the last digits of a name, img_000123), else its place among the
    rows of the video.
    """
    if ids is not None and len(ids.shape) == 1:
        found = [_numbers_of(part) for _, part in parts(ids)]
        if all(part is not None for part in found):
            return np.concatenate([part for part in found if part is not None])
    order = np.argsort(video, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(video[order])) + 1]
    places = np.empty(len(video), np.int64)
    places[order] = np.arange(len(video)) - np.repeat(starts, np.diff(np.r_[starts, len(video)]))
    return places


def _numbers_of(ids: NDArray[Any]) -> NDArray[np.int64] | None:
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    if ids.dtype.kind == "f":
        whole = np.isfinite(ids) & (ids == np.floor(ids)) & (np.abs(ids) < 2**53)
        return ids.astype(np.int64) if whole.all() else None
    if ids.dtype.kind not in "SU":
        return None
    found = [re.search(rb"(\d{1,18})\D*$", name) for name in _as_bytes(ids).tolist()]
    return np.array([int(m.group(1)) for m in found if m], np.int64) if all(found) else None
