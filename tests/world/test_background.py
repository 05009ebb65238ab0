"""A made-up view that a window slides over: where its corners are seen again, and where they are not."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glot_cli.world.background import KEYFRAMES, Background, ShotBackground
from glot_cli.world.camera_motion import camera_motion

SIZE = (480, 270)
NOBODY = np.zeros((0, 4))


@pytest.fixture(scope="module")
def view() -> NDArray[np.uint8]:
    """A wide view (H, W, 3)."""
    rng = np.random.default_rng(1)
    coarse = cv2.resize(rng.integers(0, 255, (40, 220), np.uint8), (2200, 400), interpolation=cv2.INTER_CUBIC)
    return np.repeat(cv2.GaussianBlur(coarse, (0, 0), 2)[..., None], 3, 2)


def window(view: NDArray[np.uint8], x: int, y: int = 50) -> NDArray[np.uint8]:
    return view[y : y + SIZE[1], x : x + SIZE[0]]


def fed(images: list[NDArray[np.uint8]], begins: tuple[int, ...] = (0,)) -> Background:
    background = Background(SIZE)
    for number, image in enumerate(images):
        background.look(number, float(number), number in begins, image, NOBODY)
    return background


def shifts(scene: ShotBackground) -> dict[tuple[int, int], NDArray[np.float64]]:
    """(2,) pixels by which the middle of a keyframe has moved, by keyframe and look."""
    middle = np.array([SIZE[0] / 2, SIZE[1] / 2, 1.0])
    found = {}
    for sighting in scene.sightings:
        x, y, w = scene.homography(sighting) @ middle
        found[sighting.keyframe, sighting.look] = np.array([x, y]) / w - middle[:2]
    return found


def test_a_picture_that_stays_is_still_whoever_walks_before_it(view: NDArray[np.uint8]) -> None:
    background = Background(SIZE)
    for number in range(8):
        image = window(view, 300).copy()
        left = 40 + 40 * number
        image[60:260, left : left + 70] = np.random.default_rng(number).integers(0, 255, (200, 70, 3))
        background.look(number, float(number), number == 0, image, np.array([[left, 60, left + 70, 260]]))
    scene = background.seen.scene(0, 8)
    assert len(scene.sightings) == 7 and all(s.still for s in scene.sightings)
    assert len(scene.keyframes) == 1


def test_a_view_that_stays_though_the_camera_is_said_to_move_says_nothing(view: NDArray[np.uint8]) -> None:
    scene = fed([window(view, 300)] * 4).seen.scene(0, 4)
    motion = camera_motion(scene, 500.0, (SIZE[0] / 2, SIZE[1] / 2), moves=True)
    assert motion.kind == "static" and motion.confidence == 0 and motion.rotations.shape == (4, 3, 3)


@pytest.mark.parametrize("step", [7, 90], ids=["slow", "fast"])
def test_corners_are_followed_through_a_pan(view: NDArray[np.uint8], step: int) -> None:
    places = [100 + step * n for n in range(12)]
    scene = fed([window(view, x) for x in places]).seen.scene(0, 12)
    found = shifts(scene)
    assert {look for _, look in found} == set(range(1, 12))
    for (keyframe, look), shift in found.items():
        assert shift == pytest.approx([places[keyframe] - places[look], 0], abs=0.5)


def test_a_pan_that_returns_sees_its_first_keyframe_again(view: NDArray[np.uint8]) -> None:
    places = [*range(100, 900, 60), *range(900, 90, -60)]
    scene = fed([window(view, x) for x in places]).seen.scene(0, len(places))
    assert (0, len(places) - 1) in shifts(scene)


def test_a_jump_that_no_shot_explains_is_bridged(view: NDArray[np.uint8]) -> None:
    found = shifts(fed([window(view, 300), window(view, 420, 20)]).seen.scene(0, 2))
    assert found[0, 1] == pytest.approx([-120, 30], abs=0.5)


def test_shots_share_nothing_and_a_cut_that_was_a_flash_parts_nothing(view: NDArray[np.uint8]) -> None:
    white = np.full((*SIZE[::-1], 3), 255, np.uint8)
    images = [window(view, 300), window(view, 310), white, window(view, 330), window(view, 340)]
    background = fed(images, begins=(0, 2))
    joined = shifts(background.seen.scene(0, 5))
    assert joined[0, 3] == pytest.approx([-30, 0], abs=0.5)
    apart = background.seen.scene(2, 5)
    assert [s.keyframe for s in apart.sightings] == [1] and list(apart.keyframes) == [1]
    jump = fed([window(view, x) for x in (300, 300, 300, 300)], begins=(0, 2)).seen.scene(2, 4)
    assert [(s.keyframe, s.look) for s in jump.sightings] == [(0, 1)]


@pytest.mark.parametrize("kind", ["black", "noise", "covered"])
def test_where_there_is_nothing_to_see_nothing_is_said(kind: str, view: NDArray[np.uint8]) -> None:
    background = Background(SIZE)
    for number in range(4):
        image = window(view, 300)
        if kind != "covered":
            image = np.zeros_like(image)
        if kind == "noise":
            image = np.random.default_rng(number).integers(0, 255, image.shape, np.uint8)
        boxes = np.array([[-5.0, -5.0, 500.0, 300.0]]) if kind == "covered" else NOBODY
        background.look(number, float(number), number == 0, image, boxes)
    assert background.seen.scene(0, 4).sightings == []


def test_lines_are_those_of_the_room_and_not_of_people() -> None:
    image = np.full((540, 960, 3), 200, np.uint8)
    image[:3] = image[:, -3:] = 0  # what many videos have along their borders
    for x in (100, 300, 700):
        cv2.line(image, (x, 60), (x + 8, 400), (20, 20, 20), 6)
    background = Background((960, 540))
    boxes = np.array([[650.0, 20.0, 760.0, 500.0]])
    rng = np.random.default_rng(0)
    image[450:, :600] = cv2.resize(rng.integers(0, 255, (9, 60, 3), np.uint8), (600, 90))
    background.look(0, 0.0, True, image, boxes)
    lines = background.seen.scene(0, 1).keyframes[0].lines
    assert (lines[:, [1, 3]].max(1) > 6).all() and (lines[:, [0, 2]].min(1) < 953).all()
    tall = lines[np.abs(lines[:, 3] - lines[:, 1]) > 250]
    assert len(tall) >= 4 and set(np.rint(tall[:, 0] / 200).tolist()) <= {0.0, 1.0, 2.0} and tall[:, 0].max() < 600


def test_little_is_kept_of_a_picture_and_less_of_a_still_one(view: NDArray[np.uint8]) -> None:
    moving = fed([window(view, 100 + 11 * n % 1500) for n in range(50)])
    assert sum(s.places.nbytes + s.corners.nbytes for s in moving.seen.scene(0, 50).sightings) < 50 * 500
    still = fed([window(view, 100)] * 20).seen.scene(0, 20)
    assert sum(sys.getsizeof(s.places) for s in still.sightings[:1]) < 200 and len(still.keyframes) == 1
    assert len(moving._held) <= KEYFRAMES
