"""The study of real footage against several cameras: what is known of made-up people comes out of it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.camera import ray_rotation
from tests.documents import ROOT

FRAMES = 12
# Somebody upright 4 m away who looks at the camera: left is at the right of the picture; y points down.
STANDING = np.array(
    [[0.2, -0.5, 0], [-0.2, -0.5, 0], [0.5, -0.5, 0], [-0.5, -0.5, 0], [0.7, -0.5, 0], [-0.7, -0.5, 0],
     [0.1, 0, 0], [-0.1, 0, 0], [0.1, 0.45, 0], [-0.1, 0.45, 0], [0.1, 0.9, 0], [-0.1, 0.9, 0]]
)  # fmt: skip


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "weights/studies/multiview.py"))


@pytest.fixture
def view(study: dict[str, Any], tmp_path: Path) -> Any:
    """One camera, turned about the vertical, before one person of whom the first frame is not known."""
    matrix = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
    turn, shift = Rotation.from_euler("y", 30, degrees=True).as_matrix(), np.array([0.0, 0, 4])
    world = np.tile(STANDING @ turn, (1, FRAMES, 1, 1))  # row vectors: R^T of what the camera sees
    world[0, 0] = np.nan
    arrays = {"K": matrix, "dist": np.zeros(4), "R": turn, "t": shift, "size": np.array([1280, 720]), "cameras": "a"}
    path = tmp_path / "clip.npz"
    order = np.random.default_rng(0).permutation(12)
    np.savez(
        path,
        joints3d=world[:, :, order],
        names=np.array(study["LIMBS"])[order],
        fps=30,
        **{name: np.array([value]) for name, value in arrays.items()},
    )
    (found,) = study["views_of"](path)
    return found


def figures(study: dict[str, Any], view: Any, joints: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    seen = study["Seen"](np.arange(FRAMES), np.ones(FRAMES, int), joints, pixels)
    return dict(zip(study["COLUMNS"], study["score"](seen, view.joints[0], view.pixels[0])[0], strict=True))


def test_the_truth_itself_has_no_error(study: dict[str, Any], view: Any) -> None:
    assert view.name == "clip_a"
    np.testing.assert_allclose(view.pixels[0, 1, 0], [640 + 0.2 * 250, 360 - 0.5 * 250])
    found = figures(study, view, np.nan_to_num(view.joints[0]), np.nan_to_num(view.pixels[0]))
    assert found == pytest.approx(dict.fromkeys(found, 0.0) | {"seen %": 100, "ids": 1}, abs=1e-5)


def test_a_trunk_bent_to_the_camera_leans_so_much_too_far(study: dict[str, Any], view: Any) -> None:
    bent = np.tile(STANDING, (FRAMES, 1, 1))
    bent[:, :6] = Rotation.from_euler("x", 10, degrees=True).apply(STANDING[:6])
    assert bent[0, 0, 2] < 0  # nearer
    found = figures(study, view, bent + np.array([0.3, 0, 0]), np.nan_to_num(view.pixels[0]) + 9.0)
    arc = 2 * np.sin(np.radians(5)) * 0.5  # of six of the twelve, which lie 0.5 m above the axis
    assert found["lean"] == pytest.approx(10) and found["|lean|"] == pytest.approx(10)
    assert found["MPJPE"] == pytest.approx(1000 * arc / 2) and found["PA-MPJPE"] < found["MPJPE"]
    assert found["2D %"] == pytest.approx(100 * 9 * 2**0.5 / (1.4 * 250))


def test_whoever_is_elsewhere_or_mirrored_is_not_found(study: dict[str, Any], view: Any) -> None:
    pixels = np.nan_to_num(view.pixels[0])
    pixels[:4] += 500
    pixels[4] = pixels[4][[i ^ 1 for i in range(12)]]
    found = figures(study, view, np.nan_to_num(view.joints[0]), pixels)
    assert found["seen %"] == pytest.approx(100 * 7 / 11)


def test_world_landmarks_are_turned_as_crops_are(study: dict[str, Any], view: Any) -> None:
    pixels = np.array([[640.0, 360], [100, 700], [1200, 20]])
    expected = ray_rotation(torch.from_numpy(pixels), 1000.0, torch.tensor([640.0, 360.0], dtype=torch.float64))
    np.testing.assert_allclose(study["onto_rays"](pixels, view), expected.numpy(), atol=1e-6)
