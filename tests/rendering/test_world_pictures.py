"""Pictures of a world: people, lines of the floor, ways and the camera that filmed fall where the arithmetic says."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import trimesh

from glot_cli.rendering import Renderer, output_size
from glot_cli.rendering.colours import person_colour
from glot_cli.rendering.floor import grid_lines, line_steps, paint_floor, paint_shadow
from glot_cli.rendering.geometry import View
from glot_cli.rendering.stage import Stage
from glot_cli.rendering.styles import world_size
from glot_cli.rendering.vantage import fitting, headings, looking, posed, to_the_right
from glot_cli.video.planes import FrameConverter, planes_shape, to_frame

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
SPHERE = trimesh.creation.icosphere(subdivisions=3)
EMPTY = np.zeros((0, len(SPHERE.vertices), 3), np.float32)
BRIGHT = 220  # of the floor's surroundings


def camera_at(place: tuple[float, float, float], heading: float, down: float = 0.0) -> np.ndarray:
    """(4, 4) from the world to a camera that is turned to the left by `heading` degrees, looking `down` degrees."""
    towards = np.array([-np.sin(np.radians(heading)), 0.0, -np.cos(np.radians(heading))])
    return np.linalg.inv(posed(looking(towards, float(np.radians(down))), np.array(place)))


def stage_of(camera: np.ndarray, middle: tuple[float, float, float], towards: tuple[float, float, float]) -> Stage:
    """Seen from 6 m before the middle, looking down 20 degrees."""
    axes = looking(np.array(towards), float(np.radians(20)))
    pose = posed(axes, np.array(middle) - 6 * axes[:, 2])
    return Stage(camera, pose, 400.0, np.array(middle), 6.0)


def pixel(view: View, point: np.ndarray) -> np.ndarray:
    """Where a point of the world falls, by homogeneous coordinates."""
    x, y, z, _ = np.linalg.inv(view.pose) @ [*point, 1.0]
    return np.array([view.focal * x / z + view.centre[0], view.focal * y / z + view.centre[1]])


def drawn(style: Literal["side", "world"], backend: str, stage: Stage, people: np.ndarray = EMPTY) -> np.ndarray:
    """The part of the picture that shows the world, RGB; people are given in the world."""
    seen = (people @ stage.camera[:3, :3].T + stage.camera[:3, 3]).astype(np.float32)
    with Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, style, backend) as renderer:
        frame = np.full(planes_shape(WIDTH, HEIGHT), 90, np.uint8)
        picture = renderer.draw(frame, seen, np.arange(len(people)), stage=stage)
    width, _ = world_size(style, WIDTH, HEIGHT)
    return FrameConverter().rgb(to_frame(picture))[:, -width:].astype(int)


def centroid(weights: np.ndarray) -> np.ndarray:
    y, x = np.indices(weights.shape) + 0.5
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("style", ["side", "world"])
def test_a_body_falls_where_it_is_in_the_world(drawable: str, style: Literal["side", "world"]) -> None:
    """However the camera that filmed is turned, tilted and placed."""
    place = np.array([0.4, 1.1, -3.2])
    for camera in (camera_at((0, 1.5, 0), 0), camera_at((2.0, 2.5, 1.0), 40, 25)):
        stage = stage_of(camera, (0.0, 1.0, -3.0), (-1.0, 0.0, 0.0))
        ball = SPHERE.vertices * 0.1 + place
        picture = drawn(style, drawable, stage, ball[None])
        blue = np.clip(picture[..., 2] - picture[..., 0] - 20, 0, 60)
        wanted = pixel(stage.view(world_size(style, WIDTH, HEIGHT)), place)
        assert centroid(blue) == pytest.approx(wanted, abs=0.5)


def test_lines_cross_at_whole_metres() -> None:
    middle = np.array([0.5, 0.0, -3.5])
    axes = looking(np.array([0.6, 0.0, -0.8]), float(np.radians(40)))
    view = View(posed(axes, middle - 4 * axes[:, 2]), 900.0, (480, 360), (960, 720))
    brightness = np.full((720, 960), BRIGHT, np.uint8)
    paint_floor(brightness, view, middle, 8.0)
    assert line_steps(view, middle) == (1.0, 0.5)

    def darkness(x: float, z: float) -> float:
        at = np.floor(pixel(view, np.array([x, 0.0, z]))).astype(int)
        return BRIGHT - float(brightness[at[1], at[0]])

    for x in (0.0, 1.0):
        for z in (-3.0, -4.0):
            assert darkness(x, z) > 40  # a crossing of metres
            assert darkness(x + 0.3, z) > 30 and darkness(x, z - 0.3) > 30  # the lines that cross there
            assert 10 < darkness(x + 0.5, z + 0.3) <= 30  # a line at half a metre
            assert darkness(x + 0.25, z + 0.25) < 10  # none


def test_the_floor_fades_out_and_ends_at_the_horizon() -> None:
    middle, axes = np.array([0.0, 1.0, -4.0]), looking(np.array([0.0, 0.0, -1.0]), 0.0)
    view = View(posed(axes, np.array([0.0, 0.6, 2.0])), 400.0, (160, 120), (320, 240))
    brightness = np.full((240, 320), BRIGHT, np.uint8)
    paint_floor(brightness, view, middle, 3.0)
    assert (brightness[:121] == BRIGHT).all()  # level: the horizon is the middle row
    rows = [int(pixel(view, np.array([0.5, 0.0, z]))[1]) for z in (-1.2, -3.0, -4.0, -6.9)]
    dark = [BRIGHT - int(brightness[row, 120:200].min()) for row in rows]
    assert dark[2] > dark[1] > dark[0] and dark[0] <= 3 and dark[3] <= 3


def test_far_off_lines_are_tens_of_metres() -> None:
    middle = np.array([0.0, 0.0, -200.0])
    view = View(
        posed(looking(np.array([0.0, 0.0, -1.0]), 0.4), np.array([0.0, 90.0, 0.0])), 900.0, (480, 360), (960, 720)
    )
    assert line_steps(view, middle) == (10.0, None)
    assert len(grid_lines(middle, 100.0, 10.0)) == 2 * 21
    brightness = np.full((720, 960), BRIGHT, np.uint8)
    paint_floor(brightness, view, middle, 100.0)
    assert 20 < BRIGHT - int(brightness.min()) < 70


def test_shade_lies_below_a_body() -> None:
    axes = looking(np.array([0.0, 0.0, -1.0]), float(np.radians(30)))
    view = View(posed(axes, np.array([0.3, 0.5, -3.0]) - 5 * axes[:, 2]), 500.0, (160, 120), (320, 240))
    near, high = np.full((2, 240, 320), BRIGHT, np.uint8)
    body = SPHERE.vertices * 0.2 + [0.3, 0.3, -3.0]
    paint_shadow(near, view, body)
    assert centroid(BRIGHT - near.astype(float)) == pytest.approx(pixel(view, np.array([0.3, 0, -3.0])), abs=1.5)
    paint_shadow(high, view, body + np.array([0.0, 1.0, 0.0]))
    assert near.min() < high.min() < BRIGHT  # who jumps casts less
    behind = np.full((240, 320), BRIGHT, np.uint8)
    paint_shadow(behind, view, body + np.array([0.0, 0.0, 9.0]))
    paint_shadow(behind, view, body + np.array([50.0, 0.0, 0.0]))
    assert (behind == BRIGHT).all()


def test_the_camera_that_filmed_is_drawn_turned(drawable: str) -> None:
    """The tip stays, the plane of its picture goes to where the camera looks, and the roof to what is up there."""
    place = np.array([0.3, 1.2, -2.5])
    for heading, down in ((0, 0), (70, 0), (-120, 30)):
        camera = camera_at((0.3, 1.2, -2.5), heading, down)
        stage = replace(stage_of(camera, (0.0, 1.0, -3.0), (-0.6, 0.0, -0.8)), reach=0.8)
        picture = drawn("world", drawable, stage)
        bare = drawn("world", drawable, replace(stage, reach=0.0))
        lines = (bare - picture).sum(axis=-1) > 250
        view = stage.view((WIDTH, HEIGHT))
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [WIDTH / 2 / FOCAL, HEIGHT / 2 / FOCAL]
        local = 0.8 * np.concatenate([corners, np.ones((4, 1))], axis=1)
        world = (local - camera[:3, 3]) @ camera[:3, :3]
        for start, end in [(place, corner) for corner in world] + list(
            zip(world, np.roll(world, -1, axis=0), strict=True)
        ):
            for share in (0.2, 0.5, 0.8):
                x, y = np.floor(pixel(view, (1 - share) * start + share * end)).astype(int)
                assert lines[y - 1 : y + 2, x - 1 : x + 2].any()
        roof = (world[0] + world[1]) / 2 + 0.35 * (world[0] - world[3])
        x, y = np.floor(pixel(view, roof)).astype(int)
        assert lines[y - 1 : y + 3, x - 1 : x + 2].any()


def test_people_hide_the_camera_behind_them_and_not_the_one_before(drawable: str) -> None:
    stage = replace(stage_of(camera_at((0.0, 0.9, -3.0), 0), (0.0, 1.0, -3.0), (-1.0, 0.0, 0.0)), reach=0.3)
    view = stage.view((WIDTH, HEIGHT))
    x, y = np.floor(pixel(view, np.array([0.0, 0.9, -3.0]))).astype(int)
    for nearer, seen in ((1.0, False), (-1.0, True)):
        towards = view.pose[:3, 3] - np.array([0.0, 0.9, -3.0])
        ball = SPHERE.vertices * 0.3 + np.array([0.0, 0.9, -3.0]) + nearer * towards / np.linalg.norm(towards)
        picture = drawn("world", drawable, stage, ball[None])
        dark = picture[y - 2 : y + 3, x - 2 : x + 3].sum(axis=-1).min() < 250
        assert dark == seen


def test_ways_lie_on_the_floor_in_people_s_colours(drawable: str) -> None:
    stage = stage_of(camera_at((0, 1.5, 0), 0), (0.0, 1.0, -3.0), (0.0, 0.0, -1.0))
    way = np.array([[-0.9, -2.55, 1.0], [-0.1, -2.55, 1.0], [-0.1, -2.55, 0.0], [0.9, -2.55, 1.0], [0.95, -2.55, 1.0]])
    picture = drawn("world", drawable, replace(stage, trails={1: way}))
    view = stage.view((WIDTH, HEIGHT))

    def warmth(x: float) -> int:
        column, row = np.floor(pixel(view, np.array([x, 0.0, -2.55]))).astype(int)
        red, _, blue = picture[row, column]
        return int(red - blue)

    red, _, blue = person_colour(1)
    assert warmth(-0.5) > 100 * (red - blue) and warmth(-0.2) > 100 * (red - blue)
    assert abs(warmth(0.4)) < 25  # a gap


def test_worlds_need_a_stage(drawable: str) -> None:
    frame = np.zeros(planes_shape(WIDTH, HEIGHT), np.uint8)
    with (
        Renderer(SPHERE.faces, WIDTH, HEIGHT, FOCAL, "world", drawable) as renderer,
        pytest.raises(ValueError, match="needs a stage"),
    ):
        renderer.submit(frame, EMPTY, [])
    assert world_size("side", 1280, 720) == (720, 720) and world_size("world", 321, 241) == output_size(
        "world", 321, 241
    )


def test_a_stage_survives_its_message() -> None:
    stage = replace(stage_of(camera_at((1, 2, 3), 10), (0.0, 1.0, -3.0), (1.0, 0.0, 0.0)), trails={7: np.ones((2, 3))})
    read = Stage.of_message(stage.as_message())
    assert (read.pose == stage.pose).all() and (read.camera == stage.camera).all() and (read.trails[7] == 1).all()


def test_headings() -> None:
    """Whatever the tilt: down to the vertical, up to 60 degrees, and in pictures that are turned by a quarter."""
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    for heading in (0, 35, -160):
        towards = np.array([-np.sin(np.radians(heading)), 0.0, -np.cos(np.radians(heading))])
        for down in (0, 30, 90, -60):
            turn = camera_at((0, 0, 0), heading, down)[:3, :3]
            assert headings(turn[None])[0] == pytest.approx(towards, abs=1e-6)
        level = camera_at((0, 0, 0), heading)[:3, :3]
        for turned in (quarter @ level, quarter @ quarter @ level, quarter.T @ level):
            assert headings(turned[None])[0] == pytest.approx(towards, abs=1e-6)
    assert to_the_right(np.array([0.0, 0.0, -1.0])) == pytest.approx([1, 0, 0])


def test_what_fits_fills_the_picture() -> None:
    rng = np.random.default_rng(0)
    for size in ((300, 500), (800, 300)):
        points, axes = rng.normal(size=(60, 3)) * [4, 1, 2] + [0, 0, -9], looking(np.array([0.6, 0.0, -0.8]), 0.4)
        place = fitting(points, axes, size, 600.0, 0.1)
        local = (points - place) @ axes
        assert local[:, 2].min() > 0
        share = np.abs(600.0 * local[:, :2] / local[:, 2:] / (np.array(size) / 2))
        assert share.max() == pytest.approx(0.9)
        low, high = (600.0 * local[:, :2] / local[:, 2:]).min(axis=0), (600.0 * local[:, :2] / local[:, 2:]).max(axis=0)
        tight = int(np.argmax(share.max(axis=0)))
        assert low[tight] == pytest.approx(-high[tight])  # in the middle
