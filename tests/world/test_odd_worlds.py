"""Worlds of shots that are short, slow, empty, or full of people who do not stand: finite, and sane."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.lifting.placing import Lifted, joints_of
from glot_cli.tracking.tracks import Track
from glot_cli.world.grounding import Grounding
from glot_cli.world.reconstruct import CAMERA_HEIGHT, Filming, Worldmaker, size_on_floor
from tests.world.standing_people import open_body

SIZE, FOCAL = (640, 480), 800.0
CENTRE = torch.tensor([320.0, 240.0])


@cache
def maker(moves: bool = True) -> Worldmaker:
    return Worldmaker(Grounding.load(weights.locate("grounding")), open_body(), moves)


def person(count: int, roll: float = 0.0, every: float = 1.0) -> tuple[Track, Lifted]:
    """Somebody with arms out for (count) frames, rolled by degrees from standing, 4 m before the camera."""
    upright = axis_angle_to_rotmat(torch.tensor([[math.pi, 0.0, 0.0]]))[0]
    rotmat = torch.eye(3).expand(count, 24, 3, 3).clone()
    rotmat[:, 0] = axis_angle_to_rotmat(torch.tensor([[0.0, 0.0, math.radians(roll)]]))[0] @ upright
    transl = torch.tensor([0.0, 0.0, 4.0]).expand(count, 3).clone()
    betas, camera = torch.zeros(10), torch.tensor([0.9, 0.0, 0.0]).expand(count, 3)
    frames = np.arange(count)
    track = Track(
        person=1,
        shot=0,
        frames=frames,
        boxes=np.zeros((count, 4), np.float32),
        ticks=frames * every,
        segment=np.zeros(count, int),
        crops=np.tile(np.array([320.0, 240.0, 400.0], np.float32), (count, 1)),
        score=np.ones(count, np.float32),
        interpolated=np.zeros(count, bool),
    )
    joints = joints_of(rotmat, betas, open_body())
    looks = betas.expand(count, -1), camera, camera, rotmat[:, 0]
    seen = torch.ones(count, 24), torch.ones(count, 4)
    return track, Lifted(rotmat, betas, *looks, transl, joints, *seen)


def filming(count: int, fps: float = 30.0, *, path: bool = False, metric: bool = False) -> Filming:
    places = np.linspace([0.0, 0, 0], [1.0, 0, 0], count) if path else np.zeros((count, 3))
    return Filming(
        first=0,
        turns=torch.eye(3).expand(count, 3, 3).clone(),
        travels=path,
        path=places,
        metric=metric,
        ticks=torch.arange(count).double(),
        fps=fps,
        focal=FOCAL,
        centre=CENTRE,
        size=SIZE,
        lines={},
        looks=np.eye(3)[None],
    )


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize("fps", [12.0, 240.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_short_tracks_have_a_world(count: int, fps: float, moves: bool) -> None:
    track, lifted = person(count)
    for path, metric in ((False, False), (True, False), (True, True)):
        made = maker(moves)([track], [lifted], filming(count, fps, path=path, metric=metric))
        (placed,) = made.people
        for values in (placed.transl, placed.root, placed.contact, placed.lifted.transl, made.translation):
            assert values.isfinite().all() and len(values) == count
        assert (placed.lifted.transl - lifted.transl).norm(dim=-1).max() < 0.1


@pytest.mark.parametrize("metric", [True, False])
def test_nobody_leaves_the_camera_where_it_is_held(metric: bool) -> None:
    made = maker()([], [], filming(8, path=True, metric=metric))
    assert not made.people and made.rotation.shape == (8, 3, 3)
    torch.testing.assert_close(made.floor, torch.tensor([0.0, -1.0, 0.0, CAMERA_HEIGHT]))


@pytest.mark.parametrize("roll", [90.0, -90.0, 180.0])
def test_a_body_that_lies_or_hangs_does_not_turn_the_world(roll: float) -> None:
    track, lifted = person(30, roll)
    made = maker()([track], [lifted], filming(30))
    assert math.degrees(math.acos(min(1.0, -float(made.floor[1])))) < 5
    assert math.degrees(made.gravity_spread) > 15  # and says that it is not sure
    assert float(made.floor[3]) > 0  # the camera is above the floor
    assert (made.people[0].lifted.transl - lifted.transl).norm(dim=-1).max() < 0.1


def test_what_people_show_of_up_stands_beside_what_was_said() -> None:
    track, lifted = person(30)
    seen = maker()([track], [lifted], filming(30))
    told = maker()([track], [lifted], replace(filming(30), up=torch.tensor([1.0, 0.0, 0.0])))
    assert told.gravity_spread == 0 and told.floor[:3].tolist() == [1, 0, 0]
    torch.testing.assert_close(told.shown.vector, seen.floor[:3])
    assert told.shown.spread == seen.gravity_spread > 0


def test_films_of_a_picture_a_day_ask_for_no_more_than_those_of_a_picture_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    ask = Grounding.contacts
    monkeypatch.setattr(Grounding, "contacts", lambda self, walk: asked.append(len(walk.pelvis)) or ask(self, walk))
    for fps in (1.0, 1 / 86400):
        track, lifted = person(4)
        made = maker()([track], [lifted], filming(4, fps))
        assert made.people[0].contact.isfinite().all()
    assert max(asked) < 4 * 31 and asked[: len(asked) // 2] == asked[len(asked) // 2 :]


def hidden_legs(speed: float, count: int = 60) -> tuple[Track, Lifted]:
    """Somebody who comes closer at a speed, metres a second; his legs, which nobody sees, swing."""
    track, lifted = person(count)
    rotmat, transl = lifted.rotmat.clone(), lifted.transl.clone()
    turns = torch.zeros(count, 3)
    turns[:, 0] = 0.4 * torch.sin(2 * torch.pi * 0.9 * torch.arange(count) / 30)
    for hip, sign in ((1, 1.0), (2, -1.0)):
        rotmat[:, hip] = axis_angle_to_rotmat(sign * turns)
    transl[:, 2] -= speed * (torch.arange(count) - count // 2) / 30
    joints, seen = joints_of(rotmat, lifted.betas, open_body()), lifted.seen.clone()
    seen[:, [4, 5, 7, 8, 10, 11]] = 0.1
    return track, replace(
        lifted, rotmat=rotmat, transl=transl, joints=joints, seen=seen, feet_seen=torch.zeros(count, 4)
    )


def test_feet_that_nobody_sees_rest_while_the_body_does() -> None:
    """What guessed legs seem to do says nothing."""
    track, lifted = hidden_legs(0.0)
    (stands,) = maker()([track], [lifted], filming(60)).people
    (seen,) = maker()([track], [replace(lifted, feet_seen=torch.ones(60, 4))], filming(60)).people
    assert stands.contact.min() > 0.85 and seen.contact.min() < 0.1


@pytest.mark.parametrize("speed", [0.7, 1.4])
def test_who_walks_with_hidden_legs_gets_as_far_as_he_was_seen_to(speed: float) -> None:
    track, lifted = hidden_legs(speed)
    (walks,) = maker()([track], [lifted], filming(60)).people
    assert walks.contact.mean() < 0.3
    way, seen = ((p.transl[-1] - p.transl[0]).norm() for p in (walks.lifted, lifted))
    assert 0.93 < way / seen < 1.05


def test_nobody_is_made_smaller_or_larger_than_adults_to_stand_on_a_floor() -> None:
    adult = 1.54  # metres from foot to head joint
    assert size_on_floor(0.1, 1.5, adult) == pytest.approx(1.5 / 1.4)
    assert size_on_floor(-0.1, 1.5, adult) == pytest.approx(1.5 / 1.6)
    assert size_on_floor(-0.35, 1.5, adult) == 1.0  # would be 1.25 m: it is the floor that is another
    assert size_on_floor(0.3, 1.5, 1.7) == 1.0
    child = 1.0
    assert size_on_floor(0.1, 1.5, child) > 1 and size_on_floor(-0.1, 1.5, child) == 1.0
