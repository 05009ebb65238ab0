"""A whole run: video in, record and overlay out. Reads the video once for tracks, once for features, once to draw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from glot_cli.body.model import Body
from glot_cli.device import pick_device
from glot_cli.errors import GlotError, InputError, OutputError, RenderError, UsageError, counted
from glot_cli.exporting.timeline import frame_times
from glot_cli.files.opening import expanded
from glot_cli.lifting.lifters import Features
from glot_cli.pipeline.draw import draw
from glot_cli.pipeline.folder import OVERLAY, PARAMS, ResultFolder
from glot_cli.pipeline.models import Models, hashes_of, load_models, weight_files
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import Timeline, compute_features, follow_people, log_counts
from glot_cli.pipeline.pieces import remove_pieces
from glot_cli.pipeline.presets import choose
from glot_cli.pipeline.record import doubts, make_record, mean_acceleration
from glot_cli.pipeline.report import Outcome, Report, Warnings, earlier_run, finish_report, new_report
from glot_cli.pipeline.video_source import Source
from glot_cli.progress import Progress
from glot_cli.rendering import BackendSearch
from glot_cli.results import Result, load_result
from glot_cli.tracking.tracks import Track
from glot_cli.video import VideoInfo, probe
from glot_cli.video.stills import stills
from glot_cli.viewer.report_page import Still, report_page, still_times
from glot_cli.weights.bodies import recorded_body
from glot_cli.world.given import GivenCamera, read_camera

STILL_WIDTH = 480  # pixels

log = logging.getLogger(__name__)

_MENDED_BY = {OutputError: "out", RenderError: "render"}  # the option that mends a fault which names none


class BothPasses(NamedTuple):
    """What the two passes over a video found.

    Attributes:
        tracks: one for each person in each shot.
        seen: the frames.
        features: of every track, looked at where that pays.
        counts: what was mended in the tracks, by name.
    """

    tracks: list[Track]
    seen: Timeline
    features: Features
    counts: dict[str, int]


class Drawing(NamedTuple):
    """How a picture comes about.

    Attributes:
        make: makes the file; its second argument receives one line for each fault that did not stop it.
        renderer: what draws, None where nothing can.
        fault: why nothing can.
    """

    make: Callable[[Path, Callable[[str], None]], None]
    renderer: str | None
    fault: str | None


class Runner:
    """Runs videos one after the other with models that are loaded once, when the first video needs them.

    Args:
        options: what to run.
        alert: receives the line that has to be read before a run is over: there will be no pictures.
        inputs: all files and folders of the call, none of which is ever touched.
        search: for a way to draw, where it has begun already.

    Attributes:
        preset: as chosen.
        options: as they are in full.
        device: that the networks run on.
        backend: what draws, once it is found.
        no_backend: why nothing can draw, once that is known.

    Raises:
        UsageError: options that do not go together, or weights that nobody has brought yet.
    """

    def __init__(
        self,
        options: Options,
        alert: Callable[[str], None] = log.error,
        inputs: Sequence[Path] = (),
        search: BackendSearch | None = None,
    ) -> None:
        self.preset = choose(options.preset, body=options.body, gender=options.gender, glot=options.glot)
        refines = self.preset.refines  # unless it is told not to
        if options.refine and not refines:
            reason = f"preset {options.preset} sees no landmarks to draw poses onto"
            raise UsageError(reason, option="refine", remedy="leave it out")
        # The preset's own way by its name, so that saying it aloud later is not taken for other options.
        self.options = replace(options, refine=refines if options.refine is None else options.refine)
        self.device = pick_device(options.device)
        self._alert = alert
        named = (options.detector, options.glot, options.body)
        self._inputs = [*inputs, *(expanded(name) for name in named if name)]
        self._search = search
        self.backend: str | None = None
        self.no_backend: str | None = None

    @cached_property
    def models(self) -> Models:
        """The networks and the body, loaded when first asked for."""
        options = self.options
        return load_models(
            self.preset, self.device, options.detector, options.half, bool(options.refine), options.trust_detector
        )

    @cached_property
    def weights(self) -> dict[str, str]:
        """SHA-256 of every weight file, by role."""
        return hashes_of(weight_files(self.preset, self.options.detector))

    def place_of(self, video: Path, folder: Path) -> ResultFolder:
        """The folder of a video's result. Raises InputError where the video cannot be read."""
        return ResultFolder(folder, Source.of(video), self._inputs)

    def run(self, video: Path, folder: Path) -> Outcome:
        """Run one video.

        Args:
            video: a video file, a folder of images or an image.
            folder: the folder of its result.

        Raises:
            GlotError: it failed; parameters that were finished before stay on the disk.
        """
        place = self.place_of(video, folder)
        try:
            if isinstance(earlier := self.earlier(video, place), Outcome):
                return earlier
            info = probe(video, self.options.fps, self.options.max_pixels)
            with place.held():
                if self.options.report:
                    place.check_page()
                earlier = self.earlier(video, place)
                # Another run may have finished it in between.
                return earlier if isinstance(earlier, Outcome) else self._run(video, info, place, earlier)
        except GlotError as error:
            error.option = error.option or _MENDED_BY.get(type(error))
            raise

    def _run(self, video: Path, info: VideoInfo, place: ResultFolder, earlier: Report | None) -> Outcome:
        """One video whose folder is held: all of it, or only what an earlier run has left to do."""
        begin = time.perf_counter()
        progress = Progress(video.name, self.options.quiet)
        if self.options.render:
            self._search = self._search or BackendSearch()  # goes on while models are loaded
        if earlier is None:
            result, body, report = self._compute(video, info, place, progress, begin)
        else:
            result, body, report = self._read(place, earlier, progress)
            begin -= float(earlier["seconds"])

        def make(target: Path, warn: Callable[[str], None]) -> None:
            draw(result, video, target, body, style=self.options.style, progress=progress, warn=warn)

        drawing = Drawing(make, self.backend, self.no_backend)
        outcome = self.finish(video, place, result, report, progress, begin, drawing)
        remove_pieces(place.path)  # of a run in pieces that was given up
        return outcome

    def _compute(
        self, video: Path, info: VideoInfo, place: ResultFolder, progress: Progress, begin: float
    ) -> tuple[Result, Body, Report]:
        """Run the networks and save the record: the record, its body and its report."""
        options, warn = self.options, Warnings()
        with progress.stage("load"):
            models = self.models
        self.find_backend(progress)
        tell_rate(info, options, warn)
        given = self.given_camera(info)
        tracks, seen, counts = follow_people(video, info, models, options, progress, warn)
        check_unchanged(video, place.source)
        given = of_video(given, info, seen)
        features = compute_features(info, place.path, tracks, seen, models, options, progress)
        check_unchanged(video, place.source)
        found = BothPasses(tracks, seen, features, counts)
        result, report = self.save_record(video, info, place, given, found, progress, warn, begin)
        return result, models.body, report

    def save_record(
        self,
        video: Path,
        info: VideoInfo,
        place: ResultFolder,
        given: GivenCamera | None,
        found: BothPasses,
        progress: Progress,
        warn: Warnings,
        begin: float,
    ) -> tuple[Result, Report]:
        """Lift what the two passes found; save the record and a report that is not finished.

        Args:
            video: the source.
            info: what `probe` says of it.
            place: the folder of its result, which is held.
            given: the camera's motion in these frames, where a file tells it.
            found: by both passes.
            progress: of the run.
            warn: receives one line for each fault that did not stop the run.
            begin: when the run began, as `time.perf_counter` counts.

        Raises:
            OutputError: it cannot be written.
        """
        options, models = self.options, self.models
        tracks, seen, features, counts = found
        features, mended = models.lifter.clean(tracks, features, float(info.fps))
        log_counts(video, mended)
        if not models.own_shape:
            warn(f"body {models.body_name}: its shapes are not those the network knows; its average shape is used")
        with progress.stage("lift"):
            result = make_record(place.source, info, tracks, seen, features, models, options, given, warn)
        if not tracks:
            warn(f"{video}: no person found in {counted(len(seen.times), 'frame')}; nothing is drawn over them")
        for doubt in doubts(result):
            warn(doubt)
        with progress.stage("save"):
            place.save(result, options.frames)
        seconds = time.perf_counter() - begin
        report = new_report(place, options, models.hashes, self.device, result, counts | mended, warn, seconds)
        place.write_report(report)  # from here on, a run that is stopped has only to draw
        return result, report

    def _read(self, place: ResultFolder, report: Report, progress: Progress) -> tuple[Result, Body, Report]:
        """The record of an earlier run that was not drawn, its body and its report. No network is loaded."""
        self.find_backend(progress)
        result = load_result(place.path / PARAMS)
        if self.options.frames and not place.has_frames(result.meta.frame_count):
            place.save_frames(result)
        body = recorded_body(result.meta.body_model, result.meta.body_model_sha256, record=place.path / PARAMS)
        return result, body, report | {"warnings": Warnings(report["warnings"])}

    def finish(
        self,
        video: Path,
        place: ResultFolder,
        result: Result,
        report: Report,
        progress: Progress,
        begin: float,
        drawing: Drawing,
    ) -> Outcome:
        """Make the picture of a record that is saved, and close its report.

        Args:
            video: the source.
            place: the folder of its result, which is held.
            result: the record.
            report: of its run, not finished.
            progress: of the run.
            begin: when the run began, as `time.perf_counter` counts.
            drawing: how the picture comes about.
        """
        warn, fault, overlay = report["warnings"], None, None
        if self.options.render:
            fault = drawing.fault
            overlay = None if fault else place.path / OVERLAY
        drawn = report["finished"] and report["options"]["style"] == self.options.style and place.has(OVERLAY)
        if overlay is not None and not drawn:
            drawing.make(overlay, warn)
            if place.source.is_other(video):
                warn(f"{video}: was changed while it was drawn over; the picture may not fit")
        seconds = time.perf_counter() - begin
        renderer = drawing.renderer if self.options.render else None
        report = finish_report(report, self.options, seconds, progress, renderer, fault)
        if self.options.report:
            place.write_page(_page(place, result, report))
        place.write_report(report)
        return Outcome(
            video,
            place.path,
            report["people"],
            report["frames"],
            seconds,
            overlay=overlay,
            fault=fault,
            warnings=list(warn),
            mean_acceleration=mean_acceleration(result),
        )

    def given_camera(self, info: VideoInfo) -> GivenCamera | None:
        """The camera's motion that a file tells; before networks run, for the file may be none."""
        camera = self.options.camera
        if camera is None or camera in ("static", "moving"):
            return None
        given = read_camera(expanded(camera))
        given.check_size(info.width, info.height)
        return given

    def find_backend(self, progress: Progress) -> None:
        """See that meshes can be drawn before the networks run for minutes; if not, say so and go on without."""
        if not self.options.render or self.backend or self.no_backend:
            return
        self._search = self._search or BackendSearch()
        with progress.stage("try drawing"):
            try:
                self.backend = self._search.result()
            except GlotError as error:
                self.no_backend = str(error)
                self._alert(f"{error}; parameters are computed all the same")

    def earlier(self, video: Path, place: ResultFolder, even_to_overwrite: bool = False) -> Outcome | Report | None:
        """What an earlier run left, see `report.earlier_run`; nothing where it is to be overwritten, unless asked."""
        if self.options.overwrite and not even_to_overwrite:
            return None
        return earlier_run(video, place, self.options, lambda: self.weights)


def _page(place: ResultFolder, result: Result, report: Report) -> str:
    """The page of a result, with pictures where one was drawn."""
    pictures = []
    if len(result) and place.has(OVERLAY) and not report["fault"]:
        moments = still_times(result)
        begin = frame_times(result)[0]  # with this frame the picture begins, at 0 whatever the video's clock says
        shown = stills(place.path / OVERLAY, [time - begin for time, _ in moments], STILL_WIDTH)
        pictures = [Still(time, jpeg, why) for (time, why), jpeg in zip(moments, shown, strict=True)]
    return report_page(result, report, pictures)


def of_video(given: GivenCamera | None, info: VideoInfo, seen: Timeline) -> GivenCamera | None:
    """What a file tells of the camera, of the frames that were seen. Raises InputError where it is another video's."""
    return given and given.of_frames(seen.first, len(seen.times), info.frames if info.frames_told else None)


def check_unchanged(video: Path, source: Source) -> None:
    """Raise InputError where a video that was read is not the one that was begun with: no two passes would agree."""
    if source.is_other(video):
        remedy = "run it again when nothing writes to it any more"
        raise InputError("was changed or replaced while it was read", path=video, remedy=remedy)


def tell_rate(info: VideoInfo, options: Options, warn: Callable[[str], None]) -> None:
    """Say where the frame rate is not the one that was meant, as far as is known."""
    if info.fps_from == "nobody" and info.frames != 1:
        warn(f"{info.path}: does not say how many frames a second it has; taken for {float(info.fps):g}")
    elif options.fps is not None and info.fps_from != "caller":
        warn(f"{info.path}: its own time stamps say {float(info.fps):.2f} frames a second, which stay")
