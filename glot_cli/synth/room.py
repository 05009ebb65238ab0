"""Empty rooms: floor, walls, furniture, as rays from the camera meet them. Metres; colours 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from glot_cli.synth.acting import Array
from glot_cli.synth.placement import Camera

THING_TRIES = 30  # things that are tried before people
HIDDEN = (0.05, 0.35)  # such a thing hides at least and at most this share of the person it hides most, over all frames
CLEAR = 0.5  # metres between such a thing and the camera, at least
SPECKLE = 170  # cells of noise a metre


class Room:
    """A room around the origin's vertical, with the camera and all of its way in it.

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
        wide = max(deepest * camera.size[0] / camera.focals.min() / 2, float(np.abs(camera.positions[:, 0]).max()))
        deepest = max(deepest, -float(camera.positions[:, 2].min()))
        self.back = deepest + rng.uniform(2.0, 4.0)
        self.sides = (-wide - rng.uniform(0.6, 4.0), wide + rng.uniform(0.6, 4.0))
        self.top = max(rng.uniform(2.6, 4.2), float(camera.positions[:, 1].max()) + 0.5)
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
            if thing.distance(camera.positions).min() < CLEAR:
                continue
            origin = camera.positions[:, None]
            shares = [thing.met(origin, _inverse(points - origin), 1.0)[0].mean() for points in people]
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
        axis, reach = self.met(origin, inverse)
        colour = self.painted(axis, origin + rays * reach[..., None])
        for box in self.boxes:
            met, lit, _ = box.met(origin, inverse, reach + 1e-6)
            colour = np.where(met[..., None], lit, colour)
        return np.clip(colour, 0, 1).astype(np.float32)

    def met(self, origin: Array, inverse: Array) -> tuple[NDArray[np.intp], Array]:
        """Which walls rays meet.

        Args:
            origin: (3,) or (..., 3) where they start, inside, metres.
            inverse: (..., 3) one over their directions.

        Returns:
            The axis (...) across which that wall, floor or ceiling lies, and how far it is (...), in the rays' lengths.
        """
        low, high = np.array([self.sides[0], 0, -self.back]), np.array([self.sides[1], self.top, 1e3])
        hits = (
            np.where(inverse > 0, high - origin, low - origin) * inverse
        )  # of a room seen from inside, the first wall met
        return hits.argmin(-1), hits.min(-1)

    def painted(self, axis: NDArray[np.intp], at: Array) -> Array:
        """Colours (..., 3) of points (..., 3) on walls, floor and ceiling, each across an axis (...)."""
        x, y, z = at[..., 0], at[..., 1], at[..., 2]
        speckle = self._speckle(x + 0.37 * y, z + 0.81 * y)
        colour = self.wall * (1 + 0.03 * speckle[..., None])
        for (x0, y0, x1, y1), paint in self.panels if (axis == 2).any() else ():
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
        return np.asarray(colour * shade[..., None])

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
        colour = self.grained(lit, at)
        opaque = np.concatenate([colour, np.ones_like(colour[..., :1])], -1).astype(np.float32)
        return np.asarray(opaque * met[..., None])

    def grained(self, colour: Array, at: Array) -> Array:
        """Colours (..., 3), 0 to 1, of points (..., 3) of the thing before the people, of a colour (..., 3)."""
        grain = 1 + 0.05 * self._speckle(at[..., 0] + 0.37 * at[..., 2], at[..., 1])
        return np.clip(colour * grain[..., None], 0, 1)

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
    """An upright block, lit from above.

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
            origin: (3,) or (..., 3) where they start, metres.
            inverse: (..., 3) one over their directions.
            reach: (...) how far they go, in their lengths.

        Returns:
            Which meet it (...), its colour there (..., 3), and where that is (..., 3), metres.
        """
        one, other = (self.low - origin) * inverse, (self.high - origin) * inverse
        enter, leave = np.minimum(one, other), np.maximum(one, other)
        first = enter.max(-1)
        met = (first > 0) & (first < leave.min(-1)) & (first < reach)
        return met, self.lit(enter.argmax(-1)), origin + np.where(met, first, 0.0)[..., None] / inverse

    def lit(self, axis: NDArray[np.intp]) -> Array:
        """Colour (..., 3) of its sides across an axis (...)."""
        return np.asarray(self.colour * np.array([0.75, 1.15, 0.95])[axis][..., None])

    def distance(self, points: Array) -> Array:
        """Metres (...) from points (..., 3) to it."""
        return np.asarray(np.linalg.norm(points - points.clip(self.low, self.high), axis=-1))


def _inverse(rays: Array) -> Array:
    """One over directions (..., 3), which stays finite."""
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
