"""`glot`: the group of commands, and how errors reach the user."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from glot_cli import __version__
from glot_cli.errors import GlotError, UsageError

# Command -> module that holds a click command of that name; imported when the command is asked for.
COMMANDS = {
    "run": "glot_cli.cli.run",
    "render": "glot_cli.cli.render",
    "weights": "glot_cli.cli.weights",
    "train": "glot_cli.cli.train",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command, or help for it, is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(importlib.import_module(COMMANDS[cmd_name]), "command")  # noqa: B009


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="glot")
def group() -> None:
    """Turn video into 3D human meshes, offline."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; never a traceback unless --debug is given."""
    debug = "--debug" in (arguments if arguments is not None else sys.argv[1:])
    try:
        status = group.main(arguments, prog_name="glot", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("glot: interrupted; nothing is left half written", err=True)
        # Not through sys.exit: threads of a decoder or a pool may still hold the interpreter.
        sys.stdout.flush()
        os._exit(130)
    except (GlotError, Exception) as error:
        if debug:
            raise
        report(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    sys.exit(status if isinstance(status, int) else 0)


def report(error: Exception) -> None:
    """One line for an error: the user's own, or ours."""
    if isinstance(error, GlotError):
        click.echo(f"glot: {error}", err=True)
    else:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        click.echo(f"glot: a fault in glot itself ({reason}); run again with --debug and report what it shows", err=True)
