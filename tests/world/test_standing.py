"""Feet that rest come to rest on the floor, the picture is still hit, and nobody is moved who does not stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.lifting.yielding import Figure
from glot_cli.smpl import SMPL_JOINTS
from glot_cli.world.balance import mass_shares
from glot_cli.world.soles import FEET, SOLES, soles_of
from glot_cli.world.standing import PRIOR_PLACE, Footing, seen_at, stand
from tests.world.standing_people import AWAY, feet_of, level_camera, open_body, open_soles, standing

COUNT = 60


def stood(
    figure: Figure,
    contact: torch.Tensor,
    segment: torch.Tensor | None = None,
    shown: torch.Tensor | None = None,
) -> Figure:
    sight, soles = level_camera(COUNT), open_soles()
    segment = torch.zeros(COUNT, dtype=torch.long) if segment is None else segment
    shown = torch.ones(COUNT, 28) if shown is None else shown
    ticks = torch.arange(COUNT).double()
    footing = Footing(seen_at(figure, sight, soles), shown, contact, segment, ticks, 30.0)
    return stand(figure, sight, footing, soles)


def way(figure: Figure) -> float:
    """Mean way of soles from frame to frame, metres."""
    feet = feet_of(figure)
    return float((feet[1:] - feet[:-1]).norm(dim=-1).mean())


@pytest.fixture(scope="module")
def wavering() -> Figure:
    """Somebody who stands still, seen with a depth that wavers by 6 cm and legs that shake a little."""
    figure = standing(COUNT)
    time = torch.arange(COUNT) / 30
    ray = torch.nn.functional.normalize(figure.transl - torch.tensor([0.0, 1.4, 0.0]), dim=-1)
    transl = figure.transl + 0.06 * torch.sin(2 * torch.pi * 0.8 * time)[:, None] * ray
    noise = torch.randn(COUNT, 24, 3, generator=torch.Generator().manual_seed(0)) * 0.004
    return Figure(axis_angle_to_rotmat(noise.flatten(0, 1)).view(COUNT, 24, 3, 3), transl, figure.betas)


def test_feet_that_rest_stand_still_on_the_floor(wavering: Figure) -> None:
    before, after = feet_of(wavering), feet_of(stood(wavering, torch.ones(COUNT, 4)))
    steps = (before[1:] - before[:-1]).norm(dim=-1).mean(), (after[1:] - after[:-1]).norm(dim=-1).mean()
    assert steps[0] > 0.008 and steps[1] < 0.002
    assert after[..., 1].abs().median() < 0.012
    spread = after[:, 0, 2].std()
    assert before[:, 0, 2].std() > 0.03 and spread < 0.01  # the depth no longer wavers


def test_the_picture_is_still_hit(wavering: Figure) -> None:
    """Within 1 % of the person's height, on average and of every joint's own mean."""
    sight = level_camera(COUNT)
    before = seen_at(wavering, sight, open_soles())
    after = seen_at(stood(wavering, torch.ones(COUNT, 4)), sight, open_soles())
    height = 1.7 / AWAY
    assert (after - before).norm(dim=-1).mean() < 0.01 * height


LEGS = [SMPL_JOINTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")]


@pytest.fixture(scope="module")
def guessed() -> tuple[Figure, torch.Tensor]:
    """Somebody who stands still behind a desk, his legs guessed: they swing by 40 degrees; how far he is shown."""
    figure = standing(COUNT)
    swing = 0.35 * torch.sin(2 * torch.pi * 0.7 * torch.arange(COUNT) / 30)
    rotmat = figure.rotmat.clone()
    for joint, sign in (("left_hip", 1.0), ("right_hip", -1.0)):
        turns = torch.zeros(COUNT, 3)
        turns[:, 0] = sign * swing
        rotmat[:, SMPL_JOINTS.index(joint)] = axis_angle_to_rotmat(turns)
    shown = torch.ones(COUNT, 28)
    shown[:, [*LEGS, *range(24, 28)]] = 0.1
    return Figure(rotmat, figure.transl, figure.betas), shown


def test_legs_that_are_not_seen_give_way_to_feet_that_likely_rest(guessed: tuple[Figure, torch.Tensor]) -> None:
    """The picture holds those that are seen; both stay where they were seen above."""
    figure, shown = guessed
    likely = torch.full((COUNT, 4), 0.9)
    unseen, seen = stood(figure, likely, shown=shown), stood(figure, likely)
    assert way(figure) > 0.02 and way(unseen) < 0.015 * way(figure) and way(unseen) < 0.2 * way(seen)
    sight, soles = level_camera(COUNT), open_soles()
    upper = [joint for joint in range(24) if joint not in LEGS]
    moved = (seen_at(unseen, sight, soles) - seen_at(figure, sight, soles)).norm(dim=-1)[:, upper]
    assert moved.mean() < 0.002 * 1.7 / AWAY


def test_who_rests_nowhere_stays_where_he_was_seen(wavering: Figure) -> None:
    high = Figure(wavering.rotmat, wavering.transl + torch.tensor([0.0, 0.5, 0.0]), wavering.betas)
    alone = stood(high, torch.zeros(COUNT, 4))
    torch.testing.assert_close(alone.transl, high.transl, atol=2e-3, rtol=0)
    torch.testing.assert_close(alone.rotmat, high.rotmat, atol=2e-3, rtol=0)


def test_feet_high_in_the_air_that_hardly_rest_are_not_drawn_to_the_floor(wavering: Figure) -> None:
    """Who hangs or stands on his hands: many frames of a small chance are no reason to come down."""
    high = Figure(wavering.rotmat, wavering.transl + torch.tensor([0.0, 1.5, 0.0]), wavering.betas)
    after = stood(high, torch.full((COUNT, 4), 0.02))
    assert (after.transl - high.transl).mean(0).norm() < 0.1


def test_nothing_holds_feet_across_a_pause() -> None:
    """Who stands elsewhere after a pause is not drawn back to the place before."""
    figure = standing(COUNT)
    half = COUNT // 2
    transl = figure.transl.clone()
    transl[half:, 0] += 1.0
    segment = (torch.arange(COUNT) >= half).long()
    moved = Figure(figure.rotmat, transl, figure.betas)
    after = feet_of(stood(moved, torch.ones(COUNT, 4), segment))
    torch.testing.assert_close(after, feet_of(moved), atol=0.02, rtol=0)


def test_pieces_of_a_long_track_meet(wavering: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stood(wavering, torch.ones(COUNT, 4))
    monkeypatch.setattr("glot_cli.world.standing.CHUNK", 24)
    pieces = stood(wavering, torch.ones(COUNT, 4))
    assert (whole.transl - pieces.transl).abs().max() < 0.3 * PRIOR_PLACE


def test_soles_of_the_open_body() -> None:
    """Heels behind ankles, toes before them, both at the bottom of the mesh, left to the left."""
    posed = open_body()(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    points = open_soles().points(open_soles().body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10)))[0]
    assert posed.vertices is not None
    floor = posed.vertices[0, :, 1].min()
    for name, place, joints in zip(SOLES, points, FEET, strict=True):
        ankle = posed.joints[0, joints[0]]
        assert 0 <= place[1] - floor < 0.012
        assert (place[2] < ankle[2]) == ("heel" in name) and (place[0] > 0) == name.startswith("left")


def test_the_centre_of_mass_lies_where_anatomy_has_it() -> None:
    """Standing adults: 55 to 58 % of the height above the soles (Winter 2009 has 56), between left and right."""
    body = open_body()
    posed = body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    assert posed.vertices is not None
    low, high = posed.vertices[0, :, 1].min(), posed.vertices[0, :, 1].max()
    arms_down = axis_angle_to_rotmat(torch.tensor([[0.0, 0, -1.3], [0.0, 0, 1.3]]))
    rotmat = torch.eye(3).expand(1, 24, 3, 3).clone()
    rotmat[0, [SMPL_JOINTS.index("left_shoulder"), SMPL_JOINTS.index("right_shoulder")]] = arms_down
    centre = mass_shares() @ body(rotmat, torch.zeros(1, 10), vertices=False).joints[0]
    assert 0.54 < (centre[1] - low) / (high - low) < 0.59
    assert abs(centre[0]) < 1e-3
    np.testing.assert_allclose(mass_shares().sum(), 1, atol=1e-6)


def test_a_body_without_feet_stands_on_what_is_nearest_to_them() -> None:
    """A file in SMPL's format may hold any mesh: nothing that comes of it may be no number."""
    arrays = read_body_arrays(weights.locate("open-body"))
    arrays["weights"] = np.zeros_like(arrays["weights"])
    arrays["weights"][:, 0] = 1
    body = Body(arrays)
    soles = soles_of(body)
    posed = soles.body(torch.eye(3).expand(2, 24, 3, 3), torch.zeros(2, 10))
    ankles = posed.joints[0, [joints[0] for joints in FEET]]
    assert ((soles.points(posed)[0] - ankles).norm(dim=1) < 0.25).all()
