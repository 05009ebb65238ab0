"""Which record belongs to which truth: two files, or two folders with the same names in them."""

from __future__ import annotations

from pathlib import Path

from glot_cli.errors import GlotError
from glot_cli.results import Result, load_result

PARAMS, TRUTH = "params.npz", "truth.npz"


def load_pairs(params: Path, against: Path) -> list[tuple[Result, Result]]:
    """(record, truth) of one result, or of every result in a folder, by name.

    params: params.npz, the folder of one result, or a folder of such folders. against: truth.npz, or a folder that
    holds it; for many results NAME: a folder with NAME.npz, NAME/truth.npz or NAME/params.npz.

    Raises GlotError where one is missing or no record, or where they were not made with one and the same body.
    """
    if not params.exists():
        raise GlotError(f"{params}: no such file or folder; give the params.npz of a finished 'glot run'")
    if params.is_dir() and not (params / PARAMS).is_file():
        results = sorted(folder for folder in params.iterdir() if (folder / PARAMS).is_file())
        if not results:
            raise GlotError(f"{params}: holds no {PARAMS}, nor folders that do; give what 'glot run' wrote")
        files = [(folder / PARAMS, _truth_of(folder.name, against)) for folder in results]
    else:
        truth = against / TRUTH
        files = [(params, truth if truth.is_file() else against)]
    pairs = [(load_result(mine), load_result(theirs)) for mine, theirs in files]
    bodies = {record.meta.body_model_sha256 for pair in pairs for record in pair}
    if len(bodies) > 1:
        raise GlotError(f"{params}: not made with the same body model as {against}; run 'glot run' again")
    return pairs


def _truth_of(name: str, against: Path) -> Path:
    places = [against / f"{name}.npz", against / name / TRUTH, against / name / PARAMS]
    for place in places:
        if place.is_file():
            return place
    raise GlotError(f"{places[0]}: no such file; the truth of '{name}' goes there or into {places[1]}")
