"""run.json: what ran with which options, and what a later run makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glot_cli._version import __version__
from glot_cli.pipeline.folder import OVERLAY, PAGE, PARAMS, ResultFolder
from glot_cli.pipeline.options import SAME_RECORD, SAME_RESULT, Options
from glot_cli.pipeline.record import mean_acceleration
from glot_cli.progress import Progress
from glot_cli.results import Result

Report = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    Attributes:
        video: the source.
        folder: where the files are.
        people: how many were found.
        frames: how many frames were looked at.
        seconds: how long it took.
        skipped: an earlier run had finished it.
        other_options: names of the options that were others in that run.
        other_weights: that run had other weights.
        overlay: the picture, None where none was wanted or none could be drawn.
        fault: why there is no picture although one was wanted.
        warnings: one line for each fault that did not stop the run.
        mean_acceleration: of the joints, millimetres per frame squared, by person.
    """

    video: Path
    folder: Path
    people: int
    frames: int
    seconds: float
    skipped: bool = False
    other_options: tuple[str, ...] = ()
    other_weights: bool = False
    overlay: Path | None = None
    fault: str | None = None
    warnings: list[str] = field(default_factory=list)
    mean_acceleration: dict[int, float] = field(default_factory=dict)


class Warnings(list[str]):
    """Lines for the user, each once."""

    def __call__(self, line: str) -> None:
        if line not in self:
            self.append(line)


def new_report(
    place: ResultFolder,
    options: Options,
    weights: dict[str, str],
    device: str,
    result: Result,
    counts: dict[str, int],
    warnings: Warnings,
    seconds: float,
) -> Report:
    """The report of a record that is saved and has still to be drawn.

    Args:
        place: the folder of the result.
        options: of the run.
        weights: SHA-256 of every weight file, by role.
        device: that the networks ran on.
        result: the record.
        counts: what was mended while people were followed, by name.
        warnings: so far.
        seconds: that it took so far.
    """
    moving = {str(person): round(value, 2) for person, value in mean_acceleration(result).items()}
    return {
        "video": str(place.source.path),
        "video_id": place.source.video_id,
        "finished": False,
        "options": asdict(options),
        "weights": weights,
        "device": device,
        "renderer": None,
        "fault": None,
        "people": len(result.people),
        "frames": result.meta.frame_count,
        "rows": len(result),
        "shots": len(result.meta.shots),
        "worlds": [
            {"first_frame": first, "camera_motion": motion, "camera_confidence": sure, "gravity_error": off}
            for first, motion, sure, off in zip(
                result.meta.shots,
                result.meta.camera_motion,
                result.meta.camera_confidence,
                result.meta.gravity_error,
                strict=False,
            )
        ],
        "mean_acceleration": moving,
        "tracking": counts,
        "seconds": round(seconds, 3),
        "fps": 0.0,
        "stages": {},
        "warnings": warnings,
        "program_version": __version__,
    }


def finish_report(
    report: Report, options: Options, seconds: float, progress: Progress, renderer: str | None, fault: str | None
) -> Report:
    """The report of a run that is over.

    Args:
        report: of its record.
        options: of the run that drew it.
        seconds: that it took, those of its record included.
        progress: of the run.
        renderer: what drew, None where nothing was to be drawn.
        fault: why nothing could be drawn, None where all is well.
    """
    return report | {
        "finished": True,
        "options": asdict(options) | {name: report["options"][name] for name in SAME_RESULT & report["options"].keys()},
        "renderer": renderer,
        "fault": fault,
        "seconds": round(seconds, 3),
        "fps": round(report["frames"] / seconds, 2),
        "stages": report["stages"] | progress.stages,
    }


def earlier_run(
    video: Path, place: ResultFolder, options: Options, weights: Callable[[], dict[str, str]]
) -> Outcome | Report | None:
    """What an earlier run of the same video left.

    Args:
        video: the source.
        place: the folder of its result.
        options: of the run that is to come.
        weights: gives the SHA-256 of every weight file of that run, by role; asked only where there is a report.

    Returns:
        Its outcome where it is finished; its report where its record stands and only what is made of the record is
        missing; None where there is nothing to go on from.

    Raises:
        OutputError: the folder holds the result of another video.
    """
    place.refuse_other_content()
    report = place.report()
    if report is None or not place.has(PARAMS):
        return None
    told = asdict(Options()) | report["options"]  # what earlier versions could not be told was as it is by default
    report["options"] = told
    other = {name for name, value in asdict(options).items() if told[name] != value}
    other_weights = report["weights"] != weights()
    drawn, framed, paged = place.has(OVERLAY), place.has_frames(report["frames"]), place.has(PAGE)
    same_record = not other_weights and not other - SAME_RESULT - SAME_RECORD
    complete = (drawn or not told["render"]) and (framed or not told["frames"]) and (paged or not told["report"])
    missing = (options.render and not drawn) or (options.frames and not framed) or (options.report and not paged)
    wants_more = same_record and missing
    if report["finished"] and not report["fault"] and complete and not wants_more:
        return Outcome(
            video,
            place.path,
            report["people"],
            report["frames"],
            report["seconds"],
            skipped=True,
            other_options=tuple(name for name in told if name in other - SAME_RESULT),
            other_weights=other_weights,
            overlay=place.path / OVERLAY if drawn else None,
            mean_acceleration={int(person): value for person, value in report["mean_acceleration"].items()},
        )
    return report if same_record else None
