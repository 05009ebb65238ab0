"""The device that networks run on."""

from __future__ import annotations

import torch
from torch import Tensor

from glot_cli.errors import UsageError


def pick_device(wanted: str) -> str:
    """The device to run on.

    Args:
        wanted: cpu, cuda, cuda:1 or mps; auto is the first of CUDA, MPS and CPU that is there.

    Raises:
        UsageError: it is not there.
    """
    have = ["cpu"]
    if torch.backends.mps.is_available():
        have.insert(0, "mps")
    if torch.cuda.is_available():
        have = ["cuda", *(f"cuda:{number}" for number in range(1, torch.cuda.device_count())), *have]
    if wanted == "auto":
        return have[0]
    if wanted.removesuffix(":0") not in have:
        raise UsageError(f"{wanted} is not on this machine; there is {', '.join(have)}", option="device")
    return wanted


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU's on the device. To CUDA it travels beside what is computed there."""
    if device.type == "cuda":  # only from pinned memory
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")
