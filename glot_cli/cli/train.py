"""`glot train`: train GLoT on motions and simulated landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading


@click.command("train", short_help="Train the temporal network.")
@click.argument("config", metavar="CONFIG.toml", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    metavar="FOLDER",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for weights, checkpoints and the log; training there continues.",
)
@click.option(
    "--motions",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Motion file (.npz), added to those of CONFIG; may be given more than once.",
)
@click.option(
    "--rendered",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Rendered pairs (.npz, or a folder of them), added to those of CONFIG.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
@click.option("--threads", type=click.IntRange(1), metavar="THREADS", help="CPU threads.  [default: all cores]")
@options.quiet
@options.debug
def command(
    config: Path,
    out: Path,
    motions: tuple[Path, ...],
    rendered: tuple[Path, ...],
    device: str,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> int:
    """Train by CONFIG.toml; run again with the same --out to continue where it stopped."""
    with loading():
        import torch

        from glot_cli.training.config import load_config
        from glot_cli.training.start import start

    if threads:
        torch.set_num_threads(threads)
    settings = load_config(config)
    files = [file for path in rendered for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    settings = replace(settings, motions=(*settings.motions, *motions), rendered=(*settings.rendered, *files))
    click.echo(start(settings, out, device=device, quiet=quiet))
    return 0
