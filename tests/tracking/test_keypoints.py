"""Keypoints between the frames that were looked at, and which way up they show somebody, on made people."""

from __future__ import annotations

import numpy as np
import pytest

from glot_cli.tracking import online
from glot_cli.tracking.detector import COCO_KEYPOINTS
from glot_cli.tracking.keypoints import FACE, HIPS, SHOULDERS, fill_keypoints, lean
from glot_cli.tracking.online import Tracker
from glot_cli.tracking.swaps import undo_swaps
from glot_cli.tracking.tracklets import Tracklet, concatenate, gather
from glot_cli.tracking.tracks import Track, clean_tracks

FPS = 30.0
LOOKS = np.arange(400.0)
# A person of 230 pixels from nose to ankles, the middle of the hips at (0, 0), y down.
HEIGHTS = {"shoulder": (20, -100), "elbow": (30, -50), "wrist": (30, -10), "hip": (15, 0), "knee": (15, 50),
           "ankle": (15, 100), "eye": (5, -132), "ear": (9, -130), "nose": (0, -130)}  # fmt: skip


def people(angles: np.ndarray, confidence: float = 0.9) -> np.ndarray:
    """(n,17,3) of somebody seen from the front who leans to the right by angles (n,), radians."""
    shape = []
    for name in COCO_KEYPOINTS:
        x, y = HEIGHTS[name.split("_")[-1]]
        shape.append((x if name.startswith("left") else -x, y))
    x, y = np.array(shape, float).T
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.stack(
        [300 + x * cos - y * sin, 300 + x * sin + y * cos, np.full((len(angles), 17), confidence)], -1
    ).astype(np.float32)


def whole(count: int) -> np.ndarray:
    return np.zeros(count, np.int32)


def apart(a: np.ndarray, b: np.ndarray | float) -> np.ndarray:
    """Between angles, degrees."""
    return np.degrees(np.abs(np.angle(np.exp(1j * (a - b)))))


def test_parts_are_what_they_are_called() -> None:
    assert {name.split("_")[-1] for name in COCO_KEYPOINTS[FACE]} == {"nose", "eye", "ear"}
    assert COCO_KEYPOINTS[SHOULDERS] == ("left_shoulder", "right_shoulder")
    assert COCO_KEYPOINTS[HIPS] == ("left_hip", "right_hip")


def test_between_two_looks_points_move_in_straight_lines() -> None:
    random = np.random.default_rng(0)
    keys = np.array([4, 7, 10, 16, 19])  # 13 was missed
    known = random.uniform(0, 500, (5, 17, 3)).astype(np.float32)
    known[..., 2] = random.uniform(0.2, 1, (5, 17))
    frames = np.arange(2, 22)
    filled = fill_keypoints(keys, known, frames, 3)
    assert filled.shape == (20, 17, 3) and filled.dtype == np.float32
    at = {int(frame): row for row, frame in enumerate(frames)}
    for key, value in zip(keys, known, strict=True):
        np.testing.assert_allclose(filled[at[int(key)]], value, rtol=1e-6)
    np.testing.assert_allclose(filled[at[5], :, :2], (2 * known[0] + known[1])[:, :2] / 3, rtol=1e-5)
    np.testing.assert_allclose(filled[at[18], :, 2], np.minimum(known[3], known[4])[:, 2])
    unknown = [at[frame] for frame in (2, 3, 11, 12, 13, 14, 15, 20, 21)]
    assert (filled[unknown, :, 2] == 0).all() and np.isfinite(filled).all()
    assert (np.delete(filled, unknown, 0)[..., 2] > 0).all()


def test_one_look_tells_of_its_own_frame_alone() -> None:
    filled = fill_keypoints(np.array([5]), people(np.zeros(1)), np.arange(4, 8), 3)
    np.testing.assert_array_equal(filled[..., 2].max(1), np.array([0, 0.9, 0, 0], np.float32))


@pytest.mark.parametrize("degrees", [0, 30, 90, -90, 135, 180])
@pytest.mark.parametrize("count", [1, 2, 3, 60])
def test_lean_of_somebody_who_keeps_it(degrees: int, count: int) -> None:
    """Standing, lying on either side, upside down; for a still picture too."""
    angle = lean(people(np.full(count, np.radians(degrees))), whole(count), np.arange(float(count)), FPS)
    assert angle.dtype == np.float32 and apart(angle, np.radians(degrees)).max() < 0.1


@pytest.mark.parametrize("seconds", [1.5, 3.0])
def test_lean_follows_a_somersault(seconds: float) -> None:
    count = round(seconds * FPS)
    angles = np.linspace(0, 2 * np.pi, count)
    assert apart(lean(people(angles), whole(count), np.arange(float(count)), FPS), angles).max() < 5


def test_frames_that_take_hands_for_feet_do_not_count() -> None:
    """A fifth of a second upside down is a mistake; noise is smoothed away."""
    noise = np.radians(8) * np.random.default_rng(1).normal(size=120)
    told = noise.copy()
    told[[*range(40, 46), 80, 81]] += np.pi
    angle = lean(people(told), whole(120), np.arange(120.0), FPS)
    assert apart(angle, 0).max() < 12
    assert apart(angle, 0).mean() < 0.6 * apart(noise, 0).mean()


def test_unsure_points_say_less_than_sure_ones() -> None:
    """Hips out of the frame are nowhere: shoulders and face tell the way up, and the other way round."""
    angles = np.full(40, np.radians(50))
    points = people(angles)
    for lost in (HIPS, FACE):
        some = points.copy()
        some[:, lost] = (0, 0, 0)
        assert apart(lean(some, whole(40), np.arange(40.0), FPS), angles).max() < 2
    some = points.copy()
    some[:, SHOULDERS, 2] = 0  # which leaves no direction
    assert (lean(some, whole(40), np.arange(40.0), FPS) == 0).all()


@pytest.mark.parametrize("unknown", [slice(60, 90), slice(60, 360), slice(0, 200), slice(150, 160)])
def test_where_nothing_is_known_what_was_known_holds(unknown: slice) -> None:
    """Before, after and between: a curve that nothing holds would turn people over."""
    noise = np.radians(6) * np.random.default_rng(2).normal(size=360)
    points = people(np.radians(20) + noise)
    points[unknown, :, 2] = 0
    assert apart(lean(points, whole(360), np.arange(360.0), FPS), np.radians(20)).max() < 20


def test_a_few_frames_of_which_some_are_unknown() -> None:
    points = people(np.full(3, 0.4))
    points[1:, :, 2] = 0
    np.testing.assert_allclose(lean(points, whole(3), np.arange(3.0), FPS), 0.4, atol=1e-3)


def test_stretches_do_not_touch() -> None:
    """Whoever went upright comes back lying; of the stretch between nothing is known."""
    angles = np.concatenate([np.zeros(30), np.zeros(20), np.full(30, np.pi / 2)])
    points = people(angles)
    points[30:50, :, 2] = 0
    angle = lean(points, np.repeat([0, 1, 2], [30, 20, 30]).astype(np.int32), np.arange(80.0), FPS)
    assert apart(angle[:30], 0).max() < 0.1 and apart(angle[50:], np.pi / 2).max() < 0.1
    assert (angle[30:50] == 0).all()


def marked(first: int, last: int, x0: float, speed: float, mark: float, step: int = 1) -> Tracklet:
    """Somebody 100 x 300 pixels who walks, and whose keypoints are `mark` in every number."""
    frames = np.arange(first, last + 1, step, dtype=np.int32)
    x = x0 + speed * frames
    boxes = np.stack([x - 50, np.full(len(x), 250.0), x + 50, np.full(len(x), 550.0)], 1).astype(np.float32)
    points = np.full((len(x), 17, 3), mark, np.float32)
    return Tracklet(frames, boxes, np.full(len(x), 0.8, np.float32), keypoints=points)


def marks(tracklet: Tracklet) -> np.ndarray:
    assert tracklet.keypoints is not None and tracklet.keypoints.shape == (len(tracklet), 17, 3)
    return tracklet.keypoints[:, 0, 0]


def test_gathered_tracklets_keep_their_keypoints_or_have_none() -> None:
    one, other = marked(0, 3, 100, 1, 0.25), marked(2, 5, 100, 1, 0.5)
    np.testing.assert_array_equal(marks(gather([other, one])), [0.5] * 4 + [0.25] * 4)
    np.testing.assert_array_equal(marks(one.take(np.array([1, 2]))), [0.25, 0.25])
    bare = Tracklet(one.frames, one.boxes, one.scores)
    assert gather([bare, other]).keypoints is None and bare.take(np.array([0])).keypoints is None
    better = Tracklet(other.frames, other.boxes, other.scores + 0.1, keypoints=other.keypoints)
    np.testing.assert_array_equal(marks(concatenate([one, better])), [0.25] * 2 + [0.5] * 4)


def test_keypoints_stay_with_their_person_in_the_tracker() -> None:
    tracker = Tracker(FPS)
    right, left = marked(0, 19, 100, 2, 0.2), marked(0, 19, 800, -2, 0.7)
    assert right.keypoints is not None and left.keypoints is not None
    empty = np.zeros((1, 5))  # no box at all: left out, with its keypoints
    for row in range(20):
        boxes = np.stack([np.append(t.boxes[row], 0.8) for t in (right, left)])
        points = np.stack([t.keypoints[row] for t in (right, left)])
        tracker.update(row, np.concatenate([empty, boxes]), keypoints=np.concatenate([np.ones((1, 17, 3)), points]))
    found = sorted(tracker.finish(), key=lambda t: t.boxes[0, 0])
    assert [set(marks(t).tolist()) for t in found] == [{np.float32(0.2)}, {np.float32(0.7)}]
    tracker = Tracker(FPS)
    for row in range(5):
        tracker.update(row, np.append(right.boxes[row], 0.8)[None])
    assert all(t.keypoints is None for t in tracker.finish())


def test_keypoints_go_with_their_person_through_a_swap_and_its_undoing() -> None:
    right, left = (300.0, 5.0, 0.25), (900.0, -5.0, 0.75)
    swapped = [
        concatenate([marked(0, 60, *right), marked(61, 120, *left)]),
        concatenate([marked(0, 60, *left), marked(61, 120, *right)]),
    ]
    resolved, changed = undo_swaps(swapped, LOOKS, fps=FPS, detect_every=1, image_size=(2000, 1000))
    assert changed == 2
    for tracklet in resolved:
        away = np.abs(tracklet.frames - 60) > 15
        assert len(set(marks(tracklet)[away].tolist())) == 1


def tracks_of(pieces: list[Tracklet], count: int, every: int) -> list[Track]:
    return clean_tracks(pieces, fps=FPS, ticks=np.arange(float(count)), detect_every=every, image_size=(2000, 1000))[0]


def test_tracks_have_keypoints_and_a_lean_for_every_frame() -> None:
    """Lost and found again: joined, with nothing known of the time between."""
    pieces = [marked(0, 45, 300, 5, 0.5, 3), marked(60, 120, 300, 5, 0.75, 3)]
    lying = [Tracklet(p.frames, p.boxes, p.scores, keypoints=people(np.full(len(p), -1.5))) for p in pieces]
    (track,) = tracks_of(lying, 121, 3)
    assert track.keypoints is not None and track.lean is not None
    assert track.keypoints.shape == (121, 17, 3) and track.lean.shape == (121,)
    known = track.keypoints[..., 2].min(1) > 0
    np.testing.assert_array_equal(np.flatnonzero(~known), np.arange(46, 60))
    assert apart(track.lean, -1.5).max() < 1
    (bare,) = tracks_of([Tracklet(p.frames, p.boxes, p.scores) for p in pieces], 121, 3)
    assert bare.keypoints is None and bare.lean is None


def test_key_rows_are_every_so_many_frames_and_the_ends_of_stretches() -> None:
    pieces = [marked(3, 45, 300, 1, 0.5, 3), marked(90, 150, 300, 1, 0.5, 3)]
    (track,) = tracks_of([concatenate(pieces)], 200, 3)
    frames = track.frames[track.key_rows(4)]
    ends = [track.frames[track.segment == number][[0, -1]] for number in (0, 1)]
    expected = {int(f) for f in track.frames if f % 4 == 0} | {int(f) for end in ends for f in end}
    assert set(frames.tolist()) == expected and track.segment.max() == 1
    assert track.key_rows(1).all()


def test_a_long_track_is_kept_in_pieces_and_comes_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "TOGETHER", 4)
    tracker = online.Tracker(30.0)
    random = np.random.default_rng(0)
    keypoints = random.random((11, 1, 17, 3)).astype(np.float32)
    for frame in range(11):
        box = np.array([[100.0 + frame, 100, 200 + frame, 400, 0.9]])
        tracker.update(frame, box, keypoints=keypoints[frame])
    assert max(map(len, tracker._found.values())) < 6
    (whole,) = tracker.finish()
    np.testing.assert_array_equal(whole.frames, np.arange(11))
    np.testing.assert_allclose(whole.boxes[:, 0], 100 + np.arange(11))
    assert whole.keypoints is not None
    np.testing.assert_array_equal(whole.keypoints, keypoints[:, 0])
