"""`glot synth`: crops and clips of made-up people, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading

_Decorated = TypeVar("_Decorated", bound="Callable[..., Any] | click.Command")


def _size(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    """Width and height of "1280x720". H.264 wants both even, and truth and clip must agree."""
    try:
        width, height = (int(part) for part in value.split("x"))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a size; give WIDTHxHEIGHT in pixels", ctx, param) from None
    if min(width, height) < 64 or width % 2 or height % 2:
        raise click.BadParameter(f"{value}: both must be even, and 64 pixels at least", ctx, param)
    return width, height


def _rate(ctx: click.Context, param: click.Parameter, value: str) -> Fraction:
    """Frames a second: 25, 29.97 or 30000/1001."""
    try:
        rate = Fraction(value)
    except (ValueError, ZeroDivisionError):
        words = f"'{value}' is not a number; give frames a second, as in 25 or 30000/1001"
        raise click.BadParameter(words, ctx, param) from None
    if not 1 <= rate <= 240:
        raise click.BadParameter(f"{value}: give 1 to 240 frames a second", ctx, param)
    return rate


_out = click.option(
    "--out",
    "-o",
    metavar="FOLDER",
    required=True,
    type=options.PATH,
    help="Folder for what is made.",
)
_seed = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Another one draws other people and places.",
)


def _share(name: str, default: float, meaning: str) -> Callable[[_Decorated], _Decorated]:
    return click.option(
        name, type=click.FloatRange(0, 1), default=default, show_default=True, metavar="SHARE", help=meaning
    )


@click.group("synth", short_help="Make pictures of made-up people, to train and to measure on.")
def command() -> None:
    """Make pictures of people who never were, with the truth about them. The motions are yours to bring.

    \b
    glot synth crops --motions train.npz --out crops/    what 'glot train --crops' takes
    glot synth clips --motions val.npz --out clips/      what 'glot run' takes, and 'glot eval --against'
    """


@command.command("crops", short_help="Crops to train on, and what the networks see in them.")
@click.option(
    "--motions",
    metavar="PATH",
    multiple=True,
    type=options.PATH,
    help="Motions as for 'glot train', a file or a folder of them; may be given more than once.",
)
@_out
@click.option(
    "--pictures",
    metavar="FOLDER",
    type=options.PATH,
    help="Where the drawn pictures are. Without --motions nothing is drawn: those there are looked at, as is needed "
    "after a network has changed.  [default: pictures beside the crops]",
)
@click.option(
    "--clips",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    metavar="CLIPS",
    help="How many to draw, rounded up to whole files of 20.",
)
@click.option("--frames", type=click.IntRange(4), default=24, show_default=True, metavar="FRAMES", help="Of one clip.")
@click.option(
    "--backgrounds",
    metavar="FOLDER",
    type=options.PATH,
    help="Images to stand behind people.  [default: drawn clutter]",
)
@click.option("--sheet", is_flag=True, help="Draw a contact sheet (.png) of each file of pictures.")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@_seed
@options.threads
@options.quiet
@options.debug
def crops(
    motions: tuple[Path, ...],
    out: Path,
    pictures: Path | None,
    clips: int,
    frames: int,
    backgrounds: Path | None,
    sheet: bool,
    device: str,
    seed: int,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> int:
    """Draw pictures of people, let the networks look at them, and write what they see to files in FOLDER.

    Pictures are kept, so that others can look at them later. Run again, it goes on after the last file; each depends on
    its own number and the seed alone.

    \b
    glot synth crops --motions train.npz --out crops/                   draw, and look
    glot synth crops --pictures crops/pictures/ --out crops_again/      look again at what was drawn
    """
    if not motions and pictures is None:
        raise click.UsageError("nothing to look at: give --motions to draw pictures, or --pictures drawn before")
    _start(threads)
    with loading():
        from glot_cli.device import pick_device
        from glot_cli.synth.contact_sheet import contact_sheet
        from glot_cli.synth.rendered_crops import draw_pictures, find_pictures, look_at_pictures
        from glot_cli.synth.scenery import Backgrounds

    place = pictures if pictures is not None else out / "pictures"
    device = pick_device(device)
    if motions:
        behind = Backgrounds.from_folder(backgrounds) if backgrounds is not None else None
        drawn = draw_pictures(motions, place, clips=clips, frames=frames, seed=seed, backgrounds=behind, quiet=quiet)
    else:
        drawn = find_pictures(place)
    if sheet:
        for path in drawn:
            contact_sheet(path)
    paths = look_at_pictures(drawn, out, device=device, quiet=quiet)
    click.echo(f"{out}: {len(paths)} {'file' if len(paths) == 1 else 'files'} of crops")
    return 0


@command.command("clips", short_help="Whole clips, and the truth of everyone in them.")
@click.option(
    "--motions",
    metavar="FILE",
    required=True,
    type=options.PATH,
    help="Motion file (.npz) with poses, trans, clip_index and clip_names.",
)
@_out
@click.option("--clips", type=click.IntRange(1), default=1, show_default=True, metavar="CLIPS", help="How many.")
@click.option("--people", type=click.IntRange(1, 3), metavar="PEOPLE", help="In each clip.  [default: 1 to 3, drawn]")
@click.option(
    "--takes",
    metavar="NAME",
    multiple=True,
    help="A clip of the motion file that somebody plays; give it once a person.  [default: drawn]",
)
@click.option("--bounce", is_flag=True, help="Play takes that are too short to and fro.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=6.0,
    show_default=True,
    metavar="SECONDS",
    help="Length of a clip.",
)
@click.option("--fps", callback=_rate, default="30", show_default=True, metavar="RATE", help="Frames a second.")
@click.option(
    "--size", callback=_size, default="1280x720", show_default=True, metavar="WIDTHxHEIGHT", help="Pixels, even."
)
@click.option(
    "--focal",
    type=click.FloatRange(0, min_open=True),
    metavar="PIXELS",
    help="Focal length.  [default: 0.7 to 1.3 image diagonals]",
)
@click.option("--height", type=click.FloatRange(0.1, 10), metavar="METRES", help="Of the camera.  [default: 1 to 2]")
@click.option(
    "--distance",
    type=click.FloatRange(1.5, 100),
    metavar="METRES",
    help="Of the first person; from a camera that travels, halfway.  [default: 2.5 to 6]",
)
@click.option(
    "--camera",
    type=click.Choice(["static", "pan", "handheld", "travel", "zoom"]),
    multiple=True,
    help="It stands, turns evenly, is held in an unsteady hand, is carried past people, around or along with them, or "
    "turns and zooms; "
    "given more than once, each clip draws one of them.  [default: stands, turns or shakes, drawn]",
)
@click.option(
    "--pan",
    type=click.FloatRange(-60, 60),
    metavar="DEGREES",
    help="Turn of the camera through a clip.  [default: 8 to 30 either way in a third of the clips, else 0]",
)
@_share("--shake", 0.3, "Share of the clips filmed from an unsteady hand, without --camera.")
@_share("--phone", 0.5, "Share of the clips with a cheap camera's picture: dark or bright, noisy, blurred.")
@_share("--obstacle", 0.2, "Share of the clips with a thing in front of somebody.")
@click.option("--tight", is_flag=True, help="No loose clothes.")
@click.option(
    "--crf",
    type=click.IntRange(0, 51),
    metavar="CRF",
    help="x264 quality, lower is better.  [default: 23; of phones 23 to 33]",
)
@_seed
@options.threads
@options.quiet
@options.debug
def clips(
    motions: Path,
    out: Path,
    clips: int,
    tight: bool,
    seed: int,
    threads: int | None,
    quiet: bool,
    debug: bool,
    **asked: Any,
) -> int:
    """Film people in made-up rooms: FOLDER/NAME.mp4, and the truth in FOLDER/NAME.npz, a record like that of a run.

    In it, `score` is the share of a person's outline that nothing hides; the world in it, cameras, floor and feet that
    rest on it, is the true one. Run again, finished clips are kept; each depends on its own number, the seed and the
    options alone.

    \b
    glot run FOLDER/*.mp4 --out results/ && glot eval results/ --against FOLDER
    """
    with loading():
        from glot_cli.synth.request import ClipRequest

    request = ClipRequest(loose=not tight, **asked)
    _start(threads)
    with loading():
        from glot_cli.synth.films import film

    film(motions, out, request, clips=clips, seed=seed, quiet=quiet, tell=click.echo)
    return 0


def _start(threads: int | None) -> None:
    """Make ready to draw, before anything imports OpenGL."""
    with loading():
        import cv2
        import torch

        from glot_cli.synth.painter import prepare
    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    prepare()
