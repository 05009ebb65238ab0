"""`glot weights`: what networks and bodies are there, whether they are intact, and taking in those of others."""

from __future__ import annotations

from pathlib import Path

import click

from glot_cli import weights
from glot_cli.cli import options
from glot_cli.cli.telling import tell_error
from glot_cli.pipeline import presets
from glot_cli.weights.known_weights import OFFICIAL_WEIGHTS, OfficialFile

# What a run can do without, and what it is for.
OPTIONAL = {
    "joints-extra": "only for 'glot eval'",
    "joints-h36m": "only for the protocol of Human3.6M",
    "smpl-male": "only for --gender male",
    "smpl-female": "only for --gender female",
}


@click.group("weights")
def command() -> None:
    """Show, check and add weight files."""


@command.command("list")
def list_files() -> int:
    """List for each preset what is there and what is missing: purpose, source, licence, and where to get it."""
    shipped, added = weights.manifest(), weights.added()
    gone = [entry.file for entry in shipped.values() if not (weights.shipped_folder() / entry.file).is_file()]
    state = f"{', '.join(gone)} missing; install glot-cli again" if gone else "complete, nothing to add"
    click.echo(f"preset open: {state}\n")
    for entry in shipped.values():
        _describe(entry, weights.shipped_folder())
    missing = presets.absent(presets.PRESETS["paper"].files)
    click.echo(f"\npreset paper: {f'{len(missing)} files are missing' if missing else 'complete'}\n")
    for name in (*(n for n in presets.PRESETS["paper"].files if n in OFFICIAL_WEIGHTS), *OPTIONAL):
        here = [e for e in added.values() if e.name == name or (e.name in presets.checkpoints() and name == "glot")]
        for entry in here:
            _describe(entry, weights.user_folder())
        if not here:
            _want(OFFICIAL_WEIGHTS[name])
    click.echo(f"\nAdded files are kept in {weights.user_folder()}")
    return 0


def _describe(entry: weights.WeightFile, folder: Path) -> None:
    click.echo(f"{entry.name}\n  {entry.role}\n  from: {entry.source}\n  licence: {entry.licence}")
    size = f"{entry.size / 1e6:.1f} MB" if entry.size >= 1e5 else f"{entry.size / 1e3:.1f} kB"
    click.echo(f"  {folder / entry.file} ({size})")


def _want(official: OfficialFile) -> None:
    why = f", {OPTIONAL[official.name]}" if official.name in OPTIONAL else ""
    click.echo(f"{official.name}: MISSING{why}\n  {official.role}: {' or '.join(official.originals)}")
    click.echo(f"  where: {official.where}{' (registration)' if official.register else ''}")
    click.echo(f"  licence: {official.licence}")


@command.command("add", short_help="Take in files of SMPL, SPIN and GLoT.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=options.PATH)
@click.option("--gender", type=click.Choice(presets.GENDERS), help="Of an SMPL body whose file name does not tell.")
@options.debug
def add(files: tuple[Path, ...], gender: str | None, debug: bool) -> int:
    """Take in FILES of SMPL, SPIN and GLoT under any of their names, or archives (zip, tar) that hold them.

    Each is recognised by its content, checked, converted to plain arrays and kept in the user's weights folder
    (GLOT_WEIGHTS names another). Nothing in a FILE is run. Exit status 1 when one was refused or unknown; the others
    are taken in.
    """
    from glot_cli.cli.stopping import loading

    with loading():
        from glot_cli.weights.add_weights import add_weights

    status = 0
    for file in files:
        try:
            for added in add_weights(file, gender):
                remark = f", {added.remark}" if added.remark else ""
                click.echo(f"{added.given}: {added.entry.role}{remark} -> {added.path}")
        except Exception as error:
            status = max(status, tell_error(error, about=file, among=files))
    wanted = presets.still_wanted("paper")
    click.echo(f"still missing for --preset paper: {wanted}" if wanted else "--preset paper has all it needs")
    return status


@command.command("verify")
def verify() -> int:
    """Check every file against its SHA-256. Exit status 1 when one is missing or damaged."""
    status = 0
    shipped = [(entry, weights.shipped_folder()) for entry in weights.manifest().values()]
    added = [(entry, weights.user_folder()) for entry in weights.added().values()]
    for entry, folder in shipped + added:
        fault = weights.check(entry, folder / entry.file)
        click.echo(f"{entry.name}: {fault or 'intact'} ({folder / entry.file})")
        status |= fault is not None
    return status
