"""The empty room in every frame of a film: drawn once, and warped as its camera turns or travels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError
from glot_cli.synth.acting import Array
from glot_cli.synth.placement import Camera, Stance, rotation
from glot_cli.synth.room import Box, Room
from glot_cli.synth.sides import STRIP, Side, cut, on_pixels

OVER = 2.0  # a backdrop is finer than the picture: shrinking it smooths the edges
SLANTED = 0.2  # cosine, of rays to the backdrop's axis; more slanted ones are not drawn
AHEAD = 0.05  # cosine, of rays to the way towards the back wall: a room has no wall behind those who film
SPARE = 0.02  # metres around what is seen of a wall
PLAIN = 2.0  # texels a metre of what has one colour


class Backdrop:
    """The room around a camera that stands: drawn once, wide, and turned (a pinhole's turn is a homography).

    Raises:
        InputError: the camera sees too far around for one plane.
    """

    def __init__(self, room: Room, camera: Camera) -> None:
        self._camera = camera
        self._level = rotation([0.0, float(camera.angles[:, 1].mean()), 0.0])
        focal = float(camera.focals.max()) * OVER
        half = _reach(camera, self._level) + 0.02
        wide, high = (int(n) for n in np.ceil(2 * focal * half))
        self._matrix = np.array([[focal, 0, wide / 2], [0, focal, high / 2], [0, 0, 1]])
        self._picture = np.empty((high, wide, 3), np.float32)
        self._thing = None if room.before is None else np.empty((high, wide, 4), np.float32)
        x = (np.arange(wide) + 0.5 - wide / 2) / focal
        for top in range(0, high, STRIP):
            y = (np.arange(top, min(top + STRIP, high)) + 0.5 - high / 2) / focal
            rays = np.stack([*np.meshgrid(x, y), np.ones((len(y), wide))], -1) @ self._level
            self._picture[top : top + STRIP] = room.picture(camera.positions[0], rays)
            if self._thing is not None:
                self._thing[top : top + STRIP] = room.thing(camera.positions[0], rays)
        for layer in (self._picture, self._thing):
            if layer is not None:
                cv2.GaussianBlur(layer, (0, 0), 0.8, dst=layer)

    def frame(self, stance: Stance) -> NDArray[np.float32]:
        """(H, W, 3), 0 to 1: the room as the camera sees it."""
        return self._turned(self._picture, stance)

    def thing(self, stance: Stance) -> NDArray[np.float32] | None:
        """(H, W, 4): what stands before the people, colour multiplied by coverage; None where nothing does."""
        return None if self._thing is None else self._turned(self._thing, stance)

    def _turned(self, layer: NDArray[np.float32], stance: Stance) -> NDArray[np.float32]:
        turn = stance.turn @ self._level.T
        camera = self._camera.matrix @ np.diag([stance.zoom, stance.zoom, 1.0])
        matrix = on_pixels(camera @ turn @ np.linalg.inv(self._matrix))
        return np.asarray(cv2.warpPerspective(layer, matrix, self._camera.size, flags=cv2.INTER_LINEAR))


class Scenery:
    """The room around a camera that travels: all that is flat is drawn once, and warped by a homography of its own.

    Raises:
        InputError: the camera sees what is behind it, where no room is.
    """

    def __init__(self, room: Room, camera: Camera) -> None:
        self._camera = camera
        self._matrix = np.diag([OVER, OVER, 1]) @ camera.matrix
        self._size = tuple(round(OVER * length) for length in camera.size)
        self._walls = _walls(room, camera)
        self._boxes: list[tuple[Box, list[Side]]] = []
        for box in room.boxes:  # two that stand in one another have no order in which they could be drawn
            if all(box.low[0] > other.high[0] or box.high[0] < other.low[0] for other, _ in self._boxes):
                self._boxes.append((box, _sides(box, PLAIN, lambda at, colour: colour)))
        self._before = None
        if room.before is not None:
            finest = camera.focal / room.before.distance(camera.positions).min()
            self._before = _sides(room.before, finest, lambda at, colour: room.grained(colour, at))

    def frame(self, stance: Stance) -> NDArray[np.float32]:
        """(H, W, 3), 0 to 1: the room as the camera sees it."""
        canvas = np.zeros((*self._size[::-1], 3), np.uint8)
        for wall in self._walls:
            wall.draw(canvas, stance, self._matrix)
        aside = stance.position[0]
        # Boxes stand in a row along the wall: whatever is nearer along it may hide what is further off.
        far = [abs(aside - np.clip(aside, box.low[0], box.high[0])) for box, _ in self._boxes]
        for index in np.argsort(far)[::-1]:
            for side in self._boxes[index][1]:
                side.draw(canvas, stance, self._matrix)
        return self._shrunk(canvas)

    def thing(self, stance: Stance) -> NDArray[np.float32] | None:
        """(H, W, 4): what stands before the people, colour multiplied by coverage; None where nothing does."""
        if self._before is None:
            return None
        canvas = np.zeros((*self._size[::-1], 4), np.uint8)
        for side in self._before:
            side.draw(canvas, stance, self._matrix)
        return self._shrunk(canvas)

    def _shrunk(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = cv2.resize(canvas, self._camera.size, interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / np.float32(255)


def backdrop_of(room: Room, camera: Camera) -> Backdrop | Scenery:
    """What a film of the room shows behind people and before them."""
    return Scenery(room, camera) if camera.travels else Backdrop(room, camera)


def _walls(room: Room, camera: Camera) -> list[Side]:
    """All that is seen of walls, floor and ceiling in any frame."""
    width, height = camera.size
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    rays = corners @ np.linalg.inv(camera.matrix).T
    ahead = -(rays @ camera.rotations)[..., 2] / np.linalg.norm(rays, axis=-1)
    if ahead.min() < AHEAD:
        remedy = "ask for a longer focal length, or for a camera that does not travel"
        raise InputError("focal length and way: the camera sees too far around", remedy=remedy, option="focal")
    borders = np.cross(rays, np.roll(rays, -1, axis=0))  # planes through the camera and the picture's sides
    least = np.array([room.sides[0], 0, -room.back])
    most = np.array([room.sides[1], room.top, camera.positions[:, 2].max()])
    walls = []
    for across in range(3):
        for end, faces in ((least, 1), (most, -1)):
            if (across, faces) == (2, -1):
                continue  # behind the camera
            low, high = least.copy(), most.copy()
            low[across] = high[across] = end[across]
            seen, nearest = _seen(_outline(low, high), camera, borders)
            if not len(seen):
                continue
            low, high = (seen.min(0) - SPARE).clip(low, high), (seen.max(0) + SPARE).clip(low, high)

            def painted(points: Array, across: int = across) -> Array:
                return room.painted(np.full(points.shape[:-1], across), points)

            walls.append(Side(low, high, faces, camera.focal / nearest, painted))
    return walls


def _seen(polygon: Array, camera: Camera, borders: Array) -> tuple[Array, float]:
    """Corners (N, 3) of what all frames show of a polygon (K, 3) in the world, and the least distance to one, metres.

    The borders (4, 3) are planes through the camera and the sides of its picture, which lies on their positive sides.
    """
    corners, nearest = [], np.inf
    for position, turn in zip(camera.positions, camera.rotations, strict=True):
        shown = Stance(position, turn).sees(polygon)
        for border in borders:
            shown = cut(shown, border, 0.0)
        corners.append(shown @ turn + position)
        nearest = min(nearest, np.linalg.norm(shown, axis=1).min(initial=np.inf))
    return np.concatenate(corners), float(nearest)


def _sides(box: Box, finest: float, coloured: Callable[[Array, Array], Array]) -> list[Side]:
    """The sides of a box on the floor; `coloured` changes colours (..., 3) at points (..., 3)."""
    sides = []
    for across in range(3):
        for end, faces in ((box.low, -1), (box.high, 1)):
            if end[across] == 0:
                continue
            low, high = box.low.copy(), box.high.copy()
            low[across] = high[across] = end[across]

            def picture(points: Array, across: int = across) -> Array:
                return coloured(points, box.lit(np.full(points.shape[:-1], across)))

            sides.append(Side(low, high, faces, finest, picture))
    return sides


def _outline(low: Array, high: Array) -> Array:
    """(4, 3) corners, one after the other, of a rectangle between opposite ones (3,), which differ along two axes."""
    across = np.flatnonzero(high > low)[0]
    corners = np.array([low, low, high, high])
    corners[[1, 3], across] = high[across], low[across]
    return corners


def _reach(camera: Camera, level: Array) -> Array:
    """(2,) how far from the axis of a camera turned by `level` the pictures of all frames reach, in focal lengths."""
    width, height = camera.size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    rays = np.repeat(corners[None] @ np.linalg.inv(camera.matrix).T, len(camera.angles), 0)
    if camera.zoom is not None:
        rays = rays / np.stack([camera.zoom, camera.zoom, np.ones(len(rays))], -1)[:, None]
    rays = rays @ camera.rotations @ level.T  # (T, 4, 3)
    if rays[..., 2].min() < SLANTED * np.linalg.norm(rays, axis=-1).max():
        remedy = "ask for a longer focal length or a smaller turn"
        raise InputError("focal length and turn: the camera sees too far around", remedy=remedy, option="pan")
    return np.asarray(np.abs(rays[..., :2] / rays[..., 2:]).max((0, 1)))
