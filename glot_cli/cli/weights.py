"""`glot weights`: what networks are there, and whether they are intact."""

from __future__ import annotations

import click

from glot_cli import weights


@click.group("weights")
def command() -> None:
    """Show and check the weight files."""


@command.command("list")
def list_files() -> int:
    """List the files: purpose, source, licence, size."""
    for entry in weights.manifest().values():
        click.echo(f"{entry.name}\n  {entry.role}\n  {entry.source}\n  licence: {entry.licence}")
        click.echo(f"  {weights.shipped_folder() / entry.file} ({entry.size / 1e6:.1f} MB)")
    return 0


@command.command("verify")
def verify() -> int:
    """Check every file against its SHA-256. Exit status 1 when one is missing or damaged."""
    status = 0
    for entry in weights.manifest().values():
        path = weights.shipped_folder() / entry.file
        fault = weights.check(entry, path)
        click.echo(f"{entry.name}: {fault or 'intact'} ({path})")
        status |= fault is not None
    return status
