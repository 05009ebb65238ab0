"""Finished pictures: draw the people in a style and put them over the frame. Lives in the drawing process.

Pictures are planes of brightness and colour (video/planes.py). Meshes are drawn in the same Y, U and V, which are a
linear map of RGB away: anti-aliasing and blending come out as they would there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glot_cli.rendering.geometry import bounds_centre, front_view, side_view
from glot_cli.rendering.layers import Layers
from glot_cli.rendering.scene import MeshScene
from glot_cli.rendering.stage import Stage
from glot_cli.rendering.styles import world_size
from glot_cli.rendering.world_picture import WorldPicture
from glot_cli.video.planes import even, split_planes


class OverlayPainter:
    """Draws frames of one size in one style (see styles.STYLES).

    Args:
        faces: (F, 3) vertex indices of the body.
        n_vertices: its vertices.
        width: of the video's frames, pixels.
        height: of the video's frames, pixels.
        style: one of STYLES.
    """

    def __init__(self, faces: np.ndarray, n_vertices: int, width: int, height: int, style: str) -> None:
        self._style = style
        size = (even(width), even(height))  # of the planes, which repeat the last row or column of an odd size
        self._front = replace(front_view(width, height, 1.0), size=size)
        self._side_size = world_size("side", width, height)
        self._scene = MeshScene(faces, n_vertices, *size, wireframe=style == "wireframe")
        self._world = WorldPicture(self._scene, world_size(style, width, height), (width, height))

    def paint(
        self,
        picture: np.ndarray,
        vertices: np.ndarray,
        people: np.ndarray,
        focal: float,
        pivot: np.ndarray | None = None,
        stage: Stage | None = None,
    ) -> None:
        """Draw people into a picture, in place.

        Args:
            picture: planes (3 H / 2, W) of styles.output_size; their left part holds the video's frame on entry, which
                `plain` and `world` ignore.
            vertices: (P, V, 3) float32 metres in the camera's frame; P may be 0.
            people: (P,) person ids.
            focal: focal length of the camera that filmed, pixels.
            pivot: (3,) metres, the point that the side view turns around; None takes the centre of the people.
            stage: what is shown of the world; None where there is none, which `world` cannot do without.
        """
        width, height = self._front.size
        layers = Layers(split_planes(picture))
        normals = self._scene.normals(vertices)
        if self._style == "world":
            assert stage is not None
            self._world.paint(layers, vertices, normals, people, focal, stage)
            return
        frame = layers.cut(0, 0, width, height)
        if self._style == "plain":
            frame.fill()
        frame.put(self._scene.draw(vertices, normals, people, replace(self._front, focal=focal)))
        if self._style != "side":
            return
        panel = layers.cut(width, 0, picture.shape[1], height)
        if stage is not None:
            self._world.paint(panel, vertices, normals, people, focal, stage)
            return
        panel.fill()
        if len(vertices):
            centre = bounds_centre(vertices) if pivot is None else pivot
            view = side_view(vertices.reshape(-1, 3), centre, self._side_size, focal)
            panel.put(self._scene.draw(vertices, normals, people, view))

    def close(self) -> None:
        """Free what the driver holds."""
        self._scene.close()
