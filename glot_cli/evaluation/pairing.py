"""Which record belongs to which truth: two files, or two folders with the same names in them."""

from __future__ import annotations

import os
from pathlib import Path

from glot_cli.errors import InputError
from glot_cli.results import Result, load_result

PARAMS, TRUTH = "params.npz", "truth.npz"


def load_pairs(params: Path, against: Path) -> list[tuple[Result, Result]]:
    """(record, truth) of one result, or of every result in a folder, by name.

    Args:
        params: params.npz, the folder of one result, or a folder of such folders.
        against: truth.npz, or a folder that holds it; for many results NAME: a folder with NAME.npz, NAME/truth.npz or
            NAME/params.npz.

    Raises:
        InputError: a file is missing or no record, or the records were not made with one and the same body.
    """
    if not os.path.exists(params):  # unlike Path's own, it takes names that are too long, and places it may not look
        reason = "no such file or folder"
        raise InputError(reason, path=params, remedy="give the params.npz of a finished 'glot run'")
    if os.path.isdir(params) and not os.path.isfile(params / PARAMS):
        try:
            results = sorted(folder for folder in params.iterdir() if os.path.isfile(folder / PARAMS))
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise InputError(reason, path=params, remedy="check its permissions") from error
        if not results:
            reason = f"holds no {PARAMS}, nor folders that do"
            raise InputError(reason, path=params, remedy="give what 'glot run' wrote")
        files = [(folder / PARAMS, _truth_of(folder.name, against)) for folder in results]
    else:
        truth = against / TRUTH
        files = [(params, truth if os.path.isfile(truth) else against)]
    pairs = [(load_result(mine), load_result(theirs)) for mine, theirs in files]
    bodies = {record.meta.body_model_sha256 for pair in pairs for record in pair}
    if len(bodies) > 1:
        reason = f"not made with the same body model as {against}"
        raise InputError(reason, path=params, remedy="run 'glot run' again")
    return pairs


def _truth_of(name: str, against: Path) -> Path:
    """The truth of the result called `name`, in a folder of truths."""
    places = [against / f"{name}.npz", against / name / TRUTH, against / name / PARAMS]
    for place in places:
        if os.path.isfile(place):
            return place
    remedy = f"the truth of '{name}' goes there or into {places[1]}"
    raise InputError("no such file", path=places[0], remedy=remedy)
