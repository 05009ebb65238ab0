"""Cheaper looks at somebody who is alone, held to looks at the whole frame."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from glot_cli.tracking.detector import PersonDetector
from glot_cli.tracking.lookout import NEAR_SIZE, Lookout

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "person_detector.safetensors"


@pytest.fixture(scope="module")
def alone(bus) -> np.ndarray:
    """The man with the bag, and nobody else: (1080,1620,3)."""
    wide = np.full((1080, 1620, 3), 128, np.uint8)
    wide[:, 400:700] = bus[:, 205:505]
    wide[:, 400:420] = 128
    return wide


class Spy:
    """The bundled detector, and the sizes of the pictures that it was given."""

    def __init__(self) -> None:
        self.real = PersonDetector(None, WEIGHTS)
        self.device, self.any_shape = self.real.device, True
        self.given: list[tuple[tuple[int, ...], int | None]] = []

    def __call__(self, frames, size=None):
        self.given += [(frame.shape[:2], size) for frame in frames]
        return self.real(frames, size)


@pytest.fixture
def spy() -> Spy:
    return Spy()


def sizes(spy) -> list[int | None]:
    return [size for _, size in spy.given]


def test_every_other_look_at_somebody_alone_is_at_the_surroundings_and_finds_the_same(spy, alone):
    lookout = Lookout(spy)
    first, second, third, fourth = lookout([alone] * 4, [True, False, False, False])
    assert sizes(spy) == [None, NEAR_SIZE, None, NEAR_SIZE]
    near = np.prod(spy.given[1][0])
    assert near < 0.5 * np.prod(alone.shape[:2])
    for look in (second, fourth):
        np.testing.assert_allclose(look.boxes[0, :4], first.boxes[0, :4], atol=12)  # of 450 pixels' height
        sure = (first.keypoints[0, :, 2] > 0.7) & (look.keypoints[0, :, 2] > 0.7)
        assert sure.sum() >= 8
        off = np.linalg.norm((look.keypoints - first.keypoints)[0, sure, :2], axis=-1)
        assert np.median(off) < 6 and off.max() < 25
    np.testing.assert_array_equal(third.boxes, first.boxes)


def test_whoever_comes_in_is_found_by_the_next_whole_look(spy, alone, bus):
    both = alone.copy()
    both[:, 1100:1620] = bus[:, :520]
    _, _, third = Lookout(spy)([alone, both, both], [True, False, False])
    assert sizes(spy)[2] is None
    assert (third.boxes[:, 4] > 0.3).sum() > 1


def test_a_crowd_is_looked_at_whole(spy, bus):
    Lookout(spy)([bus] * 3, [True, False, False])
    assert sizes(spy) == [None] * 3


def test_where_the_surroundings_are_empty_the_whole_frame_is_looked_at(spy, alone):
    moved = np.roll(alone, 900, axis=1)
    _, second = Lookout(spy)([alone, moved], [True, False])
    assert sizes(spy) == [None, NEAR_SIZE, None]
    np.testing.assert_array_equal(second.boxes, spy.real([moved])[0].boxes)


def test_where_the_edge_of_the_surroundings_cuts_the_person_the_whole_frame_is_looked_at(spy, alone):
    larger = cv2.resize(alone, None, fx=1.8, fy=1.8)
    at = int(550 * 1.8) - 550
    larger = larger[250 : 250 + 1080, at : at + 1620]
    _, second = Lookout(spy)([alone, larger], [True, False])
    assert sizes(spy) == [None, NEAR_SIZE, None]
    np.testing.assert_array_equal(second.boxes, spy.real([larger])[0].boxes)


def test_a_new_shot_begins_with_a_whole_look(spy, alone):
    Lookout(spy)([alone, alone, alone], [True, True, False])
    assert sizes(spy) == [None, None, NEAR_SIZE]


@pytest.mark.parametrize("box", [(900, 80, 900, 80), (50, 50, 50, 50), (-20, -30, -10, -10), (np.nan, 1, 9, 9)])
def test_boxes_without_an_inside_are_no_surroundings(box):
    def look(frames, size=None):
        assert size is None
        return [SimpleNamespace(boxes=np.array([[*box, 0.9]], np.float32), keypoints=None) for _ in frames]

    class Detector(SimpleNamespace):
        __call__ = staticmethod(look)

    found = Lookout(Detector(device=SimpleNamespace(type="cpu"), any_shape=True))(
        [np.zeros((80, 900, 3), np.uint8)] * 2, [True, False]
    )
    assert len(found) == 2


@pytest.mark.parametrize(("device", "any_shape"), [("cuda", True), ("cpu", False)])
def test_on_gpus_and_with_detectors_of_one_shape_all_looks_are_whole(device, any_shape):
    given = []
    detector = SimpleNamespace(device=SimpleNamespace(type=device), any_shape=any_shape)

    def look(frames, size=None):
        given.append((len(frames), size))
        return [SimpleNamespace(boxes=np.array([[1, 1, 9, 9, 0.9]], np.float32), keypoints=None)] * len(frames)

    class Detector(SimpleNamespace):
        __call__ = staticmethod(look)

    Lookout(Detector(**vars(detector)))([np.zeros((20, 20, 3), np.uint8)] * 5, [False] * 5)
    assert given == [(5, None)]
