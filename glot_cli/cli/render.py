"""`glot render`: draw a finished result again."""

from __future__ import annotations

from pathlib import Path

import click

from glot_cli.rendering.styles import STYLES


@click.command("render")
@click.argument("params", metavar="PARAMS.npz", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The .mp4 to write.  [default: STYLE.mp4 beside PARAMS.npz]")
@click.option("--style", type=click.Choice(list(STYLES)), default="overlay", show_default=True, help="How the meshes are drawn.")
@click.option("--video", type=click.Path(path_type=Path), help="The video, if it is not where it was.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bars.")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def command(params: Path, output: Path | None, style: str, video: Path | None, quiet: bool, debug: bool) -> int:
    """Draw PARAMS.npz (or the folder of a result) over its video again. No network runs."""
    from glot_cli.api import render

    click.echo(render(params, output, style=style, video=video, quiet=quiet))
    return 0
