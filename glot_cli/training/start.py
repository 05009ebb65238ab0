"""Put a training run together from its configuration."""

from __future__ import annotations

from pathlib import Path

import torch

from glot_cli import weights
from glot_cli.errors import InputError, WeightsError
from glot_cli.models.glot import GLoT, initialise
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.training import seeds
from glot_cli.training.config import TrainConfig
from glot_cli.training.loop import train
from glot_cli.training.processes import joined
from glot_cli.training.task import Task
from glot_cli.weights import load_glot

SPIN_LAYERS = ("fc1", "decpose", "decshape", "deccam")  # of SPIN's regressor; GLoT leaves fc2 out


def start(config: TrainConfig, out: Path, device: str = "cpu", quiet: bool = False) -> Path:
    """Train by `config`.

    Args:
        config: the run.
        out: folder for weights, checkpoints and logs; a training that was stopped there goes on.
        device: what to train on.
        quiet: show no progress bar.

    Returns:
        The path of the weights.

    Raises:
        InputError: data are missing or wrong, or their features are not of the network's size.
        WeightsError: weights or bodies are missing or wrong.
        OutputError: `out` holds a training with other settings.
        UsageError: the configuration cannot be carried out.
    """
    with joined(device) as processes:
        task = make_task(config, processes.device)
        if config.model.feature_dim != task.feature_dim:
            raise InputError(
                f"the configuration has feature_dim = {config.model.feature_dim} under [model], but the data have "
                f"{task.feature_dim} numbers a frame",
                remedy=f"set feature_dim = {task.feature_dim}",
            )
        return train(config, task, first_model(config, task), out, processes, quiet)


def make_task(config: TrainConfig, device: torch.device) -> Task:
    """What the configuration trains on."""
    if config.landmarks is not None:
        from glot_cli.training.landmark_task import LandmarkTask

        return LandmarkTask(config, config.landmarks, device)
    from glot_cli.training.dataset_task import DatasetTask

    assert config.datasets is not None
    return DatasetTask(config, config.datasets, device)


def first_model(config: TrainConfig, task: Task) -> GLoT:
    """The network before the first update.

    Raises:
        WeightsError: weights that the configuration starts from are missing or do not fit.
        InputError: the network cannot start from SPIN's regressor.
    """
    torch.manual_seed(seeds.seed_of(config.seed, seeds.START))
    model = GLoT(config.model)
    if config.initial is not None:
        try:
            model.load_state_dict(load_glot(config.initial).state_dict())
        except RuntimeError as error:
            reason = "of another size than [model]"
            raise WeightsError(reason, path=config.initial, remedy="name other weights") from error
        return model
    initialise(model, task.mean_state())
    if config.regressor == "spin":
        _start_from_spin(model)
    return model


def _start_from_spin(model: GLoT) -> None:
    """Give the global regressor the weights of SPIN's own, its second layer left out (paper section 4)."""
    from safetensors import safe_open

    config, published = model.config, GLoTConfig()
    sizes = ("feature_dim", "regressor_dim")
    if config.branches == "local" or any(getattr(config, n) != getattr(published, n) for n in sizes):
        reason = "regressor = 'spin' fits the published sizes and a global branch alone"
        raise InputError(reason, remedy="set it to 'random'")
    state = {}
    with safe_open(weights.locate("spin"), framework="pt") as file:
        for layer in SPIN_LAYERS:
            for kind in ("weight", "bias"):
                state[f"{layer}.{kind}"] = file.get_tensor(f"regressor.{layer}.{kind}").float()
    model.global_motion.regressor.load_state_dict(state, strict=False)
