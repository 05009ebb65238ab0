"""Poses drawn onto landmarks: wrong poses come right, and nothing is believed that was not seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, geodesic_angle
from glot_cli.camera import project_pinhole
from glot_cli.pipeline import refine
from glot_cli.pipeline.refine import PRIOR, refine_pose

FOCAL, CENTRE = 1000.0, torch.tensor([640.0, 360.0])
COUNT = 40
BETAS = torch.linspace(-1, 1, 10)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body")).subset([0])


class Scene:
    """People in random poses 3 to 5 m away, and a guess whose joints are off as far as the prior expects."""

    def __init__(self, body: Body) -> None:
        generator = torch.Generator().manual_seed(1)
        turn = 0.3 * torch.randn(COUNT, 24, 3, generator=generator)
        turn[:, 0] = torch.tensor([2.9, 0.0, 0.0]) + 0.3 * torch.randn(COUNT, 3, generator=generator)
        turn[:, [16, 17], 2] += torch.tensor([-1.0, 1.0])
        self.rotmat = axis_angle_to_rotmat(turn)
        self.transl = torch.tensor([0.3, 0.0, 4.0]) + 0.4 * torch.randn(COUNT, 3, generator=generator)
        error = torch.zeros(COUNT, 24, 3)
        for joint, sigma in PRIOR.items():
            error[:, joint] = sigma * torch.randn(COUNT, 3, generator=generator)
        self.guess = self.rotmat @ axis_angle_to_rotmat(error)
        self.pixels = drawn(body, self.rotmat, self.transl)
        self.side = 2.3 * FOCAL / self.transl[:, 2]

    def refined(self, body: Body, pixels: Tensor | None = None, visibility: Tensor | None = None):
        return refine_pose(
            self.guess,
            self.transl,
            BETAS,
            self.pixels if pixels is None else pixels,
            torch.ones(COUNT, 33) if visibility is None else visibility,
            self.side,
            body,
            LandmarkModel(),
            focal=FOCAL,
            centre=CENTRE,
        )


def drawn(body: Body, rotmat: Tensor, transl: Tensor) -> Tensor:
    joints = body(rotmat, BETAS.expand(len(rotmat), -1), vertices=False).joints
    return project_pinhole(LandmarkModel()(joints, rotmat) + transl[:, None], FOCAL, CENTRE)


@pytest.fixture(scope="module")
def scene(body: Body) -> Scene:
    return Scene(body)


def off(a: Tensor, b: Tensor) -> float:
    return (a - b).norm(dim=-1).mean().item()


def test_a_body_comes_to_lie_on_its_landmarks(body: Body, scene: Scene) -> None:
    before = off(drawn(body, scene.guess, scene.transl), scene.pixels)
    rotmat, transl = scene.refined(body)
    assert off(drawn(body, rotmat, transl), scene.pixels) < 0.25 * before
    joints = [body(r, BETAS.expand(COUNT, -1), vertices=False).joints for r in (scene.rotmat, scene.guess, rotmat)]
    joints = [j - j[:, :1] for j in joints]
    assert off(joints[2], joints[0]) < 0.75 * off(joints[1], joints[0])  # what the picture cannot show stays wrong


def test_steps_lead_to_the_landmarks_when_nothing_holds_back(
    body: Body, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a prior that knows next to nothing, only right derivatives bring the error to nought."""
    monkeypatch.setattr(refine, "PRIOR", dict.fromkeys(PRIOR, 3.0))
    monkeypatch.setattr(refine, "OUTLIER", 10.0)
    monkeypatch.setattr(refine, "STEPS", 12)
    rotmat, transl = scene.refined(body)
    before = off(drawn(body, scene.guess, scene.transl), scene.pixels)
    assert off(drawn(body, rotmat, transl), scene.pixels) < 0.03 * before


def test_what_is_not_seen_stays_as_the_network_has_it(body: Body, scene: Scene) -> None:
    rotmat, transl = scene.refined(body, visibility=torch.zeros(COUNT, 33))
    assert torch.allclose(rotmat, scene.guess, atol=1e-5) and torch.allclose(transl, scene.transl, atol=1e-5)
    visibility = torch.ones(COUNT, 33)
    visibility[:, 13:23:2] = 0  # the left arm below the shoulder
    rotmat, _ = scene.refined(body, visibility=visibility)
    assert geodesic_angle(rotmat[:, 18], scene.guess[:, 18]).max() < 1e-3
    assert geodesic_angle(rotmat[:, 19], scene.guess[:, 19]).median() > 0.02


def test_an_arm_thrown_off_is_not_followed(body: Body, scene: Scene) -> None:
    pixels = scene.pixels.clone()
    pixels[:, 13:23:2] += 0.4 * scene.side[:, None, None]
    rotmat, transl = scene.refined(body, pixels)
    plain, at = scene.refined(body)
    others = [k for k in range(33) if k not in range(13, 23, 2)]
    moved = drawn(body, rotmat, transl)[:, others] - drawn(body, plain, at)[:, others]
    assert (moved.norm(dim=-1).mean(1) / scene.side).median() < 0.01


def test_rotations_stay_rotations(body: Body, scene: Scene) -> None:
    rotmat, _ = scene.refined(body)
    assert torch.allclose(rotmat @ rotmat.mT, torch.eye(3).expand_as(rotmat), atol=1e-4)  # single precision, 9 bones
    assert torch.allclose(torch.linalg.det(rotmat), torch.ones(COUNT, 24), atol=1e-4)


def test_a_body_at_the_lens_breaks_nothing(body: Body, scene: Scene) -> None:
    near = scene.transl * torch.tensor([1.0, 1.0, 0.05])
    rotmat, transl = refine_pose(
        scene.guess, near, BETAS, scene.pixels, torch.ones(COUNT, 33), scene.side, body, LandmarkModel(),
        focal=FOCAL, centre=CENTRE,
    )  # fmt: skip
    assert torch.isfinite(rotmat).all() and torch.isfinite(transl).all()
