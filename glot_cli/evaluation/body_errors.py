"""The figures by which estimated bodies are compared with true ones: frame by frame, and as means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.body.joints import COMMON_HIPS, common_joints
from glot_cli.body.model import Body, BodyOutput
from glot_cli.metrics import acceleration, acceleration_error, auc, mpjpe, pa_mpjpe, pck

Floats = NDArray[np.floating]

# What metres and shares are multiplied by to become the units of `BodyErrors`; by its fields.
BODY_UNITS = {
    "mpjpe": 1000.0,
    "pa_mpjpe": 1000.0,
    "mpvpe": 1000.0,
    "acceleration": 1000.0,
    "acceleration_error": 1000.0,
    "pck": 100.0,
    "auc": 100.0,
}


@dataclass(frozen=True)
class BodyErrors:
    """Means over frames, each weighing alike; NaN where a figure has no frames.

    Which joints, and centred on what, says the protocol that goes with them.

    Attributes:
        mpjpe: of joints, millimetres.
        pa_mpjpe: of joints after the best similarity transform, millimetres.
        mpvpe: of vertices, millimetres.
        acceleration: of the estimated joints, millimetres per frame squared.
        acceleration_error: of the joints' accelerations, millimetres per frame squared.
        pck: joints within 150 mm, %.
        auc: mean of that over 0 to 150 mm, %.
    """

    mpjpe: float
    pa_mpjpe: float
    mpvpe: float
    acceleration: float
    acceleration_error: float
    pck: float
    auc: float


@dataclass(frozen=True, kw_only=True)
class MeanErrors(BodyErrors):
    """Errors of a sequence, an action, a data set or whatever else the name says, over so many frames."""

    name: str
    frames: int


def mean_errors(name: str, parts: Sequence[Mapping[str, Floats]]) -> MeanErrors:
    """Means over the frames of all parts.

    Args:
        name: what the parts are.
        parts: errors of every frame by the fields of `BodyErrors`, metres and shares.
    """
    frames = sum(len(part["mpjpe"]) for part in parts)
    return MeanErrors(name=name, frames=frames, **means(parts, BODY_UNITS))


def means(parts: Sequence[Mapping[str, Floats]], units: Mapping[str, float]) -> dict[str, float]:
    """Means over the frames of all parts, times the unit of each figure that `units` names; NaN without frames."""
    found = {}
    for name, unit in units.items():
        values = np.concatenate([part[name] for part in parts])
        found[name] = unit * float(values.mean()) if len(values) else float("nan")
    return found


def joint_errors(predicted: Floats, truth: Floats) -> dict[str, Floats]:
    """Errors of every frame by their names in `BodyErrors`: (N,), metres and shares.

    Args:
        predicted: (N, K, 3) joints, metres, centred on the root.
        truth: (N, K, 3) likewise.
    """
    return {
        "mpjpe": mpjpe(predicted, truth),
        "pa_mpjpe": pa_mpjpe(predicted, truth) if len(truth) else np.zeros(0),
        "pck": pck(predicted, truth),
        "auc": auc(predicted, truth),
    }


def motion_errors(predicted: Floats, truth: Floats, ticks: Floats | None = None) -> dict[str, Floats]:
    """Errors of every three frames in a row by their names in `BodyErrors`: (N - 2,), metres per frame squared.

    Args:
        predicted: (N, K, 3) joints of consecutive frames, metres, centred on the root.
        truth: (N, K, 3) likewise.
        ticks: (N,) where the frames stand in time, one for each of a steady rate; so they do where None.
    """
    return {
        "acceleration": acceleration(predicted, ticks),
        "acceleration_error": acceleration_error(predicted, truth, ticks),
    }


def centred(body: Body, output: BodyOutput) -> tuple[Tensor, Tensor]:
    """What is compared of N bodies: joints and vertices, each centred on its own root.

    Args:
        body: the whole body.
        output: what it gives, vertices included.

    Returns:
        14 common joints (N, 14, 3) from the middle of the hips, and vertices (N, V, 3) from the pelvis joint; metres.
    """
    assert output.vertices is not None
    joints = common_joints(body, output)
    return joints - joints[:, COMMON_HIPS].mean(1, keepdim=True), output.vertices - output.joints[:, :1]
