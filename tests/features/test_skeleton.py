"""What the temporal network is told of a frame, against the rotations that the landmarks were made with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.camera import project_weak
from glot_cli.features.landmark_vector import Landmarks, join, mirror_features
from glot_cli.features.skeleton import BONES, POSE_DIM, SKELETON_DIM, network_input
from tests.body.oracles import geodesic_angle

LAID = slice(264, 264 + 99)
CAMERA = slice(LAID.stop, LAID.stop + 3)
WORLD_POSE = slice(CAMERA.stop, CAMERA.stop + POSE_DIM)
LAID_POSE = slice(WORLD_POSE.stop, WORLD_POSE.stop + POSE_DIM)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body")).subset([0])


def exact(body: Body, rotmat: Tensor, camera: Tensor) -> Tensor:
    """Features (N, 264) of posed bodies seen by weak-perspective cameras (N, 3), without any error."""
    points = LandmarkModel()(body(rotmat, torch.zeros(len(rotmat), 10), vertices=False))
    world = points - points[:, 23:25].mean(1, keepdim=True)
    ones = torch.ones(len(rotmat), 33)
    return join(Landmarks(project_weak(world, camera), world[..., 2] * camera[:, :1], ones, ones, world))


def poses(count: int, size: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    turn = size * torch.randn(count, 24, 3, generator=generator)
    turn[:, 0] = 2 * torch.randn(count, 3, generator=generator)
    return axis_angle_to_rotmat(turn)


def cameras(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    return torch.tensor([0.9, 0.0, 0.0]) + 0.2 * torch.randn(count, 3, generator=generator)


def test_exact_landmarks_lay_the_skeleton_where_it_is(body: Body) -> None:
    camera = cameras(50)
    features = exact(body, poses(50, 0.4), camera)
    out = network_input(features)
    assert out.shape == (50, SKELETON_DIM)
    assert torch.equal(out[:, :264], features)
    assert torch.allclose(out[:, LAID], features[:, 165:], atol=1e-5)  # equal to the world landmarks
    assert torch.allclose(out[:, CAMERA][:, 0].exp(), camera[:, 0], atol=1e-5)
    assert torch.allclose(out[:, CAMERA][:, 1:], camera[:, 1:], atol=1e-5)
    assert torch.allclose(out[:, WORLD_POSE], out[:, LAID_POSE], atol=1e-3)


def test_picture_corrects_width_and_height_of_the_world_landmarks(body: Body) -> None:
    """World landmarks that are turned about the line of sight: the picture knows better."""
    camera = cameras(40)
    features = exact(body, poses(40, 0.3), camera)
    turned = features.clone()
    spin = axis_angle_to_rotmat(torch.tensor([0.0, 0.0, 0.3]))
    turned[:, 165:] = (features[:, 165:].unflatten(1, (33, 3)) @ spin.T).flatten(1)
    truth = features[:, 165:].unflatten(1, (33, 3))
    laid = network_input(turned)[:, LAID].unflatten(1, (33, 3))
    laid = laid - laid[:, 23:25].mean(1, keepdim=True)
    before = (turned[:, 165:].unflatten(1, (33, 3)) - truth).norm(dim=-1).mean()
    after = (laid - truth).norm(dim=-1).mean()
    assert after < 0.35 * before


def test_root_rotation_is_read_off(body: Body) -> None:
    """With a straight trunk the pelvis's frame turns exactly with the root, whatever shins and forearms do."""
    rotmat = poses(60, 0.5)
    rotmat[:, [1, 2, 3, 6, 9, 13, 14, 16, 17]] = torch.eye(3)  # what carries the landmarks of hips and shoulders
    rest = torch.eye(3).repeat(1, 24, 1, 1)
    found = network_input(exact(body, rotmat, cameras(60)))[:, WORLD_POSE][:, :9].unflatten(1, (3, 3))
    offset = network_input(exact(body, rest, cameras(1)))[:, WORLD_POSE][:, :9].unflatten(1, (3, 3))
    assert torch.allclose(found, rotmat[:, 0] @ offset, atol=1e-4)
    assert geodesic_angle(offset, torch.eye(3)[None]).item() < 0.2  # and it is close to the body's own


def test_all_but_the_pelvis_is_blind_to_the_root(body: Body) -> None:
    rotmat = poses(40, 0.5)
    straight = rotmat.clone()
    straight[:, 0] = torch.eye(3)
    seen = [network_input(exact(body, r, cameras(40)))[:, WORLD_POSE][:, 9:] for r in (rotmat, straight)]
    assert torch.allclose(*seen, atol=2e-3)


def test_a_bent_elbow_shows_in_the_forearm_alone(body: Body) -> None:
    straight = torch.eye(3).repeat(2, 24, 1, 1)
    straight[1, 18] = axis_angle_to_rotmat(torch.tensor([0.0, -1.0, 0.0]))  # the left elbow, about the vertical
    out = network_input(exact(body, straight, cameras(2)))[:, WORLD_POSE]
    changed = (out[0] - out[1]).abs().view(-1, 3).amax(1)
    forearm = 9 + 1  # after the three rotations' nine rows: upper arm, forearm, hand, palm of the left
    assert changed.argmax() == forearm and changed[forearm] > 0.7
    assert changed[torch.arange(len(changed)) != forearm].max() < 0.25
    angle = torch.acos((out[0] * out[1])[3 * forearm : 3 * forearm + 3].sum())
    assert abs(angle - 1.0) < 0.15  # radians: what the elbow was bent


def test_lengths_are_those_of_the_bones(body: Body) -> None:
    features = exact(body, poses(10, 0.5), cameras(10))
    world = features[:, 165:].unflatten(1, (33, 3))
    expected = torch.stack([(world[:, a] - world[:, b]).norm(dim=-1) for a, b in BONES], 1)
    out = network_input(features)[:, LAID_POSE.stop :]
    assert torch.allclose(out[:, : len(BONES)], expected, atol=1e-4)
    flat = torch.stack([(world[:, a, :2] - world[:, b, :2]).norm(dim=-1) for a, b in BONES], 1)
    assert torch.allclose(out[:, len(BONES) :], flat, atol=1e-4)


def test_stays_finite_where_nothing_was_seen() -> None:
    nothing = torch.zeros(2, 3, 264)
    alike = torch.full((2, 3, 264), 0.5)
    for features in (nothing, alike):
        assert torch.isfinite(network_input(features)).all()


def test_mirrored_twice_is_the_same(body: Body) -> None:
    features = exact(body, poses(5, 0.5), cameras(5))
    assert torch.equal(mirror_features(mirror_features(features)), features)
    once = mirror_features(features)
    assert torch.allclose(once[:, 11 * 5], -features[:, 12 * 5])  # left shoulder's x is the right one's
