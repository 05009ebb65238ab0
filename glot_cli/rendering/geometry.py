"""The arithmetic of drawing: normals, where a mesh falls on the picture, where the side camera stands. Plain arrays.

Camera frames are OpenCV's (x right, y down, z forward, metres). Pixels are measured from the outer corner of the
top-left pixel, so pixel i covers [i, i + 1) and its centre is at i + 0.5; a point (X, Y, Z) falls on
(f X / Z + width / 2, f Y / Z + height / 2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

NEAR = 0.05  # metres; what is closer to the camera is cut away


@dataclass(frozen=True)
class View:
    """A pinhole camera.

    Attributes:
        pose: (4, 4), takes its OpenCV coordinates to the scene's, metres.
        focal: focal length, pixels.
        centre: principal point (x, y), pixels.
        size: (width, height) of its picture, pixels.
    """

    pose: np.ndarray
    focal: float
    centre: tuple[float, float]
    size: tuple[int, int]

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Scene points (..., 3) in this camera's frame, metres."""
        pose = self.pose.astype(points.dtype, copy=False)
        local: np.ndarray = (points - pose[:3, 3]) @ pose[:3, :3]
        return local

    def enlarged(self, factor: int) -> View:
        """The same camera with so many times as many pixels in either direction."""
        width, height = self.size
        x, y = self.centre
        return View(self.pose, self.focal * factor, (x * factor, y * factor), (width * factor, height * factor))


def front_view(width: int, height: int, focal: float) -> View:
    """The camera that filmed: at the origin, principal point at the picture's centre; all in pixels."""
    return View(np.eye(4), focal, (width / 2, height / 2), (width, height))


def side_view(points: np.ndarray, pivot: np.ndarray, size: tuple[int, int], focal: float) -> View:
    """A camera 90 degrees around the vertical axis through a pivot, looking at it from the scene's right (+x).

    It stands as far from the pivot as the filming camera does, so that people keep their size, or further where
    that is needed to see all points.

    Args:
        points: (N, 3) metres, all of which it sees.
        pivot: (3,) metres.
        size: (width, height) of its picture, pixels.
        focal: focal length, pixels.
    """
    # Columns: the side camera's x (right), y (down), z (forward) axes in the scene. Standing at +x and looking
    # along -x with y down, right is +z: away from the filming camera.
    rotation = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    local = (points - pivot) @ rotation
    half = np.array(size) / 2 * 0.95  # a little air at the rim
    # |focal * x / (z + distance)| <= half for every point, in both directions.
    needed = np.max(focal * np.abs(local[:, :2]) / half - local[:, 2:3])
    distance = max(float(pivot[2]), float(needed), 10 * NEAR)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = pivot - distance * rotation[:, 2]
    return View(pose, focal, (size[0] / 2, size[1] / 2), size)


def bounds_centre(vertices: np.ndarray) -> np.ndarray:
    """(3,) centre of the box around people (P, V, 3)."""
    points = vertices.reshape(-1, 3)
    centre: np.ndarray = (points.min(axis=0) + points.max(axis=0)) / 2
    return centre


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels, x0 <= x < x1 and y0 <= y < y1, and the depths of what lies in it.

    Attributes:
        x0: left edge, pixels.
        y0: upper edge, pixels.
        x1: right edge, pixels.
        y1: lower edge, pixels.
        near: smallest depth, metres.
        far: largest depth, metres.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    near: float
    far: float

    def enlarged(self, factor: int) -> Region:
        """The same region in a picture with so many times as many pixels in either direction."""
        x0, y0, x1, y1 = (factor * edge for edge in (self.x0, self.y0, self.x1, self.y1))
        return replace(self, x0=x0, y0=y0, x1=x1, y1=y1)

    def even(self) -> Region:
        """The smallest region around this one whose edges are even."""
        return replace(
            self, x0=self.x0 - self.x0 % 2, y0=self.y0 - self.y0 % 2, x1=self.x1 + self.x1 % 2, y1=self.y1 + self.y1 % 2
        )


def covered_region(vertices: np.ndarray, view: View, margin: int = 2) -> Region | None:
    """The part of the picture that people can cover.

    A person who reaches behind the near plane may cover anything: for them the region is the whole picture.

    Args:
        vertices: (P, V, 3) metres in the scene.
        view: the camera.
        margin: pixels added on every side.

    Returns:
        The region; None if they cover nothing.
    """
    width, height = view.size
    camera = view.to_camera(vertices)
    depth = camera[..., 2]
    in_front = depth.max(axis=1) > NEAR
    if not in_front.any():
        return None
    camera, depth = camera[in_front], depth[in_front]
    far = float(depth.max())
    if depth.min() <= NEAR:
        return Region(0, 0, width, height, NEAR, far)
    scale = view.focal / depth
    columns, rows = camera[..., 0] * scale, camera[..., 1] * scale
    # Only people whose own box meets the picture count, or two of them far out on either side would fill it.
    low = np.stack([columns.min(axis=1), rows.min(axis=1)], axis=1) + view.centre - margin
    high = np.stack([columns.max(axis=1), rows.max(axis=1)], axis=1) + view.centre + margin
    seen = (high > 0).all(axis=1) & (low < (width, height)).all(axis=1)
    if not seen.any():
        return None
    x0, y0 = np.floor(np.maximum(low[seen].min(axis=0), 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(high[seen].max(axis=0), (width, height))).astype(int)
    return Region(int(x0), int(y0), int(x1), int(y1), float(depth.min()), far)


class NormalMap:
    """Vertex normals of a mesh whose faces never change: the adjacency is built once, each frame is two products.

    Args:
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        n_vertices: vertices of the mesh.
    """

    def __init__(self, faces: np.ndarray, n_vertices: int) -> None:
        n_faces = len(faces)
        rows = np.concatenate([faces[:, 0], faces[:, 1], faces[:, 2]])
        columns = np.tile(np.arange(n_faces), 3)
        ones = np.ones(3 * n_faces, dtype=np.float32)
        self._gather = sparse.csr_matrix((ones, (rows, columns)), shape=(n_vertices, n_faces))
        self._corners = np.ascontiguousarray(faces.T)

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """Unit normals (V, 3) of vertices (V, 3): the sum of the adjoining faces' normals, weighted by their area."""
        # Coordinate by coordinate: NumPy gathers and multiplies long runs of numbers far faster than rows of three.
        x, y, z = (np.take(np.ascontiguousarray(axis), self._corners) for axis in vertices.T)
        ux, vx, uy, vy, uz, vz = x[1] - x[0], x[2] - x[0], y[1] - y[0], y[2] - y[0], z[1] - z[0], z[2] - z[0]
        face_normals = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)
        normals = self._gather @ face_normals
        length = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        unit: np.ndarray = normals / np.maximum(length, 1e-20)[:, None]
        return unit


def unique_edges(faces: np.ndarray) -> np.ndarray:
    """(E, 2) vertex indices of every edge of faces (F, 3), each once."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)
