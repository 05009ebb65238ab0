"""The parts of drawing that are plain arithmetic: normals, regions, the side camera, colours, blending."""

from __future__ import annotations

import colorsys
from itertools import pairwise

import numpy as np
import pytest
import trimesh

from glot_cli.rendering import STYLES, output_size
from glot_cli.rendering.colours import person_colour
from glot_cli.rendering.geometry import NormalMap, covered_region, front_view, side_view, unique_edges
from glot_cli.rendering.hiding import Hiding
from glot_cli.rendering.shading import blend_over, shade, to_yuv
from glot_cli.video.planes import FrameConverter, planes_shape, split_planes


def test_normals_of_a_sphere_point_outwards() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=4)
    normals = NormalMap(sphere.faces, len(sphere.vertices))(sphere.vertices.astype(np.float32))
    assert np.abs(normals - sphere.vertices).max() < 0.01
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-5)


def test_normals_equal_trimesh() -> None:
    mesh = trimesh.creation.torus(1.0, 0.3)
    normals = NormalMap(mesh.faces, len(mesh.vertices))(mesh.vertices)
    weighted = np.zeros_like(mesh.vertices)
    for corner in range(3):
        np.add.at(weighted, mesh.faces[:, corner], mesh.face_normals * mesh.area_faces[:, None])
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    assert np.abs(normals - weighted).max() < 1e-5


def test_edges_obey_euler() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=3)
    assert len(unique_edges(mesh.faces)) == len(mesh.vertices) + len(mesh.faces) - 2


def test_region_bounds_the_projection() -> None:
    view = front_view(640, 480, 512.0)
    corners = np.array([[[-0.25, -0.125, 2.0], [0.375, 0.5, 2.0]]], dtype=np.float32)
    region = covered_region(corners, view, margin=0)
    assert region is not None
    # 320 + 512 * -0.25 / 2 = 256, 240 + 512 * -0.125 / 2 = 208, and so on.
    assert (region.x0, region.y0, region.x1, region.y1) == (256, 208, 416, 368)
    assert (region.near, region.far) == (2.0, 2.0)


def test_region_of_people_who_cannot_be_seen() -> None:
    view = front_view(640, 480, 500.0)
    behind, right, left = (np.full((1, 4, 3), place) for place in ((0, 0, -3.0), (9, 0, 3.0), (-9, 0, 3.0)))
    assert covered_region(behind, view) is None
    assert covered_region(right, view) is None
    # One far left and one far right cover nothing between them.
    assert covered_region(np.concatenate([right, left]), view) is None
    across = np.array([[[0, 0, -1.0], [0, 0, 1.0]]])
    region = covered_region(across, view)
    assert region is not None
    assert (region.x0, region.y0, region.x1, region.y1) == (0, 0, 640, 480)


def test_side_view_turns_depth_into_right() -> None:
    pivot = np.array([0.5, 0.2, 4.0])
    view = side_view(pivot[None], pivot, (400, 600), 500.0)
    assert view.to_camera(pivot) == pytest.approx([0, 0, 4.0])  # as far away as for the filming camera
    right, down, away = pivot + np.eye(3)
    assert view.to_camera(away) == pytest.approx([1, 0, 4.0])  # further back: to the right
    assert view.to_camera(down) == pytest.approx([0, 1, 4.0])  # down stays down
    assert view.to_camera(right) == pytest.approx([0, 0, 3.0])  # to the right: nearer
    assert np.linalg.det(view.pose[:3, :3]) == pytest.approx(1)


def test_side_view_sees_everybody() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)) * [2, 1, 6] + [0, 0, 12]
    view = side_view(points, points.mean(axis=0), (300, 500), 800.0)
    local = view.to_camera(points)
    assert local[:, 2].min() > 0
    pixels = 800.0 * local[:, :2] / local[:, 2:] + [150, 250]
    assert pixels.min() >= 0
    assert (pixels <= [300, 500]).all()


def test_a_line_goes_behind_a_ball_and_comes_forth() -> None:
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.5).vertices + np.array([0.0, 0.0, 2.0])
    hiding = Hiding(front_view(200, 200, 100.0), ball)
    line = np.array([[-1.4, 0.0, 3.0], [1.4, 0.0, 3.0]])
    parts = hiding.parts(line)
    assert [hidden for _, hidden in parts] == [False, True, False]
    edge = 3 * 0.5 / np.sqrt(2.0**2 - 0.5**2)  # where the line of sight grazes the ball
    assert np.abs(parts[1][0][:, 0] - [-edge, edge]).max() < 0.15
    assert (parts[0][0][0] == line[0]).all() and (parts[-1][0][1] == line[1]).all()
    for before, after in pairwise(parts):
        assert (before[0][1] == after[0][0]).all()
    (whole,) = hiding.parts(line - [0.0, 0.0, 2.0])  # before the ball
    assert (whole[0] == line - [0.0, 0.0, 2.0]).all() and not whole[1]
    across = hiding.parts(np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 3.5]]))  # through it
    assert [hidden for _, hidden in across] == [False, True] and abs(across[0][0][1, 2] - 1.5) < 0.1
    assert not Hiding(front_view(200, 200, 100.0), np.zeros((0, 3))).hides(line).any()


def test_colours_are_fixed_and_apart() -> None:
    colours = np.array([person_colour(i) for i in range(24)])
    assert np.array_equal(colours, [person_colour(i) for i in range(24)])
    assert colours.min() >= 0 and colours.max() <= 1
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + np.eye(24)
    assert apart.min() > 0.05
    assert apart[:8, :8].min() > 0.2


def test_shading_gives_form_and_keeps_hue() -> None:
    directions = trimesh.creation.icosphere(subdivisions=3).vertices.astype(np.float32)
    facing = directions[directions[:, 2] < -0.1]  # what the camera sees of a sphere
    shaded = shade(facing + np.float32([0, 0, 5]), facing, (0.3, 0.7, 0.9))
    assert shaded.min() >= 0 and shaded.max() <= 1
    brightness = shaded.mean(axis=1)
    assert brightness.max() / brightness.min() > 1.6
    from_light = facing @ np.array([-0.5, -0.8, -1.0])
    assert np.corrcoef(from_light, brightness)[0, 1] > 0.85
    hue = colorsys.rgb_to_hsv(0.3, 0.7, 0.9)[0]
    assert all(abs(colorsys.rgb_to_hsv(*colour)[0] - hue) < 0.03 for colour in shaded[::40])


def test_blending() -> None:
    """What OpenGL drew, over planes: colours of U and V count by the coverage of the four pixels they stand for."""
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (8, 10, 1), dtype=np.uint8)
    colour = np.floor(rng.integers(0, 256, (8, 10, 3)) * (alpha / 255)).astype(np.uint8)
    drawn = np.concatenate([colour, alpha], axis=2)
    small = drawn.reshape(4, 2, 5, 2, 4).mean(axis=(1, 3))
    canvases = split_planes(np.zeros(planes_shape(20, 20), np.uint8))
    y, u, v = canvases
    parts = y[6:14, 4:14], u[3:7, 2:7], v[3:7, 2:7]  # views into a larger picture, as in use
    expected = []
    for channel, (part, pixels) in enumerate(zip(parts, (drawn, small, small), strict=True)):
        part[:] = rng.integers(0, 256, part.shape)
        expected.append(part * (1 - pixels[..., 3] / 255.0) + pixels[..., channel])
    blend_over(parts, drawn)
    for canvas, part, wanted in zip(canvases, parts, expected, strict=True):
        assert np.abs(part - np.minimum(wanted, 255)).max() <= 1.51  # both means and the sum are rounded
        assert canvas.sum() == part.sum()


def test_colours_become_those_of_video() -> None:
    """As libswscale has it, which is off by a level or two."""
    colours = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    flat = np.repeat(np.repeat(colours[None], 2, axis=0), 2, axis=1)  # (2, 100, 3): two pixels wide each
    planes = split_planes(FrameConverter().planes_of_rgb(flat))
    found = 255 * to_yuv(colours / 255)
    for channel, plane in enumerate(planes):
        wanted = plane[0, :: 2 if channel == 0 else 1]
        assert np.abs(found[:, channel] - wanted).max() < 2.5


def test_output_sizes() -> None:
    assert {style: output_size(style, 1280, 720) for style in STYLES} == {
        "overlay": (1280, 720),
        "side": (2000, 720),
        "plain": (1280, 720),
        "wireframe": (1280, 720),
        "world": (1280, 720),
    }
    assert output_size("side", 720, 1280) == (1440, 1280)
    assert output_size("side", 321, 241) == (564, 242)
    with pytest.raises(ValueError, match="unknown style"):
        output_size("cubist", 1, 1)
