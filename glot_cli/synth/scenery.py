"""What is around people in a made-up picture: light, backgrounds, things in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from glot_cli.errors import InputError
from glot_cli.video.images import IMAGE_SUFFIXES


class Light:
    """One to three lamps of random direction and strength, and what comes from everywhere; works at the vertices."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = rng.integers(1, 4)
        # Mostly from above and from the camera's side (the frame's y points down, z away).
        towards = rng.normal(size=(count, 3)) * [1.0, 0.7, 1.0] + [0.0, -0.7, -0.6]
        self.towards = (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32)
        self.lamps = rng.uniform(0.25, 1.0, (count, 1)) * (1 + 0.06 * rng.normal(size=(count, 3)))
        self.ambient = rng.uniform(0.1, 0.45)

    def __call__(self, normals: np.ndarray, colours: np.ndarray) -> np.ndarray:
        """Lit colours (V, 4) of vertices with unit normals (V, 3) and sRGB colours (V, 4)."""
        light = self.ambient + np.maximum(normals @ self.towards.T, 0) @ self.lamps
        lit = np.clip(colours[:, :3] ** 2.2 * light, 0, 1) ** (1 / 2.2)
        return np.concatenate([lit, colours[:, 3:]], 1).astype(np.float32)


class Backgrounds:
    """Pictures to stand behind people: drawn clutter, and parts of the user's own images where there are any."""

    def __init__(self, images: Sequence[Path] = ()) -> None:
        self.images = list(images)

    @staticmethod
    def from_folder(folder: Path) -> Backgrounds:
        """All images below a folder.

        Raises:
            InputError: there is none.
        """
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise InputError(
                f"no images there ({kinds})", path=folder, remedy="give a folder of pictures", option="backgrounds"
            )
        return Backgrounds(found)

    def draw(self, side: int, rng: np.random.Generator) -> np.ndarray:
        """One background. With own images, three of four are parts of those.

        Args:
            side: of the picture, pixels.
            rng: chooses.

        Returns:
            (side, side, 3) float32 RGB, 0 to 255.

        Raises:
            InputError: an image cannot be read.
        """
        if self.images and rng.random() < 0.75:
            return _part_of(self.images[rng.integers(len(self.images))], side, rng)
        return clutter(side, rng)


def _part_of(path: Path, side: int, rng: np.random.Generator) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        remedy = "take it out of the folder of backgrounds"
        raise InputError("not an image that can be read", path=path, remedy=remedy)
    height, width = image.shape[:2]
    part = max(16, int(min(height, width) * rng.uniform(0.4, 1.0)))
    y, x = rng.integers(0, height - part + 1), rng.integers(0, width - part + 1)
    square = cv2.cvtColor(image[y : y + part, x : x + part], cv2.COLOR_BGR2RGB)
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)


def clutter(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3) float32, 0 to 255: blurred noise of several scales, walls, a floor, boxes, lines."""
    picture = np.ones((side, side, 3), np.float32) * rng.uniform(20, 235, 3).astype(np.float32)
    for cells in rng.choice([2, 4, 8, 16, 40, 90], 3, replace=False):
        # Fine patterns are faint as a rule: detectors lose the outline of people who stand before strong ones.
        noise = rng.normal(size=(cells, cells, 3)) * rng.uniform(3, 28) * min(1.0, 5 / cells)
        if rng.random() < 0.8:
            noise = noise.mean(-1, keepdims=True).repeat(3, -1) * 1.6
        picture += cv2.resize(noise.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.7:  # a floor
        line = int(rng.uniform(0.35, 0.85) * side)
        picture[line:] = picture[line:] * 0.4 + rng.uniform(20, 220, 3) * 0.6
    for _ in range(rng.integers(0, 14)):
        a = rng.integers(0, side, 2)
        b = a + rng.integers(5, side // 3, 2)
        colour = rng.uniform(0, 255, 3).tolist()
        kind = rng.random()
        if kind < 0.5:
            cv2.rectangle(picture, a.tolist(), b.tolist(), colour, -1)
        elif kind < 0.8:
            cv2.line(picture, a.tolist(), b.tolist(), colour, int(rng.integers(1, 9)), cv2.LINE_AA)
        else:
            cv2.ellipse(picture, a.tolist(), (b - a).tolist(), rng.uniform(0, 180), 0, 360, colour, -1)
    picture = np.clip(picture, 0, 255)
    grey = picture.mean(-1, keepdims=True)
    picture = grey + rng.uniform(0.05, 1.0) * (picture - grey)  # rooms and streets are seldom gaudy
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 3)), np.float32)


def obstacle(
    side: int, centre: np.ndarray, extent: np.ndarray, rng: np.random.Generator, *, desk: bool = False
) -> np.ndarray:
    """One thing in front of a person: a desk, a table, a box, or a ball.

    Args:
        side: of the picture, pixels.
        centre: (2,) middle of the person in the picture, pixels.
        extent: (2,) size of the person in the picture, pixels.
        rng: draws it.
        desk: nothing else.

    Returns:
        (side, side) float32, 0 to 1: how much of each pixel it covers.
    """
    mask = np.zeros((side, side), np.uint8)  # OpenCV softens the edges of 8-bit pictures alone
    kind = rng.random() * (0.5 if desk else 1)
    if kind < 0.5:  # a desk or a wall: everything below some height; or the board of a table alone
        top = centre[1] + extent[1] * rng.uniform(-0.25, 0.35)
        tilt = rng.normal() * 0.05 * side
        end = side if kind < 0.4 else top + extent[1] * rng.uniform(0.05, 0.15)
        corners = np.array([[0, top - tilt], [side, top + tilt], [side, end + tilt], [0, end - tilt]])
        cv2.fillConvexPoly(mask, corners.round().astype(np.int32), 255, cv2.LINE_AA)
        return mask / np.float32(255)
    at = centre + rng.uniform(-0.5, 0.5, 2) * extent
    half = extent.max() * rng.uniform(0.06, 0.2, 2)
    if kind < 0.8:
        angle = rng.normal() * 0.3
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = at + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ turn.T
        cv2.fillConvexPoly(mask, corners.round().astype(np.int32), 255, cv2.LINE_AA)
    else:
        axes = np.maximum(half.astype(int), 1).tolist()
        cv2.ellipse(mask, at.astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return mask / np.float32(255)
