"""Draws several bodies of one topology into pictures of one size. Importing it imports OpenGL."""

from __future__ import annotations

import os

import numpy as np
import pyrender

from glot_cli.errors import GlotError
from glot_cli.rendering.context import RENDER_FLAGS, PinholeCamera, RegionRenderer, open_platform, update_vertices
from glot_cli.rendering.geometry import NEAR, View, covered_region


class Painter:
    """People with given vertex colours before an empty background. One at a time may hold the OpenGL context.

    faces (F, 3); vertices: how many a body has; people: the most that are drawn at once; size: width and height of the
    largest picture. Raises GlotError when OpenGL cannot start. As a context manager it frees the context at the end.
    """

    def __init__(self, faces: np.ndarray, vertices: int, people: int, size: tuple[int, int]) -> None:
        try:
            self._platform = open_platform(*size)
        except Exception as error:  # PyOpenGL raises many kinds
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            kind = os.environ.get("PYOPENGL_PLATFORM", "the system's")
            raise GlotError(f"OpenGL ({kind}) cannot start ({reason}); ask 'glot doctor' about drawing") from error
        self._renderer = RegionRenderer(*size)
        self._scene = pyrender.Scene(bg_color=(0.0, 0.0, 0.0, 0.0))
        self._camera = PinholeCamera()
        self._scene.add(self._camera, pose=np.diag([1.0, -1, -1, 1]))
        self._meshes = []
        for _ in range(people):
            blank = np.ones((vertices, 7), np.float32)
            material = pyrender.MetallicRoughnessMaterial(baseColorFactor=(1.0, 1.0, 1.0, 1.0), doubleSided=True)
            primitive = pyrender.Primitive(
                positions=blank[:, :3], color_0=blank[:, 3:], indices=faces, material=material, mode=4
            )
            self._meshes.append(pyrender.Mesh([primitive]))
            self._scene.add(self._meshes[-1])

    def draw(self, vertices: np.ndarray, colours: np.ndarray | None, view: View, margin: int = 2) -> np.ndarray | None:
        """What `view` sees of people: (H, W, 4) uint8 of its size, colour multiplied by coverage; None: nobody.

        vertices (P, V, 3) float32 metres in the camera's frame, P no more than `people`; colours (P, V, 3), 0 to 1, or
        white. margin: pixels around the people that are drawn with them.
        """
        region = covered_region(vertices, view, margin)
        if region is None:
            return None
        for index, mesh in enumerate(self._meshes):
            mesh.is_visible = index < len(vertices)
            if mesh.is_visible:
                rows = np.ones((vertices.shape[1], 7), np.float32)
                rows[:, :3] = vertices[index]
                if colours is not None:
                    rows[:, 3:6] = colours[index]
                update_vertices(mesh.primitives[0], rows)
        self._camera.focal = view.focal
        self._camera.centre = (view.centre[0] - region.x0, view.centre[1] - region.y0)
        # pyrender checks zfar > znear at each assignment: open the range before it is narrowed.
        self._camera.znear = 0.0
        self._camera.zfar = max(region.far * 1.01, 2 * NEAR)
        self._camera.znear = max(region.near * 0.99, NEAR)
        self._renderer.viewport_width, self._renderer.viewport_height = region.x1 - region.x0, region.y1 - region.y0
        picture = np.zeros((view.size[1], view.size[0], 4), np.uint8)
        picture[region.y0 : region.y1, region.x0 : region.x1] = self._renderer.render(self._scene, RENDER_FLAGS)
        return picture

    def close(self) -> None:
        """Free the OpenGL context. Draw nothing after it."""
        self._renderer.delete()
        self._platform.delete_context()

    def __enter__(self) -> Painter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
