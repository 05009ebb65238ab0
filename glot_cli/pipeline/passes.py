"""The two passes over a video: the first finds and follows people, the second computes a feature of every crop."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Clock
from glot_cli.errors import OutputError
from glot_cli.files.atomic import claim
from glot_cli.lifting.lifters import Features
from glot_cli.pipeline.beside import Beside
from glot_cli.pipeline.models import Models
from glot_cli.pipeline.options import Options
from glot_cli.progress import Progress
from glot_cli.tracking.appearance import describe
from glot_cli.tracking.detector import Detections
from glot_cli.tracking.lookout import Lookout
from glot_cli.tracking.online import Tracker
from glot_cli.tracking.shots import CutFinder, in_shots
from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.tracks import Track, clean_tracks
from glot_cli.video import Frame, VideoInfo, read_frames
from glot_cli.world.background import Background, SeenBackground

log = logging.getLogger(__name__)

IN_MEMORY = 32 << 20  # bytes of everybody's features; more lie on the disk
CPU_FRAMES, GPU_FRAMES = 2, 16  # that the detector is given at once; more does not pay on a CPU
FULL_RATE = 120.0  # frames a second; of a video that has more, frames between these are not counted
GPU_BYTES = 128 << 20  # and their pictures, of which a 4K one has 25 MB

Place = tuple[int, int]  # of a crop: number of its track, and row


class Picture(NamedTuple):
    """A frame in which people are looked for.

    Attributes:
        number: counted from the first frame that was read.
        tick: its place in time.
        begins: whether a shot begins there, as far as is known.
        image: (H, W, 3) RGB.
    """

    number: int
    tick: float
    begins: bool
    image: NDArray[np.uint8]


@dataclass
class CropBatch:
    """Some crops, and where their features belong.

    Attributes:
        crops: (n, S, S, 3) RGB of each frame.
        leans: (n,) radians by which people lean there, which some networks look at upright; empty where nobody knows.
        places: of every crop.
    """

    crops: list[NDArray[np.uint8]] = field(default_factory=list)
    leans: list[NDArray[np.floating]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


@dataclass
class Timeline:
    """The frames that the first pass saw.

    Attributes:
        first: number of the first one in the source.
        times: (n,) presentation time of each, seconds.
        ticks: (n,) where each stands in time, see `Clock`.
        shots: where shots begin: frames counted from `first`, ascending from 0.
        background: what stood behind people in the frames that they were looked for in, counted likewise.
    """

    first: int
    times: NDArray[np.float64]
    ticks: NDArray[np.float64]
    shots: list[int]
    background: SeenBackground


def follow_people(
    video: Path, info: VideoInfo, models: Models, options: Options, progress: Progress, warn: Callable[[str], None]
) -> tuple[list[Track], Timeline, dict[str, int]]:
    """First pass: every person's boxes in every frame.

    Args:
        video: the source.
        info: what `probe` says of the source.
        models: networks of the preset.
        options: which stretch, how densely, and whom to keep.
        progress: receives the stage.
        warn: receives one line for every fault of the video.

    Returns:
        One track for each person in each shot, the frames that were seen, and counts of what was mended, by name.

    Raises:
        InputError: the video cannot be read.
    """
    frames = read_frames(info, options.start, options.end, warn=warn)
    tracklets, seen = watch(frames, info, models, options, progress, expected_frames(info, options))
    tracks, counts = tell_apart(tracklets, seen, info, models, options)
    log_counts(video, counts)
    return tracks, seen, counts


def watch(
    frames: Iterable[Frame],
    info: VideoInfo,
    models: Models,
    options: Options,
    progress: Progress,
    expected: int | None,
    anew: Fraction | None = None,
) -> tuple[list[Tracklet], Timeline]:
    """Find people in frames, and follow them from one to the next.

    Args:
        frames: of one stretch of the source, all of them.
        info: what `probe` says of the source.
        models: networks of the preset.
        options: how densely people are looked for.
        progress: receives the stage.
        expected: how many frames there may be.
        anew: time of a frame that is looked at as if a shot began there, seconds; None where there is none.

    Returns:
        What was followed, by ticks from the first frame, and the frames that were seen.
    """
    fps = float(info.fps)
    every = looks_apart(info, options)
    clock = Clock(fps)
    finder = CutFinder(fps)
    trackers: list[Tracker] = []
    size = CPU_FRAMES
    if models.detector.device.type != "cpu":
        size = max(CPU_FRAMES, min(GPU_FRAMES, GPU_BYTES // (3 * info.width * info.height)))
    lookout = Lookout(models.detector)
    background = Background((info.width, info.height))
    batch: list[Picture] = []

    def detect(batch: list[Picture]) -> list[Detections]:
        return lookout([picture.image for picture in batch], [picture.begins for picture in batch])

    def follow(batch: list[Picture], found: list[Detections]) -> None:
        for picture, (boxes, keypoints) in zip(batch, found, strict=True):
            if picture.begins:
                trackers.append(Tracker(fps, every))
            trackers[-1].update(picture.tick, boxes, describe(picture.image, boxes), keypoints)
            background.look(picture.number, picture.tick, picture.begins, picture.image, boxes[:, :4])

    first, looked = None, 0.0  # number of the first frame, and ticks of a shot when it was looked at last

    with progress.stage("detect and track", expected) as bar, Beside(detect, follow) as detecting:
        for one in in_shots(frames, finder, clock):
            first = one.frame.index if first is None else first
            again = anew is not None and one.frame.time >= anew
            anew = None if again else anew
            if again or one.since == 0 or one.until - looked > every:  # as `looked_at` says
                looked = one.since
                batch.append(Picture(one.frame.index - first, one.tick, one.since == 0, one.frame.image))
                if len(batch) == size:
                    detecting.begin(batch)
                    batch = []
            bar.update()
        if batch:
            detecting.begin(batch)
    seen = Timeline(first or 0, np.array(clock.times), np.array(clock.ticks), finder.starts, background.seen)
    return [tracklet for tracker in trackers for tracklet in tracker.finish()], seen


def looks_apart(info: VideoInfo, options: Options) -> float:
    """Ticks between two frames in which people are looked for."""
    return options.detect_every * max(1.0, float(info.fps) / FULL_RATE)


def tell_apart(
    tracklets: list[Tracklet], seen: Timeline, info: VideoInfo, models: Models, options: Options
) -> tuple[list[Track], dict[str, int]]:
    """Who is who: tracks of what was followed.

    Args:
        tracklets: what was followed.
        seen: the frames that were seen.
        info: what `probe` says of the source.
        models: networks of the preset.
        options: how densely people were looked for, and whom to keep.

    Returns:
        One track for each person in each shot, and counts of what was mended, by name.
    """
    return clean_tracks(
        tracklets,
        shots=seen.shots,
        fps=float(info.fps),
        ticks=seen.ticks,
        detect_every=looks_apart(info, options),
        min_frames=options.min_frames,
        max_people=options.max_people,
        crop_scale=models.features.crop_scale,
        image_size=(info.width, info.height),
    )


def compute_features(
    info: VideoInfo,
    folder: Path,
    tracks: list[Track],
    seen: Timeline,
    models: Models,
    options: Options,
    progress: Progress,
) -> Features:
    """Second pass: the feature of every crop.

    Args:
        info: what `probe` says of the source.
        folder: where features lie while they do not fit into memory.
        tracks: one for each person in each shot, of n frames each.
        seen: the frames of the first pass.
        models: networks of the preset.
        options: which stretch, and how many crops at once.
        progress: receives the stage.

    Returns:
        (n, F) for each track; rows that nobody looked at are NaN.

    Raises:
        InputError: the video cannot be read.
        OutputError: the disk is full.
    """
    features = no_features(tracks, models, folder)

    def store(places: list[Place], values: NDArray[np.float32]) -> None:
        for (number, row), feature in zip(places, values, strict=True):
            features[number][row] = feature

    def numbered() -> Iterator[tuple[int, Frame]]:
        for frame in read_frames(info, options.start, options.end):
            yield frame.index - seen.first, frame

    wanted = crops_of(tracks, info, models)
    if wanted:
        look_at_crops(numbered(), wanted, tracks, models, options, progress, len(seen.times), store)
    return features


def no_features(tracks: list[Track], models: Models, folder: Path) -> Features:
    """(n, F) NaN for each track, on the disk where they are many: `folder` says where. Raises OutputError."""
    # One piece for all: a video of many shots has many tracks, and every file that is mapped keeps one open.
    ends = np.cumsum([len(t.frames) for t in tracks], dtype=int)
    shape = (int(ends[-1]) if tracks else 0, models.features.feature_dim)
    features = np.split(allocate(shape, folder), ends)[:-1]
    for feature in features:
        feature[:] = np.nan
    return features


def crops_of(tracks: list[Track], info: VideoInfo, models: Models) -> dict[int, list[Place]]:
    """The crops that are looked at, by the number of their frame."""
    stride = max(1, round(float(info.fps) / models.features.looks_fps))
    places: dict[int, list[Place]] = {}
    for number, track in enumerate(tracks):
        for row in np.flatnonzero(track.key_rows(stride)).tolist():
            places.setdefault(int(track.frames[row]), []).append((number, row))
    return places


def look_at_crops(
    frames: Iterable[tuple[int, Frame]],
    wanted: dict[int, list[Place]],
    tracks: list[Track],
    models: Models,
    options: Options,
    progress: Progress,
    expected: int,
    store: Callable[[list[Place], NDArray[np.float32]], None],
) -> None:
    """Compute the features of crops.

    Args:
        frames: with their numbers, ascending.
        wanted: the crops of each frame, at least one.
        tracks: that they are of.
        models: networks of the preset.
        options: how many crops are computed at once.
        progress: receives the stage.
        expected: how many frames there may be.
        store: receives crops and their features (n, F), in order.
    """
    network = models.features
    batch = CropBatch()

    def look(batch: CropBatch) -> NDArray[np.float32]:
        leans = np.concatenate(batch.leans) if batch.leans else None
        values: NDArray[np.float32] = network(np.concatenate(batch.crops), leans).cpu().numpy()
        return values

    last = max(wanted)
    with (
        progress.stage("features", expected) as bar,
        Beside(look, lambda batch, values: store(batch.places, values)) as looking,
    ):
        for index, frame in frames:
            if index > last:
                break
            rows = wanted.get(index)
            if rows:
                squares = np.stack([tracks[number].crops[row] for number, row in rows])
                angles = [lean[row] for number, row in rows if (lean := tracks[number].lean) is not None]
                lean = np.array(angles) if len(angles) == len(rows) else None
                batch.crops.append(network.extract(frame.image, squares, network.crop_size, lean))
                batch.leans += [] if lean is None else [lean]
                batch.places.extend(rows)
                if len(batch.places) >= options.batch_size:
                    looking.begin(batch)
                    batch = CropBatch()
            bar.update()
        if batch.places:
            looking.begin(batch)


def expected_frames(info: VideoInfo, options: Options) -> int | None:
    """How many frames there will be between start and end, None where the video does not say."""
    if info.frames is None:
        return None
    fps, start, end = float(info.fps), options.start or 0.0, options.end
    last = info.frames if end is None else min(info.frames, math.ceil(end * fps))
    return max(0, last - math.ceil(start * fps))


def allocate(shape: tuple[int, int], folder: Path) -> NDArray[np.float32]:
    """Zeros in memory, or, where they are many, in a nameless file in the folder: memory must not grow with a video.

    Raises:
        OutputError: the disk is full.
    """
    size = math.prod(shape) * 4
    if size <= IN_MEMORY:
        return np.zeros(shape, np.float32)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            claim(file, size)
            return np.memmap(file, np.float32, "r+", shape=shape)
    except OSError as error:
        reason = f"no room to work in ({error.strerror})"
        raise OutputError(reason, path=folder, remedy="choose another output folder") from error


def log_counts(video: Path, counts: dict[str, int]) -> None:
    """Log what was mended in a video, by name."""
    if any(counts.values()):
        log.info("%s: %s", video, ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n))
