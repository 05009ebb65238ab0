"""The 33 landmarks of BlazePose, and where they sit on an SMPL body: each is a point fixed to one joint's bone.

The offsets were measured: open bodies were drawn, BlazePose looked at the pictures, and each landmark's offset was
fitted to what it marked (`weights/recipes/fit_landmarks.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glot_cli.body.model import BodyOutput
from glot_cli.smpl import SMPL_MIRROR

LANDMARK_NAMES = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip

LANDMARK_SHOULDERS = (LANDMARK_NAMES.index("left_shoulder"), LANDMARK_NAMES.index("right_shoulder"))
LANDMARK_HIPS = (LANDMARK_NAMES.index("left_hip"), LANDMARK_NAMES.index("right_hip"))

# Joint and offset (metres, in the joint's rest frame: x to the body's left, y up, z forward) of the nose and of the
# left side's landmarks, in BlazePose's order; the right side mirrors them.
NOSE = (15, (0.0, 0.023, 0.093))
LEFT = {
    "eye_inner": (15, (0.013, 0.051, 0.071)),
    "eye": (15, (0.022, 0.050, 0.066)),
    "eye_outer": (15, (0.032, 0.050, 0.061)),
    "ear": (15, (0.047, 0.032, 0.026)),
    "mouth": (15, (0.014, -0.012, 0.081)),
    "shoulder": (16, (-0.018, 0.005, 0.001)),
    "elbow": (18, (0.002, 0.004, 0.015)),
    "wrist": (20, (0.010, -0.003, 0.004)),
    "pinky": (22, (-0.025, -0.012, -0.013)),
    "index": (22, (-0.018, -0.016, 0.011)),
    "thumb": (20, (0.062, -0.018, 0.021)),
    "hip": (1, (-0.017, -0.003, 0.025)),
    "knee": (4, (-0.002, 0.009, -0.008)),
    "ankle": (7, (-0.001, 0.021, 0.006)),
    "heel": (7, (-0.004, -0.044, -0.032)),
    "foot_index": (10, (-0.010, 0.014, 0.045)),
}


def attachments() -> tuple[Tensor, Tensor]:
    """Joint (33,) int64 and offset (33, 3) float32 of every landmark, in BlazePose's order."""
    left = list(LEFT.values())
    right = [(SMPL_MIRROR[joint], (-x, y, z)) for joint, (x, y, z) in left]
    eyes = [*left[:3], *right[:3]]
    pairs = [pair for both in zip(left[3:], right[3:], strict=True) for pair in both]
    rows = [NOSE, *eyes, *pairs]
    return torch.tensor([joint for joint, _ in rows]), torch.tensor([offset for _, offset in rows])


class LandmarkModel(nn.Module):
    """The 33 landmarks of posed bodies."""

    __call__: Callable[..., Tensor]

    joint: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        joint, offset = attachments()
        self.register_buffer("joint", joint, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, body: BodyOutput) -> Tensor:
        """Landmarks (B, 33, 3) of posed bodies, metres, in the frame of their joints."""
        offsets = (body.bones[:, self.joint] @ self.offset.unsqueeze(-1)).squeeze(-1)
        return body.joints[:, self.joint] + offsets
