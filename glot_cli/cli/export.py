"""`glot export`: results in the files of other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading
from glot_cli.cli.telling import say, tell_error
from glot_cli.errors import UsageError, printable
from glot_cli.exporting.catalogue import FORMATS, NAMINGS, SPACES, Space

MOST_TOLD = 40  # files of one folder, each on a line of its own

_KINDS = "; ".join(f"{name}: {kind.meaning}" for name, kind in FORMATS.items())


@click.command("export", short_help="Write results for Blender, OpenSim, spreadsheets and other programs.")
@click.argument("params", metavar="PARAMS...", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--format",
    "formats",
    metavar="FORMAT,...",
    required=True,
    help=f"Which files to write, separated by commas. {_KINDS}.",
)
@click.option(
    "--world",
    type=click.Choice(SPACES),
    help="Where people are: on the floor of their world, y up, or before "
    "the camera.  [default: the floor, where the record has one]",
)
@click.option("--person", type=click.IntRange(1), metavar="NUMBER", help="Only this person.  [default: everybody]")
@click.option("--fps", type=float, metavar="FPS", help="Frames a second.  [default: those of the record]")
@click.option("--names", type=click.Choice(NAMINGS), default="smpl", show_default=True, help="What joints are called.")
@click.option("--out", metavar="DIR", type=options.PATH, help="Folder for the files.  [default: export beside PARAMS]")
@click.option("--video", metavar="FILE", type=options.PATH, help="The video, a still of which glb holds behind people.")
@click.option("--hide", is_flag=True, help="People are invisible while they are not seen, and do not hold their pose.")
@click.option("--plot", is_flag=True, help="Formats that can draw their numbers over time as well.")
@click.option("--body", metavar="FILE", help="The body model, if it was a file and is not where it was.")
@options.quiet
@options.debug
def command(
    params: tuple[Path, ...],
    formats: str,
    world: Space | None,
    person: int | None,
    fps: float | None,
    names: str,
    out: Path | None,
    video: Path | None,
    hide: bool,
    plot: bool,
    body: str | None,
    quiet: bool,
    debug: bool,
) -> int:
    """Write PARAMS (params.npz, or the folder of a result), one or several, in the files of other programs.

    No network runs. What an earlier export wrote is replaced, any other file is not.
    """
    with loading():
        from glot_cli.api import export
        from glot_cli.exporting.destinations import check_destinations

    def warn(line: str) -> None:
        if not quiet:
            say(f"note: {line}")

    status, wanted = 0, [word.strip() for word in formats.split(",") if word.strip()]
    if len(params) > 1:
        try:
            check_destinations(params, wanted, out)
        except UsageError as error:
            return tell_error(error)
    for path in params:
        try:
            files = export(
                path,
                wanted,
                out,
                world=world,
                person=person,
                fps=fps,
                names=names,
                video=video,
                hide=hide,
                plot=plot,
                body=body,
                warn=warn,
            )
        except UsageError as error:
            return tell_error(error, about=path)
        except Exception as error:
            status = max(status, tell_error(error, about=path, among=params))
            continue
        for line in _told(files):
            print(printable(line), flush=True)
    return status


def _told(files: Sequence[Path]) -> Iterator[str]:
    """A line for each file; one for a folder of many, as sequences have them."""
    counts = Counter(file.parent for file in files)
    for file in files:
        count = counts.get(file.parent, 0)
        if count > MOST_TOLD:
            counts.pop(file.parent)
            yield f"{file.parent}: {count} files"
        elif count:
            yield str(file)
