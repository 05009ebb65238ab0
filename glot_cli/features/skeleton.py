"""What the temporal network of the `open` preset is told of a frame: the landmarks, and what geometry makes of them.

Joint rotations are a long chain of products and quotients of landmark positions. A network can learn them from the raw
numbers, but needs many times the examples; written down, they cost nothing. All of it is closed form and batched.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.body.rotations import least_rotation
from glot_cli.camera import fit_weak_perspective
from glot_cli.features.landmark_vector import LANDMARK_DIM, reliability, unpack

_AT = {name: index for index, name in enumerate(LANDMARK_NAMES)}
_LENGTHS = (
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("shoulder", "hip"),
    ("heel", "foot_index"),
)
BONES = (
    *((_AT[f"{side}_{a}"], _AT[f"{side}_{b}"]) for side in ("left", "right") for a, b in _LENGTHS),
    (_AT["left_shoulder"], _AT["right_shoulder"]),
    (_AT["left_hip"], _AT["right_hip"]),
)

POSE_DIM = 3 * 9 + 2 * (4 * 3) + 2 * (3 * 3)  # three rotations; four directions an arm, three a leg
SKELETON_DIM = LANDMARK_DIM + 33 * 3 + 3 + 2 * POSE_DIM + 2 * len(BONES)


def network_input(features: Tensor) -> Tensor:
    """What the temporal network is told, of BlazePose's features.

    To the features themselves are added: the skeleton whose depth is that of the world landmarks and whose width and
    height are those of the picture, in metres; the weak-perspective camera between the two; for the world landmarks and
    for that skeleton, rotations of pelvis, chest and head and the directions of limbs, each as seen from its parent;
    lengths of bones in space and in the picture.

    Args:
        features: (..., 264).

    Returns:
        (..., SKELETON_DIM).
    """
    parts = unpack(features)
    weights = reliability(parts) + 1e-3
    camera = fit_weak_perspective(parts.world, parts.landmarks2d, weights)  # (..., 3)
    scale = camera[..., None, :1].clamp_min(0.1)
    flat = parts.landmarks2d / scale - camera[..., None, 1:]  # (..., 33, 2) metres
    laid = torch.cat([flat, parts.world[..., 2:]], -1)
    return torch.cat(
        [
            features,
            laid.flatten(-2),
            scale[..., 0].log(),
            camera[..., 1:],
            _pose(parts.world),
            _pose(laid),
            _lengths(laid),
            _lengths(flat),
        ],
        -1,
    )


def _lengths(points: Tensor) -> Tensor:
    """Lengths of BONES between points (..., 33, D): (..., 14)."""
    first, last = (list(ends) for ends in zip(*BONES, strict=True))
    lengths: Tensor = (points[..., first, :] - points[..., last, :]).norm(dim=-1)
    return lengths


def _pose(points: Tensor) -> Tensor:
    """What joint rotations are made of, for landmarks (..., 33, 3): (..., POSE_DIM).

    The pelvis's rotation, the chest's in the pelvis's frame, the head's in the chest's; then, for each side, directions
    along arm and palm and along leg and foot. A limb at rest points to the body's side (arms) or down (legs).
    """

    def at(name: str) -> Tensor:
        return points[..., _AT[name], :]

    def middle(name: str) -> Tensor:
        return (at(f"left_{name}") + at(f"right_{name}")) / 2

    def across(name: str) -> Tensor:
        return at(f"left_{name}") - at(f"right_{name}")

    up = middle("shoulder") - middle("hip")
    pelvis, chest = _frame(across("hip"), up), _frame(across("shoulder"), up)
    forward = at("nose") - middle("ear")
    head = _frame(across("ear"), torch.linalg.cross(forward, across("ear")))
    rows = [rotation.flatten(-2) for rotation in (pelvis, pelvis.mT @ chest, chest.mT @ head)]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hand = (at(f"{side}_index") + at(f"{side}_pinky")) / 2
        palm = at(f"{side}_index") - at(f"{side}_pinky")
        arm = [at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")]
        leg = [at(f"{side}_{name}") for name in ("hip", "knee", "ankle")]
        foot = at(f"{side}_foot_index") - at(f"{side}_heel")
        rows += _limb(chest, (sign, 0.0, 0.0), [arm[1] - arm[0], arm[2] - arm[1], hand - arm[2]], palm)
        rows += _limb(pelvis, (0.0, -1.0, 0.0), [leg[1] - leg[0], leg[2] - leg[1]], foot)
    return torch.cat(rows, -1)


def _frame(x: Tensor, up: Tensor) -> Tensor:
    """Rotation (..., 3, 3) whose columns are x, and y and z nearest to `up` and what lies before both."""
    x = F.normalize(x, dim=-1)
    z = F.normalize(torch.linalg.cross(x, up), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], -1)


def _limb(frame: Tensor, rest: tuple[float, float, float], bones: list[Tensor], last: Tensor) -> list[Tensor]:
    """Directions of successive bones (..., 3), and of `last`, each seen from the frame that swung with the bone before.

    frame (..., 3, 3) of the trunk; rest: direction in it of the first bone when the limb is at rest.
    """
    axis = torch.tensor(rest, dtype=frame.dtype, device=frame.device)
    rows = []
    for bone in bones:
        seen = _inside(frame, bone)
        rows.append(seen)
        frame = frame @ least_rotation(axis, seen)
    return [*rows, _inside(frame, last)]


def _inside(frame: Tensor, vector: Tensor) -> Tensor:
    return F.normalize((frame.mT @ vector.unsqueeze(-1)).squeeze(-1), dim=-1)
