"""Which record belongs to which truth: two files, or two folders with the same names in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glot_cli.body.model import Body
from glot_cli.errors import InputError
from glot_cli.results import Result, load_result
from glot_cli.weights.bodies import load_body

PARAMS, TRUTH = "params.npz", "truth.npz"


def load_pairs(params: Path, against: Path) -> list[tuple[Result, Result]]:
    """(record, truth) of one result, or of every result in a folder, by name.

    Args:
        params: params.npz, the folder of one result, or a folder of such folders.
        against: truth.npz, or a folder that holds it; for many results NAME: a folder with NAME.npz, NAME/truth.npz or
            NAME/params.npz.

    Raises:
        InputError: a file is missing or no record, or the records, or the truths, are not all of one body.
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
    for path, records in ((params, [mine for mine, _ in pairs]), (against, [theirs for _, theirs in pairs])):
        if len({record.meta.body_model_sha256 for record in records}) > 1:
            raise InputError("holds records of several bodies", path=path, remedy="compare those of each body apart")
    return pairs


def load_bodies(pairs: Sequence[tuple[Result, Result]]) -> tuple[Body, Body]:
    """The body of all records, and that of all truths, which may be another one of the same mesh.

    Raises:
        InputError: their meshes differ.
        WeightsError: one is not there.
    """
    mine, theirs = pairs[0]
    body, true_body = load_body(mine.meta.body_model), load_body(theirs.meta.body_model)
    if not np.array_equal(body.faces, true_body.faces):
        raise InputError(
            f"made with the body '{mine.meta.body_model}', the truth with '{theirs.meta.body_model}'",
            path=mine.meta.video,
            remedy="run 'glot run' with a preset of the same body",
        )
    return body, true_body


def _truth_of(name: str, against: Path) -> Path:
    """The truth of the result called `name`, in a folder of truths."""
    places = [against / f"{name}.npz", against / name / TRUTH, against / name / PARAMS]
    for place in places:
        if os.path.isfile(place):
            return place
    remedy = f"the truth of '{name}' goes there or into {places[1]}"
    raise InputError("no such file", path=places[0], remedy=remedy)
