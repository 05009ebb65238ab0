"""Poses drawn onto landmarks: wrong poses come right, and nothing is believed that was not seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from glot_cli.camera import project_pinhole
from glot_cli.lifting import refine as module
from glot_cli.lifting.refine import PRIOR, Evidence, refine
from glot_cli.lifting.yielding import Figure, solve_banded
from glot_cli.metrics import acceleration, pa_mpjpe
from glot_cli.smoothing import stiffness
from tests.body.oracles import geodesic_angle

FOCAL, CENTRE = 1000.0, torch.tensor([640.0, 360.0])
COUNT = 40
BETAS = torch.linspace(-1, 1, 10)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body")).subset([0])


class Scene:
    """People in random poses 3 to 5 m away, and a guess whose joints are off half as far as the prior expects."""

    def __init__(self, body: Body) -> None:
        generator = torch.Generator().manual_seed(1)
        turn = 0.3 * torch.randn(COUNT, 24, 3, generator=generator)
        turn[:, 0] = torch.tensor([2.9, 0.0, 0.0]) + 0.3 * torch.randn(COUNT, 3, generator=generator)
        turn[:, [16, 17], 2] += torch.tensor([-1.0, 1.0])
        self.rotmat = axis_angle_to_rotmat(turn)
        self.transl = torch.tensor([0.3, 0.0, 4.0]) + 0.4 * torch.randn(COUNT, 3, generator=generator)
        error = torch.zeros(COUNT, 24, 3)
        for joint, sigma in PRIOR.items():
            error[:, joint] = 0.5 * sigma * torch.randn(COUNT, 3, generator=generator)
        self.guess = self.rotmat @ axis_angle_to_rotmat(error)
        self.pixels = drawn(body, self.rotmat, self.transl)
        self.side = 2.3 * FOCAL / self.transl[:, 2]

    def refined(self, body: Body, pixels: Tensor | None = None, reliability: Tensor | None = None):
        reliability = torch.ones(COUNT, 33) if reliability is None else reliability
        sight = Evidence(self.pixels if pixels is None else pixels, reliability, self.side, FOCAL, CENTRE)
        figure = Figure(self.guess, self.transl, BETAS)
        # Frames that have nothing to do with each other.
        found = refine(figure, sight, torch.arange(COUNT), 30.0, body, LandmarkModel())
        assert found.betas is BETAS
        return found.rotmat, found.transl


def drawn(body: Body, rotmat: Tensor, transl: Tensor) -> Tensor:
    posed = body(rotmat, BETAS.expand(len(rotmat), -1), vertices=False)
    return project_pinhole(LandmarkModel()(posed) + transl[:, None], FOCAL, CENTRE)


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
    monkeypatch.setattr(module, "PRIOR", dict.fromkeys(PRIOR, 3.0))
    monkeypatch.setattr(module, "REFINING_OUTLIER", 10.0)
    monkeypatch.setattr(module, "STEPS", 12)
    rotmat, transl = scene.refined(body)
    before = off(drawn(body, scene.guess, scene.transl), scene.pixels)
    assert off(drawn(body, rotmat, transl), scene.pixels) < 0.03 * before


def test_what_is_not_seen_stays_as_the_network_has_it(body: Body, scene: Scene) -> None:
    rotmat, transl = scene.refined(body, reliability=torch.zeros(COUNT, 33))
    assert torch.allclose(rotmat, scene.guess, atol=1e-5) and torch.allclose(transl, scene.transl, atol=1e-5)
    reliability = torch.ones(COUNT, 33)
    reliability[:, 13:23:2] = 0  # the left arm below the shoulder
    rotmat, _ = scene.refined(body, reliability=reliability)
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
    near = Figure(scene.guess, scene.transl * torch.tensor([1.0, 1.0, 0.05]), BETAS)
    sight = Evidence(scene.pixels, torch.ones(COUNT, 33), scene.side, FOCAL, CENTRE)
    for segment in (torch.arange(COUNT), torch.zeros(COUNT, dtype=torch.long)):
        found = refine(near, sight, segment, 30.0, body, LandmarkModel())
        assert all(torch.isfinite(x).all() for x in (found.rotmat, found.transl, found.betas))


class Motion:
    """One person who moves smoothly through `count` frames, and what is known of them: a guess that is off, landmarks
    that tremble."""

    def __init__(self, body: Body, count: int, tremble: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(2)
        time = torch.linspace(0, count / 15, count)[:, None, None]
        phase, pace = torch.rand(2, 24, 3, generator=generator)
        turn = 0.25 * torch.sin(6 * phase + (1 + pace) * time)
        turn[:, 0] += torch.tensor([2.9, 0.0, 0.0])
        turn[:, [16, 17], 2] += torch.tensor([-1.0, 1.0])
        self.rotmat = axis_angle_to_rotmat(turn)
        self.transl = torch.tensor([0.3, 0.0, 4.0]).expand(count, 3).clone()
        error = torch.zeros(24, 3)
        for joint, sigma in PRIOR.items():
            error[joint] = sigma * torch.randn(3, generator=generator)
        shake = 0.02 * torch.randn(count, 24, 3, generator=generator)
        self.guess = self.rotmat @ axis_angle_to_rotmat(error + shake)
        pixels = drawn(body, self.rotmat, self.transl)
        self.side = 2.3 * FOCAL / self.transl[:, 2]
        noise = tremble * self.side[0] * torch.randn(pixels.shape, generator=generator)
        self.sight = Evidence(pixels + noise, torch.ones(count, 33), self.side, FOCAL, CENTRE)

    def refined(
        self, body: Body, segment: Tensor | None = None, fps: float = 30.0, ticks: Tensor | None = None
    ) -> Figure:
        segment = torch.zeros(len(self.guess), dtype=torch.long) if segment is None else segment
        figure = Figure(self.guess, self.transl, BETAS)
        return refine(figure, self.sight, segment, fps, body, LandmarkModel(), ticks)


@pytest.mark.parametrize(("tied", "steps"), [(False, [1] * 7), (True, [1] * 7), (True, [0, 1, 0.5, 2, 1, 3, 0.7])])
def test_a_step_is_that_of_the_dense_problem(
    body: Body, monkeypatch: pytest.MonkeyPatch, tied: bool, steps: list[float]
) -> None:
    """Against the normal equations whose derivatives autograd takes of the residuals themselves."""
    monkeypatch.setattr(module, "STEPS", 1)
    count, joints = 7, list(PRIOR)
    at = torch.tensor(steps).cumsum(0)[:, None]
    motion = Motion(body, count, tremble=0.01)
    sigma = torch.cat([torch.tensor(list(PRIOR.values())).repeat_interleave(3), torch.tensor([5.0, 5.0, 0.3])])
    stiffness = (2 * torch.sin(torch.tensor(torch.pi * 4 / 30))) ** -3.0  # root of the smoother's lambda
    off = (drawn(body, motion.guess, motion.transl) - motion.sight.pixels) / motion.side[:, None, None] * 2
    weight = 1 / (1 + off.square().sum(-1, keepdim=True) / 0.1**2) / 0.02

    def residuals(x: Tensor) -> Tensor:
        x = x.view(count, -1)
        rotmat = motion.guess.clone()
        rotmat[:, joints] = axis_angle_to_rotmat(x[:, :-3].unflatten(-1, (-1, 3))) @ rotmat[:, joints]
        seen = drawn(body, rotmat, motion.transl + x[:, -3:]) - motion.sight.pixels
        seen = seen / motion.side[:, None, None] * 2 * weight
        turns = rotmat_to_axis_angle(rotmat[1:, joints] @ rotmat[:-1, joints].mT).flatten(1)
        speeds = turns / (at[1:] - at[:-1])  # divided differences, one after the other
        bends = (speeds[1:] - speeds[:-1]) / (at[2:] - at[:-2])
        jerk = 6 * (bends[1:] - bends[:-1]) / (at[3:] - at[:-3]) * ((at[3:] - at[:-3]) / 3).sqrt()
        jerk = jerk * stiffness / sigma[:-3] * tied
        return torch.cat([seen.flatten(), (x / sigma).flatten(), jerk.flatten()])

    start = torch.zeros(count * len(sigma))
    slope = torch.autograd.functional.jacobian(residuals, start, vectorize=True).double()
    step = -torch.linalg.lstsq(slope, residuals(start).double()[:, None]).solution.view(count, -1).float()
    found = motion.refined(body, None if tied else torch.arange(count), ticks=at[:, 0].double())
    moved = rotmat_to_axis_angle(found.rotmat[:, joints] @ motion.guess[:, joints].mT).flatten(1)
    allowed = 0.05 if tied else 1e-3  # from frame to frame a joint turns by a small angle, it is assumed
    assert (moved - step[:, :-3]).norm() < allowed * step[:, :-3].norm()
    assert (found.transl - motion.transl - step[:, -3:]).norm() < allowed * step[:, -3:].norm()


@pytest.mark.parametrize("fps", [30.0, 240.0])
def test_dense_frames_are_solved_as_exactly_as_sparse_ones(fps: float) -> None:
    """The denser frames lie, the stiffer they are tied, and an iteration would never come to its end."""
    count, size = 30, 5
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(count, size, size, generator=generator)
    own, right = root @ root.mT + torch.eye(size), torch.randn(count, size, generator=generator)
    stiff = stiffness(4.0 / fps) * torch.rand(count - 3, size, generator=generator)
    even = torch.tensor([-1.0, 3.0, -3.0, 1.0]).double().expand(count - 3, 4)
    dense = torch.block_diag(*own).double()
    third = torch.diff(torch.eye(count * size, dtype=torch.double).view(count, size, -1), n=3, dim=0).flatten(0, 1)
    dense += third.mT @ (stiff.double().flatten()[:, None] * third)
    expected = torch.linalg.solve(dense, right.double().flatten()).view(count, size).float()
    torch.testing.assert_close(solve_banded(own, stiff, right, even), expected, rtol=1e-4, atol=1e-5)


def test_motion_comes_out_smooth_and_nearer_to_the_truth(body: Body) -> None:
    motion = Motion(body, 90, tremble=0.01)

    def joints(rotmat: Tensor) -> Tensor:
        return body(rotmat, BETAS.expand(len(rotmat), -1), vertices=False).joints.numpy()

    alone = joints(motion.refined(body, torch.arange(90)).rotmat)
    tied = joints(motion.refined(body).rotmat)
    true, guess = joints(motion.rotmat), joints(motion.guess)
    assert acceleration(tied).mean() < 0.6 * acceleration(alone).mean()
    assert pa_mpjpe(tied, true).mean() < pa_mpjpe(alone, true).mean() < pa_mpjpe(guess, true).mean()
    halves = joints(motion.refined(body, torch.arange(90) // 45).rotmat)
    assert abs(halves[:30] - tied[:30]).max() < 1e-3 < abs(halves[40:50] - tied[40:50]).max()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_few_frames_are_enough(body: Body, count: int) -> None:
    motion = Motion(body, count)
    found = motion.refined(body)
    before = off(drawn(body, motion.guess, motion.transl), motion.sight.pixels)
    posed = body(found.rotmat, found.betas.expand(count, -1), vertices=False)
    after = project_pinhole(LandmarkModel()(posed) + found.transl[:, None], FOCAL, CENTRE)
    assert off(after, motion.sight.pixels) < 0.4 * before


def test_chunks_leave_no_seams(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    motion = Motion(body, 150, tremble=0.01)
    whole = motion.refined(body)
    monkeypatch.setattr(module, "CHUNK", 40)
    parts = motion.refined(body)
    assert geodesic_angle(whole.rotmat, parts.rotmat).max() < 2e-3
