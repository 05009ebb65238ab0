"""Landmarks of somebody else: found and replaced where two people meet, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from glot_cli.features.extractor import PictureLandmarks
from glot_cli.features.landmark_vector import Landmarks, join, picture_landmarks, unpack
from glot_cli.lifting.crosstalk import MAX_REPAIR_S, find_crosstalk, replace_crosstalk
from glot_cli.tracking.boxes import square_crops
from glot_cli.tracking.tracks import Track

FPS, FRAMES = 30.0, 90
# a standing person, x and y in shares of the box
HEAD = [(0.5 + x, 0.06 + y) for x in (-0.05, 0, 0.05) for y in (-0.02, 0, 0.02)] + [(0.48, 0.09), (0.52, 0.09)]
LIMBS = [(0.3, 0.2), (0.7, 0.2), (0.15, 0.35), (0.85, 0.35), (0.1, 0.5), (0.9, 0.5)]
HANDS = [(0.08, 0.53), (0.92, 0.53), (0.1, 0.55), (0.9, 0.55), (0.12, 0.52), (0.88, 0.52)]
LEGS = [(0.38, 0.52), (0.62, 0.52), (0.36, 0.75), (0.64, 0.75), (0.35, 0.93), (0.65, 0.93)]
FEET = [(0.34, 0.97), (0.66, 0.97), (0.28, 0.98), (0.72, 0.98)]
SHAPE = np.array([*HEAD, *LIMBS, *HANDS, *LEGS, *FEET])


def _track(person: int, x: np.ndarray, height: float, segment: np.ndarray | None = None) -> Track:
    """Somebody whose box has its middle at x (n,) and its feet at 700 pixels."""
    n = len(x)
    y = np.full(n, 700.0)
    boxes = np.stack([x - 0.2 * height, y - height, x + 0.2 * height, y], axis=1)
    crops = square_crops(boxes, 1.25).astype(np.float32)
    none = np.zeros(n, bool)
    segment = np.zeros(n, np.int32) if segment is None else segment
    return Track(
        person,
        np.arange(n, dtype=np.int32),
        boxes.astype(np.float32),
        crops,
        np.ones(n, np.float32),
        none,
        segment,
        ticks=np.arange(float(n)),
    )


def _pixels(track: Track) -> np.ndarray:
    """The landmarks (n,33,2) of a person who swings arms and legs."""
    size = track.boxes[:, 2:] - track.boxes[:, :2]
    swing = 0.06 * np.sin(2 * np.pi * np.arange(len(size)) / FPS)[:, None] * np.sign(SHAPE[:, 0] - 0.5)
    shape = np.stack([SHAPE[:, 0] + swing, np.broadcast_to(SHAPE[:, 1], swing.shape)], axis=-1)
    return track.boxes[:, None, :2] + shape * size[:, None]


def _feature(track: Track, pixels: np.ndarray) -> np.ndarray:
    relative = (pixels - track.crops[:, None, :2]) / (track.crops[:, None, 2:] / 2)
    n = len(pixels)
    world = torch.from_numpy(relative).float()[..., [0, 1, 1]]
    parts = Landmarks(
        torch.from_numpy(relative).float(), torch.zeros(n, 33), torch.full((n, 33), 0.9), torch.ones(n, 33), world
    )
    return join(parts).numpy()


def _seen(features: list[np.ndarray]) -> list[PictureLandmarks]:
    return [picture_landmarks(torch.from_numpy(feature)) for feature in features]


def _crossing() -> tuple[list[Track], list[np.ndarray]]:
    """A big and a small person who pass each other at frame 45."""
    times = np.arange(FRAMES)
    tracks = [_track(1, 400 + 5.0 * times, 420), _track(2, 850 - 5.0 * times, 330)]
    return tracks, [_pixels(track) for track in tracks]


LOCKED = slice(37, 54)  # while the boxes overlap


def _apart(track: Track, feature: np.ndarray, pixels: np.ndarray, rows: slice) -> float:
    """Mean distance between landmarks and `pixels`, as a share of the height."""
    placed = track.crops[:, None, :2] + track.crops[:, None, 2:] / 2 * unpack(torch.from_numpy(feature))[0].numpy()
    height = (track.boxes[:, 3] - track.boxes[:, 1])[rows]
    return float((np.linalg.norm(placed - pixels, axis=-1)[rows].mean(axis=1) / height).mean())


@pytest.mark.parametrize("loser", [0, 1])
def test_landmarks_of_the_other_are_found_and_replaced(loser: int) -> None:
    tracks, pixels = _crossing()
    seen = [p.copy() for p in pixels]
    seen[loser][LOCKED] = pixels[1 - loser][LOCKED]
    features = [_feature(t, p) for t, p in zip(tracks, seen, strict=True)]
    wrong = np.zeros(FRAMES, bool)
    wrong[LOCKED] = True
    found = find_crosstalk(tracks, _seen(features), FPS)
    assert not found[1 - loser].any()
    assert found[loser][wrong].all() and found[loser].sum() <= wrong.sum() + 2
    repaired, count = replace_crosstalk(tracks, features, _seen(features), FPS)
    assert count == found[loser].sum()
    assert repaired[1 - loser] is features[1 - loser]
    assert _apart(tracks[loser], features[loser], pixels[loser], LOCKED) > 0.1
    assert _apart(tracks[loser], repaired[loser], pixels[loser], LOCKED) < 0.04
    np.testing.assert_array_equal(repaired[loser][~found[loser]], features[loser][~found[loser]])
    parts = unpack(torch.from_numpy(repaired[loser][found[loser]]))
    np.testing.assert_allclose(parts.visibility, 0.9, rtol=1e-5)  # as the frames say that they were taken from
    np.testing.assert_allclose(parts.presence, 1.0, rtol=1e-5)


def test_people_with_landmarks_of_their_own_are_never_touched() -> None:
    tracks, pixels = _crossing()
    features = [_feature(t, p) for t, p in zip(tracks, pixels, strict=True)]
    for people in ([0], [1], [0, 1]):
        chosen = [features[k] for k in people]
        repaired, count = replace_crosstalk([tracks[k] for k in people], chosen, _seen(chosen), FPS)
        assert count == 0
        assert all(after is before for after, before in zip(repaired, chosen, strict=True))
    assert replace_crosstalk([], [], [], FPS) == ([], 0)


def test_people_apart_are_never_compared() -> None:
    """Whatever the network says: without somebody near, nobody's landmarks can be another's."""
    times = np.arange(FRAMES)
    tracks = [_track(1, 300 + 1.0 * times, 420), _track(2, 800 + 1.0 * times, 330)]
    pixels = [_pixels(track) for track in tracks]
    pixels[1][40:60] = pixels[0][40:60]
    features = [_feature(track, p) for track, p in zip(tracks, pixels, strict=True)]
    assert not any(wrong.any() for wrong in find_crosstalk(tracks, _seen(features), FPS))
    assert replace_crosstalk(tracks, features, _seen(features), FPS)[1] == 0


def test_a_mixture_at_the_end_is_replaced_by_the_last_good_one() -> None:
    """Landmarks slip between two people who stand close to the end: they move on with the person's own box."""
    times = np.arange(FRAMES)
    tracks = [_track(1, np.minimum(300 + 3.0 * times, 480), 400), _track(2, np.full(FRAMES, 600.0), 400)]
    pixels = [_pixels(track) for track in tracks]
    seen = pixels[0].copy()
    seen[60:, :, 0] = 540 + 0.4 * (pixels[0][60:, :, 0] - 480)  # narrow, half on the other
    features = [_feature(tracks[0], seen), _feature(tracks[1], pixels[1])]
    found = find_crosstalk(tracks, _seen(features), FPS)
    np.testing.assert_array_equal(np.flatnonzero(found[0]), np.arange(59, FRAMES))
    assert not found[1].any()
    repaired, count = replace_crosstalk(tracks, features, _seen(features), FPS)
    assert count == FRAMES - 59
    np.testing.assert_allclose(repaired[0][59:, :2], np.tile(features[0][58, :2], (count, 1)), atol=1e-6)
    assert _apart(tracks[0], repaired[0], pixels[0], slice(60, FRAMES)) < 0.05


def test_long_stretches_stay_and_gaps_are_not_bridged() -> None:
    still = np.full(200, 500.0)
    tracks = [_track(1, still, 400), _track(2, still + 60, 300)]
    pixels = [_pixels(track) for track in tracks]
    seen = pixels[1].copy()
    first = 200 - round(MAX_REPAIR_S * FPS) - 20
    seen[first:] = pixels[0][first:]
    features = [_feature(tracks[0], pixels[0]), _feature(tracks[1], seen)]
    assert find_crosstalk(tracks, _seen(features), FPS)[1][first:].all()
    assert replace_crosstalk(tracks, features, _seen(features), FPS)[1] == 0

    segment = (np.arange(200) >= 180).astype(np.int32)
    cut = [tracks[0], _track(2, still + 60, 300, segment)]
    seen = pixels[1].copy()
    seen[170:] = pixels[0][170:]
    features = [features[0], _feature(cut[1], seen)]
    repaired, count = replace_crosstalk(cut, features, _seen(features), FPS)
    assert count == 11  # with one frame of margin; the new segment holds nothing good to go by
    np.testing.assert_array_equal(repaired[1][180:], features[1][180:])


def test_nothing_is_concluded_across_a_pause() -> None:
    """Both people's looks before a pause say nothing of them after it, and no margin reaches over."""
    tracks, pixels = _crossing()
    segment = (np.arange(FRAMES) >= FRAMES // 2).astype(np.int32)
    pixels[1][FRAMES // 2 - 6 : FRAMES // 2] = pixels[0][FRAMES // 2 - 6 : FRAMES // 2]
    features = [_feature(t, p) for t, p in zip(tracks, pixels, strict=True)]
    whole = find_crosstalk(tracks, _seen(features), FPS)
    assert any(wrong[FRAMES // 2] for wrong in whole)  # the margin
    paused = [replace(track, segment=segment) for track in tracks]
    found = find_crosstalk(paused, _seen(features), FPS)
    assert any(wrong[: FRAMES // 2].any() for wrong in found) and not any(wrong[FRAMES // 2 :].any() for wrong in found)
