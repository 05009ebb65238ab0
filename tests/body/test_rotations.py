"""Rotation conversions against scipy, with the hard cases: identity, tiny turns, half turns."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from glot_cli.body import rotations as rot
from tests.body.oracles import geodesic_angle


def hard_axis_angles() -> np.ndarray:
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((400, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    axes[:6] = np.concatenate([np.eye(3), -np.eye(3)])
    angles = np.resize([0, 1e-9, 1e-5, 1e-3, 0.5, 2.0, 3.0, np.pi - 1e-3, np.pi - 1e-6, np.pi], 400)
    return axes * angles[:, None]


@pytest.fixture(scope="module")
def cases() -> tuple[torch.Tensor, Rotation]:
    axis_angle = hard_axis_angles()
    return torch.from_numpy(axis_angle), Rotation.from_rotvec(axis_angle)


def test_axis_angle_to_rotmat(cases):
    axis_angle, truth = cases
    np.testing.assert_allclose(rot.axis_angle_to_rotmat(axis_angle), truth.as_matrix(), atol=1e-12)


def test_float32_stays_accurate_and_float32(cases):
    axis_angle, truth = cases
    result = rot.axis_angle_to_rotmat(axis_angle.float())
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result, truth.as_matrix(), atol=2e-6)
    back = rot.axis_angle_to_rotmat(rot.rotmat_to_axis_angle(result))
    np.testing.assert_allclose(back, truth.as_matrix(), atol=2e-6)


def test_rotmat_to_axis_angle_round_trip_and_length(cases):
    axis_angle, truth = cases
    result = rot.rotmat_to_axis_angle(torch.from_numpy(truth.as_matrix())).numpy()
    assert np.linalg.norm(result, axis=1).max() <= np.pi + 1e-9
    np.testing.assert_allclose(Rotation.from_rotvec(result).as_matrix(), truth.as_matrix(), atol=1e-9)
    # Away from half turns, where the vector's sign is a matter of taste, the vectors themselves agree.
    below = np.linalg.norm(axis_angle.numpy(), axis=1) < np.pi - 1e-4
    np.testing.assert_allclose(result[below], axis_angle.numpy()[below], atol=1e-9)


def test_quaternions_agree_with_scipy(cases):
    _, truth = cases
    quaternion = rot.rotmat_to_quaternion(torch.from_numpy(truth.as_matrix())).numpy()
    wanted = truth.as_quat()[:, [3, 0, 1, 2]]
    same = np.abs((quaternion * wanted).sum(1))  # q and -q are one rotation
    np.testing.assert_allclose(same, 1, atol=1e-12)


def test_pose6d_layout_is_two_columns_row_by_row():
    matrix = Rotation.from_euler("xyz", [0.3, -0.8, 1.2]).as_matrix()
    six = rot.rotmat_to_pose6d(torch.from_numpy(matrix)).numpy()
    r = matrix
    np.testing.assert_array_equal(six, [r[0, 0], r[0, 1], r[1, 0], r[1, 1], r[2, 0], r[2, 1]])


def test_pose6d_round_trip_and_gram_schmidt(cases):
    _, truth = cases
    matrices = torch.from_numpy(truth.as_matrix())
    np.testing.assert_allclose(rot.pose6d_to_rotmat(rot.rotmat_to_pose6d(matrices)), matrices, atol=1e-12)
    wild = rot.pose6d_to_rotmat(torch.from_numpy(np.random.default_rng(1).standard_normal((50, 24, 6)))).numpy()
    np.testing.assert_allclose(wild @ wild.swapaxes(-1, -2), np.broadcast_to(np.eye(3), wild.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(wild), 1, atol=1e-12)


def test_pose6d_keeps_the_direction_of_the_first_column():
    six = torch.tensor([[2.0, 1.0, 0.0, 3.0, 0.0, 0.0]])  # columns (2,0,0) and (1,3,0)
    np.testing.assert_allclose(rot.pose6d_to_rotmat(six)[0], np.eye(3), atol=1e-7)


def test_geodesic_angle(cases):
    _, truth = cases
    other = Rotation.random(400, random_state=2)
    angle = geodesic_angle(torch.from_numpy(truth.as_matrix()), torch.from_numpy(other.as_matrix())).numpy()
    np.testing.assert_allclose(angle, (truth.inv() * other).magnitude(), atol=1e-6)
    identity = torch.eye(3).expand(400, 3, 3).double()
    against_identity = geodesic_angle(identity, torch.from_numpy(truth.as_matrix()))
    np.testing.assert_allclose(against_identity, truth.magnitude(), atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-4, 1.0, np.pi])
def test_gradients_are_finite_everywhere(angle):
    vector = torch.tensor([[angle, 0.0, 0.0]], requires_grad=True)
    matrix = rot.axis_angle_to_rotmat(vector)
    back = rot.rotmat_to_axis_angle(matrix)
    (matrix.sum() + back.sum() + geodesic_angle(matrix, torch.eye(3)).sum()).backward()
    assert torch.isfinite(vector.grad).all()


def test_axis_angle_gradient_is_right():
    vectors = torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.2, 0.9], [1.5, 2.0, -0.4]], dtype=torch.float64)
    assert torch.autograd.gradcheck(rot.axis_angle_to_rotmat, vectors.requires_grad_())


def test_least_rotation_turns_one_into_the_other_and_no_further():
    ends = torch.nn.functional.normalize(
        torch.from_numpy(np.random.default_rng(3).standard_normal((2, 400, 3))), dim=-1
    )
    start, end = ends
    far = (start * end).sum(-1) > -0.9  # what is nearly opposed is only kept finite
    result = rot.least_rotation(start, end)
    assert torch.isfinite(result).all()
    turned = (result @ start.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(turned[far], end[far], atol=1e-12, rtol=0)
    angle = torch.arccos((start * end).sum(-1).clamp(-1, 1))
    torch.testing.assert_close(geodesic_angle(result, torch.eye(3).double())[far], angle[far], atol=1e-7, rtol=0)


def test_slerp_matches_scipy():
    ends = Rotation.random(2, random_state=4)
    fractions = np.linspace(0, 1, 7)
    wanted = Slerp([0, 1], ends)(fractions).as_matrix()
    a, b = (torch.from_numpy(m).expand(7, 3, 3) for m in ends.as_matrix())
    np.testing.assert_allclose(rot.slerp(a, b, torch.from_numpy(fractions)), wanted, atol=1e-9)
