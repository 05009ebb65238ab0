"""Where weight files are, what they are, and whether they are intact."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from glot_cli.errors import GlotError

if TYPE_CHECKING:
    from torch import Tensor

    from glot_cli.models.config import GLoTConfig
    from glot_cli.models.glot import GLoT

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class WeightFile:
    """One shipped file, as the manifest describes it. size in bytes."""

    name: str
    file: str
    role: str
    source: str
    licence: str
    size: int
    sha256: str


def shipped_folder() -> Path:
    """The folder of the weights that travel with the package: inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parent / "_weights"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "weights"


def user_folder() -> Path | None:
    """The folder named by GLOT_WEIGHTS, whose files stand in for shipped ones of the same name."""
    value = os.environ.get("GLOT_WEIGHTS")
    return Path(value).expanduser() if value else None


@cache
def manifest() -> dict[str, WeightFile]:
    """Shipped files by name. Raises GlotError when the installation is broken."""
    path = shipped_folder() / MANIFEST
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise GlotError(f"{path}: the list of weights is missing or damaged ({error}); install again") from error
    return {row["name"]: WeightFile(**row) for row in rows}


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def locate(name: str) -> Path:
    """Path of a weight file, checked against its SHA-256.

    A file of the same file name in GLOT_WEIGHTS comes first and is taken as it is: it is the user's own. Raises
    GlotError when the file is missing or damaged.
    """
    entry = manifest()[name]
    own = user_folder()
    if own and (own / entry.file).is_file():
        return own / entry.file
    path = shipped_folder() / entry.file
    fault = check(entry, path)
    if fault:
        raise GlotError(f"{path}: {fault}; install glot-cli again")
    return path


def check(entry: WeightFile, path: Path) -> str | None:
    """What is wrong with a shipped file, None when it is intact."""
    if not path.is_file():
        return f"the {entry.role} is missing ({entry.size} bytes expected)"
    if path.stat().st_size != entry.size:
        return f"the {entry.role} has {path.stat().st_size} bytes, expected {entry.size}"
    if (found := sha256(path)) != entry.sha256:
        return f"the {entry.role} has SHA-256 {found}, expected {entry.sha256}"
    return None


def save_glot(state: Mapping[str, Tensor], config: GLoTConfig, path: Path, half: bool = False) -> None:
    """Write a GLoT state dict as safetensors, its configuration in the header. half: store float16."""
    import torch
    from safetensors.torch import save_file

    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
    aside = path.with_name(path.name + ".part")
    save_file(tensors, aside, metadata={"format": "glot", "config": json.dumps(config.to_dict())})
    aside.chmod(0o644)  # safetensors makes files that only their owner can read
    aside.replace(path)


def load_glot(path: Path) -> GLoT:
    """Read a file written by `save_glot`; the network in evaluation mode, float32, on the CPU. Raises GlotError."""
    from safetensors import SafetensorError, safe_open

    from glot_cli.models.config import GLoTConfig
    from glot_cli.models.glot import GLoT

    try:
        with safe_open(path, framework="pt") as file:
            config = GLoTConfig(**json.loads((file.metadata() or {})["config"]))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        model = GLoT(config)
        model.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GlotError(f"{path}: not GLoT weights in glot's format ({reason}); give a file made by glot") from error
    return model.eval()
