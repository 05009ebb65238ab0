"""The device that networks run on."""

from __future__ import annotations

import torch

from glot_cli.errors import UsageError


def pick_device(wanted: str) -> str:
    """`auto` becomes cuda, mps or cpu, the first that is there. Raises UsageError for a device that is not."""
    have = ["cpu"]
    if torch.backends.mps.is_available():
        have.insert(0, "mps")
    if torch.cuda.is_available():
        have.insert(0, "cuda")
    if wanted == "auto":
        return have[0]
    if wanted.split(":")[0] not in have:
        raise UsageError(f"--device {wanted}: not on this machine; there is {', '.join(have)}")
    return wanted
