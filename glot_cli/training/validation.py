"""How well GLoT lifts landmarks whose truth is known: simulated ones, and those of crops of drawn people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glot_cli.body.joints import COMMON_HIPS, common_joints
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat
from glot_cli.features.landmark_vector import mirror_features, picture_landmarks
from glot_cli.features.skeleton import network_input
from glot_cli.lifting.placing import place
from glot_cli.lifting.windows import estimate
from glot_cli.metrics import acceleration_error, mpjpe, pa_mpjpe
from glot_cli.models.fold import FoldedGLoT
from glot_cli.motion.motions import FPS, Motions
from glot_cli.motion.viewing import CENTRE, Placed, Viewing, measure
from glot_cli.training import simulate
from glot_cli.training.simulate import Noise, corrupt
from glot_cli.training.training_crops import Crops


@dataclass(frozen=True)
class Errors:
    """Means over all frames: millimetres, millimetres per frame squared."""

    mpjpe: float
    pa_mpjpe: float
    mpvpe: float
    acceleration_error: float
    frames: int


def clip_errors(predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], body: Body) -> dict[str, np.ndarray]:
    """Errors per frame, metres, of two bodies given as rotmat (N, 24, 3, 3), betas (N, 10)."""
    joints, vertices = [], []
    for rotmat, betas in (predicted, truth):
        output = body(rotmat, betas)
        assert output.vertices is not None
        common = common_joints(body, output)
        root = common[:, COMMON_HIPS].mean(1, keepdim=True)
        joints.append((common - root).numpy())
        vertices.append((output.vertices - output.joints[:, :1]).numpy())
    return {
        "mpjpe": mpjpe(*joints),
        "pa_mpjpe": pa_mpjpe(*joints),
        "mpvpe": mpjpe(*vertices),
        "acceleration_error": acceleration_error(*joints),
    }


def summary(rows: list[dict[str, np.ndarray]]) -> Errors:
    """Means in millimetres over all clips' frames."""
    means = {name: 1000 * float(np.concatenate([r[name] for r in rows]).mean()) for name in rows[0]}
    return Errors(**means, frames=sum(len(r["mpjpe"]) for r in rows))


@torch.inference_mode()
def evaluate_simulated(
    network: FoldedGLoT,
    motions: Motions,
    body: Body,
    *,
    viewing: Viewing | None = None,
    noise: Noise | None = None,
    views: int = 4,
    seed: int = 0,
) -> Errors:
    """Lift every clip, whole, from `views` random cameras, as `glot run` does; hips-centred errors of 14 joints.

    The camera's focal length is known.
    """
    generator = torch.Generator().manual_seed(seed)
    landmarks = LandmarkModel()
    rows = []
    for start, length in zip(motions.start.tolist(), motions.length.tolist(), strict=True):
        local = pose6d_to_rotmat(motions.pose6d[start : start + length])
        for _ in range(views):
            placed = simulate.place(local[None], body, landmarks, viewing or Viewing(), generator)
            seen, _ = measure(placed, body.subset([0]), landmarks)
            features = corrupt(seen, noise or Noise(), generator)[0]
            rows.append(_errors(network, features, placed, body, landmarks))
    return summary(rows)


@torch.inference_mode()
def evaluate_crops(network: FoldedGLoT, crops: Crops, body: Body) -> Errors:
    """The same for crops of drawn people, clip by clip: the errors are the real landmark network's."""
    rows = []
    for clip in crops.clip.unique():
        index = (crops.clip == clip).nonzero()[:, 0]
        placed = Placed(
            crops.rotmat[None, index], crops.betas[index[:1]], crops.pelvis[None, index], crops.box[None, index]
        )
        rows.append(_errors(network, crops.features[index], placed, body, crops.landmarks))
    return summary(rows)


def _errors(
    network: FoldedGLoT, features: Tensor, placed: Placed, body: Body, landmarks: LandmarkModel
) -> dict[str, np.ndarray]:
    """Errors per frame of one track's features (N, 264) lifted, against where its body was placed."""
    count = len(features)
    segment = torch.zeros(count, dtype=torch.long)
    state = estimate(network, features, segment, prepare=network_input, mirror=mirror_features)
    lifted = place(
        state, picture_landmarks(features), placed.box[0], segment, body, landmarks, focal=1.0, centre=CENTRE, fps=FPS
    )
    return clip_errors(
        (lifted.rotmat, lifted.betas.expand(count, -1)), (placed.rotmat[0], placed.betas.expand(count, -1)), body
    )
