"""Rotations: axis-angle, matrices, 6-D, quaternions; angles between them and interpolation.

Quaternions are (w,x,y,z). All functions take any number of leading dimensions, keep dtype and device, and have finite
gradients everywhere, the identity and half turns included.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _sinc(x: Tensor) -> Tensor:
    """sin(x)/x, smooth at 0."""
    return torch.sinc(x / torch.pi)


def axis_angle_to_rotmat(axis_angle: Tensor) -> Tensor:
    """(...,3) rotation vectors in radians -> (...,3,3). Rodrigues: R = I + sin(a)/a K + (1-cos a)/a^2 K^2."""
    squared = (axis_angle * axis_angle).sum(-1)
    # The root's slope is infinite at 0; a floor far below precision keeps the gradient finite there.
    angle = squared.clamp_min(torch.finfo(axis_angle.dtype).tiny).sqrt()
    first = _sinc(angle)[..., None, None]
    second = (0.5 * _sinc(angle / 2) ** 2)[..., None, None]
    k = cross_matrix(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    rotmat: Tensor = identity + first * k + second * (k @ k)
    return rotmat


def cross_matrix(vector: Tensor) -> Tensor:
    """(...,3) -> (...,3,3): the matrix K with K @ v = vector x v."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.unflatten(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1), -1, (3, 3))


def about_axis(axis: int, angle: Tensor) -> Tensor:
    """Rotations (...,3,3) by angles (...) in radians about one of the axes x, y, z: 0, 1, 2."""
    vector = angle.new_zeros(*angle.shape, 3)
    vector[..., axis] = angle
    return axis_angle_to_rotmat(vector)


def rotmat_to_quaternion(rotmat: Tensor) -> Tensor:
    """(...,3,3) -> unit quaternions (...,4) with w >= 0.

    Each of the four components is in turn the pivot (Shepperd's method) and the row with the largest pivot is taken,
    so nothing small is ever divided by.
    """
    m = rotmat
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # The symmetric matrix 4 q q^T, row by row.
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    diagonal = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    rows = torch.stack(
        [
            torch.stack([diagonal[..., 0], wx, wy, wz], -1),
            torch.stack([wx, diagonal[..., 1], xy, xz], -1),
            torch.stack([wy, xy, diagonal[..., 2], yz], -1),
            torch.stack([wz, xz, yz, diagonal[..., 3]], -1),
        ],
        -2,
    )
    pivot = diagonal.argmax(-1)[..., None, None].expand(*rows.shape[:-2], 1, 4)
    quaternion = torch.nn.functional.normalize(rows.gather(-2, pivot).squeeze(-2), dim=-1)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """(...,4) unit quaternions -> rotation vectors (...,3) in radians, at most pi long."""
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, v = quaternion[..., 0], quaternion[..., 1:]
    sine = (v * v).sum(-1).clamp_min(torch.finfo(v.dtype).tiny).sqrt()
    half = torch.atan2(sine, w)
    # For tiny turns half/sine is 1 (w is 1); dividing two underflowing numbers is avoided.
    small = sine < 1e-7
    factor = torch.where(small, 2.0 * torch.ones_like(sine), 2 * half / torch.where(small, 1.0, sine))
    return v * factor[..., None]


def rotmat_to_axis_angle(rotmat: Tensor) -> Tensor:
    """(...,3,3) -> (...,3) rotation vectors in radians, at most pi long; exact near 0 and near pi."""
    return quaternion_to_axis_angle(rotmat_to_quaternion(rotmat))


def pose6d_to_rotmat(pose6d: Tensor) -> Tensor:
    """(...,6) -> (...,3,3), (Zhou et al., 2019) with the layout of the official GLoT code.

    The six numbers viewed as (3,2) are the first two *columns* of the matrix, made orthonormal by Gram-Schmidt.
    """
    columns = torch.unflatten(pose6d, -1, (3, 2))
    normalize = torch.nn.functional.normalize
    first = normalize(columns[..., 0], dim=-1)
    second = columns[..., 1] - (first * columns[..., 1]).sum(-1, keepdim=True) * first
    second = normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def rotmat_to_pose6d(rotmat: Tensor) -> Tensor:
    """(...,3,3) -> (...,6): the first two columns, row by row; the inverse of `pose6d_to_rotmat`."""
    return rotmat[..., :, :2].flatten(-2)


def least_rotation(start: Tensor, end: Tensor) -> Tensor:
    """The rotation of least angle that turns one direction into another.

    R = I + K + K^2 / (1 + cos a), K the cross product with start x end; kept finite where the two are opposed.
    `camera.ray_rotation` is the same for the optical axis, written out, but rounds differently: what was made with
    either is repeated to the last bit by that one alone, so both stay.

    Args:
        start: (..., 3) unit vectors, or (3,) for all.
        end: (..., 3) unit vectors.

    Returns:
        (..., 3, 3) with R @ start = end.
    """
    axis = torch.linalg.cross(start.expand_as(end), end)
    cos = (start * end).sum(-1)[..., None, None]
    cross = cross_matrix(axis)
    identity = torch.eye(3, dtype=end.dtype, device=end.device)
    rotmat: Tensor = identity + cross + cross @ cross / (1 + cos).clamp_min(0.05)
    return rotmat


def turn_root(turn: Tensor, rotmat: Tensor) -> Tensor:
    """Bodies in another frame: their joint 0 is turned, the others follow.

    Args:
        turn: (..., 3, 3) from the frame that the bodies are in into the other one.
        rotmat: (..., K, 3, 3) local rotations of K joints.

    Returns:
        (..., K, 3, 3).
    """
    return torch.cat([(turn @ rotmat[..., 0, :, :]).unsqueeze(-3), rotmat[..., 1:, :, :]], -3)


def slerp(a: Tensor, b: Tensor, fraction: Tensor) -> Tensor:
    """Rotations (...,3,3) at `fraction` (...,) of the shortest way from a (0) to b (1)."""
    step = rotmat_to_axis_angle(a.transpose(-1, -2) @ b)
    return a @ axis_angle_to_rotmat(step * fraction[..., None])
