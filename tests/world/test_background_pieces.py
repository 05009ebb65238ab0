"""A background looked at in overlapping pieces: kept without loss, and put together as if it had been one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glot_cli.world.background import Background, Keyframe, SeenAgain, SeenBackground
from glot_cli.world.background_pieces import from_arrays, put_together, to_arrays
from glot_cli.world.camera_motion import CameraMotion, camera_motion
from tests.world.test_camera_motion import angles_between, turning

SIZE = (480, 270)
FOCAL = 420.0
CENTRE = (SIZE[0] / 2, SIZE[1] / 2)
NOBODY = np.zeros((0, 4))
EVERY = 3  # frames from one look to the next
LENGTH, BORDERS, OVERLAP = 180, (63, 123), 18  # frames


@pytest.fixture(scope="module")
def scenery() -> NDArray[np.uint8]:
    """A wide wall (H, W, 3) with straight lines on it."""
    rng = np.random.default_rng(2)
    coarse = cv2.resize(rng.integers(0, 255, (120, 360), np.uint8), (1800, 600), interpolation=cv2.INTER_CUBIC)
    wall = np.repeat(cv2.GaussianBlur(coarse, (0, 0), 1.2)[..., None], 3, 2)
    for x in range(60, 1800, 120):
        cv2.line(wall, (x, 80), (x + 3, 520), (15, 15, 15), 5)
    return wall


def view(scenery: NDArray[np.uint8], rotation: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What a camera sees that has turned from looking straight at the wall."""
    height, width = scenery.shape[:2]
    lens = np.array([[FOCAL, 0, CENTRE[0] - 0.5], [0, FOCAL, CENTRE[1] - 0.5], [0, 0, 1]])
    wall = np.array([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])
    return np.asarray(cv2.warpPerspective(scenery, lens @ rotation @ np.linalg.inv(wall), SIZE, flags=cv2.INTER_CUBIC))


def watched(images: Sequence[NDArray[np.uint8]], first: int, end: int) -> SeenBackground:
    """What is seen in frames from one to before another, counted from there."""
    background = Background(SIZE)
    for number in range(0, end - first, EVERY):
        background.look(number, float(number), number == 0, images[first + number], NOBODY)
    return background.seen


def in_pieces(images: Sequence[NDArray[np.uint8]]) -> tuple[list[SeenBackground], list[NDArray[np.int_]], list[int]]:
    """What is seen in pieces that overlap, the numbers of their frames, and where the next one is believed."""
    ends = [*BORDERS, len(images)]
    spans = [
        (max(0, begin - OVERLAP), min(len(images), end + OVERLAP))
        for begin, end in zip([0, *BORDERS], ends, strict=True)
    ]
    return [watched(images, *span) for span in spans], [np.arange(*span) for span in spans], ends


def joined(images: Sequence[NDArray[np.uint8]]) -> SeenBackground:
    return put_together(*in_pieces(images), np.arange(float(len(images))))


def motion_of(seen: SeenBackground) -> CameraMotion:
    return camera_motion(seen.scene(0, LENGTH), FOCAL, CENTRE)


def pan() -> NDArray[np.float64]:
    """Rotations (LENGTH, 3, 3): 24 degrees to the right, and a little up and down, and askew."""
    time = np.arange(LENGTH) / LENGTH
    return turning(np.stack([24 * time - 12, 3 * np.sin(7 * time), np.sin(5 * time)], 1))


@pytest.fixture(scope="module")
def panned(scenery: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [view(scenery, rotation) for rotation in pan()]


@pytest.fixture(scope="module")
def still(scenery: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(8)
    image = view(scenery, np.eye(3)).astype(int)
    return [np.clip(image + rng.integers(-3, 4, image.shape), 0, 255).astype(np.uint8) for _ in range(LENGTH)]


def assert_same(one: object, other: object) -> None:
    """That all fields of two objects are the same, types of arrays included."""
    assert type(one) is type(other)
    for field in fields(one):  # type: ignore[arg-type]
        first, second = getattr(one, field.name), getattr(other, field.name)
        assert type(first) is type(second), field.name
        np.testing.assert_array_equal(first, second, field.name)
        if isinstance(first, np.ndarray):
            assert (first.dtype, first.shape) == (second.dtype, second.shape), field.name


def assert_same_background(one: SeenBackground, other: SeenBackground) -> None:
    assert (one.scale, one.frames, one.ticks) == (other.scale, other.frames, other.ticks)
    assert list(one.keyframes) == list(other.keyframes) and len(one.sightings) == len(other.sightings)
    for first, second in zip(one.sightings, other.sightings, strict=True):
        assert_same(first, second)
    for look, keyframe in one.keyframes.items():
        assert_same(keyframe, other.keyframes[look])


def test_arrays_hold_all_of_it(panned: list[NDArray[np.uint8]], still: list[NDArray[np.uint8]]) -> None:
    dark = [np.zeros_like(still[0])] * 9
    for images in (panned, still[:9], dark, []):
        seen = watched(images, 0, len(images))
        back = from_arrays(to_arrays(seen))
        assert_same_background(seen, back)
        assert {type(value) for value in back.frames} <= {int} and {type(value) for value in back.ticks} <= {float}
    seen = watched(panned, 0, LENGTH)
    assert len(seen.keyframes) > 1 and any(len(one.inherited) for one in seen.keyframes.values())
    assert any(one.still for one in watched(still, 0, 9).sightings) and not watched(dark, 0, 9).keyframes
    np.testing.assert_array_equal(motion_of(seen).rotations, motion_of(from_arrays(to_arrays(seen))).rotations)


def test_arrays_that_do_not_fit_together_are_refused(panned: list[NDArray[np.uint8]]) -> None:
    arrays = to_arrays(watched(panned, 0, 30))
    for name in ("again_places", "keyframe_corners", "again_look", "keyframe_before"):
        with pytest.raises(ValueError):
            from_arrays(arrays | {name: arrays[name][:-1]})
    with pytest.raises(KeyError):
        from_arrays({name: values for name, values in arrays.items() if name != "again_count"})


def test_one_piece_is_the_whole(panned: list[NDArray[np.uint8]]) -> None:
    seen = watched(panned, 0, LENGTH)
    whole = put_together([seen], [np.arange(LENGTH)], [LENGTH], np.arange(float(LENGTH)))
    assert_same_background(seen, whole)


def test_a_still_view_stands_and_has_its_lines_once(still: list[NDArray[np.uint8]]) -> None:
    at_once, whole = watched(still, 0, LENGTH), joined(still)
    assert whole.frames == at_once.frames and whole.ticks == at_once.ticks
    motion, expected = motion_of(whole), motion_of(at_once)
    assert motion.kind == expected.kind == "static"
    assert motion.confidence == pytest.approx(expected.confidence, abs=0.02) and motion.confidence > 0.9
    assert (motion.rotations == np.eye(3)).all() and not motion.places.any()
    lines = [keyframe.lines for keyframe in at_once.keyframes.values() if len(keyframe.lines)]
    assert len(lines) == 1 and len(lines[0]) > 5
    put = [keyframe.lines for keyframe in whole.keyframes.values() if len(keyframe.lines)]
    assert len(put) == 1
    np.testing.assert_array_equal(put[0], lines[0])


def test_a_view_that_turns_does_so_as_if_watched_at_once(panned: list[NDArray[np.uint8]]) -> None:
    at_once, whole = watched(panned, 0, LENGTH), joined(panned)
    assert whole.frames == at_once.frames
    motion, expected = motion_of(whole), motion_of(at_once)
    truth = pan()[::EVERY]
    truth = truth @ truth[0].T
    assert motion.kind == expected.kind == "rotating" and motion.confidence > 0.8
    assert not motion.places.any()
    assert angles_between(expected.rotations, truth).max() < 0.05
    assert angles_between(motion.rotations, expected.rotations).max() < 0.05
    assert angles_between(motion.rotations, truth).max() < 0.05


@pytest.mark.parametrize("kind", ["still", "panned"])
def test_keyframes_are_tied_together_across_each_border(kind: str, request: pytest.FixtureRequest) -> None:
    images: list[NDArray[np.uint8]] = request.getfixturevalue(kind)
    pieces, numbers, ends = in_pieces(images)
    whole = put_together(pieces, numbers, ends, np.arange(float(LENGTH)))
    for number in numbers[1:]:
        first = whole.frames.index(
            int(number[0])
        )  # the look at which the later piece begins, with a keyframe of its own
        assert first in whole.keyframes
        ties = [one for one in whole.sightings if one.look == first]
        assert ties and all(one.keyframe < first for one in ties)
    # Whatever is said is said of what there is, once.
    pairs = [(one.look, one.keyframe) for one in whole.sightings]
    assert pairs == sorted(set(pairs))
    assert all(keyframe in whole.keyframes and keyframe < look for look, keyframe in pairs)
    for look, keyframe in whole.keyframes.items():
        assert keyframe.look == look and len(keyframe.inherited) <= len(keyframe.corners)
        if keyframe.before >= 0:
            before = whole.keyframes[keyframe.before]
            assert keyframe.before < look and keyframe.inherited.max() < len(before.corners)
            assert (look, keyframe.before) in set(pairs)
        else:
            assert not len(keyframe.inherited)


def test_what_lies_beyond_a_border_is_left_to_the_next_piece(panned: list[NDArray[np.uint8]]) -> None:
    """The earlier piece may see other things there; and frames are those of the video, at its ticks."""
    pieces, numbers, ends = in_pieces(panned)
    ticks = np.arange(float(LENGTH)) * 1.5
    whole = put_together(pieces, numbers, ends, ticks)
    assert whole.ticks == [1.5 * frame for frame in whole.frames]
    beyond = [frame for frame in pieces[0].frames if frame >= ends[0]]
    cut = SeenBackground(
        pieces[0].scale,
        pieces[0].frames[: -len(beyond)],
        pieces[0].ticks[: -len(beyond)],
        [one for one in pieces[0].sightings if pieces[0].frames[one.look] < ends[0]],
        {look: one for look, one in pieces[0].keyframes.items() if pieces[0].frames[look] < ends[0]},
    )
    assert beyond and len(cut.sightings) < len(pieces[0].sightings)
    assert_same_background(whole, put_together([cut, *pieces[1:]], numbers, ends, ticks))


def test_a_picture_that_is_a_keyframe_of_both_is_one_of_the_later_piece() -> None:
    """Its corners are numbered otherwise there, so what the earlier piece says of them goes."""
    lines = np.ones((2, 4), np.float32)

    def keyframe(look: int, before: int, x: float) -> Keyframe:
        corners = np.full((12, 2), x, np.float32)
        return Keyframe(look, corners, lines, before, np.arange(3 if before >= 0 else 0, dtype=np.uint8))

    def seen(pairs: list[tuple[int, int]], *keyframes: Keyframe) -> SeenBackground:
        places = np.ones((12, 2), np.uint16)
        again = [
            SeenAgain(*pair, np.eye(3, dtype=np.float32), np.arange(12, dtype=np.uint8), places, 12) for pair in pairs
        ]
        frames = list(range(0, 30, 3))
        return SeenBackground(1.0, frames, list(map(float, frames)), again, {one.look: one for one in keyframes})

    # Looks 7 and 8 of the earlier piece, at frames 21 and 24, are 1 and 2 of the later one, which begins at frame 18.
    early = [*((look, 0) for look in range(1, 8)), (8, 7), (9, 8)]
    late = [(1, 0), *((look, 1) for look in range(2, 10))]
    earlier = seen(early, keyframe(0, -1, 1.0), keyframe(7, 0, 2.0), keyframe(8, 7, 3.0))
    later = seen(late, keyframe(0, -1, 4.0), keyframe(1, 0, 5.0))
    whole = put_together([earlier, later], [np.arange(30), np.arange(18, 48)], [27, 48], np.arange(48.0))
    assert whole.frames == list(range(0, 48, 3))
    told = {look: (float(one.corners[0, 0]), one.before, len(one.inherited)) for look, one in whole.keyframes.items()}
    assert told == {0: (1.0, -1, 0), 6: (4.0, -1, 0), 7: (5.0, 6, 3), 8: (3.0, -1, 0)}
    assert [look for look, one in whole.keyframes.items() if len(one.lines)] == [0, 7, 8]
    assert [(one.look, one.keyframe) for one in whole.sightings] == [
        *((look, 0) for look in range(1, 7)),
        (7, 0),
        (7, 6),
        *((look, 7) for look in range(8, 16)),
    ]


def test_a_piece_without_frames_adds_nothing(panned: list[NDArray[np.uint8]]) -> None:
    """As where a video ends before it said it would."""
    pieces, numbers, ends = in_pieces(panned)
    ticks = np.arange(float(LENGTH))
    empty = SeenBackground(pieces[0].scale)
    whole = put_together(pieces, numbers, ends, ticks)
    more = put_together([*pieces, empty], [*numbers, np.arange(0)], [*ends, LENGTH], ticks)
    assert_same_background(whole, more)


def test_looks_at_other_frames_are_all_kept(panned: list[NDArray[np.uint8]]) -> None:
    """Where pieces looked at frames that the others did not, as after a cut, every look has its place in time."""
    spans, ends = [(0, 81), (46, LENGTH)], [63, LENGTH]
    pieces = [watched(panned, *span) for span in spans]
    whole = put_together(pieces, [np.arange(*span) for span in spans], ends, np.arange(float(LENGTH)))
    assert whole.frames == sorted({*range(0, 63, EVERY), *range(46, LENGTH, EVERY)})
    for sighting in whole.sightings:
        assert whole.frames[sighting.look] % EVERY == whole.frames[sighting.keyframe] % EVERY
