"""Body models by name or file: the open body, SMPL as it was added, or any file in SMPL's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.model import BODY_ARRAYS, Body, read_body_arrays
from glot_cli.errors import WeightsError
from glot_cli.files.contents import contents
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz
from glot_cli.files.opening import expanded, read_bytes
from glot_cli.smpl import SMPL_VERTICES
from glot_cli.weights import store
from glot_cli.weights.recognise import to_array

RECORD_BETAS = 10  # shape components of a record


def body_path(name: str) -> Path:
    """The file of a body: by its name, or the path itself. Raises WeightsError when it is not there."""
    if _is_name(name):
        return store.locate(name)
    path = expanded(name)
    if not path.is_file():
        raise WeightsError("no such body model", path=path, remedy="give open, smpl or a file in SMPL's format")
    return path


def _is_name(body: str) -> bool:
    """Whether it is a name among weights; else it is the path of a file."""
    return store.is_known(body) or body.startswith("smpl-")


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
    fits = len(arrays.get("v_template", ())) == SMPL_VERTICES and "J_regressor_extra" not in arrays
    if extra is not None and fits:
        arrays["J_regressor_extra"] = load_arrays(extra.name)["J_regressor"]
    return Body(arrays, str(path), num_betas)


def load_arrays(name: str) -> dict[str, NDArray[Any]]:
    """The arrays of weights that are an npz, by their name among weights. Raises WeightsError."""
    path = store.locate(name)
    try:
        return load_npz(path)
    except FileFault as error:
        raise error.about(path, WeightsError, remedy="add it again with 'glot weights add'") from error


def mean_parameters() -> torch.Tensor:
    """(157,) pose6d, shape, camera: the mean parameters that SPIN and GLoT start from. Raises WeightsError."""
    arrays = load_arrays("mean-params")
    return torch.from_numpy(np.concatenate([arrays[name].ravel() for name in ("pose", "shape", "cam")])).float()


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
    if not (_is_name(name) or expanded(name).is_file()):
        reason = f"needs the body '{name}', which is not there"
        raise WeightsError(reason, path=record, remedy="say where the body's file is now")
    if store.sha256(body_path(name)) != sha256:
        reason = f"was made with another version of the body '{name}'"
        raise WeightsError(reason, path=record, remedy="run 'glot run' again, or give the body that was used")
    return load_body(name)
