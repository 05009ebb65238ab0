"""`glot eval`: compare records with the truth, or a network with the labels of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading
from glot_cli.errors import UsageError
from glot_cli.pipeline.presets import GENDERS, choose

if TYPE_CHECKING:
    from glot_cli.evaluation.protocols import Evaluation, Rules
    from glot_cli.evaluation.records import Comparison
    from glot_cli.evaluation.world_records import WorldComparison

# Heading and format of each column, by the name of the figure.
FIGURES = {
    "mpjpe": ("MPJPE mm", ".1f"),
    "pa_mpjpe": ("PA-MPJPE mm", ".1f"),
    "mpvpe": ("MPVPE mm", ".1f"),
    "acceleration": ("accel mm/f2", ".1f"),
    "acceleration_error": ("accel error mm/f2", ".1f"),
    "pck": ("PCK %", ".1f"),
    "auc": ("AUC %", ".1f"),
}
RECORD_COLUMNS = {
    "visible": ("frames", "d"),
    "found": ("found %", ".1%"),
    "one_id": ("one id %", ".1%"),
    "switches": ("switches", "d"),
    **FIGURES,
    "limb_error_2d": ("limbs 2D %", ".2f"),
    "position_error": ("position mm", ".0f"),
    "depth_error": ("depth %", ".1f"),
    "depth_bias": ("bias %", "+.1f"),
}
WORLD_COLUMNS = {
    "frames": ("frames", "d"),
    "wa_mpjpe": ("WA-MPJPE mm", ".1f"),
    "w_mpjpe": ("W-MPJPE mm", ".1f"),
    "rte": ("RTE %", ".2f"),
    "jitter": ("jitter 10 m/s3", ".1f"),
    "skate": ("skate mm/f", ".1f"),
    "penetration": ("penetration mm", ".1f"),
    "floor_distance": ("floor mm", ".1f"),
}
CAMERA_COLUMNS = {
    "shots": ("shots", "d"),
    "gravity": ("gravity deg", ".2f"),
    "gravity_worst": ("95 %", ".2f"),
    "turn": ("turn deg", ".2f"),
}
DATASET_COLUMNS = {"frames": ("frames", "d"), **FIGURES}


@click.command("eval")
@click.argument("params", metavar="[PARAMS.npz]", required=False, type=options.PATH)
@click.option(
    "--against",
    metavar="TRUTH.npz",
    type=options.PATH,
    help="What to compare PARAMS.npz with: a record of the same video, or a folder of them.",
)
@click.option("--dataset", metavar="NAME", help="Run the network on a data set of 'glot data list' instead.")
@click.option("--preset", default="paper", show_default=True, help="With --dataset: whose network and body.")
@click.option("--glot", metavar="FILE", help="With --dataset: other GLoT weights, a name or a file.")
@click.option("--body", metavar="NAME|FILE", help="With --dataset: another body (smpl, or a file in SMPL's format).")
@click.option("--gender", type=click.Choice(GENDERS), help="With --dataset: of SMPL.  [default: neutral]")
@click.option(
    "--protocol",
    type=click.Choice(["corrected", "published"]),
    default="corrected",
    show_default=True,
    help="With --dataset: 'published' repeats the released evaluation with its faults.",
)
@click.option(
    "--plot", metavar="FILE", type=options.PATH, help="With --dataset: draw errors over time (.png, .svg, .pdf)."
)
@click.option(
    "--images", metavar="FOLDER", type=options.PATH, help="Where the data set's images are, for the worst frames."
)
@click.option("--device", default="auto", show_default=True, help="With --dataset: auto, cpu, cuda, cuda:1 or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@options.debug
def command(
    params: Path | None, against: Path | None, dataset: str | None, as_json: bool, debug: bool, **settings: Any
) -> int:
    """Compare PARAMS.npz with the truth, or a network's answers with a data set's labels.

    \b
    glot eval result/clip --against truth.npz
    glot eval results/ --against truths/
    glot eval --dataset 3dpw-test --protocol published

    PARAMS.npz may be the folder of a result. It may also be a folder of results; each, NAME, is compared with
    NAME.npz, NAME/truth.npz or NAME/params.npz under the folder given with --against.
    """
    if (params is None) == (dataset is None):
        raise UsageError("say what to evaluate: PARAMS.npz with --against, or --dataset NAME")
    if dataset is not None:
        if against is not None:
            raise UsageError("--against goes with PARAMS.npz; a data set brings its own labels")
        return _dataset(dataset, as_json, **settings)
    if against is None:
        raise UsageError("say what to compare with: --against TRUTH.npz")
    assert params is not None
    return _records(params, against, as_json)


def _records(params: Path, against: Path, as_json: bool) -> int:
    with loading():
        from dataclasses import asdict

        from glot_cli.evaluation.pairing import load_bodies, load_pairs
        from glot_cli.evaluation.records import PROTOCOL, pooled
        from glot_cli.evaluation.world_records import WORLD_PROTOCOL, compare_worlds

    pairs = load_pairs(params, against)
    body, true_body = load_bodies(pairs)
    comparison: Comparison = pooled(pairs, body, true_body)
    worlds: WorldComparison | None = compare_worlds(pairs, body, true_body)
    protocol = PROTOCOL if worlds is None else PROTOCOL | WORLD_PROTOCOL
    if as_json:
        world = None if worlds is None else asdict(worlds)
        _print_json({"protocol": protocol, **asdict(comparison), "world": world})
        return 0
    rows = [(errors.person, vars(errors)) for errors in [*comparison.people, comparison.overall]]
    click.echo(_table("person", RECORD_COLUMNS, rows))
    click.echo(f"rows of nobody: {comparison.extra_rows}\n")
    if worlds is not None:
        places = [(f"{errors.who}: {errors.world}", vars(errors)) for errors in worlds.overall]
        click.echo(_table("camera: world", WORLD_COLUMNS, places) + "\n")
        if worlds.cameras:
            cameras = [(errors.cameras, vars(errors)) for errors in worlds.cameras]
            click.echo(_table("camera", CAMERA_COLUMNS, cameras) + "\n")
    _print_protocol(protocol)
    return 0


def _dataset(
    name: str,
    as_json: bool,
    *,
    preset: str,
    glot: str | None,
    body: str | None,
    gender: str | None,
    protocol: str,
    plot: Path | None,
    images: Path | None,
    device: str,
) -> int:
    with loading():
        from glot_cli.evaluation import plots

    if plot is not None:
        plots.require(plot)
    chosen = choose(preset, body=body, gender=gender, glot=glot, pictures=False)
    with loading():
        from dataclasses import asdict

        from glot_cli.datasets.dataset import Dataset
        from glot_cli.device import pick_device
        from glot_cli.evaluation.protocols import evaluate_dataset
        from glot_cli.pipeline.models import load_network
        from glot_cli.weights.bodies import load_body

    dataset = Dataset.open(name)
    network = load_network(chosen, dataset.feature_dim, pick_device(device))
    rules = cast("Rules", protocol)
    found: Evaluation = evaluate_dataset(network, dataset, load_body(chosen.body), rules=rules)
    if plot is not None:
        plots.plot(found, dataset, plot, images)
    if as_json:
        rows = {key: [asdict(row) for row in getattr(found, key)] for key in ("by_action", "by_sequence")}
        _print_json({"dataset": name, "protocol": found.protocol, "overall": asdict(found.overall), **rows})
        return 0
    for title, rows_ in (("sequence", found.by_sequence), ("action", [*found.by_action, found.overall])):
        if title == "sequence" or len(found.by_action) > 1 or len(found.by_sequence) > 1:
            click.echo(_table(title, DATASET_COLUMNS, [(row.name, vars(row)) for row in rows_]) + "\n")
    _print_protocol(found.protocol)
    return 0


def _table(first: str, columns: Mapping[str, tuple[str, str]], rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Columns of figures, right aligned; those that no row has a number for are left out."""
    columns = {name: column for name, column in columns.items() if any(row[name] == row[name] for _, row in rows)}
    cells = [[first, *(heading for heading, _ in columns.values())]]
    for name, row in rows:
        cells.append([name, *(_cell(row[figure], form) for figure, (_, form) in columns.items())])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _cell(value: float, form: str) -> str:
    if value != value:  # no frame to take a mean of
        return "-"
    return format(value, form).removesuffix("%")


def _print_protocol(protocol: Mapping[str, str]) -> None:
    for name, meaning in protocol.items():
        click.echo(f"{name}: {meaning}")


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    """NaN as null: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value
