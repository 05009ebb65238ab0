"""How well GLoT lifts landmarks whose truth is known: simulated ones, and those of crops of drawn people."""

from __future__ import annotations

import torch
from torch import Tensor

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat
from glot_cli.evaluation.body_errors import Floats, MeanErrors, centred, joint_errors, mean_errors, motion_errors
from glot_cli.features.landmark_vector import mirror_features, picture_landmarks
from glot_cli.features.skeleton import network_input
from glot_cli.lifting.placing import place
from glot_cli.lifting.windows import estimate
from glot_cli.metrics import mpjpe
from glot_cli.models.fold import FoldedGLoT
from glot_cli.motion.motions import FPS, Motions
from glot_cli.motion.viewing import CENTRE, Placed, Viewing, place_randomly, view_exactly
from glot_cli.training.simulate import Noise, corrupt
from glot_cli.training.training_crops import Crops

# What is told of a validation; the best weights are chosen by the mean of the first.
FIGURES = ("pa_mpjpe", "mpjpe", "mpvpe", "acceleration_error", "frames")


def clip_errors(predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], body: Body) -> dict[str, Floats]:
    """Errors by the fields of `BodyErrors`, metres and shares, of consecutive frames.

    Args:
        predicted: rotmat (N, 24, 3, 3) local rotations, betas (N, 10).
        truth: likewise.
        body: of both.

    Returns:
        (N,) each, (N - 2,) of accelerations.
    """
    (joints, vertices), (true_joints, true_vertices) = (
        [part.numpy() for part in centred(body, body(rotmat, betas))] for rotmat, betas in (predicted, truth)
    )
    errors = joint_errors(joints, true_joints) | motion_errors(joints, true_joints)
    return errors | {"mpvpe": mpjpe(vertices, true_vertices)}


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
) -> MeanErrors:
    """Lift every clip, whole, from random cameras of known focal length, as `glot run` does.

    Args:
        network: what lifts.
        motions: clips that it was not trained on.
        body: what is shown.
        viewing: the cameras.
        noise: errors of the landmarks.
        views: cameras for each clip.
        seed: of cameras, shapes and noise.

    Returns:
        Errors of 14 joints, centred on the middle of the hips.
    """
    generator = torch.Generator().manual_seed(seed)
    landmarks = LandmarkModel()
    rows = []
    for start, length in zip(motions.start.tolist(), motions.length.tolist(), strict=True):
        local = pose6d_to_rotmat(motions.pose6d[start : start + length])
        for _ in range(views):
            placed = place_randomly(local[None], body, landmarks, viewing or Viewing(), generator)
            exact, _ = view_exactly(placed, body.subset([0]), landmarks)
            features = corrupt(exact, noise or Noise(), generator)[0]
            rows.append(_errors(network, features, placed, body, landmarks))
    return mean_errors("simulated", rows)


@torch.inference_mode()
def evaluate_crops(network: FoldedGLoT, crops: Crops, body: Body) -> MeanErrors:
    """The same for crops of drawn people, clip by clip: the errors are the real landmark network's."""
    rows = []
    for clip in torch.unique(crops.clip):
        index = (crops.clip == clip).nonzero()[:, 0]
        placed = Placed(
            crops.rotmat[None, index], crops.betas[index[:1]], crops.pelvis[None, index], crops.box[None, index]
        )
        rows.append(_errors(network, crops.features[index], placed, body, crops.landmarks))
    return mean_errors("crops", rows)


def _errors(
    network: FoldedGLoT, features: Tensor, placed: Placed, body: Body, landmarks: LandmarkModel
) -> dict[str, Floats]:
    """Errors per frame of one track's features (N, 264) lifted, against where its body was placed."""
    count = len(features)
    segment = torch.zeros(count, dtype=torch.long)
    state = estimate(network, features, segment, prepare=network_input, mirror=mirror_features)
    seen, box = picture_landmarks(features), placed.box[0]
    lifted = place(state, seen, box, segment, body, landmarks, focal=1.0, centre=CENTRE, fps=FPS)
    return clip_errors(
        (lifted.rotmat, lifted.betas.expand(count, -1)), (placed.rotmat[0], placed.betas.expand(count, -1)), body
    )
