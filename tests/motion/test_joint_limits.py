"""Motions within the limits of human joints."""

import math

import pytest
import torch

from glot_cli.body.rotations import rotmat_to_axis_angle
from glot_cli.motion.joint_limits import KEY_SPACING, RANGES, RIGHT_OF, limits, wander
from tests.body.oracles import geodesic_angle

STILL = (0, 22, 23)  # pelvis and hands


@pytest.fixture(scope="module")
def motion() -> torch.Tensor:
    return wander(40, 50, torch.Generator().manual_seed(0))


def test_the_right_side_is_the_left_in_a_mirror() -> None:
    low, high = limits()
    assert (low <= high).all() and (low[list(STILL)] == 0).all() and (high[list(STILL)] == 0).all()
    for left, right in RIGHT_OF.items():
        assert torch.equal(low[right, 0], low[left, 0]) and torch.equal(high[right, 0], high[left, 0])
        assert torch.equal(low[right, 1:], -high[left, 1:]) and torch.equal(high[right, 1:], -low[left, 1:])
    assert {*RANGES, *RIGHT_OF.values(), *STILL} == set(range(24))


def test_every_frame_lies_within_the_limits(motion: torch.Tensor) -> None:
    low, high = limits()
    turns = rotmat_to_axis_angle(motion)
    assert motion.shape == (40, 50, 24, 3, 3)
    assert (turns >= low - 1e-3).all() and (turns <= high + 1e-3).all()
    assert torch.allclose(motion[:, :, STILL], torch.eye(3).expand(40, 50, 3, 3, 3), atol=1e-6)
    used = (turns.amax((0, 1)) - turns.amin((0, 1)))[1:22] / (high - low)[1:22].clamp_min(1e-6)
    assert used[(high - low)[1:22] > 0].min() > 0.6, "and makes use of them"


def test_nothing_jumps(motion: torch.Tensor) -> None:
    low, high = limits()
    # A cosine between two keys is steepest half way, pi / 2 times the mean speed.
    fastest = (high - low).norm(dim=-1) * math.pi / 2 / KEY_SPACING[0]
    step = geodesic_angle(motion[:, 1:], motion[:, :-1])
    assert (step <= 1.02 * fastest + 1e-3).all()
    assert step.amax((0, 1))[16] > 0.2, "it does move"
    # Soft turns: the speed itself changes by no more than a cosine's does, where the axis stays (knees nearly so).
    bend = rotmat_to_axis_angle(motion)[:, :, 4, 0]
    harshest = (high - low)[4, 0] * math.pi**2 / 2 / KEY_SPACING[0] ** 2
    assert bend.diff(n=2, dim=1).abs().max() <= 1.1 * 2 * harshest


def test_the_generator_decides() -> None:
    one, same, other = (wander(2, 9, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)
