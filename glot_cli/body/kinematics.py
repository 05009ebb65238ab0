"""From the rotations of joints to the places of joints and bones: forward kinematics.

SMPL's own bodies are posed by smplx, the published implementation; every other body by the textbook's recursion here.
Both give the same numbers. smplx is imported only where an SMPL body is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from glot_cli.errors import WeightsError

# rotmat (B, 24, 3, 3) local, joints (B, 24, 3) of the rest pose, parents -> joints (B, 24, 3), bones (B, 24, 3, 3)
Kinematics = Callable[[Tensor, Tensor, Sequence[int]], tuple[Tensor, Tensor]]


def forward_kinematics(rotmat: Tensor, joints: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Pose a skeleton: each bone turns with its parent, each joint hangs on its parent's bone.

    Args:
        rotmat: (B, J, 3, 3) rotation of every joint in its parent's frame; joint 0 turns the whole body.
        joints: (B, J, 3) places of the joints in the rest pose, metres.
        parents: of each of the J joints, parents first; the root's is not read.

    Returns:
        Places of the joints (B, J, 3) in metres, and rotations of the bones (B, J, 3, 3), both in the body's frame.
        The root stays where it is.
    """
    above = list(parents[1:])
    turned = [rotmat[:, 0]]
    for joint, parent in enumerate(above, 1):
        turned.append(turned[parent] @ rotmat[:, joint])
    bones = torch.stack(turned, 1)
    offsets = (bones[:, above] @ (joints[:, 1:] - joints[:, above]).unsqueeze(-1)).squeeze(-1)  # (B, J - 1, 3)
    placed = [joints[:, 0]]
    for joint, parent in enumerate(above):
        placed.append(placed[parent] + offsets[:, joint])
    return torch.stack(placed, 1), bones


def smplx_kinematics(source: str) -> Kinematics:
    """The same function as smplx computes it.

    Args:
        source: names the body in the error.

    Raises:
        WeightsError: smplx is not installed.
    """
    try:
        import smplx.lbs  # noqa: F401
    except ImportError as error:
        raise WeightsError("is an SMPL body, which needs smplx", path=source, remedy="pip install smplx") from error
    return _posed_by_smplx


def _posed_by_smplx(rotmat: Tensor, joints: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    from smplx.lbs import batch_rigid_transform

    placed, transforms = batch_rigid_transform(rotmat, joints, torch.tensor(parents), rotmat.dtype)
    return placed, transforms[:, :, :3, :3]
