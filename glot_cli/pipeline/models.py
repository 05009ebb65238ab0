"""Everything that a run loads once, whatever the number of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.errors import GlotError, UsageError
from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.models.fold import FoldedGLoT
from glot_cli.pipeline.detect import PersonDetector
from glot_cli.presets import Preset


@dataclass(frozen=True)
class Models:
    """The networks and the body of a preset, ready on their device."""

    preset: Preset
    detector: PersonDetector
    features: BlazePoseFeatures
    glot: FoldedGLoT
    body: Body
    landmarks: LandmarkModel
    hashes: dict[str, str]  # SHA-256 of every weight file, by role

    @property
    def body_hash(self) -> str:
        return self.hashes["body"]


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


def load_models(preset: Preset, device: str, detector: str | None = None) -> Models:
    """Load a preset. detector: path of another ultralytics model. Raises GlotError for missing or damaged weights."""
    paths = {
        "features": weights.locate(preset.features),
        "glot": weights.locate(preset.glot),
        "body": weights.locate(preset.body),
        "detector": Path(detector).expanduser() if detector else weights.locate(preset.detector),
    }
    glot = weights.load_glot(paths["glot"])
    if glot.config.feature_dim != SKELETON_DIM:
        raise GlotError(
            f"{paths['glot']}: made for {glot.config.feature_dim} numbers a frame, this version of glot gives "
            f"{SKELETON_DIM}; train it anew or remove the file"
        )
    return Models(
        preset=preset,
        detector=PersonDetector(detector, paths["detector"], device),
        features=BlazePoseFeatures(paths["features"], device),
        glot=FoldedGLoT(glot.to(device)),
        body=Body.load(paths["body"]),
        landmarks=LandmarkModel(),
        hashes={role: weights.sha256(path) for role, path in paths.items() if path.is_file()},
    )
