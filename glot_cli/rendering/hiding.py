"""Which parts of lines bodies hide: depth is compared in small cells of the picture, without reading any back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from glot_cli.rendering.geometry import NEAR, View

_CELLS = 100  # along the longer side of the picture; a body's vertices leave no hole of a hundredth
_PIECES = 32  # of a line, each of which is hidden or not


class Hiding:
    """How near bodies come in each part of a picture.

    Args:
        view: the camera.
        points: (N, 3) of their surfaces in its scene, metres, close together.
    """

    def __init__(self, view: View, points: np.ndarray) -> None:
        self._view, self._cell = view, max(view.size) / _CELLS
        width, height = (int(length // self._cell) + 1 for length in view.size)
        self._nearest = np.full((height, width), np.inf)
        column, row, depth, inside = self._cells(points)
        np.minimum.at(self._nearest, (row[inside], column[inside]), depth[inside])

    def hides(self, points: np.ndarray) -> np.ndarray:
        """(N,) whether something is before points (N, 3) of the scene; what lies outside the picture is not hidden."""
        column, row, depth, inside = self._cells(points)
        hidden = np.zeros(len(points), bool)
        hidden[inside] = self._nearest[row[inside], column[inside]] < depth[inside]
        return hidden

    def parts(self, line: np.ndarray) -> list[tuple[np.ndarray, bool]]:
        """A line (2, 3) of the scene cut where it goes behind bodies and comes forth: ends (2, 3), whether hidden."""
        shares = np.linspace(0.0, 1.0, _PIECES + 1)
        middles = (shares[:-1] + shares[1:]) / 2
        hidden = self.hides(line[0] + middles[:, None] * (line[1] - line[0]))
        cuts = [0, *(np.flatnonzero(np.diff(hidden)) + 1).tolist(), _PIECES]
        return [(line[0] + shares[[a, b], None] * (line[1] - line[0]), bool(hidden[a])) for a, b in pairwise(cuts)]

    def _cells(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Cells in which points (N, 3) fall, column and row; their depths, and whether they are in the picture."""
        local = self._view.to_camera(points)
        depth = local[:, 2]
        pixels = self._view.focal * local[:, :2] / np.maximum(depth, NEAR)[:, None] + self._view.centre
        inside = (depth > NEAR) & ((pixels >= 0) & (pixels < self._view.size)).all(axis=1)
        column, row = (np.where(inside[:, None], pixels, 0.0) // self._cell).astype(int).T
        return column, row, depth, inside
