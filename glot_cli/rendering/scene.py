"""Draw people's meshes as seen by a camera: one depth-buffered scene, smooth shaded, edges anti-aliased.

Lives in the drawing process (worker.py): importing it imports OpenGL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyrender

from glot_cli.rendering.colours import person_colour
from glot_cli.rendering.context import OCCLUDER, RENDER_FLAGS, PinholeCamera, RegionRenderer, update_vertices
from glot_cli.rendering.geometry import NEAR, NormalMap, Region, View, covered_region, unique_edges
from glot_cli.rendering.shading import shade

# OpenGL's camera looks along -z with y up, OpenCV's along +z with y down.
_OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


class MeshScene:
    """People who share one mesh topology, drawn together.

    Args:
        faces: (F, 3) vertex indices, counter-clockwise seen from outside; the inside is not drawn.
        n_vertices: vertices of one body.
        width, height: the largest picture that will be asked for, in pixels.
        wireframe: draw the visible edges alone instead of surfaces.

    An OpenGL context (`context.open_platform`) must be current.
    """

    def __init__(self, faces: np.ndarray, n_vertices: int, width: int, height: int, wireframe: bool = False) -> None:
        self._faces = np.asarray(faces)
        self._n_vertices = n_vertices
        self._normals = NormalMap(self._faces, n_vertices)
        self._edges = unique_edges(self._faces) if wireframe else None
        self._renderer = RegionRenderer(width, height)
        self._scene = pyrender.Scene(bg_color=(0.0, 0.0, 0.0, 0.0))
        self._camera = PinholeCamera()
        self._camera_node = self._scene.add(self._camera, pose=np.eye(4))
        self._people: list[list[pyrender.Mesh]] = []  # one entry a person drawn at once, kept from frame to frame

    def draw(self, vertices: np.ndarray, people: np.ndarray, view: View) -> tuple[Region, np.ndarray] | None:
        """Draw (P, V, 3) float32 vertices of the person ids (P,) as `view` sees them.

        Returns the region of the picture that they cover and its (h, w, 4) uint8 pixels, colour multiplied by
        coverage; None when nobody is in sight.
        """
        region = covered_region(vertices, view) if len(vertices) else None
        if region is None:
            return None
        for slot in range(max(len(vertices), len(self._people))):
            self._fill_slot(slot, vertices, people, view)
        self._aim(view, region)
        return region, self._renderer.render(self._scene, RENDER_FLAGS)

    def _fill_slot(self, slot: int, vertices: np.ndarray, people: np.ndarray, view: View) -> None:
        """Give the meshes of a slot the shape and shaded colour of its person; hide them if there is none."""
        if slot >= len(vertices):
            for mesh in self._people[slot]:
                mesh.is_visible = False
            return
        interleaved = np.ones((self._n_vertices, 7), dtype=np.float32)
        interleaved[:, :3] = points = vertices[slot]
        normals = self._normals(points) @ view.pose[:3, :3].astype(np.float32)
        interleaved[:, 3:6] = shade(view.to_camera(points), normals, person_colour(int(people[slot])))
        if slot == len(self._people):
            self._people.append(self._new_meshes(interleaved))
        for mesh in self._people[slot]:
            mesh.is_visible = True
            update_vertices(mesh.primitives[0], interleaved)

    def _new_meshes(self, interleaved: np.ndarray) -> list[pyrender.Mesh]:
        """Surface, or hidden-line pair of surface and edges, added to the scene."""
        parts: list[tuple[str, Any, int]] = [("surface", self._faces, pyrender.GLTF.TRIANGLES)]
        if self._edges is not None:
            parts = [(OCCLUDER, self._faces, pyrender.GLTF.TRIANGLES), ("edges", self._edges, pyrender.GLTF.LINES)]
        meshes = []
        for name, indices, mode in parts:
            primitive = pyrender.Primitive(
                positions=interleaved[:, :3],
                color_0=interleaved[:, 3:],
                indices=indices,
                material=pyrender.MetallicRoughnessMaterial(name=name, baseColorFactor=(1.0, 1.0, 1.0, 1.0)),
                mode=mode,
            )
            meshes.append(pyrender.Mesh([primitive]))
            self._scene.add(meshes[-1])
        return meshes

    def _aim(self, view: View, region: Region) -> None:
        """Point the camera, and cut its view down to the region."""
        self._scene.set_pose(self._camera_node, view.pose @ _OPENCV_TO_OPENGL)
        camera = self._camera
        camera.focal = view.focal
        camera.centre = (view.centre[0] - region.x0, view.centre[1] - region.y0)
        # pyrender checks zfar > znear at each assignment: open the range before it is narrowed.
        camera.znear = 0.0
        camera.zfar = max(region.far * 1.01, 2 * NEAR)
        camera.znear = max(region.near * 0.99, NEAR)
        self._renderer.viewport_width = region.x1 - region.x0
        self._renderer.viewport_height = region.y1 - region.y0

    def close(self) -> None:
        """Free the buffers and shaders."""
        self._renderer.delete()
