"""Body models by name or file: the open body, SMPL as it was added, or any file in SMPL's format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.model import BODY_ARRAYS, Body, read_body_arrays
from glot_cli.errors import WeightsError
from glot_cli.files.contents import contents
from glot_cli.files.faults import FileFault, check_size
from glot_cli.files.inert import to_array
from glot_cli.files.npz import load_npz
from glot_cli.files.opening import check_there, expanded, read_bytes, unreadable
from glot_cli.smpl import SMPL_VERTICES
from glot_cli.weights import store

RECORD_BETAS = 10  # shape components of a record
_NONE = np.empty(0)


def body_path(name: str) -> Path:
    """The file of a body: by its name, or the path itself. Raises WeightsError when it is not there."""
    if _is_name(name):
        return store.locate(name)
    path = expanded(name)
    remedy = "give open, smpl or a file in SMPL's format"
    if not os.path.exists(path):
        raise WeightsError("no such body model", path=path, remedy=remedy)
    try:
        check_size(check_there(path))
    except FileFault as error:
        raise error.about(path, WeightsError, remedy=remedy) from error
    except OSError as error:
        raise unreadable(error).about(path, WeightsError) from error
    return path


def _is_name(body: str) -> bool:
    """Whether it is a name among weights; else it is the path of a file."""
    return store.is_known(body) or body.startswith("smpl-")


def is_open(name: str) -> bool:
    """Whether a body's name is that of an open one: these share a mesh, and a shape space but for where it begins."""
    return store.is_known(name) and name.startswith("open-")


def load_body(name: str, num_betas: int = RECORD_BETAS) -> Body:
    """A body by name or file. SMPL gets SPIN's extra joints, if they were added.

    Args:
        name: among weights, or the path of an .npz in SMPL's format or of SMPL's own .pkl.
        num_betas: how many of its shape components to keep, the first ones.

    Raises:
        WeightsError: it is missing, damaged, refused or no body, or has too few components.
    """
    path = body_path(name)
    arrays = read_body_arrays(path) if store.is_known(name) else _read_foreign(path)
    extra = store.added().get("joints-extra")
    fits = arrays.get("v_template", _NONE).shape == (SMPL_VERTICES, 3) and "J_regressor_extra" not in arrays
    if extra is not None and fits:
        arrays["J_regressor_extra"] = load_arrays(extra.name, "J_regressor")["J_regressor"]
    return Body(arrays, str(path), num_betas)


def load_arrays(name: str, *needed: str) -> dict[str, NDArray[Any]]:
    """The arrays of weights that are an npz, by their name among weights. Raises WeightsError."""
    path, remedy = store.locate(name), "add it again with 'glot weights add'"
    try:
        arrays = load_npz(path)
    except FileFault as error:
        raise error.about(path, WeightsError, remedy=remedy) from error
    if missing := [array for array in needed if array not in arrays]:
        raise WeightsError(f"has no array '{missing[0]}'", path=path, remedy=remedy)
    return arrays


def mean_parameters() -> torch.Tensor:
    """(157,) pose6d, shape, camera: the mean parameters that SPIN and GLoT start from. Raises WeightsError."""
    names = ("pose", "shape", "cam")
    arrays = load_arrays("mean-params", *names)
    return torch.from_numpy(np.concatenate([arrays[name].ravel() for name in names])).float()


def _read_foreign(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a body file that nobody has looked at yet. Raises WeightsError."""
    try:
        held, _ = contents(read_bytes(path))
        return {name: to_array(held[name]) for name in BODY_ARRAYS if name in held}
    except FileFault as error:
        raise error.about(path, WeightsError, remedy="give an SMPL-format .npz or .pkl") from error


def recorded_body(name: str, sha256: str, moved: str | Path | None = None, record: Path | None = None) -> Body:
    """The body that a record was made with.

    Args:
        name: what the record calls it, a name or a path.
        sha256: of its file, hexadecimal.
        moved: where its file is now, if it was moved.
        record: the file that asks for it, for the error.

    Raises:
        WeightsError: it is not there, or is another one.
    """
    name = str(moved or name)
    if not (_is_name(name) or os.path.isfile(expanded(name))):
        reason = f"needs the body '{name[:200]}', which is not there"
        raise WeightsError(reason, path=record, remedy="say where the body's file is now")
    try:
        path = body_path(name)
    except WeightsError as error:
        raise WeightsError(
            f"needs the body '{name[:200]}': {error.reason}", path=record, remedy=error.remedy
        ) from error
    if store.sha256(path) != sha256:
        reason = f"was made with another version of the body '{name}'"
        raise WeightsError(reason, path=record, remedy="run 'glot run' again, or give the body that was used")
    return load_body(name)
