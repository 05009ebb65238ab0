"""The picture of a world around one frame: floor, shadows, ways, people and the camera that filmed, back to front."""

from __future__ import annotations

import numpy as np

from glot_cli.rendering.floor import paint_floor, paint_shadow
from glot_cli.rendering.geometry import View
from glot_cli.rendering.layers import Layers
from glot_cli.rendering.marks import MarkCanvas
from glot_cli.rendering.scene import MeshScene
from glot_cli.rendering.shading import blend_over
from glot_cli.rendering.stage import Stage

_SHADOW_POINTS = 2  # every n-th vertex casts shadow


class WorldPicture:
    """Draws worlds in pictures of one size.

    Args:
        scene: that draws the people.
        size: (width, height) of the pictures, pixels, even.
        filming: the camera that filmed, in its own frame.
    """

    def __init__(self, scene: MeshScene, size: tuple[int, int], filming: View) -> None:
        self._scene, self._size = scene, size
        width, height = filming.size
        right, low = width / 2 / filming.focal, height / 2 / filming.focal
        self._corners = np.array([[-right, -low, 1], [right, -low, 1], [right, low, 1], [-right, low, 1]])
        self._floor = np.empty((size[1], size[0]), np.uint8)
        self._floor_of: tuple[float, ...] = ()

    def paint(
        self, target: Layers, vertices: np.ndarray, normals: np.ndarray, people: np.ndarray, stage: Stage
    ) -> None:
        """Draw people in their world over whatever is there.

        Args:
            target: of the size.
            vertices: (P, V, 3) float32 metres in the filming camera's frame; P may be 0.
            normals: unit normals of them.
            people: (P,) person ids.
            stage: the world, and what sees it.
        """
        view = stage.view(self._size)
        target.fill()
        self._paint_floor(target.planes[0], view, stage)
        turn, move = stage.camera[:3, :3], stage.camera[:3, 3]
        for points in vertices[:, ::_SHADOW_POINTS]:
            paint_shadow(target.planes[0], view, (points - move) @ turn)
        if stage.trails:
            trails = MarkCanvas(view)
            trails.trails(stage.trails)
            _put_marks(target, trails)
        drawn = self._scene.draw(vertices, normals, people, View(stage.camera @ view.pose, *_lens(view)))
        if not stage.reach:
            target.put(drawn)
            return
        marks = MarkCanvas(view)
        corners, tip = (self._corners * stage.reach - move) @ turn, -move @ turn
        marks.camera(corners, tip)
        # Lines have no depth: the camera is before everybody, or behind all.
        behind = drawn is not None and view.to_camera(tip)[2] > drawn[0].near
        if behind:
            _put_marks(target, marks)
        target.put(drawn)
        if not behind:
            _put_marks(target, marks)

    def _paint_floor(self, brightness: np.ndarray, view: View, stage: Stage) -> None:
        """Draw the floor, or put down the last one again where nothing has moved."""
        seen = (*view.pose.ravel().tolist(), view.focal, *stage.middle.tolist(), stage.radius)
        if seen == self._floor_of:
            brightness[:] = self._floor
            return
        paint_floor(brightness, view, stage.middle, stage.radius)
        self._floor[:], self._floor_of = brightness, seen


def _lens(view: View) -> tuple[float, tuple[float, float], tuple[int, int]]:
    return view.focal, view.centre, view.size


def _put_marks(target: Layers, marks: MarkCanvas) -> None:
    if marks.region is not None:
        x0, y0, x1, y1 = marks.region
        blend_over(target.cut(x0, y0, x1, y1).planes, marks.pixels[y0:y1, x0:x1])
