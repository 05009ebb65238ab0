"""`params.npz`: the one definition of the record from which everything else is made."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import GlotError
from glot_cli.files.npz import write_npz

FORMAT_VERSION = 2  # 1 had no global_orient_network


@dataclass(frozen=True)
class Field:
    """One array of the record: its type, the shape of a row, its unit and meaning, the format that brought it."""

    dtype: str
    row: tuple[int, ...]
    unit: str
    meaning: str
    since: int = 1


FIELDS: dict[str, Field] = {
    "frame": Field("int32", (), "", "index of the video frame, from 0"),
    "person": Field("int32", (), "", "who it is: one number per person through the whole video, from 1"),
    "time": Field("float64", (), "s", "presentation time of the frame"),
    "pose": Field("float32", (24, 3), "rad", "axis-angle of each SMPL joint; joint 0 turns the body into the camera"),
    "betas": Field("float32", (10,), "", "body shape, one for each person"),
    "betas_frame": Field("float32", (10,), "", "body shape as estimated from this frame alone"),
    "camera": Field("float32", (3,), "1/m, m, m", "weak-perspective s, tx, ty in the crop (-1 to 1 across its side)"),
    "camera_network": Field("float32", (3,), "1/m, m, m", "the network's own, before it was laid on landmarks"),
    "global_orient_network": Field(
        "float32", (3,), "rad", "the network's own rotation of joint 0, in the frame of the crop", since=2
    ),
    "box": Field("float32", (3,), "px", "crop: centre x, centre y, side"),
    "transl": Field("float32", (3,), "m", "translation of the body model in the camera frame"),
    "joints3d": Field("float32", (24, 3), "m", "SMPL joints in the camera frame, relative to the pelvis joint"),
    "joints2d": Field("float32", (24, 2), "px", "SMPL joints in the picture"),
    "score": Field("float32", (), "", "confidence of the detection, 0 to 1"),
    "interpolated": Field("bool", (), "", "true where no detection lay near and the box was filled in"),
}


@dataclass(frozen=True)
class Meta:
    """What the rows are about.

    video: file name; source: its full path on the machine that ran; fps: a fraction as text; frame_count frames from
    start_frame on were looked at; focal_length in pixels, principal point at the image centre; hashes are SHA-256.
    """

    video: str
    source: str
    width: int
    height: int
    fps: str
    frame_count: int
    start_frame: int
    focal_length: float
    body_model: str
    body_model_sha256: str
    preset: str
    weights: dict[str, str]
    program_version: str
    format_version: int = FORMAT_VERSION

    @property
    def frame_rate(self) -> Fraction:
        return Fraction(self.fps)


@dataclass(frozen=True)
class Result:
    """The record: arrays of M rows, one for each person in each frame, sorted by person, then frame."""

    arrays: dict[str, NDArray[Any]]
    meta: Meta

    def __post_init__(self) -> None:
        fault = check_arrays(self.arrays)
        if fault:
            raise ValueError(fault)

    def __getattr__(self, name: str) -> NDArray[Any]:
        try:
            return self.__dict__["arrays"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return len(self.arrays["frame"])

    @property
    def people(self) -> list[int]:
        """Ids of the people, ascending."""
        return [int(p) for p in np.unique(self.arrays["person"])]

    def select(self, rows: NDArray[Any]) -> Result:
        """The record with only some rows: an index or boolean array."""
        return Result({name: values[rows] for name, values in self.arrays.items()}, self.meta)

    def of_person(self, person: int) -> Result:
        """The rows of one person."""
        return self.select(self.arrays["person"] == person)

    def by_frame(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """(frame, its rows) for every frame that anyone is in, in order."""
        order = np.argsort(self.arrays["frame"], kind="stable")
        frames, counts = np.unique(self.arrays["frame"], return_counts=True)
        last = counts.cumsum()  # not np.split: it makes one part even of no rows at all
        for frame, begin, end in zip(frames, last - counts, last, strict=True):
            yield int(frame), order[begin:end]

    def save(self, path: Path) -> None:
        """Write the npz, complete or not at all. Raises GlotError where the folder cannot be written."""
        write_npz(path, {**self.arrays, "meta": np.array(json.dumps(asdict(self.meta)))})

    def save_frames(self, folder: Path) -> None:
        """Write one npz for every frame of the video, 000000.npz on; a frame without people has no rows."""
        meta = np.array(json.dumps(asdict(self.meta)))
        rows_of = dict(self.by_frame())
        nobody = np.array([], dtype=np.intp)
        folder.mkdir(parents=True, exist_ok=True)
        first = self.meta.start_frame
        for frame in range(first, first + self.meta.frame_count):
            rows = rows_of.get(frame, nobody)
            arrays = {name: values[rows] for name, values in self.arrays.items()}
            write_npz(folder / f"{frame:06d}.npz", {**arrays, "meta": meta}, compress=False)


def empty_arrays() -> dict[str, NDArray[Any]]:
    """The arrays of a record without rows."""
    return {name: np.zeros((0, *field.row), field.dtype) for name, field in FIELDS.items()}


def check_arrays(arrays: dict[str, NDArray[Any]]) -> str | None:
    """What keeps arrays from being a record, None when nothing does. Arrays of later formats may be missing."""
    missing = [name for name, field in FIELDS.items() if name not in arrays and field.since == 1]
    if missing:
        return f"has no array '{missing[0]}'"
    rows = len(arrays["frame"]) if arrays["frame"].ndim == 1 else -1
    for name, field in FIELDS.items():
        if name not in arrays:
            continue
        found = arrays[name]
        if found.shape != (rows, *field.row):
            return f"array '{name}' has shape {found.shape}, expected ({rows}, {', '.join(map(str, field.row))})"
        if found.dtype != np.dtype(field.dtype):
            return f"array '{name}' holds {found.dtype}, expected {field.dtype}"
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            return f"array '{name}' holds values that are not finite numbers"
    return None


# What NumPy, zipfile, zlib and json raise on files that are something else, damaged or cut off.
_NOT_A_RECORD = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_result(path: str | Path) -> Result:
    """Read a record: `params.npz`, one file of `frames/`, or the folder that `glot run` wrote.

    Raises GlotError when it is not one, says what is wrong with it. Nothing is unpickled.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "params.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        known = {f.name for f in fields(Meta)}
        if meta.get("format_version", 0) > FORMAT_VERSION:
            raise GlotError(
                f"{path}: has format version {meta['format_version']}, this glot reads {FORMAT_VERSION}; update glot"
            )
        record = Meta(**{key: value for key, value in meta.items() if key in known})
    except FileNotFoundError as error:
        raise GlotError(f"{path}: no such file; give the params.npz of a finished 'glot run'") from error
    except _NOT_A_RECORD as error:
        reason = " ".join(str(error).split())[:200]
        raise GlotError(f"{path}: not a glot result ({reason}); give the params.npz of a 'glot run'") from error
    fault = check_arrays(arrays)
    if fault:
        raise GlotError(f"{path}: {fault}; run 'glot run' on the video again")
    return Result(arrays, record)
