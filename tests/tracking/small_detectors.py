"""Detectors so small that they are built at once, and files that hold them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glot_cli.tracking.ultralytics_adapter import build_network

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "person_detector.safetensors"


def architecture(*layers: list[Any], **other: Any) -> dict[str, Any]:
    """A description of a detector of one class, of pictures that are halved three times; `layers` come in between."""
    backbone = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], *layers]
    head = [[[len(backbone) - 1], 1, "Detect", ["nc"]]]
    return {"nc": 1, "backbone": backbone, "head": head, **other}


def small(*layers: list[Any], seed: int = 0, **other: Any) -> nn.Module:
    """A network of random numbers."""
    torch.manual_seed(seed)
    network: Any = build_network(architecture(*layers, **other), 1)
    network.names = {0: "person"}
    return network  # type: ignore[no-any-return]


def save(network: Any, path: Path, **other: Any) -> str:
    """Write a network as ultralytics does; gives the path."""
    torch.save({"epoch": -1, "model": network, "ema": None, "train_args": {"task": "detect"}, **other}, path)
    return str(path)


def zipped(program: bytes, path: Path, **members: bytes) -> str:
    """Write a file of `torch.save` whose pickle is `program`; gives the path."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/data/0", bytes(64))
        for name, data in members.items():
            archive.writestr(f"a/{name}", data)
    return str(path)
