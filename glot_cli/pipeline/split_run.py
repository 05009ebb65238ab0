"""A run of one long video in steps, which many processes on many machines take: pieces of it at a time.

Pieces overlap. In each, people and the background are followed (`follow`); all that is put together, and people are
told apart once, in the whole video (`join`). Their crops are looked at piece by piece again (`look`). Lifting, the
world and the record are of the whole video (`lift`), for a person has one shape, and a video one lens. The picture is
drawn piece by piece (`draw`) and put together without encoding it anew (`finish`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError
from glot_cli.files.npz import Arrays
from glot_cli.pipeline.borders import borders_of, stretch_of
from glot_cli.pipeline.draw import Part, draw
from glot_cli.pipeline.folder import PARAMS
from glot_cli.pipeline.models import Models
from glot_cli.pipeline.passes import (
    Place,
    crops_of,
    log_counts,
    look_at_crops,
    no_features,
    tell_apart,
    watch,
)
from glot_cli.pipeline.piece_reading import frames_about, frames_of
from glot_cli.pipeline.pieces import (
    TO_LOOK,
    Log,
    PieceFolder,
    Watched,
    Whole,
    added_up,
    put_pieces_together,
    remove_pieces,
    tracks_from_arrays,
    tracks_to_arrays,
)
from glot_cli.pipeline.report import Outcome, Warnings
from glot_cli.pipeline.run import BothPasses, Drawing, Runner, check_unchanged, of_video, tell_rate
from glot_cli.progress import Progress
from glot_cli.results import load_result
from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.tracks import Track
from glot_cli.video import Frame, VideoInfo, probe, read_frames
from glot_cli.video.reading import seconds_of
from glot_cli.video.splicing import splice
from glot_cli.weights.bodies import recorded_body

_FRAMES = ("origin", "stamps", "parts")  # what `join` leaves of them, as in `Whole`

Stages = list[tuple[str, int]]  # names of steps, and of how many pieces they are; each stage waits for the one before


class SplitRun:
    """Runs one video in steps. Any process may take any step whose stage has come; what is done is not done again.

    Args:
        runner: with the options of the run.
        video: a video file or a folder of images.
        folder: the folder of its result.
        seconds: the longest that a piece may be.

    Raises:
        InputError: the video cannot be read.
    """

    def __init__(self, runner: Runner, video: Path, folder: Path, seconds: float) -> None:
        self._runner, self._video, self._options, self._seconds = runner, video, runner.options, seconds
        self._place = runner.place_of(video, folder)

    @cached_property
    def _info(self) -> VideoInfo:
        return probe(self._video, self._options.fps, self._options.max_pixels)

    @cached_property
    def _borders(self) -> list[float]:
        return borders_of(self._info, self._options, self._seconds)

    @cached_property
    def _pieces(self) -> PieceFolder:
        video_id = self._place.source.video_id
        return PieceFolder(self._place.path, video_id, self._options, self._runner.weights, self._borders)

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self._borders) + 1

    def plan(self) -> Outcome | Stages:
        """What is to be done: nothing, where an earlier run has finished it; no stages, where it is to be run whole.

        Raises:
            InputError: the video cannot be read.
            OutputError: its folder cannot be written, or holds what may not be replaced.
        """
        earlier = self._runner.earlier(self._video, self._place)
        if isinstance(earlier, Outcome):
            remove_pieces(self._place.path)  # somebody else has finished it
            return earlier
        drawable = earlier is not None and not self._pieces.path.is_dir()
        if not self._borders or drawable:
            return []
        with self._place.held():
            if self._options.report:
                self._place.check_page()
            self._pieces.make()
        drawing = [("draw", self.count)] if self._options.render else []
        return [("follow", self.count), ("join", 1), ("look", self.count), ("lift", 1), *drawing, ("finish", 1)]

    def step(self, name: str, piece: int) -> Outcome | None:
        """Take a step.

        Args:
            name: of its stage.
            piece: which of the stage's, from 0.

        Returns:
            What became of the video, after the last step alone.

        Raises:
            GlotError: it failed.
        """
        if name == "finish":
            return self._finish()
        label = _label(name, piece)
        if self._pieces.log(label) is None:
            begin, progress, warn = time.perf_counter(), Progress(self._video.name, self._options.quiet), Warnings()
            if name == "draw":
                log = self._draw(piece, progress, warn)
            else:
                steps: dict[str, Callable[[int, Progress, Warnings], dict[str, int] | None]] = {
                    "follow": self._follow,
                    "join": self._join,
                    "look": self._look,
                    "lift": self._lift,
                }
                counts = steps[name](piece, progress, warn)
                if counts is None:
                    return None
                log = Log(0.0, progress.stages, list(warn), counts)
            check_unchanged(self._video, self._place.source)
            others = [self._place.path / PARAMS] if name == "lift" else []
            self._pieces.close(label, replace(log, seconds=round(time.perf_counter() - begin, 3)), *others)
        return None

    def _follow(self, piece: int, progress: Progress, warn: Warnings) -> dict[str, int]:
        """Follow people and the background through a piece, and a little beyond it on either side."""
        info, options = self._info, self._options
        with progress.stage("load"):
            models = self._runner.models
        _, end, next_begin = stretch_of(piece, self._borders, info, options)
        with closing(read_frames(info)) as opening:  # type: ignore[type-var]  # a generator
            origin = next(opening).pts
        if piece == 0:
            tell_rate(info, options, warn)
            self._runner.given_camera(info)
            frames = read_frames(info, options.start, end, warn=warn)
        else:
            frames = frames_about(piece, self._borders, info, options, origin, warn)
        # Where the next piece begins within a shot, it does not know where that began: both look from there on.
        anew = None if next_begin is None else origin * info.time_base + seconds_of(next_begin)
        stamps: list[int] = []
        first = 0

        def noted() -> Iterator[Frame]:
            nonlocal first
            try:
                for frame in frames:
                    first = first if stamps else frame.index
                    stamps.append(frame.pts)
                    yield frame
            except InputError as error:
                # It is shorter than it says, or there is a pause: then the piece is empty.
                if error.option != "start":
                    raise
                if not piece:
                    with closing(read_frames(info, options.start, options.end)) as later:  # type: ignore[type-var]
                        first = next(later).index

        tracklets, seen = watch(noted(), info, models, options, progress, None, anew)
        numbers = [np.searchsorted(seen.ticks, tracklet.frames).astype(float) for tracklet in tracklets]
        self._pieces.save(
            _label("follow", piece),
            Watched(
                first,
                origin,
                np.array(stamps, np.int64),
                seen.shots,
                [replace(tracklet, frames=number) for tracklet, number in zip(tracklets, numbers, strict=True)],
                seen.background,
            ).to_arrays(),
        )
        return {}

    def _put_together(self) -> tuple[list[Tracklet], Whole]:
        """What all pieces saw."""
        pieces = [Watched.from_arrays(self._pieces.load(_label("follow", number))) for number in range(self.count)]
        return put_pieces_together(pieces, self._borders, self._info.time_base, float(self._info.fps))

    def _join(self, piece: int, progress: Progress, warn: Warnings) -> dict[str, int]:
        """Tell who is who in the whole video."""
        with progress.stage("load"):
            models = self._runner.models
        with progress.stage("join pieces"):
            tracklets, whole = self._put_together()
            tracks, counts = tell_apart(tracklets, whole.seen, self._info, models, self._options)
        log_counts(self._video, counts)
        of_video(self._runner.given_camera(self._info), self._info, whole.seen)  # or it is another video's
        frames = dict(zip(_FRAMES, (np.array(whole.origin), whole.stamps, whole.parts), strict=True))
        self._pieces.save(_label("join"), {**tracks_to_arrays(tracks), **frames})
        return counts

    def _look(self, piece: int, progress: Progress, warn: Warnings) -> dict[str, int]:
        """Compute the features of the crops of a piece."""
        with progress.stage("load"):
            models = self._runner.models
        joined = self._pieces.load(_label("join"), *_FRAMES, *TO_LOOK)
        tracks = tracks_from_arrays(joined)
        wanted = self._crops_in(piece, tracks, joined, models)
        seen = [np.zeros((0, 2), np.int64)]
        values = [np.zeros((0, models.features.feature_dim), np.float32)]

        def store(places: list[Place], found: NDArray[np.float32]) -> None:
            seen.append(np.array(places, np.int64))
            values.append(found)

        if wanted:
            span = int(joined["parts"][piece + 1] - joined["parts"][piece])
            look_at_crops(
                frames_of(piece, joined, self._info),
                wanted,
                tracks,
                models,
                self._options,
                progress,
                span,
                store,
            )
        self._pieces.save(_label("look", piece), {"crops": np.concatenate(seen), "features": np.concatenate(values)})
        return {}

    def _lift(self, piece: int, progress: Progress, warn: Warnings) -> dict[str, int] | None:
        """Lift everybody through the whole video, and save the record; None where somebody else did so meanwhile."""
        with self._place.held():
            if self._pieces.log(_label("lift")) is not None:
                return None
            logs = list(self._logs())
            begin = time.perf_counter() - sum(log.seconds for log in logs)
            with progress.stage("load"):
                models = self._runner.models
            for line in (line for log in logs for line in log.warnings):
                warn(line)
            _, whole = self._put_together()
            tracks = tracks_from_arrays(self._pieces.load(_label("join")))
            features = no_features(tracks, models, self._place.path)
            for number in range(self.count):
                looked = self._pieces.load(_label("look", number))
                of, rows = looked["crops"].T
                for track in np.unique(of).tolist():
                    features[track][rows[of == track]] = looked["features"][of == track]
            counts: Counter[str] = Counter()
            for log in logs:
                counts.update(log.counts)
            found = BothPasses(tracks, whole.seen, features, dict(counts))
            camera = of_video(self._runner.given_camera(self._info), self._info, whole.seen)
            self._runner.save_record(self._video, self._info, self._place, camera, found, progress, warn, begin)
        return {}

    def _draw(self, piece: int, progress: Progress, warn: Warnings) -> Log:
        """Draw the frames of a piece."""
        self._runner.find_backend(progress)
        log = Log(0.0, progress.stages, warn, {}, self._runner.backend, self._runner.no_backend)
        joined = self._pieces.load(_label("join"), *_FRAMES)
        begin, end = joined["parts"][piece : piece + 2].tolist()
        if log.fault or begin == end:
            return log
        self._check_record()
        params = self._place.path / PARAMS
        result = load_result(params)
        meta = result.meta
        body = recorded_body(meta.body_model, meta.body_model_sha256, record=params)
        first = meta.start_frame
        stamps: list[int] = []

        def shown() -> Iterator[Frame]:
            for number, frame in frames_of(piece, joined, self._info):
                stamps.append(frame.pts)
                yield replace(frame, index=first + number)

        part = Part(shown(), first + begin, first + end)
        target = self._pieces.picture(_label("draw", piece))
        draw(result, self._video, target, body, style=self._options.style, progress=progress, warn=warn, part=part)
        return replace(log, stamp=stamps[0])

    def _finish(self) -> Outcome:
        """Put the picture together, close the report, and remove what the steps have left for each other."""
        with self._place.held():
            earlier = self._runner.earlier(self._video, self._place, even_to_overwrite=True)
            if isinstance(earlier, Outcome) and not earlier.other_options and not earlier.other_weights:
                remove_pieces(self._place.path)  # who came later finds nothing left to do
                return earlier
            self._check_record()
            report = self._place.report()
            assert report is not None  # it is written before the step is done
            logs = list(self._logs())
            begin = time.perf_counter() - sum(log.seconds for log in logs)
            progress = Progress(self._video.name, self._options.quiet)
            progress.stages |= added_up(logs)
            warnings = Warnings(report["warnings"])
            for log in logs:
                for line in log.warnings:
                    warnings(line)
            fault = next((log.fault for log in logs if log.fault), None)
            renderer = next((log.renderer for log in logs if log.renderer), None)

            def make(target: Path, warn: Callable[[str], None]) -> None:
                drawn = list(self._drawn())
                sound = self._video if self._info.has_audio else None
                with progress.stage("put the picture together"):
                    splice(
                        drawn,
                        target,
                        origin=drawn[0][1],
                        time_base=self._info.time_base,
                        audio_from=sound,
                        warn=warn,
                    )

            outcome = self._runner.finish(
                self._video,
                self._place,
                load_result(self._place.path / PARAMS),
                report | {"warnings": warnings},
                progress,
                begin,
                Drawing(make, renderer, fault),
            )
        remove_pieces(self._place.path)
        return outcome

    def _drawn(self) -> Iterator[tuple[Path, int]]:
        """What was drawn of every piece that has frames, and their first time stamps. Raises InputError."""
        for piece in range(self.count):
            log, picture = self._pieces.log(_label("draw", piece)), self._pieces.picture(_label("draw", piece))
            if log is None:
                remedy = "run it again when nobody else writes there"
                raise InputError("a piece of the picture that is gone or was changed", path=picture, remedy=remedy)
            if log.stamp is not None:
                yield picture, log.stamp

    def _check_record(self) -> None:
        """See that the record is that of the pieces. Raises InputError."""
        if self._pieces.log(_label("lift")) is None or self._place.report() is None:
            remedy = "run it again when nobody else writes there"
            raise InputError(
                "the record of its pieces is gone, or another one now", path=self._place.path, remedy=remedy
            )

    def _logs(self) -> Iterator[Log]:
        """What the steps that are done have said, in order."""
        for name, count in (
            ("follow", self.count),
            ("join", 1),
            ("look", self.count),
            ("lift", 1),
            ("draw", self.count),
        ):
            for piece in range(count):
                if (log := self._pieces.log(_label(name, piece))) is not None:
                    yield log

    def _crops_in(self, piece: int, tracks: list[Track], joined: Arrays, models: Models) -> dict[int, list[Place]]:
        """The crops that are looked at in the frames of a piece, by the number of their frame."""
        begin, end = joined["parts"][piece : piece + 2].tolist()
        return {f: places for f, places in crops_of(tracks, self._info, models).items() if begin <= f < end}


def _label(name: str, piece: int = 0) -> str:
    return f"{name}-{piece:04d}"
