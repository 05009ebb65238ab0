"""What pieces of a video leave for each other: arrays in a folder beside the result, until the result is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli._version import __version__
from glot_cli.clock import ticks_of
from glot_cli.errors import InputError
from glot_cli.files.atomic import not_written
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import Arrays, load_npz, write_npz
from glot_cli.files.seal import fingerprint, sealed, sealed_json, sealed_kind, unsealed_json
from glot_cli.pipeline.options import SAME_RESULT, Options
from glot_cli.pipeline.passes import Timeline
from glot_cli.tracking.overlapping import join_overlapping
from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.tracks import Track
from glot_cli.world.background import SeenBackground
from glot_cli.world.background_pieces import from_arrays, put_together, to_arrays

_FOLDER = "pieces-"
_LEFT_BY_STEPS = re.compile(r"\.[a-z]+-\d{4,}\.(npz|json|mp4)\.glot-\d+(-\w+)?\.part")
_BACKGROUND = "background_"


@dataclass(frozen=True)
class Log:
    """What a step says when it is done.

    Attributes:
        seconds: that it took.
        stages: seconds, frames and frames per second of each stage.
        warnings: a line for each fault that did not stop it.
        counts: what was mended, by name.
        renderer: what drew.
        fault: why nothing was drawn.
        stamp: time stamp of the first frame that was drawn, None where none was.
        files: that it left, by their names as seen from the folder of pieces: what they are, see `seal.fingerprint`.
    """

    seconds: float
    stages: dict[str, dict[str, float]]
    warnings: list[str]
    counts: dict[str, int]
    renderer: str | None = None
    fault: str | None = None
    stamp: int | None = None
    files: dict[str, str] = field(default_factory=dict)


class PieceFolder:
    """Where the steps of one video leave what the next ones need; nobody else's files are touched there.

    Args:
        result: the folder of the video's result.
        video_id: what the video is.
        options: of the run. Steps with others, or of another video, leave their files in another folder.
        weights: SHA-256 of every weight file, by role.
        borders: where the video is cut, see `borders_of`.
    """

    def __init__(
        self, result: Path, video_id: str, options: Options, weights: dict[str, str], borders: Sequence[float]
    ) -> None:
        told = {name: value for name, value in asdict(options).items() if name not in SAME_RESULT}
        key = json.dumps([video_id, told, weights, list(borders), __version__], sort_keys=True)
        self.path = result / f"{_FOLDER}{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def make(self) -> None:
        """Make the folder. Raises OutputError."""
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise not_written(self.path, error) from error

    def picture(self, step: str) -> Path:
        """The file that a step draws."""
        return self.path / f"{step}.mp4"

    def save(self, step: str, arrays: Arrays) -> None:
        """Keep the arrays of a step. Raises OutputError."""
        write_npz(self.path / f"{step}.npz", arrays, compress=False)

    def load(self, step: str, *names: str) -> Arrays:
        """The arrays of a step that is done; only those of these names, where there are some.

        Raises:
            InputError: it is not there: the video is another one now, or somebody has removed it.
        """
        path = self.path / f"{step}.npz"
        try:
            return load_npz(path, names or None)
        except FileFault as error:
            raise error.about(path, InputError, remedy="run it again when the video and its folder stay") from error

    def close(self, step: str, log: Log, *others: Path) -> None:
        """Note that a step is done, last of all.

        Args:
            step: its name.
            log: what it says.
            others: what it left elsewhere.

        Raises:
            OutputError: that cannot be written, or what it left is gone.
        """
        path = self.path / f"{step}.json"
        try:
            left = [one for one in (self.path / f"{step}.npz", self.picture(step)) if one.exists()] + list(others)
            files = {os.path.relpath(one, self.path): fingerprint(one) for one in left}
            with sealed(path) as aside:
                aside.write_text(sealed_json(asdict(replace(log, files=files))), "utf-8", "backslashreplace")
        except OSError as error:
            raise not_written(path, error) from error

    def log(self, step: str) -> Log | None:
        """What a step said; None where it is not done, or what it left is gone or another one now."""
        told = unsealed_json(self.path / f"{step}.json")
        try:
            log = Log(**(told or {}))
            return log if all(fingerprint(self.path / name) == what for name, what in log.files.items()) else None
        except (TypeError, OSError):
            return None


def remove_pieces(result: Path) -> None:
    """Remove what steps have left in the folder of a result, whatever their options, also those that were killed.

    What is not glot's stays. Logs go first: a step whose log is there is done.
    """
    with suppress(OSError):
        for folder in result.glob(f"{_FOLDER}*"):
            if folder.is_dir() and not folder.is_symlink():
                for path in sorted(folder.iterdir(), key=lambda path: path.suffix != ".json"):
                    with suppress(OSError):
                        if sealed_kind(path) is not None or _LEFT_BY_STEPS.fullmatch(path.name):
                            path.unlink()
                with suppress(OSError):
                    folder.rmdir()


def added_up(logs: Sequence[Log]) -> dict[str, dict[str, float]]:
    """Seconds, frames and frames per second of every stage, of all steps together."""
    stages: dict[str, dict[str, float]] = {}
    for log in logs:
        for name, stage in log.stages.items():
            row = stages.setdefault(name, {"seconds": 0.0})
            row["seconds"] = round(row["seconds"] + stage["seconds"], 3)
            if "frames" in stage:
                row["frames"] = row.get("frames", 0) + stage["frames"]
                row["fps"] = round(row["frames"] / max(row["seconds"], 1e-9), 2)
    return stages


@dataclass(frozen=True)
class Watched:
    """What was seen in a piece of a video.

    Attributes:
        first: number of its first frame in the video, known of the first piece alone.
        origin: time stamp of the video's very first frame.
        stamps: (n,) of its frames.
        shots: frames that begin a shot, counted from 0.
        tracklets: what was followed, by frames counted from 0 instead of ticks.
        background: what stood behind people, by frames likewise.
    """

    first: int
    origin: int
    stamps: NDArray[np.int64]
    shots: list[int]
    tracklets: list[Tracklet]
    background: SeenBackground

    def to_arrays(self) -> Arrays:
        """All of it, by names."""
        return {
            "first": np.array(self.first),
            "origin": np.array(self.origin),
            "stamps": self.stamps,
            "shots": np.array(self.shots, np.int64),
            **_columns("tracklet_", self.tracklets, _TRACKLET),
            **{_BACKGROUND + name: value for name, value in to_arrays(self.background).items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Watched:
        """What `to_arrays` made arrays of."""
        background = {name.removeprefix(_BACKGROUND): a for name, a in arrays.items() if name.startswith(_BACKGROUND)}
        return cls(
            int(arrays["first"]),
            int(arrays["origin"]),
            arrays["stamps"],
            arrays["shots"].tolist(),
            [Tracklet(**row) for row in _rows("tracklet_", arrays, _TRACKLET)],
            from_arrays(background),
        )


@dataclass(frozen=True)
class Whole:
    """What all pieces saw, put together.

    Attributes:
        origin: time stamp of the video's very first frame.
        stamps: (n,) of the frames.
        parts: (k + 1,) numbers of the frames at which pieces begin to be believed; the last is n.
        seen: the frames.
    """

    origin: int
    stamps: NDArray[np.int64]
    parts: NDArray[np.int64]
    seen: Timeline


def put_pieces_together(
    pieces: Sequence[Watched], borders: Sequence[float], time_base: Fraction, fps: float
) -> tuple[list[Tracklet], Whole]:
    """A video as if it had been watched at once.

    Args:
        pieces: all, in order; some at the end may be empty.
        borders: seconds from the video's first frame at which the second piece, the third and so on begin.
        time_base: seconds per unit of time stamps.
        fps: ticks per second.

    Returns:
        What was followed, by ticks, and the frames.
    """
    origin = pieces[0].origin
    limits = [-np.inf, *(origin + border / float(time_base) for border in borders), np.inf]
    own = [
        p.stamps[(p.stamps >= low) & (p.stamps < high)]
        for p, low, high in zip(pieces, limits, limits[1:], strict=False)
    ]
    stamps = np.concatenate(own)
    parts = np.concatenate([[0], np.cumsum([len(part) for part in own])]).astype(np.int64)
    times = stamps * time_base.numerator / time_base.denominator
    ticks = np.asarray(ticks_of(times, fps), np.float64)
    # Pieces see the same frames where they overlap, unless some are damaged: then it is the next one, if there is one.
    numbers = [np.searchsorted(stamps, p.stamps) for p in pieces]
    shots = {0}
    followed = []
    for place, (piece, number) in enumerate(zip(pieces, numbers, strict=True)):
        begin, end = parts[place], parts[place + 1]
        shots |= {int(number[start]) for start in piece.shots if start and begin <= number[start] < end}
        at_ticks = (_at_ticks(tracklet, number, ticks) for tracklet in piece.tracklets)
        followed.append([tracklet for tracklet in at_ticks if len(tracklet)])
    # Where the video ended before a piece began, the one before it is believed to the last frame.
    tracklets = join_overlapping(followed, np.append(ticks, np.inf)[parts[1:-1]].tolist())
    background = put_together([p.background for p in pieces], numbers, parts[1:].tolist(), ticks)
    return tracklets, Whole(origin, stamps, parts, Timeline(pieces[0].first, times, ticks, sorted(shots), background))


def _at_ticks(tracklet: Tracklet, numbers: NDArray[np.integer], ticks: NDArray[np.floating]) -> Tracklet:
    """A tracklet by ticks of the video, whose frames were counted in a piece; nothing after the video's last frame."""
    frames, first = np.unique(numbers[tracklet.frames.astype(np.int64)], return_index=True)
    there = frames < len(ticks)
    one = tracklet.take(first[there])
    return Tracklet(ticks[frames[there]], one.boxes, one.scores, one.descriptors, one.keypoints)


_TRACKLET = ("frames", "boxes", "scores", "descriptors", "keypoints")
_TRACK = tuple(field.name for field in fields(Track) if field.name not in ("person", "shot"))


def tracks_to_arrays(tracks: Sequence[Track]) -> Arrays:
    """Tracks, by names."""
    who = np.array([(track.person, track.shot) for track in tracks], np.int64).reshape(-1, 2)
    return {"who": who, **_columns("track_", tracks, _TRACK)}


# Of those, what says where to look: keypoints, four fifths of a track, are left out.
TO_LOOK = ("who", "track_sizes", *(f"track_{name}" for name in _TRACK if name != "keypoints"))


def tracks_from_arrays(arrays: Arrays) -> list[Track]:
    """What `tracks_to_arrays` made arrays of."""
    rows = _rows("track_", arrays, _TRACK)
    return [
        Track(person=person, shot=shot, **row) for (person, shot), row in zip(arrays["who"].tolist(), rows, strict=True)
    ]


def _columns(beginning: str, parts: Sequence[Any], names: Sequence[str]) -> Arrays:
    """Arrays of many objects one after the other, and the size of each; what all of them lack is left out."""
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    known = {name: values for name, values in columns.items() if values and values[0] is not None}
    arrays: Arrays = {beginning + name: np.concatenate(values) for name, values in known.items()}
    return {beginning + "sizes": np.array([len(part.frames) for part in parts], np.int64), **arrays}


def _rows(beginning: str, arrays: Arrays, names: Sequence[str]) -> list[dict[str, Any]]:
    """The fields of each of the objects that `_columns` put one after the other."""
    ends = np.cumsum(arrays[beginning + "sizes"])
    parted = {
        name: np.split(arrays[beginning + name], ends)[:-1] if beginning + name in arrays else [None] * len(ends)
        for name in names
    }
    return [dict(zip(parted, row, strict=True)) for row in zip(*parted.values(), strict=True)] if len(ends) else []
