"""`glot`: the group of commands, and how errors reach the user."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import Any, NoReturn

import click

from glot_cli._version import __version__
from glot_cli.cli.stopping import leave, unwind_on_signals
from glot_cli.cli.streams import own_streams
from glot_cli.cli.telling import say, tell_error
from glot_cli.errors import InputError

# Threads of a computation that wait for each other spin, which takes the cores from whatever else runs: beside three
# other runs that made each nine times as slow. Some microseconds of it lose nothing on an idle machine. OpenMP reads
# this once, when PyTorch is imported: libgomp's count of turns, libomp's milliseconds.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("KMP_BLOCKTIME", "0")

# Command -> module that holds a click command of that name; imported when the command is asked for.
COMMANDS = {
    "run": "glot_cli.cli.run",
    "batch": "glot_cli.cli.batch",
    "render": "glot_cli.cli.render",
    "view": "glot_cli.cli.view",
    "export": "glot_cli.cli.export",
    "info": "glot_cli.cli.info",
    "weights": "glot_cli.cli.weights",
    "data": "glot_cli.cli.data",
    "train": "glot_cli.cli.train",
    "synth": "glot_cli.cli.synth",
    "eval": "glot_cli.cli.eval",
    "bench": "glot_cli.cli.bench",
    "doctor": "glot_cli.cli.doctor",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command, or help for it, is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            # What looks like a file is most likely a video whose command was forgotten.
            near = ["run"] if os.path.exists(name) else difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean 'glot {near[0]}'?" if near else f"there is {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command '{name}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # of which Click would make an empty line, also where there is no terminal
            leave()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="glot")
def group() -> None:
    """Turn video into 3D human meshes, offline.

    \b
    glot run clip.mp4 --out result/         parameters and an overlay video in result/clip/
    glot render result/clip --style side    draw that result again
    glot view result/clip --open            look at it from all sides, in the browser
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; never a traceback unless --debug is given."""
    arguments = sys.argv[1:] if arguments is None else arguments
    unwind_on_signals()
    out = own_streams(debug="--debug" in arguments)
    status = _status_of(arguments)
    sys.stdout.flush()
    if out and out.fault:
        say(f"standard output cannot be written ({out.fault.strerror})")
        status = status or 1
    sys.exit(status)


def _check_current_folder() -> None:
    """See that there is one: without it, torch aborts the process while it is imported."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(f"the current folder cannot be used ({error.strerror})", remedy="change to another") from error


def _status_of(arguments: list[str]) -> int:
    """The exit status of a command; whatever goes wrong in it is told."""
    try:
        _check_current_folder()
        status = group.main(arguments, prog_name="glot", standalone_mode=False, obj=arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        manual = f" (see '{context.command_path} --help')" if context else ""
        say(f"{' '.join(error.format_message().split()).rstrip('.')}{manual}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        leave()
    except Exception as error:
        return tell_error(error, arguments)
    return status if isinstance(status, int) else 0
