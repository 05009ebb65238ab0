"""Where the 33 BlazePose landmarks sit on the body: each is a point fixed to one joint's bone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..body.joints import SMPL_PARENTS
from ..errors import GlotError


class LandmarkModel(nn.Module):
    """Landmarks as points in the frames of their joints.

    joint: (33,) index of the joint each landmark hangs on; offset: (33, 3) metres in that joint's rest frame.
    """

    def __init__(self, joint: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.joint: Tensor
        self.offset: Tensor
        self.register_buffer("joint", joint, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    @staticmethod
    def load(path: Path) -> LandmarkModel:
        """Read an npz with arrays `joint` and `offset`. Raises GlotError where they are missing."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return LandmarkModel(torch.from_numpy(file["joint"]).long(), torch.from_numpy(file["offset"]).float())
        except (OSError, KeyError, ValueError) as error:
            raise GlotError(f"{path}: not a landmark file ({error}); rebuild it with its recipe") from error

    def forward(self, joints: Tensor, rotmat: Tensor) -> Tensor:
        """joints (B, 24, 3) of the posed body, rotmat (B, 24, 3, 3) local -> landmarks (B, 33, 3), same frame."""
        bones = global_rotations(rotmat)[:, self.joint]  # (B, 33, 3, 3)
        return joints[:, self.joint] + (bones @ self.offset.unsqueeze(-1)).squeeze(-1)


def global_rotations(rotmat: Tensor) -> Tensor:
    """Rotations of the bones in the body's frame from local ones: (B, 24, 3, 3) -> (B, 24, 3, 3)."""
    bones: list[Tensor] = [rotmat[:, 0]]
    for joint in range(1, rotmat.shape[1]):
        bones.append(bones[SMPL_PARENTS[joint]] @ rotmat[:, joint])
    return torch.stack(bones, 1)
