"""Put a training run together from its configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.errors import GlotError
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.training.config import TrainConfig
from glot_cli.training.data import Batches
from glot_cli.training.loop import train
from glot_cli.training.motions import load_motions
from glot_cli.training.pairs import Pairs


def training_body(config: TrainConfig) -> Body:
    """The body of a run, reduced to the points of its surface that the losses use."""
    full = Body.load(weights.locate("open-body"))
    points = np.random.default_rng(config.seed).choice(full.num_vertices, config.vertices, replace=False)
    return full.subset(np.sort(points))


def start(config: TrainConfig, out: Path, device: str = "cpu", quiet: bool = False) -> Path:
    """Train by `config`; the path of the weights. Raises GlotError for files that are missing or wrong."""
    if config.model.feature_dim != SKELETON_DIM:
        raise GlotError(
            f"the configuration has feature_dim = {config.model.feature_dim} under [model], but landmarks make "
            f"{SKELETON_DIM} numbers a frame; set feature_dim = {SKELETON_DIM}"
        )
    if not config.motions:
        raise GlotError("no motions to train on; name files in the configuration (motions = [...]) or with --motions")
    body, landmarks = training_body(config), LandmarkModel()
    pairs = Pairs.load(config.rendered, body, landmarks) if config.rendered else None
    batches = Batches(config, load_motions(config.motions, config.model.frames + 1), body, landmarks, pairs)
    return train(config, out, body, batches, device, quiet)
