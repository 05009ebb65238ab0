"""The floor of a world as a camera sees it: lines at whole metres that fade out, and what shade people cast on it.

Drawn with OpenCV: bodies stand on the floor and are put over it, so no depth has to be compared, and a software
rasteriser would take many times as long over a whole picture. A floor is grey: only brightness changes.
"""

from __future__ import annotations

import cv2
import numpy as np

from glot_cli.rendering.geometry import View

NEAREST = 0.2  # metres before the camera, from which on lines are drawn
PART = 16  # OpenCV takes 1/16 of a pixel
_PART_BITS = 4
_TONE, _FINE, _WHOLE = 8, 22, 52  # levels of brightness by which floor, fine lines and those of metres are darker
_FINE_FROM, _WHOLE_FROM = 40.0, 6.0  # pixels between lines, below which they are left out
_COARSE = 8  # the fading is worked out at so many times fewer pixels
_CELL = 0.05  # metres a pixel of a shadow
_SHADE = 70  # levels of brightness
_SHADE_HEIGHT = 0.5  # metres above the floor, over which what casts it counts e times less


def line_steps(view: View, middle: np.ndarray) -> tuple[float, float | None]:
    """Metres between lines: of the strong ones, whole metres or tens of them, and half of it where there is space."""
    scale = view.focal / max(float(view.to_camera(middle)[2]), NEAREST)
    step = 1.0
    while step * scale < _WHOLE_FROM:
        step *= 10.0
    return step, step / 2 if step / 2 * scale >= _FINE_FROM else None


def grid_lines(middle: np.ndarray, radius: float, step: float) -> np.ndarray:
    """(L, 2, 3) ends of the lines at whole multiples of a step, both ways, within a circle on the floor."""
    lines = []
    for axis in (0, 2):
        first, last = np.ceil((middle[axis] - radius) / step), np.floor((middle[axis] + radius) / step)
        at = step * np.arange(first, last + 1)
        half = np.sqrt(np.maximum(radius**2 - (at - middle[axis]) ** 2, 0.0))
        ends = np.zeros((len(at), 2, 3))
        ends[:, :, axis] = at[:, None]
        ends[:, :, 2 - axis] = middle[2 - axis] + half[:, None] * [-1.0, 1.0]
        lines.append(ends)
    return np.concatenate(lines)


def on_picture(view: View, lines: np.ndarray) -> np.ndarray:
    """(K, 2, 2) int32 ends in the picture, in OpenCV's parts of pixels, of lines (L, 2, 3); those behind it are cut."""
    ends = view.to_camera(lines)
    depth = ends[..., 2]
    ends = ends[(depth > NEAREST).any(axis=1)]
    near, far = ends[:, :, 2].argmin(axis=1), ends[:, :, 2].argmax(axis=1)
    rows = np.arange(len(ends))
    z, beyond = ends[rows, near, 2], ends[rows, far]
    share = np.clip((NEAREST - z) / np.maximum(beyond[:, 2] - z, 1e-9), 0.0, 1.0)[:, None]
    ends[rows, near] += share * (beyond - ends[rows, near])
    pixels = view.focal * ends[..., :2] / ends[..., 2:] + view.centre - 0.5  # OpenCV counts from a pixel's centre
    cut: np.ndarray = np.round(PART * pixels).astype(np.int32)
    return cut


def fading(view: View, middle: np.ndarray, radius: float) -> np.ndarray:
    """(H, W) uint8: how much of the floor is seen in each pixel, 255 below the middle, 0 from the radius on."""
    width, height = view.size
    columns, rows = (np.arange(_COARSE / 2, length + _COARSE / 2, _COARSE) for length in view.size)
    rays = np.stack(np.broadcast_arrays(*np.meshgrid(columns, rows), 0.0), axis=-1)
    rays = np.concatenate([(rays[..., :2] - view.centre) / view.focal, np.ones_like(rays[..., :1])], axis=-1)
    rays = rays @ view.pose[:3, :3].T
    eye = view.pose[:3, 3]
    below = -rays[..., 1] * np.sign(eye[1])
    length = abs(eye[1]) / np.maximum(below, 1e-9)
    hit = eye[[0, 2]] + length[..., None] * rays[..., [0, 2]]
    apart = np.linalg.norm(hit - middle[[0, 2]], axis=-1) / radius
    share = np.clip(1.0 - apart, 0.0, 1.0)
    share = np.where(below > 0, share * share * (3 - 2 * share), 0.0)
    whole = cv2.resize(np.round(255 * share).astype(np.uint8), None, fx=_COARSE, fy=_COARSE)
    cut: np.ndarray = whole[:height, :width]
    return cut


def paint_floor(brightness: np.ndarray, view: View, middle: np.ndarray, radius: float) -> None:
    """Draw the floor into a picture, in place.

    Args:
        brightness: (H, W) uint8, of the view's size.
        view: the camera, in the world.
        middle: (3,) metres, what it looks at, around which the floor is seen.
        radius: metres.
    """
    step, fine = line_steps(view, middle)
    lines = np.zeros(brightness.shape, np.uint8)
    thickness = max(1, round(max(view.size) / 1400))
    for spacing, strength in ((fine, _FINE), (step, _WHOLE)):
        if spacing is not None:
            ends = on_picture(view, grid_lines(middle, radius, spacing))
            cv2.polylines(lines, list(ends), False, strength, thickness, cv2.LINE_AA, _PART_BITS)
    lines += np.uint8(_TONE)
    darker = cv2.multiply(lines, fading(view, middle, radius), scale=1 / 255)
    cv2.subtract(brightness, darker, dst=brightness)


def paint_shadow(brightness: np.ndarray, view: View, points: np.ndarray) -> None:
    """Darken the floor below a body, in place: light falls straight down, and softly.

    Args:
        brightness: (H, W) uint8, of the view's size.
        view: the camera, in the world.
        points: (V, 3) of its surface in the world, metres.
    """
    margin = 3
    low = np.floor(points[:, [0, 2]].min(axis=0) / _CELL).astype(int) - margin
    columns, rows = (np.floor(points[:, [0, 2]] / _CELL).astype(int) - low).T
    width, height = int(columns.max()) + margin + 1, int(rows.max()) + margin + 1
    if max(width, height) * _CELL > 10.0:  # no body
        return
    weights = np.exp(-np.maximum(points[:, 1], 0.0) / _SHADE_HEIGHT)
    cover = np.bincount(rows * width + columns, weights, width * height).reshape(height, width)
    soft = cv2.GaussianBlur(np.minimum(cover, 1.0).astype(np.float32), (0, 0), 1.4)
    # From the pixels of the shadow to the floor, to the camera, to the picture.
    origin = np.array([low[0] + 0.5, 0.0, low[1] + 0.5]) * _CELL - view.pose[:3, 3]
    to_floor = np.stack([[_CELL, 0.0, 0.0], [0.0, 0.0, _CELL], origin], axis=1)
    lens = np.array([[view.focal, 0, view.centre[0] - 0.5], [0, view.focal, view.centre[1] - 0.5], [0, 0, 1]])
    matrix = lens @ view.pose[:3, :3].T @ to_floor
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ matrix.T
    if corners[:, 2].min() < NEAREST:
        return
    pixels = corners[:, :2] / corners[:, 2:]
    x0, y0 = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, view.size)
    if x0 >= x1 or y0 >= y1:
        return
    matrix = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]]) @ matrix
    shade = cv2.warpPerspective(np.round(_SHADE * soft).astype(np.uint8), matrix, (int(x1 - x0), int(y1 - y0)))
    part = brightness[y0:y1, x0:x1]
    cv2.subtract(part, shade, dst=part)
