"""The picture of a world around one frame: floor, shadows, ways, people and the camera that filmed, back to front."""

from __future__ import annotations

import numpy as np

from glot_cli.rendering.floor import paint_floor, paint_shadow
from glot_cli.rendering.geometry import View
from glot_cli.rendering.hiding import Hiding
from glot_cli.rendering.layers import Layers
from glot_cli.rendering.marks import MarkCanvas, draw_camera
from glot_cli.rendering.scene import MeshScene
from glot_cli.rendering.shading import blend_over
from glot_cli.rendering.stage import Stage

_SHADOW_POINTS = 2  # every n-th vertex casts shadow, and hides what is behind it


class WorldPicture:
    """Draws worlds in pictures of one size.

    Args:
        scene: that draws the people.
        size: (width, height) of the pictures, pixels, even.
        filmed: (width, height) of the pictures of the camera that filmed, pixels.
    """

    def __init__(self, scene: MeshScene, size: tuple[int, int], filmed: tuple[int, int]) -> None:
        self._scene, self._size = scene, size
        right, low = filmed[0] / 2, filmed[1] / 2
        self._corners = np.array([[-right, -low], [right, -low], [right, low], [-right, low]])
        self._floor = np.empty((size[1], size[0]), np.uint8)
        self._floor_of: tuple[float, ...] = ()

    def paint(
        self,
        target: Layers,
        vertices: np.ndarray,
        normals: np.ndarray,
        people: np.ndarray,
        focal: float,
        stage: Stage,
    ) -> None:
        """Draw people in their world over whatever is there.

        Args:
            target: of the size.
            vertices: (P, V, 3) float32 metres in the filming camera's frame; P may be 0.
            normals: unit normals of them.
            people: (P,) person ids.
            focal: focal length of the filming camera, pixels.
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
        corners = np.column_stack([self._corners / focal, np.ones(4)]) * stage.reach
        corners, tip = (corners - move) @ turn, -move @ turn
        surface = (vertices[:, ::_SHADOW_POINTS].reshape(-1, 3) - move) @ turn
        behind, before = MarkCanvas(view), MarkCanvas(view)
        draw_camera(behind, before, Hiding(view, surface), corners, tip)
        _put_marks(target, behind)
        target.put(drawn)
        _put_marks(target, before)

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
