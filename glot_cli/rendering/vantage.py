"""Where a camera of our own stands to see a world (y up, metres): upright, its picture's up is the world's. Arrays."""

from __future__ import annotations

import numpy as np

from glot_cli.rendering.geometry import NEAR

_UP = np.array([0.0, 1.0, 0.0])


def headings(rotations: np.ndarray) -> np.ndarray:
    """The way cameras face, laid into the horizontal: (F, 3) unit vectors in the world.

    Where a camera looks along the vertical, what its picture has above tells it.

    Args:
        rotations: (F, 3, 3) from the world's axes to the cameras'.
    """
    right, forward = rotations[:, 0], rotations[:, 2]
    # Twice forward, so that the two do not cancel out in a picture that is upside down.
    flat = (2.0 * forward + np.cross(_UP, right)) * [1.0, 0.0, 1.0]
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(length > 1e-6, flat / np.maximum(length, 1e-6), [0.0, 0.0, -1.0])


def to_the_right(heading: np.ndarray) -> np.ndarray:
    """What lies to the right of those who face horizontal directions (..., 3)."""
    return np.cross(heading, _UP)


def looking(towards: np.ndarray, down: float) -> np.ndarray:
    """Axes (..., 3, 3) of upright cameras: columns are right, down and forward, in the world.

    Args:
        towards: (..., 3) horizontal unit vectors, the way they look.
        down: how far they look down, radians.
    """
    right = to_the_right(towards)
    forward = np.cos(down) * towards - np.sin(down) * _UP
    return np.stack([right, np.cross(forward, right), forward], axis=-1)


def fitting(points: np.ndarray, axes: np.ndarray, size: tuple[int, int], focal: float, air: float) -> np.ndarray:
    """(3,) the nearest place from which a camera has all points in its picture, and they lie in its middle.

    Args:
        points: (N, 3) in the world.
        axes: (3, 3) of the camera, see `looking`.
        size: (width, height) of its picture, pixels.
        focal: focal length, pixels.
        air: share of the picture that stays empty at the rim.
    """
    local = points @ axes
    place = np.zeros(3)
    for axis in (0, 1):
        # |x - c| <= slope * (z - p) for all points is two planes: -p >= (a + b) / (2 slope) at c = (a - b) / 2.
        slope = (1 - air) * size[axis] / 2 / focal
        a = np.max(local[:, axis] - slope * local[:, 2])
        b = np.max(-local[:, axis] - slope * local[:, 2])
        place[axis] = (a - b) / 2
        place[2] = min(place[2], -(a + b) / (2 * slope)) if axis else -(a + b) / (2 * slope)
    place[2] = min(place[2], float(local[:, 2].min()) - 10 * NEAR)
    world: np.ndarray = axes @ place
    return world


def posed(axes: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(..., 4, 4), which take cameras' coordinates to the world's, of their axes (..., 3, 3) and places (..., 3)."""
    pose = np.zeros((*axes.shape[:-2], 4, 4))
    pose[..., :3, :3], pose[..., :3, 3], pose[..., 3, 3] = axes, place, 1.0
    return pose
