"""Up and floors from what people say, against directions that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.world.gravity import Direction, Vote, common_level, find_up, level_of, straight_up, world_axes
from glot_cli.world.verticals import Verticals
from tests.world.standing_people import open_body

LEVEL = torch.tensor([[1.0, 0.0, 0.0]])  # the camera's right


def looking_down(degrees: float) -> torch.Tensor:
    """Up in the axes of a camera that looks so many degrees down."""
    angle = math.radians(degrees)
    return torch.tensor([0.0, -math.cos(angle), -math.sin(angle)])


def vote(up: torch.Tensor, degrees: float = 3.0, count: int = 40) -> Vote:
    spread = torch.full((count,), math.radians(degrees))
    return Vote(up.expand(count, 3), spread, torch.zeros(count, 4, 3), torch.zeros(count, 4), 1.0)


def off(found: torch.Tensor, true: torch.Tensor) -> float:
    return math.degrees(math.acos(min(1.0, float(F.normalize(found, dim=0) @ F.normalize(true, dim=0)))))


@pytest.mark.parametrize("down", [-20.0, 0.0, 15.0, 50.0])
def test_people_who_agree_are_believed(down: float) -> None:
    true = looking_down(down)
    found = find_up([vote(true), vote(true)], LEVEL)
    assert off(found.vector, true) < 2.0
    assert 1.0 < math.degrees(found.spread) < 5.0


def test_cameras_roll_little_but_for_those_that_do() -> None:
    """A roll that people alone claim is halved; a camera that is tilted by far is believed to be."""
    slightly = F.normalize(torch.tensor([math.tan(math.radians(3.0)), -1.0, 0.0]), dim=0)
    assert 0.3 < off(find_up([vote(slightly)], LEVEL).vector, looking_down(0.0)) < 2.0
    turned = F.normalize(torch.tensor([-math.tan(math.radians(40.0)), -1.0, 0.0]), dim=0)
    assert off(find_up([vote(turned), vote(turned)], LEVEL).vector, turned) < 3.0


@pytest.mark.parametrize("along", [[1.0, 0.0, 0.0], [-0.8, 0.2, 0.6], [0.0, 1.0, 0.0]])
def test_who_lies_or_stands_on_his_hands_does_not_turn_the_world(along: list[float]) -> None:
    lying = F.normalize(torch.tensor(along), dim=0)
    alone = vote(lying)._replace(straight=Direction(lying, math.radians(4.0)))
    found = find_up([alone], LEVEL)
    assert off(found.vector, looking_down(0.0)) < 1.0 and math.degrees(found.spread) > 10
    up = looking_down(10.0)
    frames = torch.cat([lying.expand(40, 3), up.expand(20, 3)])
    getting_up = vote(up, count=60)._replace(up=frames)
    assert off(find_up([getting_up], LEVEL).vector, up) < 2.0


def test_a_camera_that_looks_straight_down_is_believed() -> None:
    assert off(find_up([vote(looking_down(85.0))] * 2, LEVEL).vector, looking_down(85.0)) < 5.0


def test_who_is_unsure_and_who_is_alone_in_it_count_little() -> None:
    true, wrong = looking_down(10.0), looking_down(60.0)
    unsure = find_up([vote(true), vote(wrong, degrees=25.0)], LEVEL)
    assert off(unsure.vector, true) < 3.0
    outvoted = find_up([vote(true), vote(true), vote(true), vote(wrong)], LEVEL)
    assert off(outvoted.vector, true) < 4.0


def test_voices_that_disagree_are_less_sure() -> None:
    """Two people lean 14 degrees apart, or a room's lines are 14 degrees off both."""
    agree = find_up([vote(looking_down(10.0)), vote(looking_down(10.0))], LEVEL)
    apart = find_up([vote(looking_down(3.0)), vote(looking_down(17.0))], LEVEL)
    assert apart.spread > 1.4 * agree.spread
    lines = [
        Verticals(looking_down(down).double().numpy(), 2.0, 20, across(down, 2.0), 800.0, 0.1) for down in (10, 24)
    ]
    with_them, against = (find_up([vote(looking_down(10.0))] * 2, LEVEL, told) for told in lines)
    assert with_them.spread < agree.spread and against.spread > 1.5 * with_them.spread


def test_what_one_body_says_twice_is_not_twice_as_sure() -> None:
    """Its motion and how straight it stands are read off one lifted pose, and err alike."""
    up = looking_down(10.0)
    twice = vote(up, 4.5)._replace(straight=Direction(up, math.radians(4.5)))
    once, again, two = (find_up(votes, LEVEL).spread for votes in ([vote(up, 4.5)], [twice], [vote(up, 4.5)] * 2))
    assert two < 0.95 * again and again < once


def across(down: float, degrees: float) -> NDArray[np.float64]:
    """(3, 3) precision of an up that looks so many degrees down, of a standard deviation in degrees."""
    up = looking_down(down).double().numpy()
    return np.asarray((np.eye(3) - np.outer(up, up)) / math.radians(degrees) ** 2)


def test_nobody_leaves_the_camera_its_own_up() -> None:
    found = find_up([], LEVEL)
    assert off(found.vector, looking_down(0.0)) < 1e-3
    assert math.degrees(found.spread) > 10


def test_feet_that_rest_all_over_a_floor_show_how_it_lies() -> None:
    """People lean by 6 degrees; where they walk tells better."""
    true = looking_down(20.0)
    axes = world_axes(true)
    walked = torch.stack([torch.linspace(-2, 2, 80), torch.full((80,), -1.5), torch.linspace(-6, -2, 80)], 1) @ axes
    feet = walked[:, None].expand(80, 4, 3)
    leaning = vote(looking_down(26.0), 4.0, 80)
    without = find_up([leaning], LEVEL)
    by_feet = find_up([leaning._replace(feet=feet, contact=torch.ones(80, 4), every=5.0)], LEVEL)
    assert off(by_feet.vector, true) < 0.6 * off(without.vector, true)


def test_axes_of_the_world() -> None:
    """Right-handed, y up; the camera looks along -z, level."""
    for down in (-40.0, 0.0, 30.0, 89.9):
        up = looking_down(down)
        axes = world_axes(up)
        torch.testing.assert_close(axes @ axes.T, torch.eye(3), atol=1e-5, rtol=0)
        assert torch.linalg.det(axes) > 0
        torch.testing.assert_close(axes @ up, torch.tensor([0.0, 1.0, 0.0]), atol=1e-5, rtol=0)
        ahead = axes @ torch.tensor([0.0, 0.0, 1.0])
        assert abs(ahead[0]) < 1e-5 and (ahead[2] < 0.01 or down > 80)


def test_who_stands_straight_shows_up() -> None:
    turn = axis_angle_to_rotmat(torch.tensor([[0.0, 0.0, math.pi]]))[0]  # the camera's y points down
    joints = open_body().rest_joints(torch.zeros(1, 10)).expand(30, 24, 3) @ turn.T
    frames = torch.full((30,), 1 / 30)
    told = straight_up(joints, frames)
    assert told is not None and off(told.vector, looking_down(0.0)) < 3.0
    bent = joints.clone()
    bent[:, [16, 17], 2] -= 0.6
    assert straight_up(bent, frames) is None


def test_how_long_it_lasts_counts_and_not_in_how_many_frames() -> None:
    turn = axis_angle_to_rotmat(torch.tensor([[0.0, 0.0, math.pi]]))[0]
    joints = open_body().rest_joints(torch.zeros(1, 10)).expand(30, 24, 3) @ turn.T
    assert straight_up(joints, torch.full((30,), 1 / 240)) is None
    assert straight_up(joints[:3], torch.full((3,), 1 / 10)) is not None
    feet, contact = torch.zeros(20, 4, 3), torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(20, 4)
    assert level_of(feet, contact, torch.full((20,), 1 / 240)) is None
    assert level_of(feet[:2], contact[:2], torch.full((2,), 1 / 10)) is not None


def test_levels_are_those_of_resting_feet_and_the_floor_is_most_peoples() -> None:
    feet = torch.zeros(50, 4, 3)
    feet[..., 1] = 0.3
    feet[:, 2:, 1] = 0.9  # the right foot is in the air
    contact = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(50, 4)
    frames = torch.full((50,), 1 / 30)
    level = level_of(feet, contact, frames)
    assert level is not None and level[0] == pytest.approx(0.3)
    assert level_of(feet, torch.zeros(50, 4), frames) is None
    assert common_level([(0.0, 10.0), (0.4, 3.0), None]) == 0.0
    assert common_level([None]) is None


def test_many_feet_that_hardly_rest_are_no_level_however_large_the_person() -> None:
    feet = torch.zeros(1000, 4, 3)
    frames = torch.full((1000,), 0.05)
    assert level_of(feet, torch.full((1000, 4), 0.02), frames, weight=1e5) is None
    assert level_of(feet[:1], torch.ones(1, 4), frames[:1], weight=2.0) == pytest.approx((0.0, 0.4))
