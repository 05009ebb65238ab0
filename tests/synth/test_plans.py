"""Who plays what where, before anything is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.errors import InputError, UsageError
from glot_cli.synth.acting import Takes, act
from glot_cli.synth.films import plan
from glot_cli.synth.placement import rotation
from glot_cli.synth.request import CAMERAS, settle
from glot_cli.synth.wardrobe import Figures
from tests.synth.synth_fixtures import SMALL


@pytest.mark.parametrize("camera", [(), ("travel",)])
@pytest.mark.parametrize("number", range(4))
def test_everyone_is_in_sight_on_the_floor_and_clear_of_others(
    takes: Takes, figures: Figures, number: int, camera: tuple[str, ...]
) -> None:
    request = replace(SMALL, people=3 if number == 0 else None, shake=1.0, camera=camera)
    scene = plan(takes, request, figures.body, seed=1, number=number)
    camera, diagonal = scene.camera, np.hypot(*request.size)
    assert len(scene.actors) == scene.shot.people and (number or scene.shot.people == 3)
    assert 0.7 * diagonal <= camera.focal <= 1.3 * diagonal and 1 <= camera.height <= 2
    assert len({actor.take for actor in scene.actors}) == min(len(scene.actors), 3), "different takes"
    for actor in scene.actors:
        seen = camera.sees(actor.vertices)
        pixels = seen[..., :2] / seen[..., 2:] * camera.focal + camera.centre
        assert (pixels > -1).all() and (pixels < np.array(request.size) + 1).all() and (seen[..., 2] > 1.4).all()
        assert np.median(actor.vertices[..., 1].min(1)) == pytest.approx(0, abs=0.02)
    paths = [actor.joints[:, 0][:, [0, 2]] for actor in scene.actors]
    assert all(np.linalg.norm(p - q, axis=1).min() > 0.7 for i, p in enumerate(paths) for q in paths[:i])


def test_a_camera_turns_as_its_angles_say() -> None:
    assert np.allclose(rotation([0, 0, 0]) @ [0.2, 0.3, -4], [0.2, -0.3, 4])  # ahead is -z, down is y
    assert np.allclose(rotation([0, 0.3, 0]) @ [0, -np.sin(0.3), -np.cos(0.3)], [0, 0, 1], atol=1e-9)  # looks down
    assert np.allclose(rotation([0.3, 0, 0]) @ [np.sin(0.3), 0, -np.cos(0.3)], [0, 0, 1], atol=1e-9)  # to the right
    turned = rotation([0.4, 0.2, 0.1])
    assert np.allclose(turned @ turned.T, np.eye(3)) and np.linalg.det(turned) == pytest.approx(1)
    assert Rotation.from_matrix(turned @ rotation([0.4, 0.2, 0]).T).as_rotvec() == pytest.approx([0, 0, 0.1])


def test_asking_for_one_thing_does_not_change_what_else_is_drawn() -> None:
    free = [settle(SMALL, np.random.default_rng([3, n])) for n in range(60)]
    still = [settle(replace(SMALL, pan=0.0, crf=30), np.random.default_rng([3, n])) for n in range(60)]
    assert [replace(shot, pan=0.0, crf=30) for shot in free] == still
    assert {shot.people for shot in free} == {1, 2, 3}
    assert 0.15 < np.mean([shot.pan != 0 for shot in free]) < 0.55
    assert max(abs(shot.pan) for shot in free) <= 30 and {shot.phone for shot in free} == {True, False}
    assert not any(settle(replace(SMALL, phone=0), np.random.default_rng(n)).phone for n in range(30))


def test_a_kind_of_camera_is_all_that_asking_for_one_changes() -> None:
    free = [settle(SMALL, np.random.default_rng([3, n])) for n in range(30)]
    kinds = set()
    for camera in (("static",), ("pan",), ("handheld",), ("travel",), ("zoom",), CAMERAS):
        asked = [settle(replace(SMALL, camera=camera), np.random.default_rng([3, n])) for n in range(30)]
        for shot, other in zip(asked, free, strict=True):
            assert replace(shot, pan=other.pan, shake=other.shake, travel=False, zoom=1.0) == other
        kinds |= {(camera, shot.pan != 0, shot.shake > 0, shot.travel, shot.zoom != 1) for shot in asked}
    still = (False, False, False, False)
    moves = [
        still,
        (True, *still[1:]),
        (False, True, False, False),
        (False, True, True, False),
        (True, False, False, True),
    ]
    assert kinds == {((kind,), *move) for kind, move in zip(CAMERAS, moves, strict=True)} | {
        (CAMERAS, *move) for move in moves
    }
    assert settle(replace(SMALL, camera=("pan",), pan=12.0), np.random.default_rng(0)).pan == 12


@pytest.mark.parametrize("number", range(6))
def test_a_camera_that_travels_walks_and_looks_at_people(takes: Takes, figures: Figures, number: int) -> None:
    request = replace(SMALL, seconds=2.0, people=1, camera=("travel",))
    camera = plan(takes, request, figures.body, seed=8, number=number).camera
    assert camera.travels and camera.turns and len(camera.positions) == len(camera.angles) == 20
    way = np.linalg.norm(np.diff(camera.positions[:, [0, 2]], axis=0), axis=1).sum()
    assert 0.5 < way < 4.5 and np.ptp(camera.positions[:, 1]) < 0.2
    assert np.linalg.norm(camera.positions[10] - [0, camera.height, 0]) < 0.3, "halfway where others stand"


def test_all_takes_get_their_turn(takes: Takes) -> None:
    firsts = [takes.choose(SMALL, 1, turn, 5, np.random.default_rng(turn))[0] for turn in range(6)]
    assert sorted(firsts[:3]) == ["bend", "walk", "wave"] and firsts[3:] == firsts[:3]
    request = replace(SMALL, takes=("wave", "walk"))
    assert takes.choose(request, 2, 0, 5, np.random.default_rng(0)) == ["wave", "walk"]


def test_short_takes_go_to_and_fro_only_when_asked(takes: Takes, figures: Figures) -> None:
    long = replace(SMALL, seconds=4.0)
    with pytest.raises(InputError, match=r"motions\.npz: no take of 120 frames; ask for fewer seconds, or let takes "):
        takes.choose(long, 1, 0, 0, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"motions\.npz: has no take 'fly'; it has walk, wave, bend"):
        takes.choose(replace(SMALL, takes=("fly",)), 1, 0, 0, np.random.default_rng(0))
    with pytest.raises(InputError, match="take 'bend' is below 45 frames"):
        takes.choose(replace(long, takes=("bend",), bounce=True), 1, 0, 0, np.random.default_rng(0))
    with torch.inference_mode():
        actor = act(takes, "walk", replace(long, bounce=True), figures.body, np.random.default_rng(0))
    path = actor.joints[:, 0, 2]  # walks ahead in the take: here ahead and back
    assert len(path) == 40 and np.sign(np.diff(path)).min() == -1 and np.sign(np.diff(path)).max() == 1


@pytest.mark.parametrize(
    ("asked", "option", "words"),
    [
        ({"seconds": 0.01}, "seconds", "0.01 at 10 frames a second: less than two frames; ask for more"),
        ({"people": 3, "takes": ("walk",)}, "takes", "1 takes for 3 people; name one a person"),
        ({"takes": ("walk",) * 4}, "takes", "4 takes; there is room for 3 people at most"),
        ({"pan": -61.0}, "pan", "-61 is more than 60 degrees; ask for a smaller turn"),
        (
            {"pan": 9.0, "camera": ("static", "travel")},
            "pan",
            "9 degrees for cameras that do not pan (static, travel); ask for one that pans, or for no turn",
        ),
        (
            {"camera": ("drone",)},
            "camera",
            "'drone' is no kind of camera; choose of static, pan, handheld, travel, zoom",
        ),
    ],
)
def test_requests_that_cannot_be_name_what_is_wrong(asked: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(SMALL, **asked)
    assert caught.value.option == option and str(caught.value) == f"{option}: {words}"


@pytest.mark.parametrize("broken", ["nothing", "no trans", "shape", "text"])
def test_files_that_are_no_motions_are_named(tmp_path: Path, motions: Path, broken: str) -> None:
    path = tmp_path / "m.npz"
    with np.load(motions) as file:
        arrays = dict(file)
    if broken == "text":
        path.write_text("no archive")
    elif broken != "nothing":
        changed = {"no trans": {}, "shape": {"trans": arrays["trans"][:, :2]}}[broken]
        del arrays["trans"]
        np.savez(path, **arrays, **changed)
    with pytest.raises(InputError, match=r"m\.npz: .*(give poses \(N, 24, 3\), trans|check the name)"):
        Takes.read(path)
