"""`glot train`: train GLoT, on data sets as the paper does or on landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading


@click.command("train", short_help="Train the temporal network.")
@click.argument("config", metavar="CONFIG")
@click.option(
    "--out",
    "-o",
    metavar="FOLDER",
    required=True,
    type=options.PATH,
    help="Folder for weights, checkpoints and logs; a training that was stopped there goes on.",
)
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Overrule a line of CONFIG, e.g. --set model.nearby=2; strings in quotes. May be given more than once.",
)
@click.option(
    "--motions",
    metavar="PATH",
    multiple=True,
    type=options.PATH,
    help="Motions to train on, added to those of CONFIG: .npz (glot's format, AMASS), .bvh, or a folder of them.",
)
@click.option(
    "--crops",
    metavar="PATH",
    multiple=True,
    type=options.PATH,
    help="What 'glot synth crops' made (.npz, or a folder of them), added to those of CONFIG.",
)
@click.option(
    "--val-motions",
    metavar="PATH",
    multiple=True,
    type=options.PATH,
    help="Motions to validate on, each file or folder reported by its name; may be given more than once.",
)
@click.option("--val-crops", metavar="PATH", multiple=True, type=options.PATH, help="Crops to validate on, likewise.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@options.threads
@options.quiet
@options.debug
def command(
    config: str,
    out: Path,
    changes: tuple[str, ...],
    motions: tuple[Path, ...],
    crops: tuple[Path, ...],
    val_motions: tuple[Path, ...],
    val_crops: tuple[Path, ...],
    device: str,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> int:
    """Train by CONFIG. Run again with the same --out, it goes on where it stopped.

    CONFIG is a TOML file, or the name of one that comes with glot: open, paper-table1, paper-table1-h36m-mpii3d,
    paper-table2.

    \b
    Several processes share the work:  torchrun --nproc-per-node 2 --no-python glot train CONFIG --out FOLDER
    """
    with loading():
        import torch

        from glot_cli.device import pick_device
        from glot_cli.errors import UsageError
        from glot_cli.training.config import find_config, load_config
        from glot_cli.training.start import start

    if threads:
        torch.set_num_threads(threads)
    settings = load_config(find_config(config), changes)
    given = {"motions": motions, "crops": crops, "val_motions": val_motions, "val_crops": val_crops}
    if settings.landmarks is not None:
        data = settings.landmarks
        data = replace(
            data,
            motions=(*data.motions, *motions),
            crops=(*data.crops, *crops),
            val_motions=(*data.val_motions, *val_motions),
            val_crops=(*data.val_crops, *val_crops),
        )
        settings = replace(settings, landmarks=data)
    elif unused := [f"--{name.replace('_', '-')}" for name, paths in given.items() if paths]:
        raise UsageError(f"{config} trains on data sets, which have no {', '.join(unused)}")
    click.echo(start(settings, out, device=pick_device(device), quiet=quiet))
    return 0
