"""Duplicates, joining and encounters on tracklets made by hand."""

import numpy as np

from glot_cli.tracking.joining import JOIN_LIMIT, best_links, join_pieces
from glot_cli.tracking.swaps import undo_swaps
from glot_cli.tracking.tracklets import Tracklet, concatenate, remove_duplicates

SIZE = (2000, 1000)
SETTING = {"fps": 30.0, "detect_every": 1, "image_size": SIZE}
LOOKS = np.arange(400.0)


def _piece(
    first: int,
    last: int,
    x0: float,
    speed: float,
    *,
    size: tuple[float, float] = (100, 300),
    y: float = 400,
    score: float = 0.8,
    looks: list[float] | None = None,
) -> Tracklet:
    """Frames first..last; the centre is at x0 + speed x frame."""
    frames = np.arange(first, last + 1, dtype=np.int32)
    x = x0 + speed * frames
    half = np.array(size) / 2
    boxes = np.stack([x - half[0], np.full(len(x), y - half[1]), x + half[0], np.full(len(x), y + half[1])], axis=1)
    return Tracklet(
        frames,
        boxes.astype(np.float32),
        np.full(len(frames), score, np.float32),
        None if looks is None else np.tile(np.array(looks, np.float32), (len(frames), 1)),
    )


def _spans(tracklets: list[Tracklet]) -> list[tuple[int, int]]:
    return sorted((t.start, t.end) for t in tracklets)


def test_second_box_on_one_person_goes() -> None:
    person, echo = _piece(0, 60, 300, 2), _piece(10, 50, 306, 2, score=0.4)
    kept, dissolved = remove_duplicates([echo, person])
    assert dissolved == 1
    assert kept[0] is person and len(kept) == 1


def test_part_of_a_person_goes_but_someone_in_front_stays() -> None:
    person = _piece(0, 60, 300, 2)
    legs = _piece(10, 50, 300, 2, size=(80, 140), y=470, score=0.4)
    child = _piece(0, 60, 300, 2, size=(60, 150), y=470, score=0.8)
    passer_by = _piece(0, 60, 100, 8, size=(60, 150), y=470, score=0.5)
    assert len(remove_duplicates([person, legs])[0]) == 1
    assert len(remove_duplicates([person, child])[0]) == 2
    assert len(remove_duplicates([person, passer_by])[0]) == 2


def test_what_a_duplicate_knows_beyond_the_other_is_kept() -> None:
    early, late = _piece(0, 40, 300, 2), _piece(35, 80, 302, 2, score=0.7)
    kept, _ = remove_duplicates([early, late])
    assert sum(len(t) for t in kept) == 81
    (whole,), joints = join_pieces(kept, **SETTING, max_gap_s=0.4)
    assert joints == 1
    np.testing.assert_array_equal(whole.frames, np.arange(81))


def test_detections_of_one_person_split_over_two_tracklets_unite() -> None:
    person = _piece(0, 60, 300, 2)
    odd = np.arange(61) % 2 == 1
    kept, dissolved = remove_duplicates([person.take(~odd), person.take(odd)], max_gap=30)
    assert dissolved == 1
    np.testing.assert_array_equal(kept[0].frames, np.arange(61))


def test_concatenation_keeps_the_better_of_two_at_one_frame() -> None:
    whole = concatenate([_piece(0, 5, 100, 1, score=0.5), _piece(4, 9, 200, 1, score=0.9)])
    np.testing.assert_array_equal(whole.frames, np.arange(10))
    np.testing.assert_allclose(whole.scores, [0.5] * 4 + [0.9] * 6)


def test_lost_and_found_at_constant_speed() -> None:
    for gap in (5, 30, 60):
        pieces = [_piece(0, 40, 300, 5), _piece(41 + gap, 120, 300, 5)]
        joined, joints = join_pieces(pieces, **SETTING, max_gap_s=2.5)
        assert joints == 1 and _spans(joined) == [(0, 120)]


def test_too_far_too_late_too_different_is_refused() -> None:
    start = _piece(0, 40, 300, 5)
    assert join_pieces([start, _piece(150, 200, 300, 5)], **SETTING, max_gap_s=2.5)[1] == 0  # 3.6 s
    assert join_pieces([start, _piece(50, 100, 900, 5)], **SETTING, max_gap_s=2.5)[1] == 0  # 2 heights away
    assert join_pieces([start, _piece(50, 100, 300, 5, size=(40, 120))], **SETTING, max_gap_s=2.5)[1] == 0
    assert join_pieces([start, _piece(20, 100, 300, 5)], **SETTING, max_gap_s=2.5)[1] == 0  # at the same time


def test_who_has_left_is_not_who_comes_in() -> None:
    leaves, enters = _piece(0, 60, 1700, 5), _piece(120, 180, 2500, -5)
    assert join_pieces([leaves, enters], **SETTING, max_gap_s=2.5)[1] == 0


def test_crossing_behind_an_obstacle_is_resolved_by_velocity() -> None:
    """Both vanish at the same place and come out at the same place: only the direction tells who is who."""
    right, left = (300.0, 5.0), (900.0, -5.0)  # meet at frame 60
    pieces = [_piece(0, 50, *right), _piece(0, 50, *left), _piece(70, 120, *right), _piece(70, 120, *left)]
    joined, _ = join_pieces(pieces, **SETTING, max_gap_s=2.5)
    assert len(joined) == 2
    for tracklet in joined:
        x = tracklet.boxes[:, [0, 2]].mean(axis=1)
        assert np.ptp(np.diff(x) / np.diff(tracklet.frames)) < 1e-3


def test_looks_decide_where_motion_cannot() -> None:
    red, blue = [1.0, 0.0], [0.0, 1.0]
    before = [_piece(0, 40, 300, 0, looks=red), _piece(0, 40, 420, 0, looks=blue)]
    after = [_piece(60, 100, 420, 0, looks=red), _piece(60, 100, 300, 0, looks=blue)]  # they changed places
    joined, joints = join_pieces([*before, *after], **SETTING, max_gap_s=2.5)
    assert joints == 2
    assert all(t.descriptors is not None and np.ptp(t.descriptors, axis=0).max() == 0 for t in joined)


def test_links_minimise_the_total_not_each_step() -> None:
    earlier, later = np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3])
    np.testing.assert_array_equal(best_links(earlier, later, np.array([1.0, 2.0, 1.5, 8.5]), 4), [3, 2, -1, -1])
    # 0 -> 2 alone leaves 1 without a successor, at the limit's price
    np.testing.assert_array_equal(best_links(earlier[:3], later[:3], np.array([1.0, 99, 1.5]), 4), [2, -1, -1, -1])
    assert JOIN_LIMIT > 8.5


def test_swap_at_a_meeting_is_undone() -> None:
    right, left = (300.0, 5.0), (900.0, -5.0)
    swapped = [
        concatenate([_piece(0, 60, *right), _piece(61, 120, *left)]),
        concatenate([_piece(0, 60, *left), _piece(61, 120, *right)]),
    ]
    resolved, changed = undo_swaps(swapped, LOOKS, **SETTING)
    assert changed == 2
    assert sorted(len(t) for t in resolved) == [121, 121]
    for tracklet in resolved:
        assert np.abs(np.diff(tracklet.boxes[:, 0])).max() < 10
        assert np.ptp(tracklet.boxes[:, 0]) > 500


def test_right_tracks_pass_a_meeting_unchanged() -> None:
    right = [_piece(0, 120, 300, 5), _piece(0, 120, 900, -5)]
    resolved, changed = undo_swaps(right, LOOKS, **SETTING)
    assert changed == 0
    for before, after in zip(right, sorted(resolved, key=lambda t: t.boxes[0, 0]), strict=True):
        np.testing.assert_array_equal(before.frames, after.frames)
        np.testing.assert_array_equal(before.boxes, after.boxes)


def test_people_who_turn_back_keep_their_identity() -> None:
    """They walk up to each other, overlap by a third and walk back: constant velocity would take it for a crossing."""
    frames = np.arange(121, dtype=np.int32)
    way = 4.0 * np.minimum(frames, 120 - frames)  # 240 pixels there and back

    def person(x: np.ndarray) -> Tracklet:
        boxes = np.stack([x - 50, np.full(121, 250.0), x + 50, np.full(121, 550.0)], axis=1)
        return Tracklet(frames, boxes.astype(np.float32), np.full(121, 0.8, np.float32))

    resolved, changed = undo_swaps([person(300 + way), person(830 - way)], LOOKS, **SETTING)
    assert changed == 0
    assert sorted(np.ptp(t.boxes[:, 0]) for t in resolved) == [240, 240]


def test_people_who_stay_together_keep_their_identity() -> None:
    pair = [_piece(0, 200, 300, 0), _piece(0, 200, 330, 0)]
    resolved, changed = undo_swaps(pair, LOOKS, **SETTING)
    assert changed == 0 and [len(t) for t in resolved] == [201, 201]
