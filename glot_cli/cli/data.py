"""`glot data`: the preprocessed data sets that training and evaluation on video features read."""

from __future__ import annotations

from pathlib import Path

import click

from glot_cli.cli import options
from glot_cli.cli.telling import tell_error
from glot_cli.datasets import folders as shelf
from glot_cli.datasets.known_datasets import OFFICIAL_DATA
from glot_cli.errors import GlotError

HOUR = 30 * 3600  # frames


@click.group("data")
def command() -> None:
    """Show and add data sets of video features."""


@command.command("list")
def list_data() -> int:
    """List the data sets that are there, and of the known ones that are missing, which file makes them."""
    names = shelf.names()
    for name in names:
        folder = shelf.user_data_folder() / name
        try:
            click.echo(f"{name}: {_told(shelf.read_meta(folder))}, {_size(shelf.size_of(folder))}")
        except GlotError as error:
            click.echo(f"{name}: BROKEN: {error}")
    for official in OFFICIAL_DATA.values():
        if official.name not in names:
            click.echo(f"{official.name}: MISSING, {official.what}; made of {official.file}\n  where: {official.where}")
    click.echo(f"\nData sets are kept in {shelf.user_data_folder()}")
    return 0


def _told(meta: shelf.DatasetMeta) -> str:
    """What a data set holds."""
    videos = f"{len(meta.videos):,} video{'s' * (len(meta.videos) != 1)}"
    hours = f" ({meta.frames / HOUR:.1f} h at 30 frames/s)" if meta.frames >= HOUR / 10 else ""
    labels = ["2-D joints"] + ["3-D joints"] * meta.has_joints3d + ["SMPL"] * meta.has_smpl
    return f"{meta.frames:,} frames in {videos}{hours}, {', '.join(labels)}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


@command.command("add", short_help="Take in preprocessed data sets of GLoT, TCMR and VIBE.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=options.PATH)
@click.option("--name", help="What to call the data set; by default as its file (3dpw_train_db.pt: 3dpw-train).")
@click.option("--replace", is_flag=True, help="Put it in the place of one of that name.")
@options.quiet
@options.debug
def add(files: tuple[Path, ...], name: str | None, replace: bool, quiet: bool, debug: bool) -> int:
    """Take in preprocessed data sets of GLoT, TCMR and VIBE: FILES like 3dpw_train_db.pt and insta_train_db.h5.

    Each is read without running anything in it, checked, converted to plain arrays and kept in the user's folder of
    data sets (GLOT_DATA names another), which takes about as much room as the FILE. Exit status 1 when one was refused
    or unknown; the others are taken in.
    """
    from glot_cli.cli.stopping import loading

    if name is not None and len(files) > 1:
        raise click.UsageError("--name is for one FILE; give the others in calls of their own")
    with loading():
        from glot_cli.datasets.add_dataset import add_dataset

    status = 0
    for file in files:
        try:
            added = add_dataset(file, name, replace, quiet)
        except Exception as error:
            status = max(status, tell_error(error, about=file, among=files))
            continue
        remark = f"; {added.remark}" if added.remark and not quiet else ""
        click.echo(f"{file}: {added.meta.name}: {_told(added.meta)} -> {added.folder}{remark}")
    return status
