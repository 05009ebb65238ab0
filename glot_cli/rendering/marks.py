"""Lines put into a picture of the world with OpenCV: the ways people went, and the camera that filmed."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from glot_cli.rendering.colours import person_colour
from glot_cli.rendering.floor import PART, on_picture
from glot_cli.rendering.geometry import View
from glot_cli.rendering.hiding import Hiding
from glot_cli.rendering.shading import to_yuv

_BITS = 4
_CAMERA = (0.16, 0.19, 0.24)  # sRGB
_GLASS = 0.16  # how dense the picture's plane of the camera is
_TRAIL = 0.85  # how dense the newest end of a trail is


class MarkCanvas:
    """A picture to draw marks on, which is then put over another.

    Args:
        view: the camera, in the world.
    """

    def __init__(self, view: View) -> None:
        width, height = view.size
        self._view = view
        self._width = max(1, round(max(view.size) / 640))
        self.pixels = np.zeros((height, width, 4), np.uint8)
        self._low, self._high = np.array([width, height]), np.zeros(2, int)

    @property
    def region(self) -> tuple[int, int, int, int] | None:
        """(x0, y0, x1, y1) with even edges, around all that was drawn; None if nothing was."""
        x0, y0 = np.maximum(self._low, 0) // 2 * 2
        x1, y1 = np.minimum((self._high + 1) // 2 * 2, self._view.size)
        return (int(x0), int(y0), int(x1), int(y1)) if x0 < x1 and y0 < y1 else None

    def trails(self, ways: Mapping[int, np.ndarray]) -> None:
        """Ways on the floor, in people's colours.

        Args:
            ways: (n, 3) x, z and strength of each person; see `stage.Stage`.
        """
        for person, way in ways.items():
            points = np.zeros((len(way), 3))
            points[:, [0, 2]] = way[:, :2]
            strengths = np.minimum(way[:-1, 2], way[1:, 2])
            drawn = strengths > 0
            lines = np.stack([points[:-1], points[1:]], axis=1)[drawn]
            for line, strength in zip(lines, strengths[drawn], strict=True):
                self.line(line, person_colour(person), _TRAIL * float(strength), 2)

    def area(self, corners: np.ndarray, colour: tuple[float, float, float], density: float) -> None:
        """A convex polygon (N, 3) of the world; left out where it reaches behind the view. Arguments as for `line`."""
        flat = on_picture(self._view, np.stack([corners, np.roll(corners, -1, axis=0)], axis=1))
        if len(flat) == len(corners):
            self._cover(flat)
            shape = np.ascontiguousarray(flat[:, 0])
            cv2.fillConvexPoly(self.pixels, shape, _premultiplied(colour, density), cv2.LINE_AA, _BITS)

    def line(self, ends: np.ndarray, colour: tuple[float, float, float], density: float, width: int) -> None:
        """A line between two points (2, 3) of the world.

        Args:
            ends: of it.
            colour: sRGB, 0 to 1.
            density: 0 to 1.
            width: how many times as wide as the finest line of the picture.
        """
        for start, end in on_picture(self._view, ends[None]):
            self._cover(np.stack([start, end])[:, None])
            wide = self._width * width
            cv2.line(self.pixels, start, end, _premultiplied(colour, density), wide, cv2.LINE_AA, _BITS)

    def _cover(self, pixels: np.ndarray) -> None:
        margin = 2 + 2 * self._width
        points = pixels.reshape(-1, 2) / PART
        self._low = np.minimum(self._low, np.floor(points.min(axis=0)).astype(int) - margin)
        self._high = np.maximum(self._high, np.ceil(points.max(axis=0)).astype(int) + margin)


def draw_camera(behind: MarkCanvas, before: MarkCanvas, hiding: Hiding, corners: np.ndarray, tip: np.ndarray) -> None:
    """The pyramid of a camera, and where it stands on the floor.

    Args:
        behind: receives what bodies hide.
        before: receives the rest.
        hiding: tells which is which.
        corners: (4, 3) of the camera's picture in the world, from the upper left one on clockwise.
        tip: (3,) where the camera is.
    """
    inner = np.linspace(0.1, 0.9, 5)[:, None]
    upper, lower = (corners[a] + inner * (corners[b] - corners[a]) for a, b in ((0, 1), (3, 2)))
    glass = upper[None] + inner[:, None] * (lower - upper)[None]
    (behind if hiding.hides(glass.reshape(-1, 3)).any() else before).area(corners, _CAMERA, _GLASS)
    foot = tip * [1.0, 0.0, 1.0]
    lines = [(np.stack([tip, foot]), 0.4)]
    for aside in (0.1, -0.1):
        lines.append((foot + np.array([[-0.1, 0.0, aside], [0.1, 0.0, -aside]]), 0.4))
    for corner, following in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        lines += [(np.stack([corner, following]), 1.0), (np.stack([tip, corner]), 1.0)]
    middle = (corners[0] + corners[1]) / 2
    top = middle + (middle - (corners[2] + corners[3]) / 2) * 0.35
    for corner in (0.7 * corners[0] + 0.3 * corners[1], 0.3 * corners[0] + 0.7 * corners[1]):
        lines.append((np.stack([corner, top]), 1.0))  # a roof over the picture's upper edge
    for line, density in lines:
        for ends, hidden in hiding.parts(line):
            (behind if hidden else before).line(ends, _CAMERA, density, 1)


def _premultiplied(colour: tuple[float, float, float], density: float) -> tuple[float, ...]:
    """Y, U, V and coverage from 0 to 255, the former multiplied by the latter."""
    return (*(255 * density * to_yuv(np.array(colour))).tolist(), 255 * density)
