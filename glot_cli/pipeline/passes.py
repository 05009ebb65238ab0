"""The two passes over a video: the first finds and follows people, the second computes a feature of every crop."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Clock
from glot_cli.errors import OutputError
from glot_cli.files.atomic import claim
from glot_cli.lifting.lifters import Features
from glot_cli.pipeline.models import Models
from glot_cli.pipeline.options import Options
from glot_cli.progress import Progress
from glot_cli.tracking.appearance import describe
from glot_cli.tracking.detector import Detections
from glot_cli.tracking.lookout import Lookout
from glot_cli.tracking.online import Tracker
from glot_cli.tracking.shots import CutFinder, in_shots
from glot_cli.tracking.tracks import Track, clean_tracks
from glot_cli.video import VideoInfo, read_frames
from glot_cli.world.background import Background

log = logging.getLogger(__name__)

IN_MEMORY = 32 << 20  # bytes of everybody's features; more lie on the disk
CPU_FRAMES, GPU_FRAMES = 2, 16  # that the detector is given at once; more does not pay on a CPU
FULL_RATE = 120.0  # frames a second; of a video that has more, frames between these are not counted
GPU_BYTES = 128 << 20  # and their pictures, of which a 4K one has 25 MB

Given = TypeVar("Given")
Made = TypeVar("Made")


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
        places: (number of the track, row) of every crop.
    """

    crops: list[NDArray[np.uint8]] = field(default_factory=list)
    leans: list[NDArray[np.floating]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)


class Beside(Generic[Given, Made]):
    """Computes one batch after the other in a thread of its own, while the frames of the next are read.

    Networks do not hold Python's lock, so on a GPU, or where a core is free, both go on at once. No more than one batch
    waits to be used.

    Args:
        compute: what is done in the thread.
        use: receives each batch and what came of it, in their order, in the thread that began them.
    """

    def __init__(self, compute: Callable[[Given], Made], use: Callable[[Given, Made], None]) -> None:
        self._compute, self._use = compute, use
        self._thread = ThreadPoolExecutor(1)
        self._begun: tuple[Given, Future[Made]] | None = None

    def begin(self, batch: Given) -> None:
        """Compute a batch, once the one before is done; returns then. Raises what went wrong with that one."""
        before = self._begun
        if before:
            before[1].result()
        self._begun = batch, self._thread.submit(self._compute, batch)
        if before:
            self._use(before[0], before[1].result())

    def __enter__(self) -> Beside[Given, Made]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._thread:
            if kind is None and self._begun:
                batch, made = self._begun
                self._use(batch, made.result())


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
    background: Background


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
    fps = float(info.fps)
    every = options.detect_every * max(1.0, fps / FULL_RATE)
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

    with (
        progress.stage("detect and track", expected_frames(info, options)) as bar,
        Beside(detect, follow) as detecting,
    ):
        for one in in_shots(read_frames(info, options.start, options.end, warn=warn), finder, clock):
            first = one.frame.index if first is None else first
            if one.since == 0 or one.until - looked > every:  # as `looked_at` says
                looked = one.since
                batch.append(Picture(one.frame.index - first, one.tick, one.since == 0, one.frame.image))
                if len(batch) == size:
                    detecting.begin(batch)
                    batch = []
            bar.update()
        if batch:
            detecting.begin(batch)
    seen = Timeline(first or 0, np.array(clock.times), np.array(clock.ticks), finder.starts, background)
    tracks, counts = clean_tracks(
        [tracklet for tracker in trackers for tracklet in tracker.finish()],
        shots=seen.shots,
        fps=fps,
        ticks=seen.ticks,
        detect_every=every,
        min_frames=options.min_frames,
        max_people=options.max_people,
        crop_scale=models.features.crop_scale,
        image_size=(info.width, info.height),
    )
    log_counts(video, counts)
    return tracks, seen, counts


def compute_features(
    video: Path,
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
        video: the source.
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
    network = models.features
    # One piece for all: a video of many shots has many tracks, and every file that is mapped keeps one open.
    ends = np.cumsum([len(t.frames) for t in tracks], dtype=int)
    features = np.split(allocate((int(ends[-1]) if tracks else 0, network.feature_dim), folder), ends)[:-1]
    for feature in features:
        feature[:] = np.nan
    stride = max(1, round(float(info.fps) / network.looks_fps))
    rows_of: dict[int, list[tuple[int, int]]] = {}
    for number, track in enumerate(tracks):
        for row in np.flatnonzero(track.key_rows(stride)).tolist():
            rows_of.setdefault(int(track.frames[row]), []).append((number, row))
    if not rows_of:
        return features
    batch = CropBatch()

    def look(batch: CropBatch) -> NDArray[np.float32]:
        leans = np.concatenate(batch.leans) if batch.leans else None
        values: NDArray[np.float32] = network(np.concatenate(batch.crops), leans).cpu().numpy()
        return values

    def store(batch: CropBatch, values: NDArray[np.float32]) -> None:
        for (number, row), feature in zip(batch.places, values, strict=True):
            features[number][row] = feature

    last = max(rows_of)
    with progress.stage("features", len(seen.times)) as bar, Beside(look, store) as looking:
        for frame in read_frames(info, options.start, options.end):
            index = frame.index - seen.first
            if index > last:
                break
            rows = rows_of.get(index)
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
    return features


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
