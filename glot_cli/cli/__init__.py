"""The command line. One file a command; nothing heavy is imported before a command needs it."""

from glot_cli.cli.main import main

__all__ = ["main"]
