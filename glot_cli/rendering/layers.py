"""A picture's planes of brightness and colour (video/planes.py), or a part of them, and what is put over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from glot_cli.rendering.geometry import Region
from glot_cli.rendering.shading import blend_over, to_yuv

_BACKGROUND = np.round(255 * to_yuv(np.array([236, 238, 241]) / 255)).astype(np.uint8)  # where the video is not shown


class Layers(NamedTuple):
    """Y (h, w), U and V (h / 2, w / 2), uint8, changed in place."""

    planes: tuple[np.ndarray, np.ndarray, np.ndarray]

    def cut(self, x0: int, y0: int, x1: int, y1: int) -> Layers:
        """The part x0 <= x < x1, y0 <= y < y1, all four even."""
        y, u, v = self.planes
        half = slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2)
        return Layers((y[y0:y1, x0:x1], u[half], v[half]))

    def fill(self) -> None:
        """Make it the colour of no video."""
        for plane, level in zip(self.planes, _BACKGROUND, strict=True):
            plane[:] = level

    def put(self, drawn: tuple[Region, np.ndarray] | None) -> None:
        """Put what `scene.MeshScene.draw` gives over it."""
        if drawn is not None:
            region, pixels = drawn
            blend_over(self.cut(region.x0, region.y0, region.x1, region.y1).planes, pixels)
