"""Where data sets are kept, and what is told of each without opening an array."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from glot_cli.errors import InputError, UsageError, one_line
from glot_cli.files.faults import FileFault
from glot_cli.files.opening import expanded, read_bytes

META_FILE = "meta.json"
_SUFFIXES = {".pt", ".h5", ".hdf5", ".pkl", ".joblib"}
FORMAT = 1
MAX_META = 256 << 20  # bytes of meta.json, which names all videos


@dataclass(frozen=True)
class DatasetMeta:
    """What stands in a data set's meta.json.

    Attributes:
        format: version of the form in which data sets are kept.
        name: what the user called it.
        source: the name of the file that it was made of.
        source_size: that file's size in bytes.
        frames: rows of every array.
        feature_dim: numbers of a frame's features.
        videos: their names, in the order in which their frames stand.
        joints2d: the layout of the source's joints in the picture (see `layouts`).
        joints3d: the layout of its joints in metres, "" where it had none.
        has_joints3d: whether there are joints in metres.
        has_smpl: whether there are SMPL's pose and shape.
        invalid: frames that were marked invalid when it was made.
    """

    format: int
    name: str
    source: str
    source_size: int
    frames: int
    feature_dim: int
    videos: tuple[str, ...]
    joints2d: str
    joints3d: str
    has_joints3d: bool
    has_smpl: bool
    invalid: int


def user_data_folder() -> Path:
    """The user's folder of data sets: GLOT_DATA, else `glot` in the platform's folder for programs' data."""
    value = os.environ.get("GLOT_DATA")
    if value:
        return expanded(value)
    from platformdirs import user_data_path

    return user_data_path("glot", appauthor=False) / "datasets"


def check_name(name: str) -> str:
    """A name that a folder may have on any system. Raises UsageError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name, re.ASCII) or name.endswith("."):
        remedy = "use small letters, digits, '-', '_' and '.'"
        raise UsageError(f"'{name}' cannot name a data set", option="name", remedy=remedy)
    return name


def name_of(path: Path) -> str:
    """What a data set is called after its file: 3dpw_train_db.pt is 3dpw-train. Raises UsageError for _db.pt."""
    stem = path.name.lower()
    while (suffix := Path(stem).suffix) in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    name = re.sub(r"[^a-z0-9]+", "-", stem.removesuffix("_db")).strip("-")[:100]
    if not name:
        raise UsageError("its name names no data set", path=path, option="name", remedy="give another name")
    return name


def names() -> list[str]:
    """Names of the user's data sets, whether intact or not, sorted."""
    folder = user_data_folder()
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []


def locate(name_or_path: str | Path) -> Path:
    """The folder of a data set: of that name among the user's, or at that path. Raises UsageError where it is not."""
    text = str(name_or_path)
    as_path = isinstance(name_or_path, Path) or text in (".", "..") or any(c in text for c in {"/", os.sep})
    folder = expanded(text) if as_path else user_data_folder() / text
    if (folder / META_FILE).is_file():
        return folder
    if as_path or folder.is_dir():
        raise UsageError(f"no data set (it has no {META_FILE})", path=folder, remedy="make one with 'glot data add'")
    there = ", ".join(names())
    remedy = f"choose one of {there}, or add it with 'glot data add'" if there else "add it with 'glot data add'"
    raise UsageError(f"has no data set '{text}'", path=user_data_folder(), remedy=remedy)


def read_meta(folder: Path) -> DatasetMeta:
    """What is told of the data set in a folder. Raises InputError where that is damaged or of a later version."""
    path = folder / META_FILE
    try:
        held = json.loads(read_bytes(path, MAX_META))
        if held["format"] > FORMAT:
            remedy = "install that, or add the data set again"
            raise InputError("comes from a later version of glot", path=path, remedy=remedy)
        values = {field.name: _typed(held[field.name], str(field.type)) for field in fields(DatasetMeta)}
        if values["frames"] < 1 or values["feature_dim"] < 1 or not values["videos"]:
            raise ValueError("holds no frames")
    except InputError:
        raise
    except FileFault as error:
        raise error.about(path, InputError, remedy="add the data set again") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"is damaged ({type(error).__name__}: {one_line(error)})"
        raise InputError(reason, path=path, remedy="add the data set again in its place") from error
    return DatasetMeta(**values)


def _typed(value: Any, kind: str) -> Any:
    """The value, if it is of the type that a field of DatasetMeta is annotated with."""
    if kind == "tuple[str, ...]":
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
    elif type(value).__name__ == kind:
        return value
    raise TypeError(f"{str(value)[:40]!r} is no {kind}")


def write_meta(folder: Path, meta: DatasetMeta) -> None:
    """Write meta.json. Raises OSError."""
    (folder / META_FILE).write_text(json.dumps(asdict(meta), indent=1) + "\n", encoding="utf-8")


def size_of(folder: Path) -> int:
    """Bytes that a data set takes on the disk."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
