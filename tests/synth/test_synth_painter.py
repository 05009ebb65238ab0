"""The painter draws bodies where a pinhole sees them. Needs a renderer."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from glot_cli.errors import RenderError
from glot_cli.rendering.geometry import View
from glot_cli.synth import painter as module
from glot_cli.synth.painter import Painter
from glot_cli.synth.wardrobe import Figures

WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def painter(drawing: None, figures: Figures) -> Iterator[Painter]:
    with Painter(figures.body.faces, figures.body.num_vertices, 2, (WIDTH, HEIGHT)) as painter:
        yield painter


@pytest.fixture(scope="module")
def body(figures: Figures) -> np.ndarray:
    """(V, 3) float32: the body at rest, upright before the camera, its middle at the origin."""
    points = figures.wardrobe.template * [1, -1, -1]
    return (points - (points.min(0) + points.max(0)) / 2).astype(np.float32)


def view(focal: float, centre: tuple[float, float], size: tuple[int, int] = (WIDTH, HEIGHT)) -> View:
    return View(np.eye(4), focal, centre, size)


def box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize(
    ("place", "focal", "centre", "size"),
    [
        ((0.1, 0.0, 3.0), 250.0, (WIDTH / 2, HEIGHT / 2), (WIDTH, HEIGHT)),
        ((-0.4, 0.2, 4.5), 300.0, (170.5, 100.25), (WIDTH, HEIGHT)),
        ((0.0, 0.0, 5.0), 200.0, (64.0, 64.0), (128, 128)),
    ],
)
def test_a_body_is_drawn_where_the_pinhole_says(painter, body, place, focal, centre, size) -> None:
    points = body + np.array(place, np.float32)
    drawn = painter.draw(points[None], None, view(focal, centre, size))
    assert drawn.shape == (size[1], size[0], 4) and drawn.dtype == np.uint8
    pixels = points[:, :2] / points[:, 2:] * focal + centre
    assert np.abs(box(drawn[..., 3] > 127) - np.concatenate([pixels.min(0), pixels.max(0)])).max() < 1.5


def test_colours_are_multiplied_by_coverage(painter, body) -> None:
    colours = np.tile(np.array([1.0, 0.5, 0.0], np.float32), (1, len(body), 1))
    drawn = painter.draw(body[None] + [0, 0, 3], colours, view(250.0, (160.0, 120.0))).astype(int)
    whole, none = drawn[..., 3] == 255, drawn[..., 3] == 0
    assert whole.sum() > 1000 and (drawn[none] == 0).all()
    assert np.abs(drawn[whole][:, :3] - [255, 127.5, 0]).max() <= 2
    edge = ~whole & ~none
    assert edge.any() and np.abs(drawn[edge][:, 0] - drawn[edge][:, 3]).max() <= 2


def test_the_nearer_one_hides_the_other_and_nobody_stays(painter, body) -> None:
    camera = view(250.0, (160.0, 120.0))
    people = body + np.array([[[0, 0, 3]], [[0, 0, 4]]], np.float32)
    colours = np.stack([np.full((len(body), 3), c) for c in ([1.0, 0, 0], [0, 1.0, 0])])
    for order in ([0, 1], [1, 0]):
        both = painter.draw(people[order], colours[order], camera)
        assert both[120, 160, 0] > 250 and both[120, 160, 1] < 5
    alone = painter.draw(people[:1], colours[:1], camera)
    assert (alone[..., 1] == 0).all()
    assert painter.draw(people[:1] + np.float32([50, 0, 0]), None, camera) is None
    assert painter.draw(people[:1] * np.float32([1, 1, -1]), None, camera) is None


def test_a_renderer_that_does_not_start_is_one_line(drawing, monkeypatch, figures: Figures) -> None:
    def broken(width: int, height: int) -> None:
        raise RuntimeError("no device\nat all")

    monkeypatch.setattr("glot_cli.rendering.context.open_platform", broken)
    with pytest.raises(RenderError, match=r"^OpenGL \(.*\) cannot start \(RuntimeError: no device at all\); [^\n]*$"):
        Painter(figures.body.faces, figures.body.num_vertices, 1, (64, 64))


def test_where_nothing_draws_it_is_said_before_opengl_is_imported(monkeypatch) -> None:
    def broken() -> str:
        raise RenderError("meshes cannot be drawn (egl: gone)", remedy="install a software OpenGL (see there)")

    monkeypatch.setattr(module, "probe_backend", broken)
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    with pytest.raises(RenderError, match=r"^meshes cannot be drawn .*; install a software OpenGL \(see there\)$"):
        module.prepare()


def test_the_way_to_draw_that_was_found_is_the_one_that_opengl_takes(drawing, drawable: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "probe_backend", lambda: drawable)
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    module.prepare()
    assert os.environ.get("PYOPENGL_PLATFORM", "system") == drawable
