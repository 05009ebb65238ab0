"""Small trainings for the tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.training.config import LandmarkData, TrainConfig

TINY = GLoTConfig(feature_dim=SKELETON_DIM, global_dim=32, decoder_dim=32, local_dim=32, regressor_dim=32, heads=4)


def write_motions(path: Path, frames: int = 60) -> Path:
    """Two clips of slowly drifting poses in glot's motion format."""
    generator = np.random.default_rng(0)
    poses = (0.1 * np.cumsum(generator.normal(size=(frames, 24, 3)), 0) / 5).astype(np.float32)
    np.savez(path, poses=poses, clip_index=np.repeat([0, 1], frames // 2))
    return path


def landmark_config(motions: Path, **changes) -> TrainConfig:
    """Two epochs of three updates; changes to the run, or to its data under their own names."""
    data = {name: changes.pop(name) for name in list(changes) if name in LandmarkData.__dataclass_fields__}
    base = TrainConfig(
        epochs=2, iterations=3, batch_size=4, warmup=0.5, ema=0.9, model=TINY,
        landmarks=LandmarkData(motions=(motions,), vertices=10, **data),
    )  # fmt: skip
    return replace(base, **changes)
