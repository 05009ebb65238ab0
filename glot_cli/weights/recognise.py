"""What a file of others is, told by what it holds, checked and turned into plain arrays under glot's own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.body.model import is_tree
from glot_cli.errors import UsageError
from glot_cli.files.checkpoints import StoredTensor
from glot_cli.files.faults import Damaged
from glot_cli.files.inert import to_array
from glot_cli.smpl import SMPL_FACES, SMPL_VERTICES
from glot_cli.weights.known_weights import OFFICIAL_WEIGHTS, OfficialFile

if TYPE_CHECKING:
    from torch import Tensor

Arrays = dict[str, NDArray[Any]]

SMPL_ARRAYS = {  # name -> shape; -1: any
    "v_template": (SMPL_VERTICES, 3),
    "shapedirs": (SMPL_VERTICES, 3, -1),
    "posedirs": (SMPL_VERTICES, 3, 207),
    "J_regressor": (24, SMPL_VERTICES),
    "weights": (SMPL_VERTICES, 24),
    "kintree_table": (2, 24),
    "f": (SMPL_FACES, 3),
}
MIN_BETAS = 10
LARGEST = {"kintree_table": 2.0**32, "f": 2.0**32}  # indices; the root's parent is 2**32 - 1 in some files
LARGEST_OF_BODY = 10.0  # of all other values: metres, weights, mean parameters; real ones stay far below
MEAN_PARAMS = {"pose": (144,), "shape": (10,), "cam": (3,)}
JOINT_REGRESSORS = {(9, SMPL_VERTICES): "joints-extra", (17, SMPL_VERTICES): "joints-h36m"}
LARGEST_WEIGHT = 1e4  # of a network; trained ones stay far below

_GENDER = {"neutral": "neutral", "n": "neutral", "male": "male", "m": "male", "female": "female", "f": "female"}


@dataclass(frozen=True)
class Recognised:
    """A file that glot knows, ready to be stored.

    Attributes:
        name: what it is stored as.
        official: what it is.
        arrays: what an npz is to hold, or None.
        tensors: what a safetensors file is to hold, or None.
        remark: what is worth telling of it, or "".
    """

    name: str
    official: OfficialFile
    arrays: Arrays | None = None
    tensors: dict[str, Tensor] | None = None
    remark: str = ""


def recognise(
    label: str, arrays: Mapping[str, Any], checkpoint: Mapping[str, Any] | None, gender: str | None = None
) -> Recognised | None:
    """What a file's content is.

    Args:
        label: the file's name, which alone tells SMPL's gender and one checkpoint from another.
        arrays: what the file holds by name, as `files.contents` gives it.
        checkpoint: tensors by name, or None.
        gender: of an SMPL body: neutral, male or female, instead of what its name says.

    Returns:
        None when it is nothing that glot knows.

    Raises:
        Damaged: it is known and wrong.
        UsageError: it is an SMPL body whose name does not tell its gender.
    """
    if checkpoint is not None:
        return _network(label, checkpoint)
    if set(SMPL_ARRAYS) <= set(arrays):
        name = f"smpl-{gender or gender_of(label)}"
        body = smpl_arrays(arrays)
        return Recognised(name, OFFICIAL_WEIGHTS[name], body, remark=f"{body['shapedirs'].shape[2]} shape components")
    if set(MEAN_PARAMS) <= set(arrays):
        means = {name: _checked(name, arrays[name], shape) for name, shape in MEAN_PARAMS.items()}
        return Recognised("mean-params", OFFICIAL_WEIGHTS["mean-params"], means)
    if set(arrays) == {""}:
        regressor = to_array(arrays[""])
        if name := JOINT_REGRESSORS.get(regressor.shape, ""):
            checked = _regressor("the regressor", _checked("the regressor", regressor, regressor.shape))
            return Recognised(name, OFFICIAL_WEIGHTS[name], {"J_regressor": checked.astype(np.float32)})
    return None


def gender_of(label: str) -> str:
    """The gender that a file's name tells: SMPL_MALE.pkl, basicModel_f_lbs_10_207_0_v1.0.0.pkl. Raises UsageError."""
    words = re.split(r"[^a-z]+", PurePath(label).name.lower())
    found = {_GENDER[word] for word in words if word in _GENDER}
    if len(found) != 1:
        reason = f"'{PurePath(label).name}' is an SMPL body whose name does not tell it"
        raise UsageError(reason, option="gender", remedy="say neutral, male or female")
    return found.pop()


def smpl_arrays(arrays: Mapping[str, Any]) -> Arrays:
    """SMPL's arrays, plain, float32 (faces and tree int64), with their values looked at. Raises Damaged."""
    body = {name: _checked(name, arrays[name], shape) for name, shape in SMPL_ARRAYS.items()}
    if body["shapedirs"].shape[2] < MIN_BETAS:
        raise Damaged(f"is an SMPL body of {body['shapedirs'].shape[2]} shape components, expected {MIN_BETAS} or more")
    if not is_tree(body["kintree_table"]):
        raise Damaged("is a damaged SMPL body (its joints are no tree)")
    _regressor("J_regressor", body["J_regressor"])
    _regressor("weights", body["weights"])
    if body["f"].min() < 0 or body["f"].max() >= SMPL_VERTICES:
        raise Damaged("is a damaged SMPL body (faces point outside it)")
    whole = ("f", "kintree_table")
    return {name: array.astype(np.int64 if name in whole else np.float32) for name, array in body.items()}


def _checked(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    array = to_array(value)
    fits = array.ndim == len(shape) and all(n in (-1, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = " x ".join("any" if n < 0 else str(n) for n in shape)
        raise Damaged(f"has {name} of shape {array.shape}, expected {wanted}")
    largest = LARGEST.get(name, LARGEST_OF_BODY)
    if array.dtype.kind not in "fiu" or (array.size and not -largest <= array.min() <= array.max() <= largest):
        raise Damaged(f"has {name} with values that are no numbers, or larger than any body's")
    return array


def _regressor(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Rows of weights: each adds up to one."""
    if np.abs(array.sum(1, dtype=np.float64) - 1).max() > 0.01:
        raise Damaged(f"is damaged (the rows of {name} do not add up to 1)")
    return array


def _network(label: str, held: Mapping[str, Any]) -> Recognised | None:
    from glot_cli.models import official

    for key in ("gen_state_dict", "model"):
        if isinstance(held.get(key), dict):
            held = held[key]
            break
    if official.is_glot(held):
        stem = re.sub(r"[^\w.-]+", "_", PurePath(label).name.split(".")[0]) or "checkpoint"
        tensors = _renamed(held, official.rename_glot, _glot_shapes(), "GLoT")
        return Recognised(f"glot-{stem}", OFFICIAL_WEIGHTS["glot"], tensors=tensors)
    if official.is_spin(held):
        tensors = _renamed(held, official.rename_spin, _spin_shapes(), "SPIN")
        return Recognised("spin", OFFICIAL_WEIGHTS["spin"], tensors=tensors)
    return None


def _renamed(held: Mapping[str, Any], rename: Any, shapes: dict[str, tuple[int, ...]], of: str) -> dict[str, Tensor]:
    """Learned tensors under our names, float32: exactly those of the network, of its shapes. Raises Damaged."""
    import torch

    if not all(isinstance(name, str) for name in held):
        raise Damaged(f"is a {of} checkpoint with a name that is no text")
    try:
        tensors: dict[str, Tensor] = rename(held)
    except KeyError as error:
        raise Damaged(f"is a {of} checkpoint with a tensor '{error.args[0]}' that the network does not have") from error
    missing, surplus = sorted(set(shapes) - set(tensors)), sorted(set(tensors) - set(shapes))
    if missing or surplus:
        what = f"without the tensor '{missing[0]}'" if missing else f"with a tensor '{surplus[0]}' too many"
        raise Damaged(f"is a {of} checkpoint {what}")
    for name, shape in shapes.items():
        tensor: Any = tensors[name]
        if not isinstance(tensor, torch.Tensor | StoredTensor):  # what else has a shape may have any
            raise Damaged(f"is a {of} checkpoint whose '{name}' is no tensor")
        if tensor.shape != shape:
            raise Damaged(f"is a {of} checkpoint whose '{name}' is {tuple(tensor.shape)}, not {shape}")
        if isinstance(tensor, StoredTensor):
            tensor = tensor.tensor()
        if tensor.is_complex():
            raise Damaged(f"is a {of} checkpoint whose '{name}' holds complex numbers")
        tensor = tensor.detach().float().contiguous()
        if not torch.isfinite(tensor).all() or tensor.abs().max() > LARGEST_WEIGHT:
            raise Damaged(f"is a damaged {of} checkpoint ('{name}' holds values that no trained network has)")
        tensors[name] = tensor
    return tensors


def _glot_shapes() -> dict[str, tuple[int, ...]]:
    from glot_cli.models.glot import GLoT
    from glot_cli.models.glot_config import GLoTConfig
    from glot_cli.weights.glot_file import GLOT_MEAN_STATE

    return _shapes(lambda: GLoT(GLoTConfig()), GLOT_MEAN_STATE)


def _spin_shapes() -> dict[str, tuple[int, ...]]:
    from glot_cli.features.spin_net import MEAN_STATE, SpinNetwork
    from glot_cli.models.official import SPIN_COUNTER

    shapes = _shapes(SpinNetwork, MEAN_STATE)
    return {name: shape for name, shape in shapes.items() if not name.endswith(SPIN_COUNTER)}


def _shapes(make: Any, but: str) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's tensors, without room for their values."""
    import torch

    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in make().state_dict().items() if name != but}
