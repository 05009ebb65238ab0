"""What every value of a record has to be, so that whoever reads one meets only sound ones."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glot_cli.schema import CAMERA_FIELDS, FOCAL_LENGTHS, MOTIONS, WORLD_ROWS, Field, Meta

T = TypeVar("T")

LONGEST_TEXT = 1 << 22  # letters of what stands with the arrays
LONGEST_NAME = 4096  # letters of one value of it
MOST_SHOTS = 1_000_000
CROWD = 500  # people in one frame
_RATE = re.compile(r"\d{1,12}(?:/\d{1,12}|\.\d{1,12})?", re.ASCII)
_PERSON = re.compile(r"\d{1,10}", re.ASCII)
SLOWEST, FASTEST = Fraction(1, 100_000), 100_000  # frames a second: a picture a day, the fastest cameras
_WHOLE = {"width": (1, 1 << 20), "height": (1, 1 << 20), "frame_count": (0, 1 << 31), "start_frame": (0, 1 << 31)}
_OF_SHOTS = {"camera_confidence": (0.0, 1.0), "gravity_error": (0.0, 180.0)}  # one number a shot
_FARTHEST = 1e9  # metres
_ASKEW = 1e-3  # by which the axes of a camera, or the normal of a floor, may be no unit vectors at right angles


def array_fault(arrays: Mapping[str, NDArray[Any]], wanted: Mapping[str, Field], version: int) -> str | None:
    """What keeps arrays from being a record, None when nothing does.

    Args:
        arrays: by name.
        wanted: what a record holds, of which "frame" gives the number of rows.
        version: of the format; arrays of later ones may be missing.
    """
    needed = [name for name, field in wanted.items() if field.since <= version and not field.told_by_runs]
    missing = [name for name in needed if name not in arrays]
    if missing:
        return f"has no array '{missing[0]}'"
    for name, found in arrays.items():
        if name not in wanted:
            return f"has an array '{name[:100]}' that no record has"
        fault = value_fault(name, found, wanted[name], len(arrays["frame"]) if arrays["frame"].ndim == 1 else -1)
        if fault:
            return fault
    return None


def value_fault(name: str, found: NDArray[Any], field: Field, rows: int) -> str | None:
    """What keeps an array of so many rows from being what its field says, None when nothing does."""
    if found.shape != (rows, *field.row):
        return f"array '{name}' has shape {found.shape}, expected ({rows}, {', '.join(map(str, field.row))})"
    if found.dtype != np.dtype(field.dtype):
        return f"array '{name}' holds {found.dtype}, expected {field.dtype}"
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        return f"array '{name}' holds values that are not finite numbers"
    least, greatest = field.span
    if found.dtype.kind != "b" and found.size and not least <= found.min() <= found.max() <= greatest:
        return f"array '{name}' holds values from {found.min():g} to {found.max():g}, outside {least:g} to {greatest:g}"
    return None


def order_fault(frame: NDArray[np.int32], person: NDArray[np.int32]) -> str | None:
    """What keeps rows from being one for each person in each frame, sorted by person, then frame."""
    later = (np.diff(person) > 0) | ((np.diff(person) == 0) & (np.diff(frame) > 0))
    if not later.all():
        row = int(np.flatnonzero(~later)[0]) + 1
        return f"row {row} does not come after the one before it, by person and frame"
    if len(frame) and np.unique(frame, return_counts=True)[1].max() > CROWD:
        return f"has more than {CROWD} people in one frame"
    return None


def world_fault(arrays: Mapping[str, NDArray[Any]], cameras: Mapping[str, NDArray[Any]], meta: Meta) -> str | None:
    """What keeps the parts of a world from belonging together, None when nothing does, or there is no world.

    Args:
        arrays: of rows.
        cameras: of frames; `camera_fault` looks at what they hold.
        meta: that stands with them.
    """
    shots = {
        "camera_motion": len(meta.camera_motion),
        "camera_confidence": len(meta.camera_confidence),
        "gravity_error": len(meta.gravity_error),
        "floor": len(meta.floor),
    }
    needed = [name for name, field in CAMERA_FIELDS.items() if not field.told_by_runs]
    parts = [*(name in arrays for name in WORLD_ROWS), *(name in cameras for name in needed)]
    if not all(parts):
        return "has a part of a world and not all of it" if any(parts) or cameras or any(shots.values()) else None
    for name, count in shots.items():
        if count != len(meta.shots):
            return f"'{name}' is of {count} shots, expected {len(meta.shots)}"
    shot, frame = arrays.get("shot", np.zeros(0)), arrays["frame"].astype(np.int64) - meta.start_frame
    if len(shot) and shot.max() >= len(meta.shots):
        return f"has rows of shot {shot.max()}, but only {len(meta.shots)} shots"
    if len(frame) and not 0 <= frame.min() <= frame.max() < meta.frame_count:
        return "has rows of frames that were not looked at"
    lone = meta.frame_count > 0 and len(np.unique(frame)) < 2  # one file of `frames/` holds one camera
    for name, values in cameras.items():
        counts = {meta.frame_count, 1} if lone else {meta.frame_count}
        if values.ndim == 0 or len(values) not in counts:
            return f"array '{name}' has shape {values.shape}, expected one entry for each of {meta.frame_count} frames"
    if len({len(values) for values in cameras.values()}) > 1:
        return "has more cameras in one array than in another"
    return None


def camera_fault(cameras: Mapping[str, NDArray[Any]]) -> str | None:
    """What keeps the cameras of a world from being what their fields say, None when nothing does."""
    for name, values in cameras.items():
        fault = value_fault(name, values, CAMERA_FIELDS[name], len(values))
        if fault:
            return fault
    turns = cameras.get("camera_rotation", np.zeros((0, 3, 3)))
    askew = np.abs(turns @ turns.swapaxes(1, 2) - np.eye(3)).max(initial=0)
    if askew > _ASKEW or (np.linalg.det(turns) < 0).any():
        return "array 'camera_rotation' holds what is no rotation"
    return None


def meta_of(text: str, kind: type[T], version: int) -> T:
    """What stands with the arrays, checked.

    Args:
        text: a JSON object; keys that are unknown are left out.
        kind: the dataclass to make of it, whose annotations say what each value is.
        version: the latest of the format that is read.

    Raises:
        ValueError: something is missing or cannot be.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"has more than {LONGEST_TEXT:,} letters beside its arrays")
    held = json.loads(text)
    if not isinstance(held, dict):
        raise ValueError("has no facts by name beside its arrays")
    found = held.get("format_version")
    if type(found) is not int or found < 1:
        raise ValueError("has no format version")
    if found > version:
        raise NewerError(f"has format version {found % 10**9}, this glot reads {version}")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass, as said
    for name, field in known.items():
        if name in held:
            if not _fits(name, str(field.type), held[name]):
                raise ValueError(f"'{name}' is {repr(held[name])[:60]}, which cannot be")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"has no '{name}'")
    return kind(**{name: value for name, value in held.items() if name in known})


class NewerError(ValueError):
    """A record of a later format."""


def _fits(name: str, kind: str, value: Any) -> bool:
    """Whether a value is of the type that a field is annotated with, and in its range."""
    if name in _WHOLE:
        return type(value) is int and _WHOLE[name][0] <= value <= _WHOLE[name][1]
    if name == "focal_length":
        number = type(value) in (int, float) and FOCAL_LENGTHS[0] <= value <= FOCAL_LENGTHS[1]
        return number and math.isfinite(value)
    if name == "fps":
        return is_rate(value)
    if name == "shots":
        whole = isinstance(value, list) and len(value) <= MOST_SHOTS and all(type(n) is int for n in value)
        return whole and value == sorted(set(value)) and (not value or 0 <= value[0] <= value[-1] <= 1 << 31)
    if name == "camera_motion":
        return isinstance(value, list) and len(value) <= MOST_SHOTS and all(one in MOTIONS for one in value)
    if name in _OF_SHOTS:
        least, greatest = _OF_SHOTS[name]
        return isinstance(value, list) and len(value) <= MOST_SHOTS and all(_within(n, least, greatest) for n in value)
    if name == "floor":
        return isinstance(value, list) and len(value) <= MOST_SHOTS and all(map(_is_plane, value))
    if kind == "int":
        return type(value) is int
    if kind == "dict[str, str]":
        return isinstance(value, dict) and all(_is_name(part) for pair in value.items() for part in pair)
    return _is_name(value)


def _within(value: Any, least: float, greatest: float) -> bool:
    """Whether a value is a number in a range; NaN is in none."""
    return type(value) in (int, float) and least <= value <= greatest


def _is_plane(value: Any) -> bool:
    """Whether a value is the four numbers of a plane: its unit normal, and the distance of the origin."""
    if not isinstance(value, list) or len(value) != 4 or not all(_within(n, -_FARTHEST, _FARTHEST) for n in value):
        return False
    return abs(math.hypot(*value[:3]) - 1) < _ASKEW


def is_rate(value: Any) -> bool:
    """Whether a value is a frame rate as text: a whole number, a fraction or a decimal, that a camera could have."""
    if type(value) is not str or not _RATE.fullmatch(value) or re.search("/0+$", value):
        return False
    return SLOWEST <= Fraction(value) <= FASTEST


def _is_name(value: Any) -> bool:
    """Whether a value is text that could name a file."""
    if type(value) is not str or len(value) > LONGEST_NAME or "\0" in value:
        return False
    try:
        os.fsencode(value)  # half a letter (a lone surrogate) is in no name
    except UnicodeEncodeError:
        return False
    return True


def is_report(held: Mapping[str, Any]) -> bool:
    """Whether an object of JSON is the report of a run, all of it that a later run takes up being as it has to be."""
    of_type = {
        "video": str, "video_id": str, "finished": bool, "options": dict, "weights": dict, "stages": dict,
        "mean_acceleration": dict, "warnings": list, "people": int, "frames": int,
    }  # fmt: skip
    return (
        all(type(held.get(name)) is kind for name, kind in of_type.items())
        and "fault" in held
        and isinstance(held["fault"], str | type(None))
        and all(type(line) is str for line in held["warnings"])
        and all(0 <= held[name] < 1 << 31 for name in ("people", "frames"))
        and type(held.get("seconds")) in (int, float)
        and 0 <= held["seconds"] < 1 << 31
        and all(_PERSON.fullmatch(name) and type(value) is float for name, value in held["mean_acceleration"].items())
    )
