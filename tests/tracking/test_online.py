"""The ByteTrack wrapper: detections in, their own boxes out, under stable ids."""

import numpy as np
import pytest

from glot_cli.tracking.online import Tracker


def _walk(frames: int, x: float, speed: float, score: float = 0.8) -> np.ndarray:
    left = x + speed * np.arange(frames)
    return np.stack([left, np.full(frames, 100.0), left + 80, np.full(frames, 320.0), np.full(frames, score)], axis=1)


def test_gives_back_the_detections_from_the_first_frame_on() -> None:
    tracker = Tracker(30.0)
    people = np.stack([_walk(40, 50, 3), _walk(40, 600, -2)], axis=1).astype(np.float32)
    for frame, boxes in enumerate(people):
        order = [0, 1] if frame % 2 else [1, 0]  # rows have no fixed order
        tracker.update(frame, boxes[order])
    tracklets = sorted(tracker.finish(), key=lambda t: t.boxes[0, 0])
    assert len(tracklets) == 2
    for person, tracklet in enumerate(tracklets):
        np.testing.assert_array_equal(tracklet.frames, np.arange(40))
        np.testing.assert_array_equal(tracklet.boxes, people[:, person, :4])
        np.testing.assert_array_equal(tracklet.scores, people[:, person, 4])


def test_late_arrival_keeps_its_first_detection() -> None:
    tracker = Tracker(30.0)
    first, second = _walk(30, 50, 2), _walk(30, 600, 2)
    for frame in range(30):
        tracker.update(frame, np.stack([first[frame], second[frame]]) if frame >= 10 else first[frame : frame + 1])
    assert [t.start for t in tracker.finish()] == [0, 10]


def test_low_score_continues_a_track_but_starts_none() -> None:
    tracker = Tracker(30.0)
    strong, weak = _walk(30, 50, 2), _walk(30, 600, 2, score=0.15)
    strong[10:20, 4] = 0.15
    for frame in range(30):
        tracker.update(frame, np.stack([strong[frame], weak[frame]]))
    (tracklet,) = tracker.finish()
    assert len(tracklet) == 30


def test_short_loss_keeps_the_id() -> None:
    tracker = Tracker(30.0, detect_every=3)
    for frame in range(0, 90, 3):
        lost = 30 <= frame < 48
        tracker.update(frame, np.zeros((0, 5)) if lost else _walk(90, 50, 3)[frame : frame + 1])
    (tracklet,) = tracker.finish()
    assert len(tracklet) == 24


def test_runner_is_followed_at_a_low_rate() -> None:
    """1.7 body heights a second at 6 detections a second: boxes hardly touch (IoU 0.12) and still belong together."""
    tracker = Tracker(30.0, detect_every=5)
    boxes = _walk(60, 0, 12.5)[::5]
    for row, frame in zip(boxes, range(0, 60, 5), strict=True):
        tracker.update(frame, row[None])
    assert max(len(t) for t in tracker.finish()) >= 11


def test_two_trackers_do_not_disturb_each_other() -> None:
    a, b = Tracker(30.0), Tracker(30.0)
    for frame in range(20):
        a.update(frame, _walk(20, 50, 2)[frame : frame + 1])
        b.update(frame, _walk(20, 300, 2)[frame : frame + 1])
    assert [len(t) for t in a.finish()] == [20]
    assert [len(t) for t in b.finish()] == [20]


@pytest.mark.parametrize("boxes", [np.zeros((0, 5)), np.array([[10, 10, 10, 50, 0.9]])])
def test_nothing_to_follow(boxes: np.ndarray) -> None:
    tracker = Tracker(30.0)
    for frame in range(3):
        tracker.update(frame, boxes)
    assert tracker.finish() == []


def test_descriptors_stay_with_their_person() -> None:
    tracker = Tracker(30.0)
    for frame in range(10):
        tracker.update(frame, np.stack([_walk(10, 50, 2)[frame], _walk(10, 500, 2)[frame]]), np.eye(2))
    first, second = sorted(tracker.finish(), key=lambda t: t.boxes[0, 0])
    assert first.descriptors is not None and second.descriptors is not None
    np.testing.assert_array_equal(first.descriptors, np.tile([1, 0], (10, 1)))
    np.testing.assert_array_equal(second.descriptors, np.tile([0, 1], (10, 1)))
