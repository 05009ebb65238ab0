"""Where the camera stands, how it turns, and where people play: in sight all the time, and clear of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from glot_cli.synth.acting import Actor, Array
from glot_cli.synth.request import ClipRequest, Shot

PLACEMENT_TRIES = 2000  # cameras and places that are tried for a cast
APART = 0.75  # metres between two people's pelves, at least
CLEARANCE = 1.5  # metres from the camera, of anything of anybody
MARGIN = 0.02  # of the picture's size, kept free around people
SWAY = 0.15  # seconds; how slowly an unsteady hand moves
COARSE = 40  # every n-th vertex tells where people are


@dataclass(frozen=True)
class Camera:
    """A pinhole that turns where it stands, at the origin of the floor.

    Attributes:
        size: (width, height) of its picture, pixels.
        focal: focal length, pixels.
        height: above the floor, metres.
        angles: (T, 3) radians: heading about the vertical, pitch down, roll.
    """

    size: tuple[int, int]
    focal: float
    height: float
    angles: Array

    @property
    def centre(self) -> Array:
        """(2,) principal point, pixels."""
        return np.array(self.size) / 2

    @property
    def position(self) -> Array:
        """(3,) metres in the world."""
        return np.array([0.0, self.height, 0.0])

    @property
    def matrix(self) -> Array:
        """(3, 3) from its own frame, at depth 1, to pixels."""
        return np.array([[self.focal, 0, self.centre[0]], [0, self.focal, self.centre[1]], [0, 0, 1]])

    @property
    def rotations(self) -> Array:
        """(T, 3, 3), one a frame."""
        return np.stack([rotation(angles) for angles in self.angles])


def rotation(angles: Sequence[float] | Array) -> Array:
    """From the world into the frame of a camera.

    Args:
        angles: (3,) radians: heading about the vertical (y; at 0 it looks along -z), pitch down, roll.

    Returns:
        (3, 3).
    """
    (c, cp, cr), (s, sp, sr) = np.cos(angles), np.sin(angles)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(roll @ tilt @ np.diag([1.0, -1, -1]) @ turn)


def place_everyone(
    actors: list[Actor], request: ClipRequest, shot: Shot, rng: np.random.Generator
) -> tuple[Camera, list[Actor]] | None:
    """Look for a camera and places where everyone is in sight all the time, and clear of the others.

    Args:
        actors: who plays, anywhere.
        request: what is asked of the camera.
        shot: what this clip came to.
        rng: draws the rest.

    Returns:
        The camera and the actors in their places; None where none were found: other takes may fit.
    """
    frames, size = len(actors[0].joints), request.size
    diagonal = float(np.hypot(*size))
    sway = _sway(frames, shot.shake, float(request.fps), rng)
    sway[:, 0] += np.radians(shot.pan) * np.linspace(-0.5, 0.5, frames)
    sketches = [replace(actor, vertices=actor.vertices[:, ::COARSE]) for actor in actors]
    for _ in range(PLACEMENT_TRIES):
        height, focal = rng.uniform((1.0, 0.7 * diagonal), (2.0, 1.3 * diagonal))
        distance = 2.5 + 3.5 * rng.random() ** 2  # rather near: the near ones are turned down more often
        height = height if request.height is None else request.height
        distance = distance if request.distance is None else request.distance
        focal = float(focal if request.focal is None else request.focal)
        pitch = np.arctan((height - 0.9) / distance) + np.radians(rng.normal() * 1.5)  # at people's middle, about
        camera = Camera(size, focal, float(height), sway + np.array([0.0, pitch, 0.0]))
        places = []
        for index in range(len(actors)):
            depth = distance + (rng.uniform(-0.3, 2.2) if index else 0.0)
            spread = 0.3 if len(actors) == 1 else 0.45
            x = rng.uniform(-spread, spread) * depth * size[0] / focal
            places.append((rng.uniform(0, 2 * np.pi), x, -depth))
        placed = [sketch.moved(*place) for sketch, place in zip(sketches, places, strict=True)]
        if _clear(placed) and _in_sight(placed, camera):
            return camera, [actor.moved(*place) for actor, place in zip(actors, places, strict=True)]
    return None


def _sway(frames: int, degrees: float, fps: float, rng: np.random.Generator) -> Array:
    """(frames, 3) radians: how an unsteady hand turns the camera."""
    smooth = gaussian_filter1d(rng.normal(size=(frames, 3)), SWAY * fps, axis=0, mode="reflect")
    usual = (2 * np.sqrt(np.pi) * max(SWAY * fps, 0.3)) ** -0.5  # standard deviation that the filter leaves of 1
    return np.asarray(smooth / usual * np.radians(degrees))


def _in_sight(actors: list[Actor], camera: Camera) -> bool:
    rotations = camera.rotations
    for actor in actors:
        points = np.matmul(actor.vertices - camera.position, rotations.transpose(0, 2, 1))
        if points[..., 2].min() < CLEARANCE:
            return False
        share = (points[..., :2] / points[..., 2:] * camera.focal + camera.centre) / camera.size
        if share.min() < MARGIN or share.max() > 1 - MARGIN:
            return False
    return True


def _clear(actors: list[Actor]) -> bool:
    paths = [actor.joints[:, 0] for actor in actors]
    return all(
        np.linalg.norm((p - q)[:, [0, 2]], axis=-1).min() > APART for i, p in enumerate(paths) for q in paths[:i]
    )
