"""A whole run: video in, record and overlay out. Reads the video once for tracks, once for features, once to draw."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli import __version__
from glot_cli.body.rotations import rotmat_to_axis_angle
from glot_cli.camera import project_pinhole
from glot_cli.device import pick_device
from glot_cli.errors import GlotError, UsageError
from glot_cli.files.atomic import claim, whole
from glot_cli.lifting.lifters import Features, View
from glot_cli.lifting.placing import Lifted
from glot_cli.lifting.windows import Edges
from glot_cli.metrics import mean_accelerations
from glot_cli.pipeline.draw import draw
from glot_cli.pipeline.models import Models, load_models
from glot_cli.pipeline.presets import choose
from glot_cli.progress import Progress
from glot_cli.rendering import probe_backend
from glot_cli.results import Meta, Result, empty_arrays, load_result
from glot_cli.tracking.appearance import describe
from glot_cli.tracking.online import Tracker
from glot_cli.tracking.tracks import Track, clean_tracks
from glot_cli.video import Frame, VideoInfo, probe, read_frames

log = logging.getLogger(__name__)

SAME_RESULT = ("device", "batch_size", "quiet", "overwrite")  # options that change how, not what, a run computes
PARAMS, OVERLAY, FRAMES, RUN = "params.npz", "overlay.mp4", "frames", "run.json"


@dataclass(frozen=True)
class Options:
    """What a run can be told; the command line's options, one by one.

    body: open, smpl or a file, None for the preset's. gender: of SMPL. glot: another GLoT checkpoint. half: image
    features in half precision. focal: pixels, None for the image diagonal. start, end: seconds. detect_every: frames.
    min_frames: None for 0.4 s. refine: None for the preset's own way.
    """

    preset: str = "open"
    detector: str | None = None
    glot: str | None = None
    body: str | None = None
    gender: str | None = None
    half: bool = False
    device: str = "auto"
    batch_size: int = 16
    detect_every: int = 3
    min_frames: int | None = None
    max_people: int | None = None
    focal: float | None = None
    start: float | None = None
    end: float | None = None
    edges: Edges = "replicate"
    refine: bool | None = None
    style: str = "overlay"
    render: bool = True
    frames: bool = True
    overwrite: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "detect_every", "min_frames", "max_people"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more")
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise UsageError("--focal must be a number of pixels above 0")
        for name, seconds in (("start", self.start), ("end", self.end)):
            if seconds is not None and not 0 <= seconds < math.inf:
                raise UsageError(f"--{name} must be a number of seconds, 0 or more")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UsageError("--end must be later than --start")


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    folder holds the files; skipped: an earlier run had finished it, with other options if other_options; fault says why
    there is no overlay although one was wanted. mean_acceleration: of the joints by person, in
    millimetres per frame squared.
    """

    video: Path
    folder: Path
    people: int
    frames: int
    seconds: float
    skipped: bool = False
    other_options: bool = False
    overlay: Path | None = None
    fault: str | None = None
    warnings: list[str] = field(default_factory=list)
    mean_acceleration: dict[int, float] = field(default_factory=dict)


def output_folders(videos: Sequence[Path], out: Path) -> list[Path]:
    """Where each video's results go: `out`/<name without suffix>. Raises UsageError where two would share a folder."""
    folders: dict[Path, Path] = {}
    for video in videos:
        name = video.resolve().name if video.is_dir() else video.stem
        folder = out / (name or "video")
        if folder in folders:
            raise UsageError(f"{folders[folder]} and {video} would both write {folder}; rename one or run them apart")
        folders[folder] = video
    return list(folders)


class Runner:
    """Runs videos one after the other with models that are loaded once, when the first video needs them.

    alert: receives the line that has to be read before a run is over: there will be no pictures.
    """

    def __init__(self, options: Options, alert: Callable[[str], None] = log.error) -> None:
        self.preset = choose(options.preset, body=options.body, gender=options.gender, glot=options.glot)
        self._refines = self.preset.kind == "landmarks"  # unless it is told not to
        if options.refine and not self._refines:
            raise UsageError(f"--refine: preset {options.preset} sees no landmarks to draw poses onto; leave it out")
        # The preset's own way by its name, so that saying it aloud later is not taken for other options.
        self.options = replace(options, refine=self._refines if options.refine is None else options.refine)
        self._alert = alert
        self.device = pick_device(options.device)
        self._models: Models | None = None
        self._backend: str | None = None
        self._no_backend: str | None = None

    @property
    def models(self) -> Models:
        if self._models is None:
            self._models = load_models(
                self.preset,
                self.device,
                self.options.detector,
                self.options.half,
                bool(self.options.refine),
            )
        return self._models

    def run(self, video: Path, folder: Path) -> Outcome:
        """One video. Raises GlotError; parameters that were finished before a fault stay on disk."""
        options = self.options
        if (done := self._finished(video, folder)) is not None:
            return done
        begin = time.perf_counter()
        warnings: list[str] = []

        def warn(message: str) -> None:
            if message not in warnings:
                warnings.append(message)

        info = probe(video)
        _make_folder(folder)
        progress = Progress(video.name, options.quiet)
        if options.render:
            self._find_backend(progress)
        with progress.stage("load"):
            models = self.models
        tracks, seen, counts = self._track(video, info, models, progress, warn)
        features = self._features(video, folder, tracks, seen, models, progress)
        features, mended = models.lifter.clean(tracks, features, float(info.fps))
        counts |= mended
        _log_counts(video, mended)
        if not models.own_shape:
            warn(f"--body {models.body_name}: its shapes are not those the network knows; its average shape is used")
        with progress.stage("lift"):
            result = self._lift(video, info, tracks, seen, features, models)
        if not tracks:
            warn(f"{video}: no person found in {len(seen.times)} frames; nothing is drawn over them")
        with progress.stage("save"):
            _forget(folder)
            result.save(folder / PARAMS)
            if options.frames:
                _save_frames(result, folder / FRAMES)
        overlay = None
        fault = self._no_backend if options.render else None
        if options.render and not fault:
            overlay = folder / OVERLAY
            draw(result, video, overlay, models.body, style=options.style, progress=progress, warn=warn)
        seconds = time.perf_counter() - begin
        moving = mean_accelerations(result.joints3d, result.person, result.frame)
        smoothness = {person: 1000 * value for person, value in moving.items()}
        report = {
            "video": str(video.resolve()),
            "options": asdict(options),
            "device": self.device,
            "renderer": self._backend if options.render else None,
            "fault": fault,
            "people": len(tracks),
            "frames": len(seen.times),
            "rows": len(result),
            "mean_acceleration": {str(person): round(value, 2) for person, value in smoothness.items()},
            "tracking": counts,
            "seconds": round(seconds, 3),
            "fps": round(len(seen.times) / seconds, 2),
            "stages": progress.stages,
            "warnings": warnings,
            "program_version": __version__,
        }
        _write_json(folder / RUN, report)
        return Outcome(
            video,
            folder,
            len(tracks),
            len(seen.times),
            seconds,
            overlay=overlay,
            fault=fault,
            warnings=warnings,
            mean_acceleration=smoothness,
        )

    def _find_backend(self, progress: Progress) -> None:
        """See that meshes can be drawn before the networks run for minutes; if not, say so and go on without."""
        if self._backend or self._no_backend:
            return
        with progress.stage("try drawing"):
            try:
                self._backend = probe_backend()
            except GlotError as error:
                self._no_backend = str(error)
        if self._no_backend:
            self._alert(f"{self._no_backend}; parameters are computed all the same")

    def _finished(self, video: Path, folder: Path) -> Outcome | None:
        """The outcome of an earlier run of the same video, None where there is none or it is to be done (again).

        Raises GlotError when the folder holds the result of another video, finished or not.
        """
        if self.options.overwrite:
            return None
        report = _read_report(folder)
        source = _source_of(folder) if report is None else report["video"]
        if source not in (None, str(video.resolve())):
            raise GlotError(f"{folder}: holds the result of {source}; choose another --out or use --overwrite")
        if report is None or report["fault"]:
            return None
        told = report["options"]
        if told["refine"] is None:  # as older reports have it for the preset's own way
            told["refine"] = self._refines
        wanted = {PARAMS: True, OVERLAY: told["render"], FRAMES: told["frames"]}
        if not all((folder / name).exists() for name, made in wanted.items() if made):
            return None
        mine = {name: value for name, value in asdict(self.options).items() if name not in SAME_RESULT}
        other = any(told.get(name) != value for name, value in mine.items())
        return Outcome(
            video, folder, report["people"], report["frames"], report["seconds"], skipped=True, other_options=other
        )

    def _expected(self, info: VideoInfo) -> int | None:
        """How many frames there will be between --start and --end, None where the video does not say."""
        if info.frames is None:
            return None
        fps, start, end = float(info.fps), self.options.start or 0.0, self.options.end
        last = info.frames if end is None else min(info.frames, math.ceil(end * fps))
        return max(0, last - math.ceil(start * fps))

    def _track(
        self, video: Path, info: VideoInfo, models: Models, progress: Progress, warn: Callable[[str], None]
    ) -> tuple[list[Track], Seen, dict[str, int]]:
        """First pass: every person's boxes in every frame."""
        options = self.options
        fps = float(info.fps)
        tracker = Tracker(fps, options.detect_every)
        seen = Seen()
        batch: list[Frame] = []

        def detect() -> None:
            for frame, boxes in zip(batch, models.detector([f.image for f in batch]), strict=True):
                tracker.update(frame.index - seen.first, boxes, describe(frame.image, boxes))
            batch.clear()

        with progress.stage("detect and track", self._expected(info)) as bar:
            for number, frame in enumerate(read_frames(video, options.start, options.end, warn=warn)):
                seen.add(frame)
                if number % options.detect_every == 0:
                    batch.append(frame)
                    if len(batch) == DETECTOR_BATCH:
                        detect()
                bar.update()
            if batch:
                detect()
        tracks, counts = clean_tracks(
            tracker.finish(),
            fps=fps,
            frame_count=len(seen.times),
            detect_every=options.detect_every,
            min_frames=options.min_frames,
            max_people=options.max_people,
            crop_scale=models.features.crop_scale,
            image_size=(info.width, info.height),
        )
        _log_counts(video, counts)
        return tracks, seen, counts

    def _features(
        self, video: Path, folder: Path, tracks: list[Track], seen: Seen, models: Models, progress: Progress
    ) -> Features:
        """Second pass: the feature of every crop, (n, F) for each track."""
        network = models.features
        features = [_room((len(t.frames), network.feature_dim), folder) for t in tracks]
        rows_of: dict[int, list[tuple[int, int]]] = {}
        for number, track in enumerate(tracks):
            for row, frame in enumerate(track.frames.tolist()):
                rows_of.setdefault(frame, []).append((number, row))
        if not rows_of:
            return features
        crops: list[NDArray[np.uint8]] = []
        places: list[tuple[int, int]] = []
        # A batch is computed while the frames of the next are read: on a GPU the call returns before it is done.
        computed: list[tuple[list[tuple[int, int]], torch.Tensor]] = []

        def collect() -> None:
            for batch, values in computed:
                for (number, row), feature in zip(batch, values.cpu().numpy(), strict=True):
                    features[number][row] = feature
            computed.clear()

        def extract() -> None:
            values = network(np.concatenate(crops))
            collect()
            computed.append((places.copy(), values))
            crops.clear()
            places.clear()

        last = max(rows_of)
        with progress.stage("features", len(seen.times)) as bar:
            for frame in read_frames(video, self.options.start, self.options.end):
                index = frame.index - seen.first
                if index > last:
                    break
                rows = rows_of.get(index)
                if rows:
                    boxes = np.stack([tracks[number].crops[row] for number, row in rows])
                    crops.append(network.extract(frame.image, boxes, network.crop_size))
                    places.extend(rows)
                    if len(places) >= self.options.batch_size:
                        extract()
                bar.update()
            if places:
                extract()
            collect()
        return features

    def _lift(
        self,
        video: Path,
        info: VideoInfo,
        tracks: list[Track],
        seen: Seen,
        features: Features,
        models: Models,
    ) -> Result:
        """GLoT over every track, and the record of all."""
        options, preset = self.options, models.preset
        focal = options.focal or float(np.hypot(info.width, info.height))
        view = View(float(info.fps), focal, torch.tensor([info.width / 2, info.height / 2]))
        step = max(1, round(view.fps / preset.window_fps))
        parts = []
        for track, feature in zip(tracks, features, strict=True):
            lifted = models.lifter.lift(track, torch.from_numpy(feature), view, step=step, edges=options.edges)
            parts.append(_rows(track, lifted, seen, view))
        arrays = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]} if parts else empty_arrays()
        meta = Meta(
            video=video.name,
            source=str(video.resolve()),
            width=info.width,
            height=info.height,
            fps=str(Fraction(info.fps)),
            frame_count=len(seen.times),
            start_frame=seen.first,
            focal_length=focal,
            body_model=models.body_name,
            body_model_sha256=models.body_hash,
            preset=preset.name,
            weights=models.hashes,
            program_version=__version__,
        )
        return Result(arrays, meta)


IN_MEMORY = 32 << 20  # bytes of one person's features; longer tracks lie on the disk
DETECTOR_BATCH = 4  # frames; more does not pay on a CPU, and a 4K frame is 25 MB


class Seen:
    """The frames that the first pass saw: number of the first, time of each in seconds."""

    def __init__(self) -> None:
        self.first = 0
        self.times: list[float] = []

    def add(self, frame: Frame) -> None:
        if not self.times:
            self.first = frame.index
        self.times.append(float(frame.time))


def _room(shape: tuple[int, int], folder: Path) -> NDArray[np.float32]:
    """Zeros in memory, or, where they are many, in a nameless file in the folder: memory must not grow with a video."""
    size = math.prod(shape) * 4
    if size <= IN_MEMORY:
        return np.zeros(shape, np.float32)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            claim(file, size)
            return np.memmap(file, np.float32, "r+", shape=shape)
    except OSError as error:
        raise GlotError(f"{folder}: no room to work in ({error.strerror}); choose another --out") from error


def _log_counts(video: Path, counts: dict[str, int]) -> None:
    if any(counts.values()):
        log.info("%s: %s", video, ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n))


def _rows(track: Track, lifted: Lifted, seen: Seen, view: View) -> dict[str, NDArray[Any]]:
    """One person's rows of the record."""
    count = len(track.frames)
    moved = lifted.joints + lifted.transl[:, None]
    return {
        "frame": (track.frames + seen.first).astype(np.int32),
        "person": np.full(count, track.person, np.int32),
        "time": np.asarray(seen.times)[track.frames],
        "pose": torch.cat([rotmat_to_axis_angle(part) for part in lifted.rotmat.split(256)]).numpy().astype(np.float32),
        "betas": lifted.betas.expand(count, -1).numpy().astype(np.float32),
        "betas_frame": lifted.betas_frame.numpy().astype(np.float32),
        "camera": lifted.camera.numpy().astype(np.float32),
        "camera_network": lifted.camera_network.numpy().astype(np.float32),
        "global_orient_network": rotmat_to_axis_angle(lifted.root_network).numpy().astype(np.float32),
        "box": track.crops.astype(np.float32),
        "transl": lifted.transl.numpy().astype(np.float32),
        "joints3d": (lifted.joints - lifted.joints[:, :1]).numpy().astype(np.float32),
        "joints2d": project_pinhole(moved, view.focal, view.centre).numpy().astype(np.float32),
        "score": track.score.astype(np.float32),
        "interpolated": track.interpolated,
    }


def _make_folder(folder: Path) -> None:
    """Make the output folder and see that it can be written, before anything long begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".{os.getpid()}.part"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise GlotError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


def _read_report(folder: Path) -> dict[str, Any] | None:
    """The run.json of a finished run, None where there is none that can be understood."""
    try:
        report = json.loads((folder / RUN).read_text(encoding="utf-8"))
        if not {"video", "fault", "people", "frames", "seconds", "options"} <= report.keys():
            return None
        report["options"] = asdict(Options()) | report["options"]  # an older version had fewer
        return report
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _source_of(folder: Path) -> str | None:
    """The video whose record an unfinished run left in a folder, None where there is no record."""
    try:
        return load_result(folder / PARAMS).meta.source
    except GlotError:
        return None


def _forget(folder: Path) -> None:
    """Remove what speaks of an older record: new parameters are about to come, and an old picture would not fit them.

    The report goes first: without it nobody takes the folder for finished.
    """
    try:
        (folder / RUN).unlink(missing_ok=True)
        (folder / OVERLAY).unlink(missing_ok=True)
        if (folder / FRAMES).exists():
            aside = folder / f".{FRAMES}.{os.getpid()}.old.part"
            (folder / FRAMES).rename(aside)  # at once, so that never half of it is there
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise GlotError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


def _save_frames(result: Result, folder: Path) -> None:
    """Write the files of every frame aside and give the whole folder its name."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        result.save_frames(aside)
        aside.rename(folder)
    except OSError as error:
        raise GlotError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_json(path: Path, report: dict[str, Any]) -> None:
    try:
        with whole(path) as aside:
            aside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise GlotError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
