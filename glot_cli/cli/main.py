"""`glot`: the group of commands, and how errors reach the user."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
import traceback
from typing import Any

import click

from glot_cli._version import __version__
from glot_cli.cli.stopping import leave, unwind_on_signals
from glot_cli.errors import GlotError, UsageError

# Threads of a computation that wait for each other spin, which takes the cores from whatever else runs: beside three
# other runs that made each nine times as slow. Some microseconds of it lose nothing on an idle machine. OpenMP reads
# this once, when PyTorch is imported: libgomp's count of turns, libomp's milliseconds.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("KMP_BLOCKTIME", "0")

# Command -> module that holds a click command of that name; imported when the command is asked for.
COMMANDS = {
    "run": "glot_cli.cli.run",
    "render": "glot_cli.cli.render",
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="glot")
def group() -> None:
    """Turn video into 3D human meshes, offline.

    \b
    glot run clip.mp4 --out result/         parameters and an overlay video in result/clip/
    glot render result/clip --style side    draw that result again
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; never a traceback unless --debug is given."""
    debug = "--debug" in (arguments if arguments is not None else sys.argv[1:])
    unwind_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    try:
        status = group.main(arguments, prog_name="glot", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        manual = f" (see '{context.command_path} --help')" if context else ""
        click.echo(f"glot: {' '.join(error.format_message().split()).rstrip('.')}{manual}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        leave()
    except Exception as error:
        tell_error(error, debug)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    sys.exit(status if isinstance(status, int) else 0)


def tell_error(error: Exception, debug: bool = False) -> None:
    """One line for an error, the user's own or ours; after its traceback if that is wanted."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, GlotError):
        click.echo(f"glot: {' '.join(_worded(error).split())}", err=True)
    else:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        click.echo(f"glot: a fault in glot itself ({reason}); report what --debug shows of it", err=True)


# What the command line calls an option, where that is not `--` and its name.
FLAGS = {"render": "--no-render", "frames": "--no-frames", "changes": "--set"}


def flag_of(option: str) -> str:
    """What the command line calls an option of a function."""
    return FLAGS.get(option, f"--{option.replace('_', '-')}")


def _worded(error: GlotError) -> str:
    """The line of an error, with the flag that its option is given by."""
    if error.option is None:
        return str(error)
    if isinstance(error, UsageError):
        return str(error).replace(error.option, flag_of(error.option), 1)
    return f"{error} ({flag_of(error.option)})"
