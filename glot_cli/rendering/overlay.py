"""Finished pictures: draw the people in a style and put them over the frame. Lives in the drawing process."""

from __future__ import annotations

import numpy as np

from glot_cli.rendering.geometry import View, bounds_centre, front_view, side_view
from glot_cli.rendering.scene import MeshScene
from glot_cli.rendering.shading import blend_over

_BACKGROUND = (236, 238, 241)  # RGB, of the styles that do not show the video


class OverlayPainter:
    """Draws frames of one size in one style (see styles.STYLES).

    Args:
        faces: (F, 3) vertex indices of the body.
        n_vertices: its vertices.
        width: of the video's frames, pixels.
        height: of the video's frames, pixels.
        focal: focal length of the camera that filmed, pixels.
        style: one of STYLES.
    """

    def __init__(self, faces: np.ndarray, n_vertices: int, width: int, height: int, focal: float, style: str) -> None:
        self._style = style
        self._front = front_view(width, height, focal)
        self._side_size = (min(width, height), height)
        self._scene = MeshScene(faces, n_vertices, width, height, wireframe=style == "wireframe")

    def paint(self, picture: np.ndarray, vertices: np.ndarray, people: np.ndarray, pivot: np.ndarray | None) -> None:
        """Draw people into a picture, in place.

        Args:
            picture: (H, W, 3) uint8 RGB of styles.output_size; its left part holds the video's frame on entry, which
                `plain` ignores.
            vertices: (P, V, 3) float32 metres in the camera's frame; P may be 0.
            people: (P,) person ids.
            pivot: (3,) metres, the point that the side view turns around; None takes the centre of the people.
        """
        width = self._front.size[0]
        frame = picture[:, :width]
        if self._style == "plain":
            frame[:] = _BACKGROUND
        self._put(frame, vertices, people, self._front)
        if self._style == "side":
            panel = picture[:, width:]
            panel[:] = _BACKGROUND
            if len(vertices):
                centre = bounds_centre(vertices) if pivot is None else pivot
                points = vertices.reshape(-1, 3)
                self._put(panel, vertices, people, side_view(points, centre, self._side_size, self._front.focal))

    def _put(self, target: np.ndarray, vertices: np.ndarray, people: np.ndarray, view: View) -> None:
        drawn = self._scene.draw(vertices, people, view)
        if drawn is not None:
            region, rgba = drawn
            blend_over(target[region.y0 : region.y1, region.x0 : region.x1], rgba)

    def close(self) -> None:
        """Free what the driver holds."""
        self._scene.close()
