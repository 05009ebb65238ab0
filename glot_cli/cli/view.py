"""`glot view`: results as web pages."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading
from glot_cli.cli.telling import say, tell_error
from glot_cli.errors import UsageError, printable


@click.command("view", short_help="Look at a result in the browser, from all sides.")
@click.argument("params", metavar="PARAMS...", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--output",
    "-o",
    metavar="FILE.html",
    type=options.PATH,
    help="Where the page goes.  [default: view.html beside PARAMS]",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option("--video", metavar="FILE", type=options.PATH, help="The video, if it is not where it was.")
@click.option("--no-video", is_flag=True, help="A page without the video, which then need not be there.")
@click.option("--body", metavar="FILE", help="The body model, if it was a file and is not where it was.")
@options.quiet
@options.debug
def command(
    params: tuple[Path, ...],
    output: Path | None,
    open_page: bool,
    video: Path | None,
    no_video: bool,
    body: str | None,
    quiet: bool,
    debug: bool,
) -> int:
    """Write PARAMS (params.npz, or the folder of a result), one or several, each as one web page.

    The page holds all it needs, a small copy of the video too, and shows people from all sides in any browser, without
    a server and without the network. An older page of the same name that glot wrote is replaced, any other file is not.
    """
    for option, value in (("output", output), ("video", video)):
        if value and len(params) > 1:
            return tell_error(UsageError("goes with one result alone", option=option))
    if video and no_video:
        return tell_error(UsageError("does not go with a video", option="no-video"))
    with loading():
        from glot_cli.api import view

    def warn(message: str) -> None:
        if not quiet:
            say(f"note: {message}")

    status = 0
    for path in params:
        try:
            made = view(path, output, video=video, embed_video=not no_video, body=body, quiet=quiet, warn=warn)
        except Exception as error:
            status = max(status, tell_error(error, about=path, among=params))
            continue
        print(printable(str(made)), flush=True)
        if open_page and not webbrowser.open(Path(os.path.abspath(made)).as_uri()):
            say(f"note: no browser could be started; open {printable(str(made))} in one")
    return status
