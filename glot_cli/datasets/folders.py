"""Where data sets are kept, and what is told of each without opening an array."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from glot_cli.errors import GlotError, UsageError

META = "meta.json"
_SUFFIXES = {".pt", ".h5", ".hdf5", ".pkl", ".joblib", ".z", ".gz", ".bz2", ".xz", ".lzma"}
FORMAT = 1


@dataclass(frozen=True)
class Meta:
    """What stands in a data set's meta.json.

    source, source_size: the file it was made of, its size in bytes; joints2d, joints3d: layouts of joints (see
    `layouts`) that the source had, "" where it had none; invalid: frames that were marked invalid when it was made.
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
        return Path(value).expanduser()
    from platformdirs import user_data_path

    return user_data_path("glot", appauthor=False) / "datasets"


def check_name(name: str) -> str:
    """A name that a folder may have on any system. Raises UsageError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name, re.ASCII) or name.endswith("."):
        raise UsageError(f"'{name}' cannot name a data set; use small letters, digits, '-', '_' and '.'")
    return name


def name_of(path: Path) -> str:
    """What a data set is called after its file: 3dpw_train_db.pt is 3dpw-train."""
    stem = path.name.lower()
    while (suffix := Path(stem).suffix) in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    name = re.sub(r"[^a-z0-9]+", "-", stem.removesuffix("_db")).strip("-")[:100]
    if not name:
        raise UsageError(f"{path}: its name names no data set; give one with --name")
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
    folder = Path(text).expanduser() if as_path else user_data_folder() / text
    if (folder / META).is_file():
        return folder
    if as_path or folder.is_dir():
        raise UsageError(f"{folder}: is no data set (it has no {META}); make one with 'glot data add'")
    there = ", ".join(names())
    raise UsageError(
        f"{user_data_folder()}: has no data set '{text}'; "
        + (f"there is {there}, and 'glot data add' takes in more" if there else "'glot data add' takes some in")
    )


def read_meta(folder: Path) -> Meta:
    """What is told of the data set in a folder. Raises GlotError where that is damaged or of a later version."""
    path = folder / META
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["format"] > FORMAT:
            raise GlotError(f"{path}: comes from a later version of glot; install that, or add the data set again")
        values = {field.name: _typed(held[field.name], str(field.type)) for field in fields(Meta)}
        if values["frames"] < 1 or values["feature_dim"] < 1 or not values["videos"]:
            raise ValueError("holds no frames")
    except GlotError:
        raise
    except OSError as error:
        raise GlotError(f"{path}: cannot be read ({error.strerror}); add the data set again") from error
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"[:100]
        raise GlotError(f"{path}: is damaged ({reason}); add the data set again with --replace") from error
    return Meta(**values)


def _typed(value: Any, kind: str) -> Any:
    """The value, if it is of the type that a field of Meta is annotated with."""
    if kind == "tuple[str, ...]":
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
    elif type(value).__name__ == kind:
        return value
    raise TypeError(f"{str(value)[:40]!r} is no {kind}")


def write_meta(folder: Path, meta: Meta) -> None:
    """Write meta.json. Raises OSError."""
    (folder / META).write_text(json.dumps(asdict(meta), indent=1) + "\n", encoding="utf-8")


def size_of(folder: Path) -> int:
    """Bytes that a data set takes on the disk."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
