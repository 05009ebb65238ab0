"""Postures by rule, measured on the posed skeleton as a clinician would."""

import pytest
import torch
from torch import Tensor

from glot_cli.body.model import Body
from glot_cli.body.rotations import rotmat_to_axis_angle
from glot_cli.motion.postures import GROUPS, INVERTED, LYING, POSTURES, SEATED, STANDING, seated, strike
from glot_cli.weights import locate

COUNT, FRAMES = 400, 6
SITS, LIES, INVERTS, STANDS = (tuple(float(i == group) for i in range(4)) for group in range(4))
REST = torch.eye(3).repeat(COUNT, FRAMES, 24, 1, 1)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(locate("open-body")).subset([0])


def struck(shares: tuple[float, ...], seed: int = 0) -> Tensor:
    return strike(REST, shares, torch.Generator().manual_seed(seed))


def joints(body: Body, rotmat: Tensor) -> Tensor:
    """(N, 24, 3) metres in the y-up world."""
    flat = rotmat.flatten(0, 1)
    return body(flat, torch.zeros(len(flat), 10), vertices=False).joints


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Degrees between vectors (..., 3)."""
    return torch.rad2deg(torch.acos(torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)))


def bends(at: Tensor) -> dict[str, Tensor]:
    """Degrees of joints (N, 24, 3): both knees and elbows bent, thighs off the trunk's line, trunk and head off up."""
    up = torch.tensor([0.0, 1.0, 0.0]).expand(len(at), 3)
    trunk = at[:, 12] - at[:, 0]
    thighs = torch.stack([at[:, 4] - at[:, 1], at[:, 5] - at[:, 2]], 1)
    shanks = torch.stack([at[:, 7] - at[:, 4], at[:, 8] - at[:, 5]], 1)
    arms = torch.stack([at[:, 18] - at[:, 16], at[:, 19] - at[:, 17]], 1)
    forearms = torch.stack([at[:, 20] - at[:, 18], at[:, 21] - at[:, 19]], 1)
    return {
        "knee": angle(thighs, shanks),
        "hip": angle(thighs, -trunk[:, None]),
        "elbow": angle(arms, forearms),
        "trunk": angle(trunk, up),
        "thigh": angle(thighs, -up[:, None]),
        "legs": (at[:, 7:9, 1].mean(1) - at[:, 15, 1]),
    }


def test_people_sit_with_bent_hips_and_upright_trunks(body: Body) -> None:
    found = bends(joints(body, struck(SITS)))
    assert found["knee"].max() < 155 and found["elbow"].max() < 150 and found["hip"].max() < 145
    assert found["trunk"].median() < 30 and found["trunk"].max() < 85
    hips = found["hip"].amax(1)  # who kneels on one knee has one of them straight
    assert ((hips > 40).float().mean() > 0.8) and 55 < hips.median() < 110
    level = (found["thigh"].amax(1) - 90).abs() < 20
    assert level.float().mean() > 0.6, "thighs lie as on a seat or on the floor"


def test_people_lie_flat_stand_upright_and_hang_upside_down(body: Body) -> None:
    lying, standing, inverted = (bends(joints(body, struck(s))) for s in (LIES, STANDS, INVERTS))
    assert (lying["trunk"] - 90).abs().max() < 45
    assert standing["trunk"].max() < 25 and standing["knee"].max() < 20 and standing["hip"].max() < 40
    assert (inverted["legs"] > 0).float().mean() > 0.6, "feet above the head"
    faces = (struck(LIES)[:, 0, 0] @ torch.tensor([0.0, 0.0, 1.0]))[:, 1]  # how far the front looks up
    assert (faces > 0.8).float().mean() > 0.3 and (faces < -0.8).float().mean() > 0.1
    assert (faces.abs() < 0.5).float().mean() > 0.1, "on the back, on the front, and on a side"


def test_knees_and_elbows_are_hinges_that_bend_one_way() -> None:
    for shares in (SITS, LIES, INVERTS, STANDS):
        turns = rotmat_to_axis_angle(struck(shares))
        assert (turns[:, :, (4, 5), 0] > -0.2).all() and (turns[:, :, (4, 5), 1:].abs() < 1e-4).all()
        assert (turns[:, :, 18, 1] < 0.2).all() and (turns[:, :, 19, 1] > -0.2).all()


def test_shares_decide_how_many_are_changed_and_the_rest_stays() -> None:
    shares = (0.2, 0.1, 0.1, 0.1)
    many = torch.eye(3).repeat(4000, 1, 24, 1, 1)
    changed = (strike(many, shares, torch.Generator().manual_seed(1)) != many).flatten(1).any(1)
    assert abs(changed.float().mean() - 0.5) < 0.03
    assert torch.equal(struck((0.0, 0.0, 0.0, 0.0)), REST)
    assert sum(len(group) for group in GROUPS) == len(POSTURES)
    assert all(GROUPS[i] is group for i, group in enumerate((SEATED, LYING, INVERTED, STANDING)))


def test_who_sits_is_told_from_who_does_not(body: Body) -> None:
    sits = struck(SITS)
    found = bends(joints(body, sits[:, FRAMES // 2][:, None]))  # angles in space, of the same frame
    hips, knees = found["hip"].amin(1), found["knee"].amin(1)
    told = seated(sits)
    assert told.float().mean() > 0.5
    assert (hips[told] > 20).all() and (knees[told] > 35).all()
    assert told[(hips > 95) & (knees > 60)].float().mean() > 0.95
    assert not seated(struck(STANDS)).any() and not seated(REST).any()


def test_a_posture_is_held_and_drifts_a_little() -> None:
    turns = struck(SITS)
    step = (turns[:, 1:] - turns[:, :-1]).abs().amax((-1, -2))
    assert step[:, :, (1, 2, 4, 5)].max() < 0.12 and step.max() > 0.02
    assert torch.equal(struck(SITS), turns) and not torch.equal(struck(SITS, 1), turns)


def test_arms_of_the_motion_stay_in_some_windows() -> None:
    moving = REST.clone()
    moving[:, :, 16] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moving[:, :, 17] = moving[:, :, 16].transpose(-1, -2)  # its mirror image
    for shares, least, most in ((SITS, 0.25, 0.55), (INVERTS, 0, 0)):
        arms = strike(moving, shares, torch.Generator().manual_seed(0))[:, :, (16, 17)]
        kept = (arms - moving[:, :, (16, 17)]).abs().amax((1, 2, 3, 4)) < 1e-6
        assert least <= kept.float().mean() <= most
