"""Where the camera stands, how it turns, and where people play: in sight all the time, and clear of each other.

A camera that travels is carried past people, around them or along with them, and keeps them in its picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from glot_cli.synth.acting import Actor, Array
from glot_cli.synth.request import ClipRequest, Shot

PLACEMENT_TRIES = 2000  # cameras and places that are tried for a cast
APART = 0.75  # metres between two people's pelves, at least
CLEARANCE = 1.5  # metres from the camera, of anything of anybody
MARGIN = 0.02  # of the picture's size, kept free around people
SWAY = 0.15  # seconds; how slowly an unsteady hand turns
MIDDLE = 0.9  # metres: how high the middle of people is, about
LENGTHS = (1.0, 4.0)  # metres that a camera travels
PACES = (0.3, 1.5)  # metres a second
WIDEST_ARC = 1.2  # radians around people
WIDEST_HEADING = 0.8  # radians off the way to the back wall, for a camera that travels: there is no wall behind it
STRIDE, BOB = 0.95, (0.01, 0.012)  # strides a second; metres aside and up that whoever carries a camera goes with each
DRIFT = (0.4, 0.012)  # seconds and metres: how slowly and far its place wanders besides
FOLLOWS = 1.0  # seconds; how slowly whoever carries it turns to people who move
COARSE = 40  # every n-th vertex tells where people are


class Stance(NamedTuple):
    """A camera at one moment.

    Attributes:
        position: (3,) where it is in the world, metres.
        turn: (3, 3) from the world's axes to its own.
        zoom: its focal length over that of the `Camera`.
    """

    position: Array
    turn: Array
    zoom: float = 1.0

    def sees(self, points: Array) -> Array:
        """World points (..., 3) in its frame, metres."""
        return np.asarray((points - self.position) @ self.turn.T)


@dataclass(frozen=True)
class Camera:
    """A pinhole that turns where it stands, at the origin of the floor, or is there halfway when it travels.

    Attributes:
        size: (width, height) of its picture, pixels.
        focal: focal length, pixels; of one that zooms, halfway.
        positions: (T, 3) in the world, metres.
        angles: (T, 3) radians: heading about the vertical, pitch down, roll.
        zoom: (T,) focal length in each frame over `focal`; None where it stays.
    """

    size: tuple[int, int]
    focal: float
    positions: Array
    angles: Array
    zoom: Array | None = None

    @property
    def centre(self) -> Array:
        """(2,) principal point, pixels."""
        return np.array(self.size) / 2

    @property
    def height(self) -> float:
        """Above the floor at first, metres."""
        return float(self.positions[0, 1])

    @property
    def travels(self) -> bool:
        """Whether its place changes."""
        return bool((self.positions != self.positions[0]).any())

    @property
    def turns(self) -> bool:
        """Whether it ever looks elsewhere."""
        return bool((self.angles != self.angles[0]).any())

    @property
    def matrix(self) -> Array:
        """(3, 3) from its own frame, at depth 1, to pixels."""
        return np.array([[self.focal, 0, self.centre[0]], [0, self.focal, self.centre[1]], [0, 0, 1]])

    @property
    def focals(self) -> Array:
        """(T,) focal length in each frame, pixels."""
        return self.focal * (np.ones(len(self.angles)) if self.zoom is None else self.zoom)

    @cached_property
    def rotations(self) -> Array:
        """(T, 3, 3), one a frame."""
        return np.stack([rotation(angles) for angles in self.angles])

    def at(self, time: float) -> Stance:
        """Where it is at a time in frames, between two of them too."""
        frames = np.arange(len(self.angles))
        position, angles = (
            np.array([np.interp(time, frames, values) for values in path.T]) for path in (self.positions, self.angles)
        )
        zoom = 1.0 if self.zoom is None else float(np.exp(np.interp(time, frames, np.log(self.zoom))))
        return Stance(position, rotation(angles), zoom)

    def sees(self, points: Array) -> Array:
        """World points (T, N, 3) of every frame in its frame, metres."""
        return np.asarray(np.matmul(points - self.positions[:, None], self.rotations.transpose(0, 2, 1)))


def standing(height: float, frames: int) -> Array:
    """(frames, 3) positions of a camera that stays above the origin, metres."""
    return np.tile([0.0, height, 0.0], (frames, 1))


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
    frames, size, fps = len(actors[0].joints), request.size, float(request.fps)
    diagonal = float(np.hypot(*size))
    sway = _wander(frames, SWAY * fps, rng) * np.radians(shot.shake)
    sway[:, 0] += np.radians(shot.pan) * np.linspace(-0.5, 0.5, frames)
    zoom = None if shot.zoom == 1 else np.exp(np.linspace(-0.5, 0.5, frames) * np.log(shot.zoom))
    sketches = [replace(actor, vertices=actor.vertices[:, ::COARSE]) for actor in actors]
    for _ in range(PLACEMENT_TRIES):
        height, focal = rng.uniform((1.0, 0.7 * diagonal), (2.0, 1.3 * diagonal))
        distance = 2.5 + 3.5 * rng.random() ** 2  # rather near: the near ones are turned down more often
        height = height if request.height is None else request.height
        distance = distance if request.distance is None else request.distance
        focal = float(focal if request.focal is None else request.focal)
        pitch = np.arctan((height - MIDDLE) / distance) + np.radians(rng.normal() * 1.5)
        camera = Camera(size, focal, standing(float(height), frames), sway + np.array([0.0, pitch, 0.0]), zoom)
        places = []
        for index in range(len(actors)):
            depth = distance + (rng.uniform(-0.3, 2.2) if index else 0.0)
            spread = 0.3 if len(actors) == 1 else 0.45
            x = rng.uniform(-spread, spread) * depth * size[0] / focal
            places.append((rng.uniform(0, 2 * np.pi), x, -depth))
        placed = [sketch.moved(*place) for sketch, place in zip(sketches, places, strict=True)]
        if shot.travel:
            camera = _carried(camera, [actor.joints[:, 0] for actor in placed], float(distance), fps, rng)
            if np.abs(camera.angles[:, 0]).max() > WIDEST_HEADING:
                continue
        if _clear(placed) and _in_sight(placed, camera):
            return camera, [actor.moved(*place) for actor, place in zip(actors, places, strict=True)]
    return None


def _carried(camera: Camera, paths: list[Array], distance: float, fps: float, rng: np.random.Generator) -> Camera:
    """The camera on its way through the room.

    Args:
        camera: that stands and looks at people `distance` metres away.
        paths: (T, 3) pelves of them, metres.
        distance: metres.
        fps: frames a second.
        rng: draws the way: along a line, around people, or along with the first of them, if they walk.
    """
    frames = len(camera.angles)
    seconds = frames / fps
    slowest, fastest = (np.clip(pace * seconds, *LENGTHS) for pace in PACES)
    length = min(rng.uniform(slowest, fastest), PACES[1] * seconds)
    along = np.linspace(-0.5, 0.5, frames) * length
    kind, direction = rng.choice(["line", "arc", "with"]), rng.uniform(0, 2 * np.pi)
    first, people = (
        gaussian_filter1d(path * [1, 0, 1], FOLLOWS * fps, axis=0, mode="nearest")
        for path in (paths[0], np.mean(paths, axis=0))
    )
    way = along[:, None] * [np.cos(direction), 0, np.sin(direction)]
    if kind == "arc":
        angle = along / length * min(length / distance, WIDEST_ARC)
        way = distance * np.stack([np.sin(angle), 0 * angle, np.cos(angle) - 1], axis=1)
    elif kind == "with" and slowest <= np.linalg.norm(np.diff(first, axis=0), axis=1).sum() <= fastest:
        way = first - first[frames // 2]
    step = 2 * np.pi * (STRIDE * np.arange(frames) / fps + rng.random())
    bob = np.stack([BOB[0] * np.sin(step), BOB[1] * np.sin(2 * step), 0 * step], axis=1)
    positions = camera.positions + way + bob + _wander(frames, DRIFT[0] * fps, rng) * DRIFT[1]
    aim = np.array([0, MIDDLE, -distance]) + people - people.mean(0) - positions
    pitch = np.arctan2(-aim[:, 1], np.hypot(aim[:, 0], aim[:, 2])) - np.arctan((camera.height - MIDDLE) / distance)
    turned = np.stack([np.arctan2(aim[:, 0], -aim[:, 2]), pitch, 0 * pitch], axis=1)
    return replace(camera, positions=positions, angles=camera.angles + turned)


def _wander(frames: int, smooth: float, rng: np.random.Generator) -> Array:
    """(frames, 3) of standard deviation 1: how an unsteady hand moves, smoothed over so many frames."""
    smoothed = gaussian_filter1d(rng.normal(size=(frames, 3)), smooth, axis=0, mode="reflect")
    usual = (2 * np.sqrt(np.pi) * max(smooth, 0.3)) ** -0.5  # standard deviation that the filter leaves of 1
    return np.asarray(smoothed / usual)


def _in_sight(actors: list[Actor], camera: Camera) -> bool:
    for actor in actors:
        points = camera.sees(actor.vertices)
        if points[..., 2].min() < CLEARANCE:
            return False
        share = (points[..., :2] / points[..., 2:] * camera.focals[:, None, None] + camera.centre) / camera.size
        if share.min() < MARGIN or share.max() > 1 - MARGIN:
            return False
    return True


def _clear(actors: list[Actor]) -> bool:
    paths = [actor.joints[:, 0] for actor in actors]
    return all(
        np.linalg.norm((p - q)[:, [0, 2]], axis=-1).min() > APART for i, p in enumerate(paths) for q in paths[:i]
    )
