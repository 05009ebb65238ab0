"""The two passes over a video: the first finds and follows people, the second computes a feature of every crop."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.errors import OutputError
from glot_cli.files.atomic import claim
from glot_cli.lifting.lifters import Features
from glot_cli.pipeline.models import Models
from glot_cli.pipeline.options import Options
from glot_cli.progress import Progress
from glot_cli.tracking.appearance import describe
from glot_cli.tracking.online import Tracker
from glot_cli.tracking.shots import CutFinder, in_shots
from glot_cli.tracking.tracks import Track, clean_tracks
from glot_cli.video import Frame, VideoInfo, read_frames

log = logging.getLogger(__name__)

IN_MEMORY = 32 << 20  # bytes of everybody's features; more lie on the disk
DETECTOR_BATCH = 4  # frames; more does not pay on a CPU, and a 4K frame is 25 MB


@dataclass
class Timeline:
    """The frames that the first pass saw.

    Attributes:
        first: number of the first one in the source.
        times: presentation time of each, seconds.
        shots: where shots begin: frames counted from `first`, ascending from 0.
    """

    first: int = 0
    times: list[float] = field(default_factory=list)
    shots: list[int] = field(default_factory=lambda: [0])

    def add(self, frame: Frame) -> None:
        """Take note of the next frame."""
        if not self.times:
            self.first = frame.index
        self.times.append(float(frame.time))


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
    seen = Timeline()
    finder = CutFinder(fps)
    trackers: list[Tracker] = []
    batch: list[tuple[Frame, int]] = []

    def detect() -> None:
        looks = models.detector([frame.image for frame, _ in batch])
        for (frame, place), (boxes, keypoints) in zip(batch, looks, strict=True):
            if place == 0:
                trackers.append(Tracker(fps, options.detect_every))
            trackers[-1].update(frame.index - seen.first, boxes, describe(frame.image, boxes), keypoints)
        batch.clear()

    with progress.stage("detect and track", expected_frames(info, options)) as bar:
        for frame, place, last in in_shots(read_frames(video, options.start, options.end, warn=warn), finder):
            seen.add(frame)
            if place % options.detect_every == 0 or last:
                batch.append((frame, place))
                if len(batch) == DETECTOR_BATCH:
                    detect()
            bar.update()
        if batch:
            detect()
    seen.shots = finder.starts
    tracks, counts = clean_tracks(
        [tracklet for tracker in trackers for tracklet in tracker.finish()],
        shots=seen.shots,
        fps=fps,
        frame_count=len(seen.times),
        detect_every=options.detect_every,
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
    crops: list[NDArray[np.uint8]] = []
    leans: list[NDArray[np.floating]] = []
    places: list[tuple[int, int]] = []
    # A batch is computed while the frames of the next are read: on a GPU the call returns before it is done.
    computed: list[tuple[list[tuple[int, int]], torch.Tensor]] = []

    def collect() -> None:
        for batch, values in computed:
            for (number, row), feature in zip(batch, values.cpu().numpy(), strict=True):
                features[number][row] = feature
        computed.clear()

    def extract() -> None:
        values = network(np.concatenate(crops), np.concatenate(leans) if leans else None)
        collect()
        computed.append((places.copy(), values))
        crops.clear()
        leans.clear()
        places.clear()

    last = max(rows_of)
    with progress.stage("features", len(seen.times)) as bar:
        for frame in read_frames(video, options.start, options.end):
            index = frame.index - seen.first
            if index > last:
                break
            rows = rows_of.get(index)
            if rows:
                squares = np.stack([tracks[number].crops[row] for number, row in rows])
                angles = [lean[row] for number, row in rows if (lean := tracks[number].lean) is not None]
                lean = np.array(angles) if len(angles) == len(rows) else None
                crops.append(network.extract(frame.image, squares, network.crop_size, lean))
                leans += [] if lean is None else [lean]
                places.extend(rows)
                if len(places) >= options.batch_size:
                    extract()
            bar.update()
        if places:
            extract()
        collect()
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
