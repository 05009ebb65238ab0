"""Upright and level lines among others, whose directions are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.world.verticals import Verticals, vertical_lines

SIZE = (1280, 720)
FOCAL = 1100.0
TILT = Rotation.from_euler("xz", [-14, 3], degrees=True)  # of the camera: it looks down, and rolls
UP = TILT.apply([0.0, -1.0, 0.0])


def drawn(
    directions: NDArray[np.float64], rng: np.random.Generator, *, width: float = 6.0, noise: float = 0.4
) -> NDArray[np.float32]:
    """Lines (n, 4) of a metre in directions (n, 3) of the level camera's axes, somewhere before it."""
    count = len(directions)
    middle = np.stack(
        [rng.uniform(-width / 2, width / 2, count), rng.uniform(-1, 2, count), rng.uniform(5, 8, count)], 1
    )
    ends = TILT.apply(np.concatenate([middle - directions / 2, middle + directions / 2]))
    pixels = ends[:, :2] / ends[:, 2:] * FOCAL + np.array(SIZE) / 2 + rng.normal(0, noise, (2 * count, 2))
    return np.concatenate([pixels[:count], pixels[count:]], 1).astype(np.float32)


def upright(count: int) -> NDArray[np.float64]:
    return np.tile([0.0, 1.0, 0.0], (count, 1))


def level(count: int, azimuth: float, slope: float = 0.0) -> NDArray[np.float64]:
    """Directions (count, 3) that lie level, or slope, at an azimuth; degrees."""
    turn, rise = np.radians([azimuth, slope])
    return np.tile([np.cos(turn) * np.cos(rise), np.sin(rise), np.sin(turn) * np.cos(rise)], (count, 1))


def anyhow(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    directions = rng.normal(size=(count, 3))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def found(lines: NDArray[np.float32], off: float = 4.0, error: float = 6.0) -> Verticals | None:
    """What is found with a prior that lies some degrees off."""
    prior = Rotation.from_euler("x", off, degrees=True).apply(UP)
    return vertical_lines({0: lines}, np.eye(3)[None], FOCAL, SIZE, prior, error, focal_error=0.05)


def degrees_off(answer: Verticals) -> float:
    return float(np.degrees(np.arccos(np.clip(answer.direction @ UP, -1, 1))))


@pytest.mark.parametrize("seed", range(4))
def test_upright_lines_are_found_among_as_many_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answer = found(drawn(np.concatenate([upright(14), level(10, 0), anyhow(14, rng)]), rng))
    assert answer is not None and answer.lines >= 8
    assert degrees_off(answer) < min(1.0, 3 * answer.error)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.25])
def test_a_room_tells_up_and_the_focal_length_whatever_length_is_given(seed: int, zoom: float) -> None:
    rng = np.random.default_rng(seed)
    lines = drawn(np.concatenate([upright(8), level(10, 35), level(10, 125), anyhow(10, rng)]), rng)
    prior = Rotation.from_euler("x", 5, degrees=True).apply(UP)
    answer = vertical_lines({0: lines}, np.eye(3)[None], zoom * FOCAL, SIZE, prior, 6.0)
    assert answer is not None and degrees_off(answer) < min(1.5, 3 * answer.error)
    assert abs(np.log(answer.focal / FOCAL)) < min(0.12, 3 * answer.focal_error)


def test_lines_that_contradict_the_focal_length_are_less_sure() -> None:
    """Of the same room: they may be taken for what they are not."""
    rng = np.random.default_rng(0)
    lines = drawn(np.concatenate([upright(8), level(10, 35), level(10, 125)]), rng)
    sure, doubtful = (vertical_lines({0: lines}, np.eye(3)[None], f * FOCAL, SIZE, UP, 6.0) for f in (1.0, 1.6))
    assert sure is not None and doubtful is not None
    assert doubtful.error > 1.3 * sure.error


def test_tiles_of_a_floor_tell_up_without_anything_upright() -> None:
    rng = np.random.default_rng(3)
    answer = found(drawn(np.concatenate([level(14, 20), level(14, 110), anyhow(6, rng)]), rng))
    assert answer is not None and degrees_off(answer) < 2.0


def test_a_second_room_askew_does_no_harm() -> None:
    rng = np.random.default_rng(5)
    askew = np.concatenate([level(7, 50), level(7, 140)])
    answer = found(drawn(np.concatenate([upright(8), level(9, 10), level(9, 100), askew]), rng))
    assert answer is not None and degrees_off(answer) < 1.5


@pytest.mark.parametrize("seed", range(4))
def test_stairs_say_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    treads, rails = level(16, 25), level(8, 115, slope=33)
    assert found(drawn(np.concatenate([treads, rails, anyhow(6, rng)]), rng)) is None
    assert found(drawn(np.concatenate([rails, anyhow(10, rng)]), rng)) is None


def test_what_leans_all_alike_is_believed_less_than_what_level_edges_bear_out() -> None:
    rng = np.random.default_rng(1)
    posts = drawn(upright(14), rng)
    alone, borne_out = found(posts), found(np.concatenate([posts, drawn(np.r_[level(8, 35), level(8, 125)], rng)]))
    assert alone is not None and borne_out is not None
    side = np.cross(UP, [0, 0, 1])
    assert side @ alone.precision @ side < side @ borne_out.precision @ side / 2


@pytest.mark.parametrize("seed", range(6))
def test_a_picture_full_of_slanted_lines_says_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answer = found(drawn(anyhow(60, rng), rng))
    assert answer is None or degrees_off(answer) < 3 * answer.error


def test_one_edge_alone_says_nothing() -> None:
    rng = np.random.default_rng(0)
    edge = np.repeat(drawn(upright(1), rng), 12, 0) + rng.normal(0, 0.3, (12, 4)).astype(np.float32)
    assert found(edge) is None
    assert found(np.zeros((0, 4), np.float32)) is None


def test_lines_close_together_tell_how_the_camera_rolls_and_not_how_it_pitches() -> None:
    rng = np.random.default_rng(2)
    wide, narrow = found(drawn(upright(16), rng)), found(drawn(upright(16), rng, width=1.6))
    assert wide is not None and wide.error < 2.5
    if narrow is not None:
        assert narrow.error > 1.5 * wide.error
        side = np.cross(narrow.direction, [0, 0, 1])
        assert (side @ narrow.precision @ side) ** -0.5 < np.radians(2.0)


def test_lines_of_a_camera_that_turned_are_brought_together() -> None:
    rng = np.random.default_rng(4)
    turns = Rotation.from_rotvec([[0, 0, 0], [0, 25, 0]], degrees=True)
    rotations = (TILT * turns * TILT.inv()).as_matrix()  # about the vertical
    lines = {0: drawn(upright(6), rng), 1: drawn(upright(6), rng)}
    answer = vertical_lines(lines, rotations, FOCAL, SIZE, UP, 6.0)
    assert answer is not None and degrees_off(answer) < 1.0
