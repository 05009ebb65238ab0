"""Options that several commands share."""

from __future__ import annotations

import click

from glot_cli.rendering.styles import STYLES

style = click.option(
    "--style",
    type=click.Choice(list(STYLES)),
    default="overlay",
    show_default=True,
    help="; ".join(f"{name}: {meaning}" for name, meaning in STYLES.items()) + ".",
)
threads = click.option(
    "--threads", type=click.IntRange(1), metavar="THREADS", help="CPU threads.  [default: all cores]"
)
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress bars and no remarks; errors and results only.")
debug = click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
