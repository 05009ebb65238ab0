"""Body models by name or file: the open body, SMPL as it was added, or any file in SMPL's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from glot_cli.body.model import BODY_ARRAYS, Body, read_body_arrays
from glot_cli.errors import GlotError, WeightsError
from glot_cli.files.arrays import contents, read_bytes
from glot_cli.files.pickles import Damaged, Refused
from glot_cli.weights import store
from glot_cli.weights.recognise import SMPL_VERTICES, to_array

RECORD_BETAS = 10  # shape components of a record


def body_path(name: str) -> Path:
    """The file of a body: by its name, or the path itself. Raises GlotError when it is not there."""
    if store.is_known(name) or name.startswith("smpl-"):
        return store.locate(name)
    path = Path(name).expanduser()
    if not path.is_file():
        raise GlotError(f"{path}: no such body model; give open, smpl or a file in SMPL's format")
    return path


def load_body(name: str, num_betas: int = RECORD_BETAS) -> Body:
    """A body by name or file (.npz, or SMPL's own .pkl), with its first `num_betas` shape components.

    SMPL gets SPIN's extra joints, if they were added. Raises GlotError.
    """
    path = body_path(name)
    arrays = read_body_arrays(path) if store.is_known(name) else _read_foreign(path)
    extra = store.added().get("joints-extra")
    fits = len(arrays.get("v_template", ())) == SMPL_VERTICES and "J_regressor_extra" not in arrays
    if extra is not None and fits:
        with np.load(store.locate(extra.name), allow_pickle=False) as file:
            arrays["J_regressor_extra"] = file["J_regressor"]
    return Body(arrays, str(path), num_betas)


def mean_parameters() -> torch.Tensor:
    """(157,) pose6d, shape, camera: the mean parameters that SPIN and GLoT start from. Raises GlotError."""
    with np.load(store.locate("mean-params"), allow_pickle=False) as file:
        return torch.from_numpy(np.concatenate([file[name].ravel() for name in ("pose", "shape", "cam")])).float()


def _read_foreign(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a body file that nobody has looked at yet. Raises GlotError."""
    try:
        held, _ = contents(read_bytes(path))
        return {name: to_array(held[name]) for name in BODY_ARRAYS if name in held}
    except (Damaged, Refused) as error:
        raise GlotError(f"{path}: {error}; give an SMPL-format .npz or .pkl") from error


def recorded_body(name: str, sha256: str, moved: str | Path | None = None, record: Path | None = None) -> Body:
    """The body that a record was made with.

    Args:
        name: what the record calls it, a name or a path.
        sha256: of its file.
        moved: where its file is now, if it was moved.
        record: the file that asks for it, for the error.

    Raises:
        WeightsError: it is not there, or is another one.
    """
    name = str(moved or name)
    if not (store.is_known(name) or name.startswith("smpl-") or Path(name).expanduser().is_file()):
        reason = f"needs the body '{name}', which is not there"
        raise WeightsError(reason, path=record, remedy="say where the body's file is now", option="body")
    if store.sha256(body_path(name)) != sha256:
        reason = f"was made with another version of the body '{name}'"
        raise WeightsError(reason, path=record, remedy="run 'glot run' again, or give the body that was used")
    return load_body(name)
