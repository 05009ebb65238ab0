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

OVER = 2.0  # a backdrop is finer than the picture: shrinking it smooths the edges
SLANTED = 0.2  # cosine, of rays to the backdrop's axis; more slanted ones are not drawn
AHEAD = 0.05  # cosine, of rays to the way towards the back wall: a room has no wall behind those who film
STRIP = 128  # rows of a backdrop that are drawn at once
SPARE = 0.02  # metres around what is seen of a wall
MOST_TEXELS = 8_000_000  # of a wall
PLAIN = 2.0  # texels a metre of what has one colour
TILE = (
    1.0  # metres: the walls are warped in pieces of about this size, each from the texture that is as fine as it needs
)
LEVELS = 5  # such textures, each half as fine as the one before
FORWARD, NEAR = np.array([0.0, 0.0, 1.0]), 0.2  # metres; what is closer to the camera is cut away
FINE = 4  # bits of a pixel's parts in which OpenCV takes corners

Pictures = Callable[[Array], Array]


class Backdrop:
    """The room around a camera that stands: drawn once, wide, and turned (a pinhole's turn is a homography).

    Raises:
        InputError: the camera sees too far around for one plane.
    """

    def __init__(self, room: Room, camera: Camera) -> None:
        self._camera = camera
        self._level = rotation([0.0, float(camera.angles[:, 1].mean()), 0.0])
        focal = camera.focal * OVER
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
        matrix = _on_pixels(self._camera.matrix @ turn @ np.linalg.inv(self._matrix))
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
        for _, sides in sorted(
            self._boxes, key=lambda box: -abs(aside - np.clip(aside, box[0].low[0], box[0].high[0]))
        ):
            for side in sides:
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


class Side:
    """An upright or level rectangle, seen from one side.

    Args:
        low: (3,) its lowest corner, metres.
        high: (3,) its highest corner; the axis along which the two do not differ is the one it lies across.
        faces: +1 or -1: the side of that axis to which it can be seen.
        finest: texels a metre.
        picture: colours (..., C), 0 to 1, of points (..., 3) on it.
    """

    def __init__(self, low: Array, high: Array, faces: int, finest: float, picture: Pictures) -> None:
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
            self._draw_tile(canvas, _cut(quad, FORWARD, NEAR), stance, matrix)

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
        plane = _on_pixels(np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]) @ plane)
        flags = cv2.INTER_LINEAR
        piece = cv2.warpPerspective(
            texture, plane, (int(wide), int(tall)), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
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
            self._textures[across, along] = shrunk
        return self._textures[across, along]

    def _points(self, across: Array, along: Array) -> Array:
        """World points (..., 3) at shares (...) of its sides."""
        points = np.tile(self._corner, (*across.shape, 1)).astype(float)
        points[..., self._axes] += np.stack([across, along], -1) * self._lengths
        return points


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
            whole = _outline(low, high)
            seen = []
            for position, turn in zip(camera.positions, camera.rotations, strict=True):
                polygon = Stance(position, turn).sees(whole)
                for border in borders:
                    polygon = _cut(polygon, border, 0.0)
                seen.append(polygon @ turn + position)
            at = np.concatenate(seen)
            if not len(at):
                continue
            nearest = min(
                np.linalg.norm(points - position, axis=1).min(initial=np.inf)
                for points, position in zip(seen, camera.positions, strict=True)
            )
            low, high = (at.min(0) - SPARE).clip(low, high), (at.max(0) + SPARE).clip(low, high)

            def painted(points: Array, across: int = across) -> Array:
                return room.painted(np.full(points.shape[:-1], across), points)

            walls.append(Side(low, high, faces, camera.focal / nearest, painted))
    return walls


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


def _cut(polygon: Array, normal: Array, offset: float) -> Array:
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


def _on_pixels(matrix: Array) -> Array:
    """A homography (3, 3) of places in pictures, for OpenCV, which counts from the middle of a pixel."""
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    return np.asarray(half @ matrix @ np.linalg.inv(half))


def _reach(camera: Camera, level: Array) -> Array:
    """(2,) how far from the axis of a camera turned by `level` the pictures of all frames reach, in focal lengths."""
    width, height = camera.size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    rays = corners @ np.linalg.inv(camera.matrix).T @ camera.rotations @ level.T  # (T, 4, 3)
    if rays[..., 2].min() < SLANTED * np.linalg.norm(rays, axis=-1).max():
        remedy = "ask for a longer focal length or a smaller turn"
        raise InputError("focal length and turn: the camera sees too far around", remedy=remedy, option="pan")
    return np.asarray(np.abs(rays[..., :2] / rays[..., 2:]).max((0, 1)))
