"""Clean tracks: filling, flags, segments, ends, dropping and numbering."""

import numpy as np
import pytest

from glot_cli.tracking.boxes import square_crops
from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.tracks import _drop_shadows, clean_tracks, default_min_frames

SETTING = {"fps": 30.0, "image_size": (1280, 720)}


def _still(frames: np.ndarray | range, x: float = 400, height: float = 300, score: float = 0.8) -> Tracklet:
    keys = np.array(frames, np.int32)
    box = np.array([x - 0.2 * height, 360 - height / 2, x + 0.2 * height, 360 + height / 2], np.float32)
    return Tracklet(keys, np.tile(box, (len(keys), 1)), np.full(len(keys), score, np.float32))


def test_rows_types_and_crops() -> None:
    ((track,), counts) = clean_tracks([_still(range(60))], ticks=np.arange(60.0), crop_scale=1.2, **SETTING)
    assert track.person == 1
    np.testing.assert_array_equal(track.frames, np.arange(60))
    assert track.frames.dtype == np.int32 and track.segment.dtype == np.int32
    assert track.boxes.dtype == track.crops.dtype == track.score.dtype == np.float32
    np.testing.assert_allclose(track.crops, np.tile([400, 360, 1.2 * 300], (60, 1)), rtol=1e-5)
    np.testing.assert_allclose(track.crops, square_crops(track.boxes, 1.2), rtol=1e-5)
    assert not track.interpolated.any() and not track.segment.any()
    assert set(counts.values()) == {0}


def test_missed_detections_are_filled_and_flagged() -> None:
    keys = [*range(20), *range(35, 60)]
    ((track,), _) = clean_tracks([_still(keys)], ticks=np.arange(60.0), **SETTING)
    np.testing.assert_array_equal(track.frames, np.arange(60))
    np.testing.assert_array_equal(np.flatnonzero(track.interpolated), np.arange(20, 35))
    assert not track.segment.any()


@pytest.mark.parametrize("every", [3, 5, 10])
def test_frames_between_detections_are_not_flagged(every: int) -> None:
    keys = np.arange(0, 98, every)
    ((track,), _) = clean_tracks([_still(keys)], ticks=np.arange(98.0), detect_every=every, **SETTING)
    np.testing.assert_array_equal(track.frames, np.arange(98))
    assert not track.interpolated.any()
    gone = keys[(keys < 40) | (keys >= 40 + 2 * every)]
    ((track,), _) = clean_tracks([_still(gone)], ticks=np.arange(98.0), detect_every=every, **SETTING)
    flagged = np.flatnonzero(track.interpolated)
    np.testing.assert_array_equal(flagged, np.arange(gone[gone < 40][-1] + 1, gone[gone >= 40][0]))


def test_long_gap_splits_into_segments_of_one_id() -> None:
    keys = [*range(40), *range(90, 150)]  # 1.7 s
    ((track,), _) = clean_tracks([_still(keys)], ticks=np.arange(150.0), **SETTING)
    np.testing.assert_array_equal(track.frames, keys)
    np.testing.assert_array_equal(track.segment, [0] * 40 + [1] * 60)


def test_longest_gap_that_is_filled_is_one_second() -> None:
    for missing, segments in ((30, 1), (31, 2)):
        keys = [*range(40), *range(40 + missing, 120)]
        ((track,), _) = clean_tracks([_still(keys)], ticks=np.arange(120.0), **SETTING)
        assert track.segment.max() + 1 == segments


def test_last_detection_reaches_the_end_of_the_clip() -> None:
    ((track,), _) = clean_tracks([_still(range(0, 100, 10))], ticks=np.arange(97.0), detect_every=10, **SETTING)
    assert track.frames[-1] == 96
    ((track,), _) = clean_tracks([_still(range(0, 50, 10))], ticks=np.arange(97.0), detect_every=10, **SETTING)
    assert track.frames[-1] == 49  # gone by the next detection at 50


def test_ends_follow_the_motion() -> None:
    keys = np.arange(0, 50, 5)
    moving = _still(keys)
    moving = Tracklet(moving.frames, moving.boxes + 6 * keys[:, None] * np.array([1, 0, 1, 0]), moving.scores)
    ((track,), _) = clean_tracks([moving], ticks=np.arange(49.0), detect_every=5, **SETTING)
    np.testing.assert_allclose(track.boxes[:, 0], 340 + 6.0 * np.arange(49), atol=1.0)


@pytest.mark.parametrize("frame_count", [1, 2, 3, 7])
@pytest.mark.parametrize("every", [1, 5])
def test_short_clips_and_still_images_keep_their_people(frame_count: int, every: int) -> None:
    keys = sorted({*range(0, frame_count, every), frame_count - 1})
    tracks, _ = clean_tracks(
        [_still(keys, x) for x in (700, 200)], ticks=np.arange(float(frame_count)), detect_every=every, **SETTING
    )
    assert [t.person for t in tracks] == [1, 2]
    assert tracks[0].crops[0, 0] < tracks[1].crops[0, 0]
    assert all(len(t.frames) == frame_count for t in tracks)


def _walk(frames: range, start: float, speed: float) -> Tracklet:
    """Somebody 120 x 300 pixels who walks across the picture, pixels a frame."""
    keys = np.array(frames, np.int32)
    x = start + speed * keys
    boxes = np.stack([x - 60, np.full(len(x), 210.0), x + 60, np.full(len(x), 510.0)], 1)
    return Tracklet(keys, boxes.astype(np.float32), np.full(len(keys), 0.8, np.float32))


def _around(people: list[Tracklet], frames: range) -> Tracklet:
    """A box over all people at once."""
    boxes = np.stack([p.boxes_at(np.array(frames)) for p in people], 1)
    union = np.concatenate([boxes[..., :2].min(1), boxes[..., 2:].max(1)], 1).astype(np.float32)
    return Tracklet(np.array(frames, np.int32), union, np.full(len(union), 0.7, np.float32))


def test_a_box_over_two_people_who_pass_is_nobody() -> None:
    """The detector's third box around both while they meet, as in a rendered clip, seen all along or at its ends."""
    people = [_walk(range(0, 120, 3), 300, 5), _walk(range(0, 120, 3), 900, -5)]
    shadow = _around(people, range(48, 75, 3))
    for rows in (np.arange(9), np.array([0, 1, 7, 8])):
        tracks, _ = clean_tracks([*people, shadow.take(rows)], ticks=np.arange(120.0), detect_every=3, **SETTING)
        assert len(tracks) == 2 and all(len(track.frames) == 120 for track in tracks)


def test_shadows_are_short_and_lie_on_people_who_were_there() -> None:
    people = [_still(range(0, 120, 3), x) for x in (380, 480)]
    both = _around(people, range(42, 72, 3))
    assert _drop_shadows([both, *people], 30.0) == people
    lasting, late = _around(people, range(30, 90, 3)), [_still(range(60, 120, 3), x) for x in (380, 480)]
    for kept in (
        [lasting, *people],  # two seconds are no moment
        [both, people[0]],  # half of it lies on nobody
        [both, *late],
        [both],
    ):
        assert _drop_shadows(kept, 30.0) == kept


def test_fleeting_and_uncertain_are_dropped_and_counted() -> None:
    pieces = [_still(range(100)), _still(range(20, 26), 900), _still(range(100), 1100, score=0.2)]
    tracks, counts = clean_tracks(pieces, ticks=np.arange(100.0), **SETTING)
    assert len(tracks) == 1
    assert counts["fleeting"] == 1 and counts["uncertain"] == 1
    tracks, _ = clean_tracks(pieces, ticks=np.arange(100.0), min_frames=5, **SETTING)
    assert len(tracks) == 2
    # twelve sightings, one in ten frames
    rare, counts = clean_tracks([_still(range(0, 120, 10), score=0.5)], ticks=np.arange(120.0), **SETTING)
    assert rare == [] and counts["uncertain"] == 1


def test_default_min_frames_follows_the_frame_rate() -> None:
    assert [default_min_frames(fps) for fps in (1, 25, 50)] == [1, 10, 20]


def test_max_people_keeps_the_most_visible() -> None:
    pieces = [_still(range(100), 150, 100), _still(range(100), 500, 400), _still(range(40), 1000, 400)]
    tracks, counts = clean_tracks(pieces, ticks=np.arange(100.0), max_people=2, **SETTING)
    assert counts["surplus"] == 1
    assert [float(t.crops[0, 0]) for t in tracks] == [500, 1000]
    assert [t.person for t in tracks] == [1, 2]


def test_numbers_follow_appearance_then_place() -> None:
    pieces = [_still(range(30, 100), 100), _still(range(100), 1000), _still(range(100), 500)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        tracks, _ = clean_tracks([pieces[i] for i in order], ticks=np.arange(100.0), **SETTING)
        assert [round(float(t.crops[0, 0])) for t in tracks] == [500, 1000, 100]


def _dressed(tracklet: Tracklet, kit: int) -> Tracklet:
    """Somebody whose looks are all like no other kit's."""
    looks = np.tile(np.eye(8, dtype=np.float32)[kit], (len(tracklet), 1))
    return Tracklet(tracklet.frames, tracklet.boxes, tracklet.scores, looks)


def _after(tracklet: Tracklet, cut: int) -> Tracklet:
    return Tracklet(tracklet.frames + np.int32(cut), tracklet.boxes, tracklet.scores, tracklet.descriptors)


@pytest.mark.parametrize("cut", [40, 41, 47])
def test_a_shot_is_a_clip_of_its_own(cut: int) -> None:
    """After a cut all is as if the video began there; before it, as if it ended: to the last digit."""
    rng = np.random.default_rng(cut)
    first, second = (
        Tracklet(t.frames, t.boxes + rng.normal(0, 3, t.boxes.shape).astype(np.float32), t.scores)
        for t in (_walk(range(0, cut, 3), 300, 5), _walk(range(0, 52, 3), 310 + 5 * cut, -2))
    )
    setting = {**SETTING, "detect_every": 3}
    tracks, _ = clean_tracks([first, _after(second, cut)], ticks=np.arange(float(cut + 52)), shots=[0, cut], **setting)
    alone = [clean_tracks([t], ticks=np.arange(float(n)), **setting)[0][0] for t, n in ((first, cut), (second, 52))]
    assert [(t.person, t.shot) for t in tracks] == [(1, 0), (2, 1)]
    for track, own, start in zip(tracks, alone, (0, cut), strict=True):
        np.testing.assert_array_equal(track.frames, own.frames + start)
        assert track.frames.dtype == np.int32
        for name in ("boxes", "crops", "score", "interpolated", "segment"):
            np.testing.assert_array_equal(getattr(track, name), getattr(own, name))
    ((whole,), _) = clean_tracks([first, _after(second, cut)], ticks=np.arange(float(cut + 52)), **setting)
    assert len(whole.frames) == cut + 52  # without the cut they are one


def test_what_spans_a_cut_is_parted() -> None:
    """Somebody who stands in the same place before and after, with a gap at the cut that would be filled."""
    keys = [*range(0, 41), *range(47, 100)]
    tracks, _ = clean_tracks([_still(keys)], ticks=np.arange(100.0), shots=[0, 45], **SETTING)
    assert [(t.person, t.shot, t.frames[0], t.frames[-1]) for t in tracks] == [(1, 0, 0, 44), (2, 1, 45, 99)]
    tracks, _ = clean_tracks(
        [_still([*range(20), *range(80, 100)])], ticks=np.arange(100.0), shots=[0, 45, 50], **SETTING
    )
    assert [t.shot for t in tracks] == [0, 2]


def test_looks_carry_a_number_over_a_cut() -> None:
    first = [_dressed(_still(range(40), x), kit) for x, kit in ((300, 1), (900, 2))]
    second = [_after(_dressed(_still(range(30), x, 600), kit), 40) for x, kit in ((200, 2), (700, 3))]
    tracks, _ = clean_tracks([*first, *second], ticks=np.arange(70.0), shots=[0, 40], **SETTING)
    assert [(t.person, t.shot, round(float(t.crops[0, 0]))) for t in tracks] == [
        (1, 0, 300),
        (2, 0, 900),
        (2, 1, 200),
        (3, 1, 700),
    ]


def test_the_most_visible_people_of_all_shots_are_kept() -> None:
    kits = [(_still(range(40), 300, 150), 1), (_still(range(40), 900, 200), 2)]
    pieces = [_dressed(*kit) for kit in kits] + [_after(_dressed(_still(range(200), 600, 150), 1), 40)]
    tracks, counts = clean_tracks(pieces, ticks=np.arange(240.0), shots=[0, 40], max_people=1, **SETTING)
    assert [(t.person, t.shot) for t in tracks] == [(1, 0), (1, 1)] and counts["surplus"] == 1
    assert round(float(tracks[0].crops[0, 0])) == 300


def test_a_shot_shorter_than_the_least_is_a_clip_shorter_than_it() -> None:
    """Who is there throughout stays, whoever comes for a moment goes; in a longer shot the same moment is too short."""
    short = [_still(range(40, 46)), _still(range(40, 43), 900)]
    tracks, counts = clean_tracks([_still(range(40)), *short], ticks=np.arange(46.0), shots=[0, 40], **SETTING)
    assert [(t.shot, len(t.frames)) for t in tracks] == [(0, 40), (1, 6)] and counts["fleeting"] == 1
    tracks, _ = clean_tracks([_still(range(40)), short[0]], ticks=np.arange(90.0), shots=[0, 40], **SETTING)
    assert [t.shot for t in tracks] == [0]


def test_nobody() -> None:
    tracks, counts = clean_tracks([], ticks=np.arange(10.0), **SETTING)
    assert tracks == [] and set(counts.values()) == {0}
    assert clean_tracks([], ticks=np.arange(10.0), shots=[0, 4], **SETTING) == (tracks, counts)
