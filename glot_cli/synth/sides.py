"""Flat parts of a room: drawn once, then warped into every frame of a camera that travels (a plane's homography)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from glot_cli.synth.acting import Array
from glot_cli.synth.placement import Stance

STRIP = 128  # rows that are drawn at once
MOST_TEXELS = 8_000_000  # of one
TILE = 1.0  # metres: they are warped in pieces of about this size, each from the texture as fine as it needs
LEVELS = 5  # such textures, each half as fine as the one before
FORWARD, NEAR = np.array([0.0, 0.0, 1.0]), 0.2  # metres ahead; what is closer to the camera is cut away
FINE = 4  # bits of a pixel's parts in which OpenCV takes corners


class Side:
    """An upright or level rectangle, seen from one side.

    Args:
        low: (3,) its lowest corner, metres.
        high: (3,) its highest corner; the axis along which the two do not differ is the one it lies across.
        faces: +1 or -1: the side of that axis to which it can be seen.
        finest: texels a metre.
        picture: colours (..., C), 0 to 1, of points (..., 3) on it.
    """

    def __init__(self, low: Array, high: Array, faces: int, finest: float, picture: Callable[[Array], Array]) -> None:
        spread = high - low
        self._corner, self._faces = low, faces
        self._axis = int(np.argmin(spread))
        self._axes = [axis for axis in range(3) if axis != self._axis]
        self._lengths = spread[self._axes]
        finest = min(finest, float(np.sqrt(MOST_TEXELS / self._lengths.prod())))
        coarsest = 2 ** (LEVELS - 1)
        self._counts = np.ceil(self._lengths * finest / coarsest).astype(int) * coarsest
        wide, tall = map(int, self._counts)
        across = (np.arange(wide) + 0.5) / wide
        parts = []
        for top in range(0, tall, STRIP):
            along = (np.arange(top, min(top + STRIP, tall)) + 0.5) / tall
            colours = picture(self._points(*np.meshgrid(across, along)))
            parts.append((np.clip(colours, 0, 1) * 255).round().astype(np.uint8))
        self._textures = {(0, 0): np.concatenate(parts)}

    def draw(self, canvas: NDArray[np.uint8], stance: Stance, matrix: Array) -> None:
        """Draw it over what is there.

        Args:
            canvas: (H, W, 3) or (H, W, 4), changed in place; of four, the last is coverage.
            stance: where the camera is.
            matrix: (3, 3) from its frame to pixels of the canvas.
        """
        if (stance.position[self._axis] - self._corner[self._axis]) * self._faces <= 0:
            return
        tiles = np.ceil(self._lengths / TILE).astype(int)
        ends = np.meshgrid(*(np.linspace(0, 1, count + 1) for count in tiles))
        corners = stance.sees(self._points(*ends))
        for row, column in np.ndindex(*tiles[::-1]):
            quad = corners[[row, row, row + 1, row + 1], [column, column + 1, column + 1, column]]
            self._draw_tile(canvas, cut(quad, FORWARD, NEAR), stance, matrix)

    def _draw_tile(self, canvas: NDArray[np.uint8], polygon: Array, stance: Stance, matrix: Array) -> None:
        """Draw what lies in a polygon (N, 3), metres in the camera's frame."""
        if not len(polygon):
            return
        pixels = (polygon / polygon[:, 2:]) @ matrix[:2].T
        size = np.array(canvas.shape[1::-1])
        low = (np.floor(pixels.min(0)).astype(int) - 1).clip(0)
        wide, tall = (np.ceil(pixels.max(0)).astype(int) + 1).clip(max=size) - low
        if wide <= 0 or tall <= 0:
            return
        mask = np.zeros((tall, wide), np.uint8)
        fine = np.round((pixels - low - 0.5) * 2**FINE).astype(np.int32)  # OpenCV counts from the middle of a pixel
        cv2.fillConvexPoly(mask, fine, 255, cv2.LINE_8, FINE)
        if not mask.any():
            return
        texture = self._texture(polygon.mean(0), stance, matrix[0, 0])
        axes = stance.turn[:, self._axes] * (self._lengths / texture.shape[1::-1])
        plane = matrix @ np.concatenate([axes, stance.sees(self._corner)[:, None]], axis=1)
        plane = on_pixels(np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]) @ plane)
        beyond = cv2.BORDER_REPLICATE
        piece = cv2.warpPerspective(texture, plane, (int(wide), int(tall)), flags=cv2.INTER_LINEAR, borderMode=beyond)
        into = canvas[low[1] : low[1] + tall, low[0] : low[0] + wide]
        if canvas.shape[-1] == 4:
            piece = np.dstack([piece, mask])
        cv2.copyTo(piece, mask, into)

    def _texture(self, at: Array, stance: Stance, focal: float) -> NDArray[np.uint8]:
        """The coarsest texture that has a texel a pixel at a point (3,) of the camera's frame, either way."""
        axes = stance.turn[:, self._axes]
        grown = focal / at[2] * np.linalg.norm(axes[:2] - at[:2, None] / at[2] * axes[2], axis=0)  # pixels a metre
        level = np.floor(np.log2(self._counts / self._lengths / np.maximum(grown, 1e-9)))
        across, along = (int(n) for n in level.clip(0, LEVELS - 1))
        if (across, along) not in self._textures:
            wide, tall = self._counts[0] >> across, self._counts[1] >> along
            shrunk = cv2.resize(self._textures[0, 0], (int(wide), int(tall)), interpolation=cv2.INTER_AREA)
            self._textures[across, along] = shrunk.astype(np.uint8, copy=False)
        return self._textures[across, along]

    def _points(self, across: Array, along: Array) -> Array:
        """World points (..., 3) at shares (...) of its sides."""
        points = np.tile(self._corner, (*across.shape, 1)).astype(float)
        points[..., self._axes] += np.stack([across, along], -1) * self._lengths
        return points


def cut(polygon: Array, normal: Array, offset: float) -> Array:
    """The part of a convex polygon (N, 3) whose points have normal @ point >= offset (Sutherland and Hodgman, 1974)."""
    inside = polygon @ normal - offset
    kept = []
    for i, (point, height) in enumerate(zip(polygon, inside, strict=True)):
        before = inside[i - 1]
        if (before >= 0) != (height >= 0):
            kept.append(polygon[i - 1] + before / (before - height) * (point - polygon[i - 1]))
        if height >= 0:
            kept.append(point)
    return np.array(kept).reshape(-1, 3)


def on_pixels(matrix: Array) -> Array:
    """A homography (3, 3) of places in pictures, for OpenCV, which counts from the middle of a pixel."""
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    return np.asarray(half @ matrix @ np.linalg.inv(half))
