"""Everything that a run loads once, whatever the number of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.smpl import SMPL_VERTICES
from glot_cli.errors import GlotError
from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.features.spin import SpinFeatures
from glot_cli.features.spin_net import SpinNetwork
from glot_cli.lifting.lifters import ImageLifter, LandmarkLifter, Lifter
from glot_cli.models.fold import FoldedGLoT
from glot_cli.pipeline.presets import Preset
from glot_cli.tracking.detector import PersonDetector
from glot_cli.weights.bodies import body_path, load_body, mean_parameters


@dataclass(frozen=True)
class Models:
    """The networks and the body of a preset, ready on their device.

    body_name: what records call the body. own_shape: whether the network speaks in its shape components.
    """

    preset: Preset
    detector: PersonDetector
    features: BlazePoseFeatures | SpinFeatures
    lifter: Lifter
    body: Body
    body_name: str
    own_shape: bool
    hashes: dict[str, str]  # SHA-256 of every weight file, by role

    @property
    def body_hash(self) -> str:
        return self.hashes["body"]


def load_models(
    preset: Preset, device: str, detector: str | None = None, half: bool = False, refine: bool = True
) -> Models:
    """Load a preset. detector: path of another ultralytics model. half: image features in half precision. refine:
    whether poses are fitted to landmarks where there are any.

    Raises GlotError for missing or damaged weights.
    """
    paths = weight_files(preset, detector)
    body = load_body(preset.body)
    own_shape = _shape_space(preset.body, body) == preset.shape_space
    features: BlazePoseFeatures | SpinFeatures
    lifter: Lifter
    if preset.kind == "landmarks":
        features = BlazePoseFeatures(paths["features"], device)
        glot = _glot(paths["glot"], SKELETON_DIM, None, device)
        lifter = LandmarkLifter(glot, body, LandmarkModel(), own_shape, refine)
    else:
        mean_state = mean_parameters()
        features = SpinFeatures(SpinNetwork.load(paths["features"], mean_state), device, half=half)
        lifter = ImageLifter(_glot(paths["glot"], features.feature_dim, mean_state, device), body, own_shape)
    return Models(
        preset=preset,
        detector=PersonDetector(detector, paths["detector"], device),
        features=features,
        lifter=lifter,
        body=body,
        body_name=preset.body if weights.is_known(preset.body) else str(paths["body"].resolve()),
        own_shape=own_shape,
        hashes=hashes_of(paths),
    )


def weight_files(preset: Preset, detector: str | None = None) -> dict[str, Path]:
    """The files that a run with a preset reads, by role. detector: path of another ultralytics model.

    Raises GlotError for missing or damaged weights.
    """
    paths = {
        "features": weights.locate(preset.features),
        "glot": _checkpoint(preset.glot),
        "body": body_path(preset.body),
        "detector": Path(detector).expanduser() if detector else weights.locate(preset.detector),
    }
    return paths | {name: weights.locate(name) for name in preset.helpers}


def hashes_of(files: dict[str, Path]) -> dict[str, str]:
    """SHA-256 of files, by role; those that are not there are left out."""
    return {role: weights.sha256(path) for role, path in files.items() if path.is_file()}


def load_network(preset: Preset, feature_dim: int, device: str = "cpu") -> FoldedGLoT:
    """The temporal network of a preset alone, for features of so many numbers. Raises GlotError."""
    mean_state = mean_parameters() if "mean-params" in preset.helpers else None
    return _glot(_checkpoint(preset.glot), feature_dim, mean_state, device)


def _checkpoint(name: str) -> Path:
    return weights.locate(name) if weights.is_known(name) else Path(name).expanduser()


def _glot(path: Path, feature_dim: int, mean_state: torch.Tensor | None, device: str) -> FoldedGLoT:
    glot = weights.load_glot(path, mean_state)
    if glot.config.feature_dim != feature_dim:
        raise GlotError(
            f"{path}: made for {glot.config.feature_dim} numbers a frame, this preset of this version of glot gives "
            f"{feature_dim}; train it anew or choose another"
        )
    return FoldedGLoT(glot.to(device))


def _shape_space(name: str, body: Body) -> str:
    """Whose shape components a body has. A file of SMPL's size is taken for SMPL."""
    return "smpl" if body.num_vertices == SMPL_VERTICES else name
