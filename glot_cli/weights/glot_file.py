"""GLoT's weights in one safetensors file with the network's configuration in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from glot_cli.errors import WeightsError, one_line
from glot_cli.files.atomic import not_written, whole
from glot_cli.files.opening import check_there

if TYPE_CHECKING:
    from torch import Tensor

    from glot_cli.models.glot import GLoT
    from glot_cli.models.glot_config import GLoTConfig

GLOT_MEAN_STATE = "global_motion.regressor.mean_state"


def save_glot(state: Mapping[str, Tensor], config: GLoTConfig, path: Path, half: bool = False) -> None:
    """Write a GLoT state dict as safetensors, its configuration in the header.

    Args:
        state: the learned tensors by name.
        config: of the network that they are of.
        path: the file to write.
        half: store float16 instead of float32.

    Raises:
        OutputError: the file cannot be written.
    """
    import torch

    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
    save_tensors(tensors, path, {"format": "glot", "config": json.dumps(config.to_dict())})


def save_tensors(tensors: dict[str, Tensor], path: Path, header: dict[str, str]) -> None:
    """Write safetensors, whole or not at all, with a header of text. Raises OutputError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with whole(path) as aside:
            save_file(tensors, aside, metadata=header)
            aside.chmod(0o644)  # safetensors makes files that only their owner can read
    except (OSError, SafetensorError) as error:
        raise not_written(path, error, "look whether there is room") from error


def load_glot(path: Path, mean_state: Tensor | None = None) -> GLoT:
    """Read a file written by `save_glot`.

    Args:
        path: the file.
        mean_state: (157,) mean parameters for a file that holds none, as those made of official checkpoints do.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is missing, damaged or of another kind.
    """
    import torch
    from safetensors import safe_open

    from glot_cli.models.glot import GLoT
    from glot_cli.models.glot_config import GLoTConfig

    try:
        check_there(path)
        with safe_open(path, framework="pt") as file:
            config = GLoTConfig(**json.loads((file.metadata() or {})["config"]))
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if mean_state is not None:
                shapes.setdefault(GLOT_MEAN_STATE, tuple(mean_state.shape))
            with torch.device("meta"):  # no room for more than the file holds is asked for
                wanted = {key: tuple(tensor.shape) for key, tensor in GLoT(config).state_dict().items()}
            if wrong := sorted(key for key in {*wanted, *shapes} if wanted.get(key) != shapes.get(key)):
                raise ValueError(f"{wrong[0]} is {shapes.get(wrong[0])}, not {wanted.get(wrong[0])}")
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        if mean_state is not None:
            state.setdefault(GLOT_MEAN_STATE, mean_state)
        if wrong := sorted(key for key, tensor in state.items() if not torch.isfinite(tensor).all()):
            raise ValueError(f"{wrong[0]} holds values that are not finite numbers")
        model = GLoT(config)
        model.load_state_dict(state)
    except Exception as error:  # whatever a broken header leads to
        reason = f"not GLoT weights in glot's format ({one_line(error, 200)})"
        raise WeightsError(reason, path=path, remedy="give a file made by glot") from error
    return model.eval()
