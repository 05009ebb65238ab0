"""Who comes back after a cut: the same looks, clearly; in doubt nobody."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from glot_cli.tracking.appearance import describe
from glot_cli.tracking.reappearance import recognise
from glot_cli.tracking.tracklets import Tracklet

Colour = tuple[int, int, int]
MAN: tuple[Colour, Colour] = ((60, 60, 70), (50, 60, 110))
WOMAN: tuple[Colour, Colour] = ((205, 140, 40), (60, 60, 65))
CHILD: tuple[Colour, Colour] = ((60, 160, 90), (190, 180, 160))


def person(
    clothes: tuple[Colour, Colour], seed: int = 0, *, count: int = 8, scale: float = 1.0, light: float = 1.0
) -> Tracklet:
    """Somebody who stands in a noisy room, seen `count` times; `scale` says how near the camera is."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 30, (200, 160, 3)), (0, 0), 2)
    boxes, looks = [], []
    for _ in range(count):
        height = int(80 * scale)
        x, y = rng.integers(10, 50), rng.integers(2, 20)
        box = np.array([x, y, x + height // 2, y + height])
        image = np.full((200, 160, 3), 150.0)
        image[y : y + height // 2, x + height // 10 : x + 2 * height // 5] = clothes[0]
        image[y + height // 2 : y + height, x + height // 10 : x + 2 * height // 5] = clothes[1]
        image = light * image + noise
        looks.append(describe(np.clip(image, 0, 255).astype(np.uint8), box[None])[0])
        boxes.append(box)
    return Tracklet(
        np.arange(count, dtype=np.int32),
        np.array(boxes, np.float32),
        np.full(count, 0.8, np.float32),
        np.array(looks, np.float32),
    )


def test_the_same_clothes_are_the_same_person_also_nearer() -> None:
    assert recognise([[person(MAN, 1)], [person(MAN, 2)], [person(MAN, 3, scale=2)]]) == [[0], [0], [0]]


def test_a_man_does_not_become_a_woman() -> None:
    assert recognise([[person(MAN, 1)], [person(WOMAN, 2)], [person(MAN, 3)]]) == [[0], [1], [0]]


def test_everybody_is_known_again_in_whatever_order() -> None:
    first = [person(MAN, 1), person(WOMAN, 2)]
    assert recognise([first, [], [person(CHILD, 3), person(WOMAN, 4), person(MAN, 5)]]) == [[0, 1], [], [2, 1, 0]]


def test_who_could_be_either_is_neither() -> None:
    twins = [person(MAN, 1), person(MAN, 2)]
    assert recognise([twins, [person(MAN, 3)]]) == [[0, 1], [2]]
    assert recognise([[person(MAN, 3)], twins]) == [[0], [1, 2]]


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_two_people_of_a_shot(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clothes = [MAN, WOMAN, CHILD, MAN, WOMAN]
    shots = [[person(clothes[k], 10 * shot + int(k)) for k in rng.permutation(5)[:3]] for shot in range(6)]
    for numbers in recognise(shots):
        assert len(set(numbers)) == len(numbers)


def test_other_light_few_sightings_and_unknown_looks_are_doubts() -> None:
    seen = [person(MAN, 1)]
    assert recognise([seen, [person(MAN, 2, light=0.5)]]) == [[0], [1]]
    assert recognise([seen, [person(MAN, 2, count=2)]]) == [[0], [1]]
    hidden = person(MAN, 2)
    hidden = Tracklet(hidden.frames, hidden.boxes, hidden.scores, np.full_like(hidden.descriptors, np.nan))
    assert recognise([seen, [hidden], [person(MAN, 3)]]) == [[0], [1], [0]]
    bare = Tracklet(hidden.frames, hidden.boxes, hidden.scores)
    assert recognise([[bare, bare], [], [bare]]) == [[0, 1], [], [2]]
    assert recognise([]) == []
