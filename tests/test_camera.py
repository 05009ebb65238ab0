"""The cameras agree with one another, with NumPy, and with the official network's projection."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glot_cli.camera import (
    camera_from_translation,
    fit_translation,
    from_crop,
    project_official,
    project_pinhole,
    project_weak,
    ray_rotation,
    to_crop,
    translation_from_camera,
)
from tests.parity import standins

FOCAL, CENTRE = 900.0, torch.tensor([640.0, 360.0], dtype=torch.float64)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def random(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_crop_camera_and_translation_are_inverse(generator: torch.Generator) -> None:
    camera = torch.cat([0.7 + 0.1 * random(generator, 50, 1).abs(), 0.2 * random(generator, 50, 2)], -1)
    box = torch.cat([CENTRE + 200 * random(generator, 50, 2), 300 + 50 * random(generator, 50, 1)], -1)
    pelvis = 0.1 * random(generator, 50, 3)
    transl = translation_from_camera(camera, box, pelvis, FOCAL, CENTRE)
    assert torch.allclose(camera_from_translation(transl, box, pelvis, FOCAL, CENTRE), camera)
    # Both put the pelvis on the same pixel.
    weak = box[:, :2] + box[:, 2:] / 2 * project_weak(pelvis[:, None], camera)[:, 0]
    assert torch.allclose(project_pinhole(pelvis + transl, FOCAL, CENTRE), weak)
    # And a small thing at the pelvis has the same size: one pixel a metre is scale x half side.
    step = torch.tensor([1e-4, 0, 0], dtype=torch.float64)
    width = project_pinhole(pelvis + transl + step, FOCAL, CENTRE) - project_pinhole(pelvis + transl, FOCAL, CENTRE)
    assert torch.allclose(width[:, 0] / 1e-4, camera[:, 0] * box[:, 2] / 2)


def test_a_pinhole_by_hand() -> None:
    point = torch.tensor([0.5, -0.2, 2.0], dtype=torch.float64)
    assert project_pinhole(point, FOCAL, CENTRE).tolist() == pytest.approx([640 + 225, 360 - 90])


def test_fit_translation_is_exact_on_exact_points(generator: torch.Generator) -> None:
    points = 0.4 * random(generator, 20, 33, 3)
    true = torch.stack([random(generator, 20), random(generator, 20), 3 + random(generator, 20).abs()], -1)
    pixels = project_pinhole(points + true[:, None], FOCAL, CENTRE)
    weights = torch.rand(20, 33, generator=generator, dtype=torch.float64)
    assert torch.allclose(fit_translation(points, pixels, weights, FOCAL, CENTRE), true, atol=1e-8)
    pixels[:, :20] += 500 * random(generator, 20, 20, 2)
    weights[:, :20] = 0  # what has no weight may be anywhere
    assert torch.allclose(fit_translation(points, pixels, weights, FOCAL, CENTRE), true, atol=1e-8)


def test_fit_translation_is_the_least_squares_solution(generator: torch.Generator) -> None:
    points, pixels = random(generator, 12, 3), CENTRE + 300 * random(generator, 12, 2)
    weights = torch.rand(12, generator=generator, dtype=torch.float64)
    u = ((pixels - CENTRE) / FOCAL).numpy()
    rows, right = [], []
    for (ux, uy), (x, y, z), w in zip(u, points.numpy(), weights.sqrt().numpy(), strict=True):
        rows += [w * np.array([1, 0, -ux]), w * np.array([0, 1, -uy])]
        right += [w * (ux * z - x), w * (uy * z - y)]
    expected = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    assert fit_translation(points, pixels, weights, FOCAL, CENTRE).numpy() == pytest.approx(expected)


def test_ray_rotation_turns_the_axis_onto_the_ray_by_the_least_angle(generator: torch.Generator) -> None:
    pixels = torch.cat([CENTRE[None], CENTRE + 500 * random(generator, 30, 2)])
    rotation = ray_rotation(pixels, FOCAL, CENTRE)
    identity = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(rotation @ rotation.transpose(-1, -2), identity.expand_as(rotation), atol=1e-12)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(31, dtype=torch.float64))
    assert torch.allclose(rotation[0], identity)
    ahead = rotation[..., 2]
    assert torch.allclose(project_pinhole(ahead, FOCAL, CENTRE), pixels)
    # Least angle: the axis of rotation lies across both, so nothing turns about the line of sight.
    skew = torch.stack([rotation[:, 2, 1] - rotation[:, 1, 2], rotation[:, 0, 2] - rotation[:, 2, 0],
                        rotation[:, 1, 0] - rotation[:, 0, 1]], -1)  # fmt: skip
    assert skew[:, 2].abs().max() < 1e-12


def test_official_projection_is_the_formula(generator: torch.Generator) -> None:
    points = random(generator, 6, 49, 3).numpy()
    camera = np.array([0.9, 0.1, -0.2]) + 0.05 * random(generator, 6, 3).numpy()
    s, tx, ty = camera.T
    moved = points + np.stack([tx, ty, 2 * 5000 / (224 * s + 1e-9)], -1)[:, None]
    expected = 5000 * moved[..., :2] / moved[..., 2:] / 112
    found = project_official(torch.from_numpy(points), torch.from_numpy(camera))
    assert found.numpy() == pytest.approx(expected)


def test_official_projection_gives_the_official_keypoints() -> None:
    expected = standins.expected()
    points, theta = expected["infer.final.kp_3d"], expected["infer.final.theta"]
    truth = expected["infer.final.kp_2d"]
    found = project_official(torch.from_numpy(points), torch.from_numpy(theta[:, :3])).numpy()
    assert np.abs(found - truth).max() < 1e-4 * np.abs(truth).max()


def test_pixels_and_crop_coordinates_are_inverse(generator: torch.Generator) -> None:
    crops = torch.cat([400 * random(generator, 9, 2), 50 + 200 * random(generator, 9, 1).abs()], -1)
    points = random(generator, 9, 4, 2)
    assert torch.allclose(to_crop(from_crop(points, crops), crops), points)
    corner = torch.tensor([[[90.0, 180.0], [110.0, 200.0]]])  # of a square of 20 pixels about (100, 190)
    assert to_crop(corner, torch.tensor([[100.0, 190.0, 20.0]])).tolist() == [[[-1, -1], [1, 1]]]


def test_a_focal_length_of_each_frame_is_that_of_its_frame(generator: torch.Generator) -> None:
    focals = torch.tensor([400.0, 800.0, 1600.0], dtype=torch.float64)
    points = torch.randn(3, 9, 3, dtype=torch.float64, generator=generator)
    pixels = 1000 * torch.rand(3, 9, 2, dtype=torch.float64, generator=generator)
    crops = torch.tensor([[500.0, 300, 200], [900, 100, 300], [640, 360, 250]], dtype=torch.float64)
    camera = torch.tensor([[0.9, 0.1, -0.2]] * 3, dtype=torch.float64)
    away = points + torch.tensor([0.0, 0.0, 8.0])
    weights = torch.ones(3, 9, dtype=torch.float64)
    for whole, alone in (
        (project_pinhole(away, focals, CENTRE), lambda n, f: project_pinhole(away[n], f, CENTRE)),
        (ray_rotation(pixels[:, 0], focals, CENTRE), lambda n, f: ray_rotation(pixels[n, 0], f, CENTRE)),
        (
            translation_from_camera(camera, crops, points[:, 0], focals, CENTRE),
            lambda n, f: translation_from_camera(camera[n], crops[n], points[n, 0], f, CENTRE),
        ),
        (
            camera_from_translation(away[:, 1], crops, points[:, 0], focals, CENTRE),
            lambda n, f: camera_from_translation(away[n, 1], crops[n], points[n, 0], f, CENTRE),
        ),
        (
            fit_translation(points, pixels, weights, focals, CENTRE),
            lambda n, f: fit_translation(points[n], pixels[n], weights[n], f, CENTRE),
        ),
    ):
        expected = torch.stack([alone(number, focal) for number, focal in enumerate(focals.tolist())])
        assert torch.allclose(whole, expected)
