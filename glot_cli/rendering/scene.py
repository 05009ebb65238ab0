"""Draw people's meshes as seen by a camera: one depth-buffered scene, smooth shaded, edges anti-aliased.

Lives in the drawing process (worker.py): importing it imports OpenGL.
"""

from __future__ import annotations

import cv2
import numpy as np
import pyrender

from glot_cli.rendering.colours import person_colour
from glot_cli.rendering.context import OCCLUDER, PinholeScene, in_software, interleave, update_vertices
from glot_cli.rendering.geometry import NormalMap, Region, View, covered_region, unique_edges
from glot_cli.rendering.shading import shade, to_yuv

LARGE = 3200  # pixels along the longer side of a picture, from which on a step of one in an outline is not seen


class MeshScene:
    """People who share one mesh topology, drawn together.

    An OpenGL context (`context.open_platform`) must be current.

    Args:
        faces: (F, 3) vertex indices, counter-clockwise seen from outside; the inside is not drawn.
        n_vertices: vertices of one body.
        width: of the largest picture that will be asked for, pixels.
        height: of it.
        wireframe: draw the visible edges alone instead of surfaces.
    """

    def __init__(self, faces: np.ndarray, n_vertices: int, width: int, height: int, wireframe: bool = False) -> None:
        self._faces = np.asarray(faces)
        self._normal_map = NormalMap(self._faces, n_vertices)
        self._edges = unique_edges(self._faces) if wireframe else None
        # Software takes longer over a pixel of four samples than over four pixels; graphics cards hardly notice.
        software = in_software()
        self._blurred = software and not wireframe and max(width, height) >= LARGE
        self._oversampling = 2 if software and not self._blurred else 1
        self._scene = PinholeScene(width, height, 0 if software else 4, self._oversampling)
        self._people: list[list[pyrender.Mesh]] = []  # one entry a person drawn at once, kept from frame to frame

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit normals (P, V, 3) of people (P, V, 3) in the scene, float32."""
        normals = np.empty(vertices.shape, np.float32)
        for points, target in zip(vertices, normals, strict=True):
            target[:] = self._normal_map(points)
        return normals

    def draw(
        self, vertices: np.ndarray, normals: np.ndarray, people: np.ndarray, view: View
    ) -> tuple[Region, np.ndarray] | None:
        """Draw people as `view` sees them.

        Args:
            vertices: (P, V, 3) float32 metres in the scene.
            normals: what `normals` gives for them.
            people: (P,) person ids, which choose the colours.
            view: the camera.

        Returns:
            The region of the picture that they cover, with even edges, and its (h, w, 4) uint8 pixels: Y, U, V (see
            shading.to_yuv) and coverage, by which the colour is multiplied. The next call overwrites them. None when
            nobody is in sight.
        """
        region = covered_region(vertices, view) if len(vertices) else None
        if region is None:
            return None
        for slot in range(max(len(vertices), len(self._people))):
            self._fill_slot(slot, vertices, normals, people, view)
        region = region.even()
        factor = self._oversampling
        pixels = self._scene.draw(view.enlarged(factor), region.enlarged(factor))
        if factor > 1:
            size = region.x1 - region.x0, region.y1 - region.y0
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        elif self._blurred:
            pixels = cv2.GaussianBlur(pixels, (3, 3), 0)  # colour and coverage alike: the outline stays clean
        return region, pixels

    def _fill_slot(self, slot: int, vertices: np.ndarray, normals: np.ndarray, people: np.ndarray, view: View) -> None:
        """Give the meshes of a slot the shape and shaded colour of its person; hide them if there is none."""
        if slot >= len(vertices):
            for mesh in self._people[slot]:
                mesh.is_visible = False
            return
        points = vertices[slot]
        turned = normals[slot] @ view.pose[:3, :3].astype(np.float32)
        colours = shade(view.to_camera(points), turned, person_colour(int(people[slot])))
        interleaved = interleave(points, to_yuv(colours))
        if slot == len(self._people):
            self._people.append(self._new_meshes(interleaved))
        for mesh in self._people[slot]:
            mesh.is_visible = True
            update_vertices(mesh.primitives[0], interleaved)

    def _new_meshes(self, interleaved: np.ndarray) -> list[pyrender.Mesh]:
        """Surface, or hidden-line pair of surface and edges, added to the scene."""
        if self._edges is None:
            return [self._scene.add(interleaved, self._faces)]
        return [
            self._scene.add(interleaved, self._faces, name=OCCLUDER),
            self._scene.add(interleaved, self._edges, mode=pyrender.GLTF.LINES, name="edges"),
        ]

    def close(self) -> None:
        """Free the buffers and shaders."""
        self._scene.close()
