"""Cameras among points in space, whose motion is known: what is told of it from the points' pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.world.background import FINE, Keyframe, SeenAgain, ShotBackground
from glot_cli.world.camera_motion import CameraMotion, camera_motion
from glot_cli.world.lens import lens_zoom, turned_focal

SIZE = (640, 360)
CENTRE = (320.0, 180.0)
FOCAL = 560.0
NO_LINES = np.zeros((0, 4), np.float32)


def angles_between(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between rotations (N, 3, 3)."""
    return np.degrees(Rotation.from_matrix(first @ second.transpose(0, 2, 1)).magnitude())


def turning(degrees: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Rotations (L, 3, 3) of heading, pitch and roll (L, 3)."""
    return Rotation.from_euler("yxz", np.array(degrees), degrees=True).as_matrix()


def room(rng: np.random.Generator, count: int = 6000) -> NDArray[np.float64]:
    """Points (N, 3) around the camera, two to nine metres away."""
    rays = rng.normal(size=(count, 3))
    return rays / np.linalg.norm(rays, axis=1, keepdims=True) * rng.uniform(2, 9, (count, 1))


def filmed(
    rotations: NDArray[np.float64],
    places: NDArray[np.float64],
    points: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    noise: float = 0.15,
    wrong: float = 0.1,
    focal: float | NDArray[np.float64] = FOCAL,
    every: int = 6,
) -> ShotBackground:
    """What `Background` would hold, with a keyframe every few looks, and corners that are found elsewhere."""
    count = len(rotations)
    focals = np.broadcast_to(focal, count)

    def pixels(look: int, which: NDArray[np.int_]) -> NDArray[np.float64]:
        seen = (points[which] - places[look]) @ rotations[look].T
        flat = seen[:, :2] / np.maximum(seen[:, 2:], 0.2) * focals[look] + CENTRE
        return np.where(seen[:, 2:] > 0.2, flat, -1e6)

    def inside(at: NDArray[np.float64]) -> NDArray[np.bool_]:
        return ((at > 0) & (at < np.array(SIZE) - 1)).all(1)

    keyframes, sightings, chosen = {}, [], {}
    for look in range(count):
        if look:
            keyframe = (look - 1) // every * every
            which = np.flatnonzero(inside(pixels(look, chosen[keyframe])))
            places_now = pixels(look, chosen[keyframe][which]) + rng.normal(0, noise, (len(which), 2))
            off = rng.random(len(which)) < wrong
            places_now[off] = rng.uniform(0, SIZE, (int(off.sum()), 2))
            before = keyframes[keyframe].corners[which]
            keep = inside(places_now)
            matrix, _ = cv2.findHomography(before[keep], places_now[keep].astype(np.float32), cv2.USAC_MAGSAC, 1.0)
            places_now = np.rint(places_now[keep] * FINE).astype(np.uint16)
            homography = matrix.astype(np.float32)
            sightings.append(
                SeenAgain(look, keyframe, homography, which[keep].astype(np.uint8), places_now, int(keep.sum()))
            )
        if look % every == 0:
            seen = np.flatnonzero(inside(pixels(look, np.arange(len(points)))))
            chosen[look] = rng.choice(seen, min(96, len(seen)), replace=False)
            corners = pixels(look, chosen[look]) + rng.normal(0, noise, (len(chosen[look]), 2))
            keyframes[look] = Keyframe(look, corners.astype(np.float32), NO_LINES)
    return ShotBackground(np.arange(count) * 3.0, sightings, keyframes, 1.0)


def told(scene: ShotBackground, focal: float = FOCAL) -> CameraMotion:
    return camera_motion(scene, focal, (CENTRE[0] - 0.5, CENTRE[1] - 0.5))


def standing(count: int) -> NDArray[np.float64]:
    return np.zeros((count, 3))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_fast_pan_is_followed_beyond_what_the_first_picture_shows(rng: np.random.Generator) -> None:
    heading = np.linspace(0, 120, 25)
    truth = turning(np.stack([heading, 5 * np.sin(heading / 20), 2 * np.cos(heading / 9)], 1))
    motion = told(filmed(truth, standing(25), room(rng), rng))
    assert motion.kind == "rotating" and motion.confidence > 0.8
    assert angles_between(motion.rotations, truth @ truth[0].T).max() < 0.3
    assert not motion.places.any()


def test_a_shaken_camera_is_followed(rng: np.random.Generator) -> None:
    truth = turning(rng.normal(0, 0.6, (20, 3)))
    motion = told(filmed(truth, standing(20), room(rng), rng, wrong=0.3))
    assert motion.kind == "rotating"
    assert np.median(angles_between(motion.rotations, truth @ truth[0].T)) < 0.05


def test_a_camera_that_stands_is_still_though_much_moves_before_it(rng: np.random.Generator) -> None:
    motion = told(filmed(turning(np.zeros((12, 3))), standing(12), room(rng), rng, wrong=0.45))
    assert motion.kind == "static" and motion.confidence > 0.8
    assert (motion.rotations == np.eye(3)).all()


@pytest.mark.parametrize("way", [(1.0, 0.0, 0.0), (0.0, 0.1, 1.0), (0.7, -0.1, 0.7)], ids=["aside", "ahead", "both"])
def test_a_camera_that_travels_is_told_from_one_that_turns(way: tuple[float, ...], rng: np.random.Generator) -> None:
    truth = turning(np.stack([np.linspace(0, 15, 13), *rng.normal(0, 0.4, (2, 13))], 1))
    places = np.linspace(0, 1.0, 13)[:, None] * np.array(way)
    motion = told(filmed(truth, places, room(rng), rng))
    assert motion.kind == "travelling" and motion.confidence > 0.5
    assert angles_between(motion.rotations, truth @ truth[0].T).max() < 0.4
    path = places @ truth[0].T
    steps, seen = np.diff(path, axis=0), np.diff(motion.places, axis=0)
    cosines = (steps * seen).sum(1) / np.linalg.norm(steps, axis=1) / np.linalg.norm(seen, axis=1)
    assert np.degrees(np.arccos(np.median(cosines))) < 5


def test_pictures_of_one_keyframe_that_share_no_corner_leave_the_path_finite(rng: np.random.Generator) -> None:
    truth = turning(np.zeros((21, 3)))
    scene = filmed(truth, np.linspace(0, 1.0, 21)[:, None] * np.array([1.0, 0, 0]), room(rng), rng, every=21)
    halves = []
    for sighting in scene.sightings:
        own = sighting.corners % 2 == sighting.look % 2
        halves.append(replace(sighting, corners=sighting.corners[own], places=sighting.places[own]))
    motion = told(replace(scene, sightings=halves))
    assert motion.kind == "travelling" and np.isfinite(motion.places).all()


@pytest.mark.parametrize(("most", "heading"), [(1.04, 0.0), (0.6, 0.0), (1.5, 30.0)])
def test_a_lens_that_zooms_is_told_from_a_camera_that_moves(
    most: float, heading: float, rng: np.random.Generator
) -> None:
    zoom = np.exp(np.linspace(0, np.log(most), 19))
    truth = turning(np.stack([np.linspace(0, heading, 19), np.zeros(19), np.zeros(19)], 1))
    scene = filmed(truth, standing(19), room(rng), rng, focal=FOCAL * zoom)
    found = lens_zoom(scene, FOCAL, CENTRE)
    assert found is not None
    assert np.abs(found / found[0] / zoom - 1).max() < 0.005
    motion = camera_motion(scene, FOCAL, CENTRE, zoom=found)
    assert motion.kind == ("rotating" if heading else "static") and motion.confidence > 0.8
    assert angles_between(motion.rotations, truth @ truth[0].T).max() < 0.3
    if heading:  # and so the focal length of a lens that zooms is told
        turned = turned_focal(scene, 1.2 * FOCAL, CENTRE, lens_zoom(scene, 1.2 * FOCAL, CENTRE))
        assert turned is not None and turned[0] == pytest.approx(FOCAL, rel=0.04)


@pytest.mark.parametrize("guess", [0.75, 1.0, 1.3])
def test_a_lens_that_does_not_zoom_is_not_said_to(guess: float, rng: np.random.Generator) -> None:
    pan = turning(np.stack([np.linspace(0, 40, 19), 5 * np.sin(np.arange(19)), 3 * np.cos(np.arange(19))], 1))
    ahead = np.linspace(0, 1.2, 19)[:, None] * np.array([0.1, 0.0, 1.0])
    for turns, places in ((pan, standing(19)), (turning(np.zeros((19, 3))), standing(19)), (pan, ahead)):
        assert lens_zoom(filmed(turns, places, room(rng), rng), guess * FOCAL, CENTRE) is None
    still = turning(rng.normal(0, 0.3, (19, 3)))
    assert lens_zoom(filmed(still, ahead, room(rng), rng), guess * FOCAL, CENTRE) is None
    breathing = FOCAL * (1 + 0.01 * np.sin(np.arange(19)))
    assert lens_zoom(filmed(still, standing(19), room(rng), rng, focal=breathing), guess * FOCAL, CENTRE) is None


@pytest.mark.parametrize("factor", [0.7, 1.35])
def test_a_wrong_focal_length_does_not_make_a_pan_travel_and_is_put_right(
    factor: float, rng: np.random.Generator
) -> None:
    truth = turning(np.stack([np.linspace(0, 35, 14), np.zeros(14), np.zeros(14)], 1))
    scene = filmed(truth, standing(14), room(rng), rng)
    assert told(scene, factor * FOCAL).kind == "rotating"
    found = turned_focal(scene, factor * FOCAL, CENTRE)
    assert found is not None and found[0] == pytest.approx(FOCAL, rel=0.03) and found[1] < 0.03


def test_nothing_is_said_of_a_focal_length_where_the_camera_stands_or_travels(rng: np.random.Generator) -> None:
    still = filmed(turning(np.zeros((8, 3))), standing(8), room(rng), rng)
    carried = filmed(turning(np.zeros((13, 3))), np.linspace(0, 1, 13)[:, None] * np.eye(3)[0], room(rng), rng)
    assert turned_focal(still, FOCAL, CENTRE) is None
    assert turned_focal(carried, FOCAL, CENTRE) is None


def test_where_nothing_is_seen_twice_nothing_is_claimed() -> None:
    motion = told(ShotBackground(np.arange(5.0), [], {}, 1.0))
    assert motion.kind == "static" and motion.confidence == 0 and "seen" in motion.reason
    assert len(motion.rotations) == 5


def test_pictures_in_which_nothing_was_found_lie_between_their_neighbours(rng: np.random.Generator) -> None:
    truth = turning(np.stack([np.linspace(0, 12, 13), np.zeros(13), np.zeros(13)], 1))
    scene = filmed(truth, standing(13), room(rng), rng, every=20)
    gap = [s for s in scene.sightings if s.look not in (5, 6)]
    motion = told(ShotBackground(scene.ticks, gap, scene.keyframes, 1.0))
    assert angles_between(motion.rotations, truth).max() < 0.2
    assert motion.confidence < told(scene).confidence


def test_frames_between_looks_lie_between_them_in_time(rng: np.random.Generator) -> None:
    truth = turning([[0, 0, 0], [9, 0, 0]])
    motion = CameraMotion("rotating", 1.0, "", np.array([0.0, 3.0]), truth, np.eye(3)[:2])
    asked = motion.rotations_at(np.array([-1.0, 0.0, 1.0, 2.5, 3.0, 7.0]))
    assert np.allclose(asked, turning([[d, 0, 0] for d in (0, 0, 3, 7.5, 9, 9)]))
    assert np.allclose(motion.places_at(np.array([1.5])), [[0.5, 0.5, 0]])
