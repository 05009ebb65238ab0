"""Bodies that give way: turns of some joints and a shift, sought for all frames of a stretch at once.

Shapes: N frames of one person's track, J joints that may turn, D = 3 J + 3 unknowns a frame: turns of these joints
about axes of their parents' frames, radians; translation, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.smpl import SMPL_PARENTS, ancestors


@dataclass(frozen=True)
class Figure:
    """Bodies in N frames, in the camera's frame or the world's.

    Attributes:
        rotmat: (N, 24, 3, 3) local rotations.
        transl: (N, 3) metres.
        betas: (10,) shape of all.
    """

    rotmat: Tensor
    transl: Tensor
    betas: Tensor

    def rows(self, index: slice | Tensor) -> Figure:
        """Some frames of it."""
        return Figure(self.rotmat[index], self.transl[index], self.betas)


def turned(figure: Figure, step: Tensor, joints: Sequence[int]) -> Figure:
    """Bodies whose unknowns have grown by `step` (N, D); turns of the pelvis leave it where it is."""
    rotmat = figure.rotmat.clone()
    rotmat[:, joints] = axis_angle_to_rotmat(torch.unflatten(step[:, :-3], -1, (-1, 3))) @ rotmat[:, joints]
    return Figure(rotmat, figure.transl + step[:, -3:], figure.betas)


def descends(carriers: Sequence[int], joints: Sequence[int]) -> Tensor:
    """Which joints move points that are fixed to the joints `carriers`, K of them: (K, J) of zeros and ones."""
    chains = [{carrier, *ancestors(carrier)} for carrier in carriers]
    return torch.tensor([[float(joint in chain) for joint in joints] for chain in chains])


def parents(bones: Tensor, joints: Sequence[int]) -> Tensor:
    """Rotations (N, J, 3, 3) of the joints' parents, of bones (N, 24, 3, 3); the pelvis has none."""
    none = torch.eye(3).expand_as(bones[:, 0])
    return torch.stack([bones[:, SMPL_PARENTS[joint]] if joint else none for joint in joints], 1)


def third(values: Tensor, differences: Tensor) -> Tensor:
    """Third differences (N - 3, D) of values (N, D), by the factors of `smoothing.third_differences` (N - 3, 4)."""
    count = len(differences)
    out = values.new_zeros(count, values.shape[1])
    for shift, value in enumerate(differences.float().unbind(1)):
        out += value[:, None] * values[shift : shift + count]
    return out


def third_transposed(x: Tensor, differences: Tensor, count: int) -> Tensor:
    """The transpose of third differences (M, 4) of `count` frames, (M, D) -> (count, D): fewer than 4 have none."""
    out = x.new_zeros(count, x.shape[1])
    for shift, value in enumerate(differences.float().unbind(1)):
        out[shift : shift + len(x)] += value[:, None] * x
    return out


def solve_banded(own: Tensor, stiff: Tensor, right: Tensor, differences: Tensor, mixed: Tensor | None = None) -> Tensor:
    """Solve for all frames what smoothness ties together, exactly: an iteration takes the longer the denser frames lie.

    In double precision the prior keeps the matrix positive definite, however close a body comes to the camera.

    Args:
        own: (N, D, D) each frame's own block.
        stiff: (N - 3, D) weights of the third differences.
        right: (N, D).
        differences: (N - 3, 4) factors of these differences.
        mixed: (N - 1, D, D) blocks between each frame (columns) and the next (rows), if anything else ties them.

    Returns:
        (N, D).
    """
    from scipy.linalg import solveh_banded  # scipy takes its time to import

    count, size = right.shape
    bands = np.zeros((3 * size + 1, count, size))  # lower form: bands[k, j] is element (j + k, j)
    blocks = own.double().numpy()
    for k in range(size):
        bands[k, :, : size - k] = np.diagonal(blocks, -k, 1, 2)
    if mixed is not None:
        later = mixed.double().numpy()
        for j in range(size):
            bands[size - j : 2 * size - j, : count - 1, j] += later[:, :, j].T
    weights, factors = stiff.double().numpy(), differences.numpy()[:, :, None]
    for k in range(4):
        for i in range(4 - k):  # row r of the differences touches frames r..r+3
            bands[k * size, i : i + len(weights)] += factors[:, i] * factors[:, i + k] * weights
    flat = solveh_banded(
        bands.reshape(len(bands), -1), right.double().numpy().ravel(), overwrite_ab=True, lower=True, check_finite=False
    )
    return torch.from_numpy(flat).to(right.dtype).view(count, size)
