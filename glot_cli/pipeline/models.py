"""Everything that a run loads once, whatever the number of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.errors import WeightsError
from glot_cli.features import extractor
from glot_cli.features.extractor import FeatureExtractor
from glot_cli.files.opening import expanded
from glot_cli.lifting.joint_errors import JointErrors
from glot_cli.lifting.lifters import Lifter, make_lifter
from glot_cli.models.fold import FoldedGLoT
from glot_cli.pipeline.presets import OPEN_SHAPES, Preset
from glot_cli.smpl import SMPL_VERTICES
from glot_cli.tracking.detector import PersonDetector
from glot_cli.weights.bodies import body_path, is_open, load_body, mean_parameters
from glot_cli.world.grounding import Grounding
from glot_cli.world.reconstruct import Worldmaker


@dataclass(frozen=True)
class Models:
    """The networks and the body of a preset, ready on their device.

    Attributes:
        preset: which they are of.
        detector: finds people.
        features: looks at them.
        lifter: makes bodies of what it sees.
        worldmaker: stands them in a world.
        body: that is posed.
        body_name: what records call the body.
        own_shape: whether the network speaks in its shape components.
        hashes: SHA-256 of every weight file, by role.
    """

    preset: Preset
    detector: PersonDetector
    features: FeatureExtractor
    lifter: Lifter
    worldmaker: Worldmaker
    body: Body
    body_name: str
    own_shape: bool
    hashes: dict[str, str]

    @property
    def body_hash(self) -> str:
        return self.hashes["body"]


def load_models(
    preset: Preset,
    device: str,
    detector: str | None = None,
    half: bool = False,
    refine: bool = True,
    trust_detector: bool = False,
) -> Models:
    """Load a preset.

    Args:
        preset: as `choose` gives it.
        device: as PyTorch calls it.
        detector: path of another ultralytics model.
        half: image features in half precision.
        refine: whether poses are fitted to landmarks, where features give any.
        trust_detector: whether the detector may be a program.

    Raises:
        WeightsError: weights are missing, damaged or not made for each other.
    """
    paths = weight_files(preset, detector)
    # First of all: it may be a file of anybody's, and is refused before there is anything else in memory.
    finder = PersonDetector(detector, paths["detector"], device, trusted=trust_detector)
    body = load_body(preset.body)
    own_shape = _shape_space(preset.body, body) == preset.shape_space
    features = extractor.find(preset.extractor).load(paths, device, half=half)
    glot = load_network(preset, features.input_dim, device)
    errors = JointErrors.load(paths["confidence"]) if "confidence" in paths else None
    return Models(
        preset=preset,
        detector=finder,
        features=features,
        lifter=make_lifter(features, glot, body, own_shape=own_shape, refine=refine, errors=errors),
        worldmaker=Worldmaker(Grounding.load(paths["grounding"]), body, moves=refine),
        body=body,
        body_name=preset.body if weights.is_known(preset.body) else str(paths["body"].resolve()),
        own_shape=own_shape,
        hashes=hashes_of(paths),
    )


def weight_files(preset: Preset, detector: str | None = None) -> dict[str, Path]:
    """The files that a run with a preset reads, by role.

    Args:
        preset: as `choose` gives it.
        detector: path of another ultralytics model.

    Raises:
        WeightsError: one is missing or damaged.
    """
    paths = {
        "features": weights.locate(preset.features),
        "glot": _checkpoint(preset.glot),
        "body": body_path(preset.body),
        "grounding": weights.locate("grounding"),
        "detector": expanded(detector) if detector else weights.locate(preset.detector),
    }
    return paths | {name: weights.locate(name) for name in preset.helpers}


def hashes_of(files: dict[str, Path]) -> dict[str, str]:
    """SHA-256 of files, by role; those that are not there are left out."""
    return {role: weights.sha256(path) for role, path in files.items() if path.is_file()}


def load_network(preset: Preset, input_dim: int, device: str = "cpu") -> FoldedGLoT:
    """The temporal network of a preset.

    Args:
        preset: as `choose` gives it.
        input_dim: numbers a frame of what it is to be given.
        device: as PyTorch calls it.

    Raises:
        WeightsError: it is missing, damaged or made for another number.
    """
    path = _checkpoint(preset.glot)
    glot = weights.load_glot(path, mean_parameters() if "mean-params" in preset.helpers else None)
    if glot.config.feature_dim != input_dim:
        raise WeightsError(
            f"made for {glot.config.feature_dim} numbers a frame, this preset of this version of glot gives "
            f"{input_dim}",
            path=path,
            remedy="train it anew or choose another",
        )
    return FoldedGLoT(glot.to(device))


def _checkpoint(name: str) -> Path:
    return weights.locate(name) if weights.is_known(name) else expanded(name)


def _shape_space(name: str, body: Body) -> str:
    """Whose shape components a body has. A file of SMPL's size is taken for SMPL."""
    if body.num_vertices == SMPL_VERTICES:
        return "smpl"
    return OPEN_SHAPES if is_open(name) else name
