"""Finished pictures: draw the people in a style and put them over the frame. Lives in the drawing process.

Pictures are planes of brightness and colour (video/planes.py). Meshes are drawn in the same Y, U and V, which are a
linear map of RGB away: anti-aliasing and blending come out as they would there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glot_cli.rendering.geometry import View, bounds_centre, front_view, side_view
from glot_cli.rendering.scene import MeshScene
from glot_cli.rendering.shading import blend_over, to_yuv
from glot_cli.video.planes import even, split_planes

_BACKGROUND = np.round(255 * to_yuv(np.array([236, 238, 241]) / 255)).astype(np.uint8)  # where the video is not shown

_Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


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
        size = (even(width), even(height))  # of the planes, which repeat the last row or column of an odd size
        self._front = replace(front_view(width, height, focal), size=size)
        self._side_size = (min(size), size[1])
        self._scene = MeshScene(faces, n_vertices, *size, wireframe=style == "wireframe")

    def paint(self, picture: np.ndarray, vertices: np.ndarray, people: np.ndarray, pivot: np.ndarray | None) -> None:
        """Draw people into a picture, in place.

        Args:
            picture: planes (3 H / 2, W) of styles.output_size; their left part holds the video's frame on entry, which
                `plain` ignores.
            vertices: (P, V, 3) float32 metres in the camera's frame; P may be 0.
            people: (P,) person ids.
            pivot: (3,) metres, the point that the side view turns around; None takes the centre of the people.
        """
        width, height = self._front.size
        planes = split_planes(picture)
        frame = _cut(planes, 0, 0, width, height)
        normals = self._scene.normals(vertices)
        if self._style == "plain":
            _fill(frame)
        self._put(frame, vertices, normals, people, self._front)
        if self._style == "side":
            panel = _cut(planes, width, 0, picture.shape[1], height)
            _fill(panel)
            if len(vertices):
                centre = bounds_centre(vertices) if pivot is None else pivot
                view = side_view(vertices.reshape(-1, 3), centre, self._side_size, self._front.focal)
                self._put(panel, vertices, normals, people, view)

    def _put(self, target: _Planes, vertices: np.ndarray, normals: np.ndarray, people: np.ndarray, view: View) -> None:
        drawn = self._scene.draw(vertices, normals, people, view)
        if drawn is not None:
            region, pixels = drawn
            blend_over(_cut(target, region.x0, region.y0, region.x1, region.y1), pixels)

    def close(self) -> None:
        """Free what the driver holds."""
        self._scene.close()


def _cut(planes: _Planes, x0: int, y0: int, x1: int, y1: int) -> _Planes:
    """Views of x0 <= x < x1, y0 <= y < y1, all four even."""
    y, u, v = planes
    half = slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2)
    return y[y0:y1, x0:x1], u[half], v[half]


def _fill(planes: _Planes) -> None:
    for plane, level in zip(planes, _BACKGROUND, strict=True):
        plane[:] = level
