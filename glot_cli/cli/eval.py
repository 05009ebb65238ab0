"""`glot eval`: compare records with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glot_cli.cli import options

if TYPE_CHECKING:
    from glot_cli.evaluation.records import Comparison

# Heading and format of each column, by the name of the figure.
COLUMNS = {
    "visible": ("frames", "d"),
    "found": ("found %", ".1%"),
    "one_id": ("one id %", ".1%"),
    "switches": ("switches", "d"),
    "mpjpe": ("MPJPE mm", ".1f"),
    "pa_mpjpe": ("PA-MPJPE mm", ".1f"),
    "mpvpe": ("MPVPE mm", ".1f"),
    "acceleration_error": ("accel mm/f2", ".1f"),
    "limb_error_2d": ("limbs 2D %", ".2f"),
    "position_error": ("position mm", ".0f"),
    "depth_error": ("depth %", ".1f"),
    "depth_bias": ("bias %", "+.1f"),
}


@click.command("eval")
@click.argument("params", metavar="PARAMS.npz", type=click.Path(path_type=Path))
@click.option(
    "--against",
    required=True,
    metavar="TRUTH.npz",
    type=click.Path(path_type=Path),
    help="The truth: a record of the same video, or a folder of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@options.debug
def command(params: Path, against: Path, as_json: bool, debug: bool) -> int:
    """Compare PARAMS.npz with the truth: who was followed, and how far joints, surface and position are off.

    PARAMS.npz may be the folder of a result. It may also be a folder of results; each, NAME, is compared with
    NAME.npz, NAME/truth.npz or NAME/params.npz under the folder given with --against.
    """
    import json
    from dataclasses import asdict

    from glot_cli.evaluation.pairing import load_pairs
    from glot_cli.evaluation.records import PROTOCOL, pooled
    from glot_cli.weights.bodies import load_body

    pairs = load_pairs(params, against)
    comparison = pooled(pairs, load_body(pairs[0][0].meta.body_model))
    if as_json:
        click.echo(json.dumps({"protocol": PROTOCOL, **_finite(asdict(comparison))}, indent=2))
        return 0
    click.echo(_table(comparison))
    click.echo()
    for name, meaning in PROTOCOL.items():
        click.echo(f"{name}: {meaning}")
    return 0


def _table(comparison: Comparison) -> str:
    rows = [["person", *(heading for heading, _ in COLUMNS.values())]]
    for errors in [*comparison.people, comparison.overall]:
        rows.append([errors.person, *(_cell(getattr(errors, name), form) for name, (_, form) in COLUMNS.items())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.append(f"rows of nobody: {comparison.extra_rows}")
    return "\n".join(lines)


def _cell(value: float, form: str) -> str:
    if value != value:  # no frame to take a mean of
        return "-"
    return format(value, form).removesuffix("%")


def _finite(value: Any) -> Any:
    """NaN as null: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value
