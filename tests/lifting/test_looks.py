"""Looks made to agree, on a made person who walks, whose sides and points are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.camera import to_crop
from glot_cli.features.landmark_vector import SWAP, Landmarks, join, unpack
from glot_cli.lifting import looks
from glot_cli.lifting.looks import LIMBS, cheapest_path, fill_between, reconcile, settle
from glot_cli.tracking.detector import COCO_KEYPOINTS
from glot_cli.tracking.tracks import Track

RATE = 15.0  # looks a second
SCALE = 250.0  # pixels a metre
HEIGHT = 1.7 * SCALE
CLOSE = 0.05  # of the height: as far as noise takes a point
# The left side and the middle, metres: x to the body's left, y down from the hips, z to the back.
LEFT = {
    "nose": (0, -0.66, -0.1), "eye_inner": (0.02, -0.7, -0.09), "eye": (0.03, -0.7, -0.09),
    "eye_outer": (0.04, -0.7, -0.08), "ear": (0.07, -0.68, 0), "mouth": (0.02, -0.62, -0.09),
    "shoulder": (0.19, -0.5, 0), "elbow": (0.26, -0.22, 0), "wrist": (0.25, 0.02, 0), "pinky": (0.26, 0.09, 0.02),
    "index": (0.25, 0.1, -0.02), "thumb": (0.23, 0.06, -0.04), "hip": (0.1, 0, 0), "knee": (0.1, 0.42, 0),
    "ankle": (0.1, 0.83, 0), "heel": (0.1, 0.86, 0.05), "foot_index": (0.1, 0.88, -0.15),
}  # fmt: skip
ARMS = [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_")[-1] in ("elbow", "wrist", "pinky", "thumb")]
ARMS += [LANDMARK_NAMES.index(name) for name in ("left_index", "right_index")]
TRUNK = [i for i, name in enumerate(LANDMARK_NAMES) if name.endswith(("shoulder", "hip"))]
LEGS = [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_", 1)[-1] in ("knee", "ankle", "heel", "foot_index")]


def walker(count: int, facing: float = 0.0, speed: float = 0.0, rate: float = RATE) -> np.ndarray:
    """(n,33,3) pixels, and depth in pixels, of somebody who walks at 1 Hz, turned by `facing` radians."""
    points = np.zeros((count, 33, 3))
    time = np.arange(count) / rate
    for index, name in enumerate(LANDMARK_NAMES):
        side = -1 if "right" in name else 1
        part = name.replace("left_", "").replace("right_", "").replace("_left", "").replace("_right", "")
        x, y, z = LEFT[part]
        swing = 0.4 * side * np.sin(2 * np.pi * time)
        top, turn = {True: (-0.5, -swing), False: (0.0, swing)}[index in ARMS]
        turn = turn if index in ARMS + LEGS else np.zeros(count)
        points[:, index, 0] = side * x
        points[:, index, 1] = top + (y - top) * np.cos(turn) - z * np.sin(turn)
        points[:, index, 2] = (y - top) * np.sin(turn) + z * np.cos(turn)
    cos, sin = np.cos(facing), np.sin(facing)
    points = points @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    return points * SCALE + np.stack([600 + speed * time, np.full(count, 400.0), np.zeros(count)], -1)[:, None]


def squares(points: np.ndarray) -> np.ndarray:
    """Crops (n,3) around people."""
    middle = points[:, [23, 24], :2].mean(1)
    return np.column_stack([middle, np.full(len(points), 1.25 * HEIGHT)]).astype(np.float32)


def features_of(points: np.ndarray, crops: np.ndarray, presence: float | np.ndarray = 0.95) -> np.ndarray:
    """Features (n,264) of points (n,33,3)."""
    pixels = torch.from_numpy(points[..., :2].astype(np.float32))
    flat = to_crop(pixels, torch.from_numpy(crops))
    z = torch.from_numpy((points[..., 2] / (crops[:, None, 2] / 2)).astype(np.float32))
    sure = torch.from_numpy(np.broadcast_to(np.asarray(presence, np.float32), z.shape).copy())
    world = (points - points[:, [23, 24]].mean(1, keepdims=True)) / SCALE
    return join(Landmarks(flat, z, torch.full_like(z, 0.9), sure, torch.from_numpy(world.astype(np.float32)))).numpy()


def keypoints_of(points: np.ndarray, confidence: float | np.ndarray = 0.95) -> np.ndarray:
    """(n,17,3) of points (n,33,3)."""
    at = [LANDMARK_NAMES.index(name) for name in COCO_KEYPOINTS]
    sure = np.broadcast_to(np.asarray(confidence), (len(points), 17))
    return np.concatenate([points[:, at, :2], sure[..., None]], -1).astype(np.float32)


def exchanged(points: np.ndarray, rows: slice, which: list[int] | None = None) -> np.ndarray:
    """Points with left and right exchanged in some rows."""
    order = np.arange(33)
    which = list(range(33)) if which is None else which
    order[which] = np.array(SWAP)[which]
    other = points.copy()
    other[rows] = points[rows][:, order]
    return other


def noisy(points: np.ndarray, seed: int, share: float = 0.008) -> np.ndarray:
    """As a network would mark them: that share of the person's size beside, each way."""
    return points + share * HEIGHT * np.random.default_rng(seed).normal(size=points.shape)


def agreed(
    look: np.ndarray,
    told: np.ndarray,
    *,
    presence: float | np.ndarray = 0.95,
    confidence: float | np.ndarray = 0.95,
    breaks: tuple[int, ...] = (),
) -> tuple[np.ndarray, Landmarks, int, int]:
    """Pixels (n,33,2) after the looks (n,33,3) and keypoints were made to agree; all parts; what was mended."""
    crops = squares(look)
    count = len(look)
    starts = np.isin(np.arange(count), (0, *breaks))
    features, swapped, moved = reconcile(
        features_of(look, crops, presence),
        keypoints_of(told, confidence),
        crops,
        np.full(count, HEIGHT),
        np.arange(count) / RATE,
        starts,
    )
    parts = unpack(torch.from_numpy(features))
    return (
        parts.landmarks2d.numpy() * (crops[:, None, 2:] / 2) + crops[:, None, :2],
        parts,
        int(swapped.sum()),
        int(moved.sum()),
    )


def off(pixels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n,33) distances in shares of the person's size."""
    return np.linalg.norm(pixels - truth[..., :2], axis=-1) / HEIGHT


FRONT, SLANT, SIDE, BACK = 0.0, 0.7, np.pi / 2, np.pi


@pytest.mark.parametrize("facing", [FRONT, SLANT, BACK])
def test_what_agrees_is_left_alone(facing: float) -> None:
    truth = walker(60, facing)
    look = noisy(truth, 0)
    pixels, parts, sides, _ = agreed(look, noisy(truth, 1))
    assert sides == 0 and off(pixels, truth).max() < CLOSE
    faces = [i for i in range(33) if i not in ARMS + LEGS and i not in TRUNK]
    np.testing.assert_allclose(pixels[:, faces], look[:, faces, :2], atol=1e-2)  # the keypoints' are not asked
    np.testing.assert_allclose(parts.presence, 0.95)
    pixels, *_, points = agreed(truth, truth)
    assert points == 0 and off(pixels, truth).max() < 1e-4


@pytest.mark.parametrize("facing", [FRONT, SLANT, BACK])
@pytest.mark.parametrize("rows", [slice(20, 21), slice(20, 26), slice(0, 8), slice(52, 60), slice(10, 25)])
def test_looks_whose_sides_are_exchanged_are_set_right(facing: float, rows: slice) -> None:
    """Every landmark goes back, of the face and the feet too, and depth with it."""
    truth = walker(60, facing)
    look = exchanged(noisy(truth, 0), rows)
    pixels, parts, sides, _ = agreed(look, noisy(truth, 1))
    assert sides == rows.stop - rows.start
    assert off(pixels, truth).max() < CLOSE
    expected = unpack(torch.from_numpy(features_of(noisy(truth, 0), squares(truth))))
    torch.testing.assert_close(parts.world, expected.world, atol=0.08, rtol=0)  # metres
    torch.testing.assert_close(parts.z, expected.z, atol=0.02, rtol=0)


@pytest.mark.parametrize("facing", [FRONT, SLANT, BACK])
@pytest.mark.parametrize("rows", [slice(20, 21), slice(20, 30), slice(0, 8), slice(10, 25)])
def test_where_the_detector_errs_the_looks_stay(facing: float, rows: slice) -> None:
    truth = walker(60, facing)
    pixels, _, sides, _ = agreed(noisy(truth, 0), exchanged(noisy(truth, 1), rows))
    assert sides == 0 and off(pixels, truth).max() < CLOSE


def test_where_both_err_at_once_time_tells() -> None:
    truth = walker(60, SLANT)
    rows = slice(25, 28)
    pixels, _, sides, _ = agreed(exchanged(noisy(truth, 0), rows), exchanged(noisy(truth, 1), rows))
    assert sides == 3 and off(pixels, truth).max() < CLOSE
    # And where they err one after the other.
    pixels, _, sides, _ = agreed(exchanged(noisy(truth, 0), slice(10, 18)), exchanged(noisy(truth, 1), slice(24, 34)))
    assert sides == 8 and off(pixels, truth).max() < CLOSE


def test_without_keypoints_time_alone_sets_sides_right() -> None:
    truth = walker(60, FRONT)
    look = exchanged(noisy(truth, 0), slice(20, 23))
    pixels, _, sides, points = agreed(look, noisy(truth, 1), confidence=0.0)
    assert sides == 3 and points == 0 and off(pixels, truth).max() < CLOSE


def test_a_side_view_invents_no_exchange() -> None:
    """One side covers the other, and noise is all that tells them apart: nothing moves that matters."""
    truth = walker(60, SIDE)
    look = noisy(truth, 0)
    pixels, _, sides, _ = agreed(look, noisy(truth, 1))
    assert sides == 0 and off(pixels, truth).max() < CLOSE
    pixels, _, sides, _ = agreed(look, exchanged(noisy(truth, 1), slice(20, 40)))
    assert sides == 0 and off(pixels, truth).max() < CLOSE


@pytest.mark.parametrize("part", [ARMS, LEGS])
def test_arms_or_legs_alone_are_set_right(part: list[int]) -> None:
    """And what hangs on them; of arms the index finger, which is no index of the foot."""
    truth = walker(60, FRONT)
    rows = slice(20, 30)
    pixels, parts, sides, _ = agreed(exchanged(noisy(truth, 0), rows, part), noisy(truth, 1))
    assert sides == 0
    assert off(pixels, truth).max() < CLOSE
    expected = unpack(torch.from_numpy(features_of(noisy(truth, 0), squares(truth))))
    torch.testing.assert_close(parts.world, expected.world, atol=0.08, rtol=0)  # metres


def test_nothing_crosses_breaks() -> None:
    """Time alone tells here: after a break somebody's sides may be as they like, and points lie where they like."""
    truth = walker(40, FRONT)
    look = noisy(truth, 0)
    look[39:] = look[39:][:, SWAP]
    assert agreed(look, truth, confidence=0.0)[2] == 1
    pixels, _, sides, points = agreed(look, truth, confidence=0.0, breaks=(39,))
    assert sides == 0 and points == 0
    np.testing.assert_allclose(pixels, look[..., :2], atol=1e-2)
    apart = np.concatenate([truth[:20], walker(20, BACK) + np.array([0, 0.5 * HEIGHT, 0])])
    pixels, _, sides, _ = agreed(noisy(apart, 0), noisy(apart, 1), breaks=(20,))
    assert sides == 0 and off(pixels, apart).max() < CLOSE


@pytest.mark.parametrize("name", ["left_wrist", "right_ankle", "left_knee"])
@pytest.mark.parametrize("presence", [0.3, 0.6])
def test_a_limb_that_is_far_off_is_taken_from_the_keypoints(name: str, presence: float) -> None:
    """With what it carries, in the picture and across the line of sight in space."""
    truth = walker(60, FRONT)
    at = LANDMARK_NAMES.index(name)
    side, part = name.split("_")
    hanging = {"wrist": ("pinky", "index", "thumb"), "ankle": ("heel", "foot_index"), "knee": ()}[part]
    moved = [at, *(LANDMARK_NAMES.index(f"{side}_{other}") for other in hanging)]
    look, sure = noisy(truth, 0), np.full((60, 33), 0.95)
    look[20:30, moved, :2] += (0.2 * HEIGHT, -0.1 * HEIGHT)
    sure[20:30, moved] = presence
    pixels, parts, sides, points = agreed(look, noisy(truth, 1), presence=sure)
    assert sides == 0 and points >= 10
    assert off(pixels, truth).max() < CLOSE
    expected = unpack(torch.from_numpy(features_of(noisy(truth, 0), squares(truth))))
    assert (parts.world - expected.world).norm(dim=-1).max() < 0.1  # metres; it was 0.4 off
    told = parts.presence[20:30, moved]
    assert ((told >= min(presence, 0.5) - 1e-6) & (told <= 0.95)).all()


def test_a_keypoint_that_is_far_off_is_not_taken() -> None:
    truth = walker(60, FRONT)
    look, told = noisy(truth, 0), noisy(truth, 1)
    at = LANDMARK_NAMES.index("left_wrist")
    told[20:30, at, :2] += (0.2 * HEIGHT, -0.1 * HEIGHT)
    for confidence in (0.95, 0.4):
        pixels, _, sides, _ = agreed(look, told, confidence=confidence)
        assert sides == 0 and off(pixels, truth).max() < CLOSE


def test_keypoints_that_are_not_known_are_never_taken() -> None:
    """However doubtful the look: those out of the frame lie anywhere."""
    truth = walker(40, FRONT)
    told = noisy(truth, 1)
    told[..., :2] = 0
    pixels, _, sides, points = agreed(noisy(truth, 0), told, presence=0.1, confidence=0.0)
    assert sides == 0 and points == 0 and off(pixels, truth).max() < CLOSE


def track_of(points: np.ndarray, keypoints: np.ndarray | None, frames: np.ndarray, segment: np.ndarray) -> Track:
    boxes = np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], 1).astype(np.float32)
    ones = np.ones(len(points), np.float32)
    return Track(
        1, frames, boxes, squares(points), ones, ones < 0, segment, keypoints, None, ticks=frames.astype(float)
    )


def test_settling_a_track_mends_and_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 frames a second, looked at every second one, sides exchanged in some, in two stretches."""
    truth = np.concatenate([walker(50, SLANT, 60, 30.0), walker(40, BACK, -40, 30.0)])
    frames = np.concatenate([np.arange(50), np.arange(120, 160)]).astype(np.int32)
    segment = np.repeat([0, 1], [50, 40]).astype(np.int32)
    track = track_of(truth, keypoints_of(truth), frames, segment)
    rows = track.key_rows(2)
    features = features_of(exchanged(truth, slice(20, 30)), track.crops)
    features[~rows] = np.nan
    before = features.copy()
    counts = settle(track, features, 30.0)
    assert np.isfinite(features).all()
    assert counts == {"sides_exchanged": 5, "points_from_keypoints": 0}
    expected = features_of(truth, track.crops)
    np.testing.assert_allclose(features, expected, atol=0.02)
    monkeypatch.setattr(looks, "PIECE", 12)  # a long track is settled piece by piece
    monkeypatch.setattr(looks, "AROUND", 10)
    assert settle(track, before, 30.0) == counts
    np.testing.assert_allclose(before, features, atol=1e-4)
    bare = track_of(truth, None, frames, segment)
    features = np.where(rows[:, None], expected, np.nan)
    assert settle(bare, features, 30.0) == {"sides_exchanged": 0, "points_from_keypoints": 0}
    np.testing.assert_allclose(features, expected, atol=0.02)
    whole = expected.copy()
    settle(bare, whole, 30.0)
    np.testing.assert_array_equal(whole, expected)


def cubic(frames: np.ndarray, seed: int) -> np.ndarray:
    """(n,33,3) pixels of points that move on cubics, each on its own."""
    random = np.random.default_rng(seed)
    time = (frames - frames.mean())[:, None, None] / 20
    terms = random.normal(size=(4, 33, 3)) * 60
    points = sum(term * time**power for power, term in enumerate(terms))
    return np.asarray(points) + np.array([500, 400, 0])


def test_between_looks_points_move_on_cubics_in_the_picture() -> None:
    """Whatever the crop does meanwhile; each stretch by itself; certainty goes in straight lines."""
    frames = np.concatenate([np.arange(3, 24), np.arange(60, 73)])
    segment = np.repeat([0, 1], [21, 13])
    points = np.concatenate([cubic(frames[:21], 0), cubic(frames[21:], 1)])
    random = np.random.default_rng(2)
    crops = np.column_stack([random.uniform(300, 700, (34, 2)), random.uniform(200, 600, 34)]).astype(np.float32)
    sure = np.linspace(0.2, 0.9, 34)[:, None] * np.ones(33)
    whole = features_of(points, crops, sure)
    looked = np.zeros(34, bool)
    looked[[0, 2, 5, 9, 14, 20, 21, 24, 26, 30, 33]] = True
    filled = fill_between(np.where(looked[:, None], whole, np.nan).astype(np.float32), looked, crops, frames, segment)
    parts, expected = unpack(torch.from_numpy(filled)), unpack(torch.from_numpy(whole))
    torch.testing.assert_close(parts.landmarks2d, expected.landmarks2d, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(parts.z, expected.z, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(parts.world, expected.world, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(parts.presence[:21], expected.presence[:21], atol=1e-4, rtol=0)
    torch.testing.assert_close(parts.presence[21:], expected.presence[21:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_short_stretches_are_filled_from_their_ends(count: int) -> None:
    frames = np.arange(count)
    points = np.arange(count)[:, None, None] * np.array([5.0, -3.0, 1.0]) + walker(1)
    crops = squares(points)
    whole = features_of(points, crops)
    looked = np.isin(frames, (0, count - 1))
    given = np.where(looked[:, None], whole, np.nan).astype(np.float32)
    filled = fill_between(given, looked, crops, frames, np.zeros(count, int))
    np.testing.assert_allclose(filled, whole, atol=1e-4)


def test_the_cheapest_path_is_the_cheapest_of_all() -> None:
    """Against all 3^6 paths, on their own and side by side."""
    random = np.random.default_rng(0)
    cost, step = random.uniform(0, 1, (6, 3, 4, 5)), random.uniform(0, 1, (6, 3, 3, 4, 5))
    found = cheapest_path(cost, step)
    assert found.shape == (6, 4, 5)
    paths = np.array(list(itertools.product(range(3), repeat=6)))
    rows = np.arange(6)
    for i, j in itertools.product(range(4), range(5)):
        sums = cost[rows, paths, i, j].sum(1) + step[rows[1:], paths[:, :-1], paths[:, 1:], i, j].sum(1)
        np.testing.assert_array_equal(found[:, i, j], paths[sums.argmin()])
        np.testing.assert_array_equal(cheapest_path(cost[..., i, j], step[..., i, j]), found[:, i, j])
    np.testing.assert_array_equal(cheapest_path(cost[:1], step[:1]), cost[:1].argmin(1))


def test_limbs_are_in_pairs_left_first() -> None:
    """What exchanges the points of arms or of legs relies on it."""
    assert LIMBS[0::2] == [name.replace("right", "left") for name in LIMBS[1::2]] and len(LIMBS) == 12
