"""What a file of others holds, told by its first bytes: arrays, or the tensors of a network.

Nothing is run, and what a file claims to hold is checked before it is read.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

from glot_cli.errors import one_line
from glot_cli.files.archives import zip_names
from glot_cli.files.faults import Damaged, Refused, Unsupported, check_size
from glot_cli.files.inert import ALLOWED
from glot_cli.files.npz import BAD_ZIP, is_npz, read_npy, read_npz
from glot_cli.files.opening import NPY, TORCH, ZIP, check_download
from glot_cli.files.pickles import unpickle

if TYPE_CHECKING:
    import torch


def contents(data: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor] | None]:
    """What a file that is no archive holds.

    Args:
        data: the whole file, at least one byte of it.

    Returns:
        (arrays, None) or ({}, checkpoint). The one array of a file without names is called "". Those of pickles are
        inert objects, which `plain()` makes arrays of.

    Raises:
        Damaged: it is cut off or altered, or is something else that a download brought.
        Refused: it asks for something that no such file needs.
        Unsupported: it is of no kind that is read here.
    """
    if data.startswith(ZIP):
        names = zip_names(io.BytesIO(data))
        if is_npz(names):
            return read_npz(data), None
        return {}, _read_network(data)
    if data.startswith(TORCH):
        return {}, _read_network(data)
    if data.startswith(NPY):
        return {"": read_npy(io.BytesIO(data), len(data))}, None
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return {}, _read_safetensors(data)
    check_download(data[:512])
    if data[0] not in b"\x80(}]cd":
        raise Unsupported("is none of the files that glot knows")
    held = unpickle(data)
    if isinstance(held, dict):
        return {str(name): value for name, value in held.items() if hasattr(value, "plain")}, None
    return ({"": held} if hasattr(held, "plain") else {}), None


def _read_safetensors(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, torch.Tensor] = load(data)
    except SafetensorError as error:
        raise Damaged(f"is a damaged safetensors file ({one_line(error)})") from error
    return tensors


def _read_network(data: bytes) -> dict[str, torch.Tensor]:
    """The checkpoint in a file of torch.save, old or new, read with torch's restricted unpickler.

    NumPy's numbers among it (epochs and scores are kept as such) become inert objects.
    """
    import torch

    if data.startswith(ZIP):
        _check_network_zip(data)
    stand_ins: list[Any] = [(kind, name) for name, kind in ALLOWED.items() if name.startswith("numpy.")]
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (Refused, Damaged):
        raise
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            raise Refused(f"is a checkpoint that asks for {asked.group(1)}") from error
        raise Damaged(f"is a damaged checkpoint ({one_line(error)})") from error
    except Exception as error:  # torch raises nearly every kind on a broken file
        raise Damaged(f"is a damaged or cut off checkpoint ({one_line(error)})") from error
    if not isinstance(held, dict):
        raise Unsupported("is a network file without named tensors")
    return held


def _check_network_zip(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_size(sum(info.file_size for info in archive.infolist()))
            bad = archive.testzip()
    except BAD_ZIP as error:
        raise Damaged(f"is a damaged checkpoint ({one_line(error)})") from error
    if bad:
        raise Damaged(f"is a damaged checkpoint ({bad} does not match its checksum)")
