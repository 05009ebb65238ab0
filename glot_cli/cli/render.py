"""`glot render`: draw a finished result again."""

from __future__ import annotations

from pathlib import Path

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading
from glot_cli.cli.telling import say, tell_error
from glot_cli.errors import printable
from glot_cli.rendering.styles import Style


@click.command("render", short_help="Draw a result over its video again.")
@click.argument("params", metavar="PARAMS.npz", type=options.PATH)
@click.option(
    "--output",
    "-o",
    metavar="FILE.mp4",
    type=options.PATH,
    help="Where the picture goes.  [default: STYLE.mp4 beside PARAMS.npz]",
)
@options.style
@click.option(
    "--video",
    metavar="FILE",
    type=options.PATH,
    help="The video, if it is not where it was.",
)
@click.option("--body", metavar="FILE", help="The body model, if it was a file and is not where it was.")
@options.quiet
@options.debug
def command(
    params: Path, output: Path | None, style: Style, video: Path | None, body: str | None, quiet: bool, debug: bool
) -> int:
    """Draw PARAMS.npz (or the folder of a result) over its video again. No network runs.

    An older picture of the same name that glot drew is replaced, any other file is not.
    """
    with loading():
        from glot_cli.api import render

    def warn(message: str) -> None:
        if not quiet:
            say(f"note: {message}")

    try:
        made = render(params, output, style=style, video=video, body=body, quiet=quiet, warn=warn)
    except Exception as error:
        return tell_error(error, about=params)
    print(printable(str(made)), flush=True)
    return 0
