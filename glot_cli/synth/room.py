"""Empty rooms: floor, walls, furniture, as rays from the camera meet them. Metres; colours 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError
from glot_cli.synth.acting import Array
from glot_cli.synth.placement import Camera, rotation

OVER = 2.0  # a backdrop is finer than the picture: shrinking it smooths the edges
THING_TRIES = 30  # things that are tried before people
HIDDEN = (0.05, 0.35)  # such a thing hides at least and at most this share of the person it hides most, over all frames
SLANTED = 0.2  # cosine, of rays to the backdrop's axis; more slanted ones are not drawn
STRIP = 128  # rows of a backdrop that are drawn at once
SPECKLE = 170  # cells of noise a metre


class Room:
    """A room around the origin's vertical, with the camera in it.

    Args:
        camera: that films in it.
        deepest: how deep people go along -z, metres.
        rng: draws the room.

    Attributes:
        light: (3,) unit vector towards the main light.
        before: the one thing that stands before the people, if any.
    """

    def __init__(self, camera: Camera, deepest: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self.light = _light(rng)
        wide = deepest * camera.size[0] / camera.focal / 2
        self.back = deepest + rng.uniform(2.0, 4.0)
        self.sides = (-wide - rng.uniform(0.6, 4.0), wide + rng.uniform(0.6, 4.0))
        self.top = max(rng.uniform(2.6, 4.2), camera.height + 0.5)
        self.wall = np.clip(rng.uniform(0.5, 0.9) + rng.normal(size=3) * 0.05, 0.2, 0.95)
        self.floor = np.clip(rng.uniform(0.25, 0.65) * np.array([1.1, 1.0, 0.85]) + rng.normal(size=3) * 0.04, 0.1, 0.9)
        self.pattern = str(rng.choice(["planks", "tiles", "plain"]))
        self.noise = _noise(rng)
        self.panels = [self._panel() for _ in range(rng.integers(2, 6))]
        self.boxes = [self._box() for _ in range(rng.integers(1, 5))]
        self.before: Box | None = None

    def put_before(self, camera: Camera, people: list[Array]) -> None:
        """Put a desk or a post before people, where it hides enough of some.

        Through all frames it hides no more of anybody than HIDDEN allows. Where none is found, nothing is put there.

        Args:
            camera: that films.
            people: a few points of each, (T, N, 3) metres.
        """
        for _ in range(THING_TRIES):
            thing = self._thing(camera, people)
            rays = (_inverse(points - camera.position) for points in people)
            shares = [thing.met(camera.position, inverse, 1.0)[0].mean() for inverse in rays]
            if HIDDEN[0] < max(shares) < HIDDEN[1]:
                self.before = thing
                return

    def _thing(self, camera: Camera, people: list[Array]) -> Box:
        """A desk or a post somewhere between the camera and somebody."""
        rng = self._rng
        nearest = min(float(-points[..., 2].max()) for points in people)
        path = people[rng.integers(len(people))].mean(1)
        target = path[rng.integers(len(path))]
        depth = nearest * rng.uniform(0.5, 0.75)
        thick = rng.uniform(0.05, 0.15) * nearest
        middle = target[0] * depth / -target[2] + rng.normal() * 0.15
        half, high = rng.uniform(0.06, 0.14), self.top  # a post
        if rng.random() < 0.7:
            # The top of something lower is seen at some height of the person behind it.
            at = target[1] * rng.uniform(0.4, 1.2)
            half = rng.uniform(0.15, 0.5)
            high = max(0.25, camera.height + (at - camera.height) * depth / -target[2])
        colour = np.clip(rng.uniform(0.15, 0.7) + rng.normal(size=3) * 0.1, 0.05, 0.9)
        return Box(np.array([middle - half, 0, -depth - thick]), np.array([middle + half, high, -depth]), colour)

    def _panel(self) -> tuple[Array, Array]:
        """A picture, window or door on the back wall: (x0, y0, x1, y1) and a colour."""
        rng = self._rng
        x = rng.uniform(self.sides[0] + 0.3, self.sides[1] - 1.2)
        if rng.random() < 0.4:
            return np.array([x, 0, x + rng.uniform(0.8, 1.1), 2.05]), rng.uniform(0.2, 0.8) + rng.normal(size=3) * 0.06
        y = rng.uniform(1.0, 1.6)
        corners = np.array([x, y, x + rng.uniform(0.4, 1.8), y + rng.uniform(0.4, 1.0)])
        return corners, rng.uniform(0.15, 0.9) + rng.normal(size=3) * 0.12

    def _box(self) -> Box:
        """A piece of furniture along the back wall."""
        rng = self._rng
        x = rng.uniform(self.sides[0], self.sides[1] - 1)
        low = np.array([x, 0, -self.back])
        high = np.array([x + rng.uniform(0.4, 1.8), rng.uniform(0.4, 1.9), -self.back + rng.uniform(0.3, 0.7)])
        return Box(low, high, np.clip(rng.uniform(0.15, 0.7) + rng.normal(size=3) * 0.1, 0.05, 0.9))

    def picture(self, origin: Array, rays: Array) -> NDArray[np.float32]:
        """What rays meet.

        Args:
            origin: (3,) where they start, metres.
            rays: (H, W, 3) their directions.

        Returns:
            (H, W, 3) colours, 0 to 1.
        """
        inverse = _inverse(rays)
        ends = np.array([[self.sides[0], 0, -self.back], [self.sides[1], self.top, 1e3]]) - origin
        hits = np.where(inverse > 0, ends[1], ends[0]) * inverse  # of a room seen from inside, the first wall met
        axis = hits.argmin(-1)
        reach = hits.min(-1)
        at = origin + rays * reach[..., None]
        x, y, z = at[..., 0], at[..., 1], at[..., 2]
        speckle = self._speckle(x + 0.37 * y, z + 0.81 * y)
        colour = self.wall * (1 + 0.03 * speckle[..., None])
        for (x0, y0, x1, y1), paint in self.panels:
            inside = (axis == 2) & (x > x0) & (x < x1) & (y > y0) & (y < y1)
            rim = np.minimum(np.minimum(x - x0, x1 - x), np.minimum(y1 - y, y - y0 + (10 if y0 == 0 else 0))) < 0.05
            grain = 1 + 0.25 * speckle[..., None] * (y0 > 0)
            colour = np.where(inside[..., None], np.where(rim[..., None], self.wall * 0.55, paint * grain), colour)
        colour = np.where(((y < 0.1) & (axis != 1))[..., None], self.wall * 0.5 + 0.35, colour)  # skirting board
        ground = self.floor * (1 + 0.06 * speckle[..., None]) * self._joints(x, z)[..., None]
        colour = np.where((axis == 1)[..., None], np.where((y > 1)[..., None], [0.85, 0.85, 0.83], ground), colour)
        # Light fades into the corners and with the distance from the middle of the room.
        corner = np.minimum(np.minimum(x - self.sides[0], self.sides[1] - x), z + self.back)
        near = np.where(axis == 1, corner, np.minimum(y, self.top - y))
        shade = 1.2 - 0.4 * np.exp(-np.maximum(near, 0) / 0.4)
        shade = shade / (1 + ((x / 7) ** 2 + ((z + self.back / 2) / 9) ** 2) * 0.8)
        shade = shade * np.where(axis == 0, 0.82, 1.0)
        colour = colour * shade[..., None]
        for box in self.boxes:
            met, lit, _ = box.met(origin, inverse, reach + 1e-6)
            colour = np.where(met[..., None], lit, colour)
        return np.clip(colour, 0, 1).astype(np.float32)

    def thing(self, origin: Array, rays: Array) -> NDArray[np.float32]:
        """What rays meet of the thing before the people.

        Args:
            origin: (3,) where they start, metres.
            rays: (H, W, 3) their directions.

        Returns:
            (H, W, 4) colour multiplied by coverage, and coverage, 0 to 1.
        """
        assert self.before is not None
        met, lit, at = self.before.met(origin, _inverse(rays), np.inf)
        grain = 1 + 0.05 * self._speckle(at[..., 0] + 0.37 * at[..., 2], at[..., 1])
        colour = np.clip(lit * grain[..., None], 0, 1)
        opaque = np.concatenate([colour, np.ones_like(colour[..., :1])], -1).astype(np.float32)
        return np.asarray(opaque * met[..., None])

    def _speckle(self, u: Array, v: Array) -> NDArray[np.float32]:
        """Noise at u, v metres: there and back again over one picture of it, so that it has no seams."""
        turn = len(self.noise) - 1
        x, y = (np.abs(metres * SPECKLE % (2 * turn) - turn).astype(np.float32) for metres in (u, v))
        return np.asarray(cv2.remap(self.noise, x, y, cv2.INTER_LINEAR))

    def _joints(self, x: Array, z: Array) -> Array:
        """Brightness of the floor's pattern at x, z."""
        if self.pattern == "plain":
            return np.ones_like(x)
        if self.pattern == "tiles":
            from_middle = np.maximum(np.abs(x / 0.6 % 1 - 0.5), np.abs(z / 0.6 % 1 - 0.5))
            return np.asarray(1 - 0.3 * (from_middle > 0.485))
        row = np.floor(x / 0.16)
        length = (z + row * 0.77) / 1.4
        tone = 1 + 0.13 * np.sin(row * 12.9898 + np.floor(length) * 78.233)
        gap = (np.abs(x / 0.16 % 1 - 0.5) > 0.475) | (np.abs(length % 1 - 0.5) > 0.496)
        return np.asarray(tone * (1 - 0.35 * gap))


class Box:
    """An upright block.

    Args:
        low: (3,) its lowest corner, metres.
        high: (3,) its highest corner, metres.
        colour: (3,), 0 to 1.
    """

    def __init__(self, low: Array, high: Array, colour: Array) -> None:
        self.low, self.high, self.colour = low, high, colour

    def met(self, origin: Array, inverse: Array, reach: Array | float) -> tuple[NDArray[np.bool_], Array, Array]:
        """Which rays meet it (the slab method of Kay and Kajiya, Ray tracing complex scenes, SIGGRAPH 1986).

        Args:
            origin: (3,) where they start, metres.
            inverse: (..., 3) one over their directions.
            reach: (...) how far they go, in their lengths.

        Returns:
            Which meet it (...), its colour there (..., 3), and where that is (..., 3), metres.
        """
        one, other = (self.low - origin) * inverse, (self.high - origin) * inverse
        enter, leave = np.minimum(one, other), np.maximum(one, other)
        first = enter.max(-1)
        met = (first > 0) & (first < leave.min(-1)) & (first < reach)
        bright = np.array([0.75, 1.15, 0.95])[enter.argmax(-1)]
        return met, self.colour * bright[..., None], origin + np.where(met, first, 0.0)[..., None] / inverse


class Backdrop:
    """The room without people in every frame: drawn once, wide, and turned (a pinhole's turn is a homography).

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
            self._picture[top : top + STRIP] = room.picture(camera.position, rays)
            if self._thing is not None:
                self._thing[top : top + STRIP] = room.thing(camera.position, rays)
        for layer in (self._picture, self._thing):
            if layer is not None:
                cv2.GaussianBlur(layer, (0, 0), 0.8, dst=layer)

    def frame(self, angles: Array) -> NDArray[np.float32]:
        """(H, W, 3): the room as the camera sees it when turned by `angles` (3,)."""
        return self._turned(self._picture, angles)

    def thing(self, angles: Array) -> NDArray[np.float32] | None:
        """(H, W, 4): what stands before the people, colour multiplied by coverage; None where nothing does."""
        return None if self._thing is None else self._turned(self._thing, angles)

    def _turned(self, layer: NDArray[np.float32], angles: Array) -> NDArray[np.float32]:
        turn = rotation(angles) @ self._level.T
        half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV counts from the middle of a pixel
        matrix = half @ self._camera.matrix @ turn @ np.linalg.inv(self._matrix) @ np.linalg.inv(half)
        return np.asarray(cv2.warpPerspective(layer, matrix, self._camera.size, flags=cv2.INTER_LINEAR))


def _reach(camera: Camera, level: Array) -> Array:
    """(2,) how far from the axis of a camera turned by `level` the pictures of all frames reach, in focal lengths."""
    width, height = camera.size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    rays = corners @ np.linalg.inv(camera.matrix).T @ camera.rotations @ level.T  # (T, 4, 3)
    if rays[..., 2].min() < SLANTED * np.linalg.norm(rays, axis=-1).max():
        remedy = "ask for a longer focal length or a smaller turn"
        raise InputError("focal length and turn: the camera sees too far around", remedy=remedy, option="pan")
    return np.asarray(np.abs(rays[..., :2] / rays[..., 2:]).max((0, 1)))


def _inverse(rays: Array) -> Array:
    return np.asarray(1 / np.where(np.abs(rays) < 1e-9, 1e-9, rays))


def _light(rng: np.random.Generator) -> Array:
    """(3,) unit vector towards the main light: above, and not behind the people."""
    azimuth, height = np.radians(rng.uniform(-75, 75)), np.radians(rng.uniform(48, 68))
    return np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])


def _noise(rng: np.random.Generator) -> NDArray[np.float32]:
    """(1024, 1024) cloudy noise of several scales, about -2 to 2."""
    total = np.zeros((1024, 1024), np.float32)
    for cells in (6, 24, 96, 384):
        coarse = rng.normal(size=(cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    return total / np.float32(2)
