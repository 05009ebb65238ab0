"""`glot doctor`: whether this machine has what a run needs."""

from __future__ import annotations

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading

MARKS = {True: "ok  ", False: "FAIL", None: "-   "}


@click.command("doctor", short_help="See whether this machine has all that a run needs.")
@options.debug
def command(debug: bool) -> int:
    """Try devices, video codecs, OpenGL and weights, and show versions.

    Exit status 1 when the default preset cannot run and draw here.
    """
    try:
        with loading():
            from glot_cli.doctor import examine
    except ImportError as error:
        click.echo(f"{MARKS[False]} packages        {error}; install again: pip install --force-reinstall glot-cli")
        return 1
    status = 0
    for check in examine():
        click.echo(f"{MARKS[check.ok]} {check.name:<15} {check.says}")
        status |= check.stops_us
    click.echo("--preset open cannot run here" if status else "--preset open can run here")
    return status
