"""`glot run`: videos in, parameters and overlays out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading
from glot_cli.cli.telling import flag_of, say, tell_error
from glot_cli.errors import UsageError, counted, one_line, printable
from glot_cli.files.pixels import MAX_PIXELS
from glot_cli.lifting import Edges
from glot_cli.pipeline.options import LEAST_FPS, MOST_DETECT_EVERY, MOST_FPS, Options
from glot_cli.pipeline.presets import GENDERS, PRESETS

if TYPE_CHECKING:
    from glot_cli.pipeline.report import Outcome


class UpType(click.ParamType[tuple[float, ...]]):
    """Three numbers with commas between them."""

    name = "direction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            x, y, z = map(float, str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not three numbers with commas between them, as 0,-1,0.", param, ctx)
        return x, y, z


@click.command("run", short_help="Turn videos into body parameters and overlay videos.")
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--out",
    "-o",
    metavar="FOLDER",
    required=True,
    type=options.PATH,
    help="Folder for the results; every video gets a folder of its own name in it.",
)
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="open", show_default=True, help="Networks and body model."
)
@click.option(
    "--detector", metavar="FILE", help="Another ultralytics model that finds people (.pt, .onnx, .torchscript)."
)
@click.option(
    "--trust-detector",
    is_flag=True,
    help="Run the detector even if it is a program (TorchScript), which can do anything on this machine.",
)
@click.option("--glot", metavar="NAME", help="Another GLoT checkpoint: one that was added, or a file made by glot.")
@click.option(
    "--body", metavar="NAME", help="Body to pose and draw: open, smpl or a file like SMPL's.  [default: the preset's]"
)
@click.option(
    "--gender", type=click.Choice(GENDERS), help="Which of the bodies: the open one's, or SMPL's.  [default: neutral]"
)
@click.option(
    "--half", is_flag=True, help="Features of preset paper in half precision: fast on newer devices, 2 digits exact."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    metavar="CROPS",
    help="Crops (pictures of one person) that the feature network takes at once; fewer need less memory.",
)
@click.option(
    "--detect-every",
    type=click.IntRange(1, MOST_DETECT_EVERY),
    default=3,
    show_default=True,
    metavar="FRAMES",
    help="Look for people in every n-th frame; boxes between are interpolated.",
)
@click.option(
    "--min-frames",
    type=click.IntRange(1),
    metavar="FRAMES",
    help="Drop people seen for fewer frames.  [default: 0.4 s of video]",
)
@click.option(
    "--max-people",
    type=click.IntRange(1),
    metavar="PEOPLE",
    help="Keep only so many: those who take the most room, longest.  [default: all]",
)
@click.option(
    "--focal",
    type=click.FloatRange(0, min_open=True),
    metavar="PIXELS",
    help="Focal length of the camera.  [default: of a photograph its EXIF data's, else estimated]",
)
@click.option(
    "--camera",
    metavar="MOTION",
    help="How the camera moves: static, moving or an .npz FILE that says so.  [default: told from the background]",
)
@click.option(
    "--up",
    type=UpType(),
    metavar="X,Y,Z",
    help="Up in the first frame: x right, y down, z forward; 0,-1,0 is level.  [default: told from people and lines]",
)
@click.option("--start", type=click.FloatRange(0), metavar="SECONDS", help="Begin here, counted from the first frame.")
@click.option("--end", type=click.FloatRange(0), metavar="SECONDS", help="Stop before this time, counted likewise.")
@click.option(
    "--fps",
    type=click.FloatRange(LEAST_FPS, MOST_FPS),
    metavar="RATE",
    help="Frames a second of image folders and bare streams; others have times.  [default: 30]",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=MAX_PIXELS,
    show_default=True,
    metavar="PIXELS",
    help="Refuse pictures of more, before they are read.",
)
@click.option(
    "--edges",
    type=click.Choice(get_args(Edges)),
    default="replicate",
    show_default=True,
    help="Windows at a track's ends: repeat the edge frame, or as the official demo.",
)
@click.option(
    "--refine/--no-refine",
    default=None,
    help="After GLoT, draw pose and shape onto the landmarks seen in the picture.  [default: with preset open]",
)
@options.style
@click.option("--no-render", is_flag=True, help="Write parameters only, draw nothing.")
@click.option("--no-frames", is_flag=True, help="Leave out frames/, the same rows as one file a video frame.")
@click.option("--report", is_flag=True, help="Write report.html too: the result at a glance, and what to trust of it.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace an earlier result of the same video; without it finished videos are skipped.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each VIDEO on standard output.")
@options.quiet
@options.debug
def command(
    videos: tuple[Path, ...],
    out: Path,
    no_render: bool,
    no_frames: bool,
    as_json: bool,
    debug: bool,
    **settings: Any,
) -> int:
    """Find every person in each VIDEO; write body parameters and a video with the meshes drawn over the people.

    A VIDEO is a video file, a folder of images or one image.

    Exit status: 0 every video came out, 1 one failed (the others still ran), 2 wrong usage.
    """
    wanted = Options(render=not no_render, frames=not no_frames, **settings)
    with loading():
        from glot_cli.api import prepare

        runner, folders = prepare(videos, out, wanted, say)
    failed = False
    for video, folder in zip(videos, folders, strict=True):
        try:
            outcome = runner.run(video, folder)
        except UsageError:
            raise
        except Exception as error:
            tell_error(error, about=video, among=videos)
            if as_json:
                print(json.dumps({"video": str(video), "folder": None, "error": one_line(error, 1000)}), flush=True)
            failed = True
            continue
        if not wanted.quiet:
            for warning in outcome.warnings:
                say(f"note: {warning}")
        failed = failed or outcome.fault is not None
        print(_json_of(outcome) if as_json else printable(_summary(outcome)), flush=True)
    return int(failed)


def _json_of(outcome: Outcome) -> str:
    """One line: the fields of the outcome, and `error`, which only a video has that failed."""
    return json.dumps({**asdict(outcome), "error": None}, default=str)


def _summary(outcome: Outcome) -> str:
    """One line: people, frames, seconds, frames per second, where the files are."""
    if outcome.skipped:
        flags = ", ".join(map(flag_of, outcome.other_options))
        changed = [f"options ({flags})"] * bool(flags) + ["weights"] * outcome.other_weights
        how = f"before with other {' and '.join(changed)}" if changed else "before"
        return f"{outcome.video}: finished {how}, skipped (--overwrite does it again) -> {outcome.folder}"
    people = "1 person" if outcome.people == 1 else f"{outcome.people} people"
    speed = outcome.frames / outcome.seconds
    # Smoothness is what GLoT is for; the line stays one, for those who read it by program.
    moving = ", ".join(f"{person}: {value:.1f}" for person, value in outcome.mean_acceleration.items())
    smooth = f", mean acceleration {moving} mm/frame^2" if moving else ""
    frames = counted(outcome.frames, "frame")
    line = f"{outcome.video}: {people}, {frames}, {outcome.seconds:.1f} s, {speed:.1f} frames/s{smooth}"
    return f"{line} -> {outcome.folder}{' (not drawn)' if outcome.fault else ''}"
