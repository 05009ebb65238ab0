"""`glot bench`: how fast the parts of a run are here."""

from __future__ import annotations

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading


@click.command("bench", short_help="Measure the speed of the networks on this machine.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@options.threads
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each part is measured.",
)
@options.debug
def command(device: str, threads: int | None, seconds: float, debug: bool) -> int:
    """Measure the networks of both presets, with random weights where official ones would be needed.

    The last column compares with the same network computed plainly, measured in the same run.
    """
    with loading():
        import torch

        from glot_cli.benchmark import measure
        from glot_cli.device import pick_device

    if threads:
        torch.set_num_threads(threads)
    device = pick_device(device)
    click.echo(f"device {device}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}")
    rates: dict[str, float] = {}
    for speed in measure(device, seconds):
        rates[speed.name] = speed.rate
        ratio = f"   {speed.rate / rates[speed.compared]:.1f} x" if speed.compared else ""
        click.echo(f"{speed.name:<36} {speed.rate:8.1f} {speed.unit:<10}{ratio}")
    return 0
