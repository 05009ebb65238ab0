"""What lasts through a video, fitted to all of it: proportions of people, and the focal length."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.camera import project_pinhole, ray_rotation
from glot_cli.lifting import calibration
from glot_cli.lifting.calibration import Sighting, fit_focal, fit_shape, spread
from glot_cli.lifting.lifters import CameraLifter, LandmarkLifter, VideoCamera
from glot_cli.lifting.refine import Evidence, landmark_slopes
from glot_cli.lifting.yielding import Figure
from glot_cli.metrics import pa_mpjpe

FOCAL, CENTRE = 1000.0, torch.tensor([640.0, 360.0])
BETAS = torch.linspace(-1, 1, 10)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body")).subset([0])


def acting(body: Body, count: int, seed: int = 0, noise: float = 0.0) -> tuple[Figure, torch.Tensor]:
    """Somebody who takes a new pose in every frame, 3 m away: true body, and where its landmarks are seen."""
    generator = torch.Generator().manual_seed(seed)
    turn = 0.4 * torch.randn(count, 24, 3, generator=generator)
    turn[:, 0] = torch.tensor([2.9, 0.0, 0.0]) + 0.4 * torch.randn(count, 3, generator=generator)
    rotmat = axis_angle_to_rotmat(turn)
    transl = torch.tensor([0.3, 0.0, 3.0]) + 0.4 * torch.randn(count, 3, generator=generator)
    posed = body(rotmat, BETAS.expand(count, -1), vertices=False)
    pixels = project_pinhole(LandmarkModel()(posed) + transl[:, None], FOCAL, CENTRE)
    side = 2.3 * FOCAL / transl[:, 2]
    pixels = pixels + noise * side[:, None, None] * torch.randn(pixels.shape, generator=generator)
    return Figure(rotmat, transl, BETAS), pixels


def sighting(body: Body, guess: float, count: int, *, seed: int = 0, noise: float = 0.0) -> Sighting:
    """The same as it is taken for when the focal length is thought to be FOCAL * guess."""
    true, pixels = acting(body, count, seed, noise)
    side, place = 2.3 * FOCAL / true.transl[:, 2], true.transl + body.rest_joints(BETAS[None])[:, 0]
    crops = place[:, :2] / place[:, 2:] * FOCAL + CENTRE
    turn = ray_rotation(crops, FOCAL * guess, CENTRE) @ ray_rotation(crops, FOCAL, CENTRE).mT
    rotmat, transl = true.rotmat.clone(), true.transl.clone()
    rotmat[:, 0] = turn @ rotmat[:, 0]
    transl[:, 2] += (guess - 1) * place[:, 2]
    observed = Evidence(pixels, torch.ones(count, 33), side, FOCAL * guess, CENTRE)
    return Sighting(Figure(rotmat, transl, BETAS), observed, crops)


def test_the_shape_comes_nearer_to_the_true_proportions(body: Body) -> None:
    true, pixels = acting(body, 60)
    average = torch.cat([BETAS[:1], torch.zeros(9)])
    far = Figure(true.rotmat, true.transl, average)
    sight = Evidence(pixels, torch.ones(60, 33), 2.3 * FOCAL / true.transl[:, 2], FOCAL, CENTRE)
    found = fit_shape(far, sight, body, LandmarkModel())
    rest = [body.rest_joints(betas[None]).numpy() for betas in (found, BETAS, average)]
    assert abs(found[0] - average[0]) < 0.3  # of the size the picture says nothing
    assert pa_mpjpe(rest[0], rest[1]).item() < 0.96 * pa_mpjpe(rest[2], rest[1]).item()
    # Landmarks that lie otherwise on this person than on bodies must not make a skeleton of anybody.
    wild = 0.04 * sight.side[:, None, None] * torch.randn(1, 33, 2, generator=torch.Generator().manual_seed(1))
    odd = Evidence(pixels + wild, torch.ones(60, 33), sight.side, FOCAL, CENTRE)
    assert fit_shape(far, odd, body, LandmarkModel()).abs().max() < 3
    unseen = Evidence(pixels, torch.zeros(60, 33), sight.side, FOCAL, CENTRE)
    assert torch.allclose(fit_shape(true, unseen, body, LandmarkModel()), BETAS, atol=1e-5)


def test_slopes_by_the_focal_length_are_those_of_the_errors(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against differences: the errors when bodies keep their size in the picture and face their rays as before."""
    monkeypatch.setattr("glot_cli.lifting.refine.REFINING_OUTLIER", 1e3)  # whose weights have slopes of their own
    seen = sighting(body, 1.2, 5, noise=0.01)
    person = calibration._Fitted(seen.figure, seen.observed, BETAS)
    one = calibration._Elimination(person, seen.crops, body, LandmarkModel())
    slopes = landmark_slopes(seen.figure, seen.observed, body, LandmarkModel())
    found = one._focal_slopes(slopes, seen.crops, LandmarkModel())[..., 0]
    step = 0.01
    errors = []
    for logarithm in (step, -step):
        other = sighting(body, 1.2 * math.exp(logarithm), 5, noise=0.01)
        errors.append(landmark_slopes(other.figure, other.observed, body, LandmarkModel()).error)
    expected = (errors[0] - errors[1]) / (2 * step)
    assert (found - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("guess", [0.75, 1.35])
def test_people_seen_from_near_tell_the_focal_length(body: Body, guess: float, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [sighting(body, guess, 24, seed=k, noise=0.003) for k in range(4)]
    found = fit_focal(people, FOCAL * guess, body, LandmarkModel()) / FOCAL
    assert abs(math.log(found)) < 0.5 * abs(math.log(guess))
    # One person may be built in a way that misleads for ever: many are believed more.
    alone = fit_focal(people[:1], FOCAL * guess, body, LandmarkModel()) / FOCAL
    assert abs(math.log(found)) < abs(math.log(alone)) < abs(math.log(guess))
    monkeypatch.setattr(calibration, "FOCAL_PRIOR", 3.0)
    monkeypatch.setattr(calibration, "FOCAL_STEPS", 12)
    assert fit_focal(people, FOCAL * guess, body, LandmarkModel()) / FOCAL == pytest.approx(1, abs=0.05)


def test_what_is_not_seen_leaves_the_guess(body: Body) -> None:
    seen = sighting(body, 1.3, 12)
    blind = Evidence(seen.observed.pixels, torch.zeros(12, 33), seen.observed.side, seen.observed.focal, CENTRE)
    assert fit_focal([Sighting(seen.figure, blind, seen.crops)], 1300, body, LandmarkModel()) == pytest.approx(1300)
    one = sighting(body, 1.3, 1)
    assert fit_focal([one], 1300, body, LandmarkModel()) == pytest.approx(1300, rel=0.12)


def test_without_landmarks_or_with_foreign_proportions_the_guess_stays(body: Body) -> None:
    """Not even the networks are asked: there are none here."""
    camera, nothing = VideoCamera(30.0, 1234.0, CENTRE), cast(Any, None)
    someone = cast(Any, [nothing])
    for lifter in (
        CameraLifter(nothing, nothing, body, own_shape=True),
        LandmarkLifter(nothing, nothing, body, LandmarkModel(), own_shape=False, refine=True),
    ):
        assert lifter.focal(someone, someone, camera, step=1, edges="replicate") == 1234
    own = LandmarkLifter(nothing, nothing, body, LandmarkModel(), own_shape=True, refine=True)
    assert own.focal([], [], camera, step=1, edges="replicate") == 1234


def test_frames_are_spread_over_all() -> None:
    assert spread(5, 8).tolist() == [0, 1, 2, 3, 4]
    picked = spread(1000, 32)
    assert len(picked) == 32 and picked[0] == 0 and picked[-1] == 999 and picked.unique().numel() == 32
