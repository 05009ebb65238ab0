"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from glot_cli.rendering.styles import STYLES


class NamedPath(click.Path):
    """The path of a file or folder, whatever is there.

    An empty one is refused: it comes from a variable of the shell that nobody set, and would mean the current folder.
    """

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("names no file or folder, it is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = NamedPath()

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
