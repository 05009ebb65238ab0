"""What a file of others holds, told by its first bytes: arrays, or the tensors of a network.

Nothing is run, and what a file claims to hold is checked before it is read.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from glot_cli.files.checkpoints import read_checkpoint
from glot_cli.files.faults import Damaged, Unsupported, damage
from glot_cli.files.inert import is_array
from glot_cli.files.npz import is_npz, read_npy, read_npz
from glot_cli.files.opening import NPY, TORCH, ZIP, check_download
from glot_cli.files.pickles import unpickle
from glot_cli.files.zips import zip_names

if TYPE_CHECKING:
    import torch


def contents(data: bytes) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What a file that is no archive holds.

    Args:
        data: the whole file.

    Returns:
        (arrays, None) or ({}, checkpoint). The one array of a file without names is called "". Those of pickles are
        inert objects, which `inert.to_array` makes arrays of; tensors of a checkpoint are torch's, or `StoredTensor`.

    Raises:
        Damaged: it is cut off or altered, or is something else that a download brought.
        Refused: it asks for something that no such file needs.
        Unsupported: it is of no kind that is read here.
    """
    if data.startswith(ZIP) and is_npz(zip_names(io.BytesIO(data))):
        return read_npz(data), None
    if data.startswith((ZIP, TORCH)):
        return {}, read_checkpoint(data)
    if data.startswith(NPY):
        return {"": read_npy(io.BytesIO(data), len(data))}, None
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return {}, _read_safetensors(data)
    if not data:
        raise Damaged("is empty")
    check_download(data[:512])
    if data[0] not in b"\x80(}]cd":
        raise Unsupported("is none of the files that glot knows")
    held = unpickle(data)
    if isinstance(held, dict):
        return {str(name): value for name, value in held.items() if is_array(value)}, None
    return ({"": held} if is_array(held) else {}), None


def _read_safetensors(data: bytes) -> dict[str, torch.Tensor]:
    with damage("a damaged safetensors file"):
        from safetensors.torch import load

        tensors: dict[str, torch.Tensor] = load(data)
    return tensors
