"""Draws clips of dressed people before a camera, from posed bodies whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from glot_cli.motion.postures import seated
from glot_cli.motion.viewing import Placed, Viewing
from glot_cli.rendering.geometry import View
from glot_cli.synth.camera_effects import CameraEffects
from glot_cli.synth.painter import Painter
from glot_cli.synth.scenery import Backgrounds, Light, obstacle
from glot_cli.synth.wardrobe import Figures, Outfit

SIZE = 384  # pixels of a picture's side
REACH = 1.3  # crops laid so much wider than they should be still lie within the picture
EXPOSURES = 4  # moments that make up a blurred picture
PEOPLE = 3  # the most in one picture
NEAREST = 1.2  # metres, of anybody's pelvis


@dataclass(frozen=True)
class Habits:
    """How often things happen in a clip, 0 to 1.

    Attributes:
        company: somebody is beside, before or behind.
        crowd: if so, a second one too.
        obstacle: a thing is in front.
        desk: the same for somebody who sits; then it is a desk or a table.
        truncated: the picture's border cuts the person.
        deep: if so, and from below, from the thighs upward: half of them or less is left.
        corner: if so, a second border cuts too.
    """

    company: float = 0.3
    crowd: float = 0.3
    obstacle: float = 0.3
    desk: float = 0.5
    truncated: float = 0.35
    deep: float = 0.5
    corner: float = 0.15


@dataclass(frozen=True)
class Scene:
    """One clip before the camera.

    Attributes:
        people: (T, V, 3) a person, metres in the camera's frame; the first is looked at.
        outfits: what they wear.
        outlines: (T, 4) x1, y1, x2, y2 of the first, focal lengths, within the border.
        border: (4,) left, top, right, bottom of the video, focal lengths, infinite where it is far away.
        frame: (3,) centre x, y and side of the pictures, in focal lengths, the same through the clip: what moves in a
            picture moves as in a video, and boxes can be smoothed there.
        sits: whether the first does.
    """

    people: list[np.ndarray]
    outfits: list[Outfit]
    outlines: np.ndarray
    border: np.ndarray
    frame: np.ndarray
    sits: bool


@dataclass(frozen=True)
class Footage:
    """One clip as pictures, in pixels.

    Attributes:
        pictures: (T, SIZE, SIZE, 3) uint8 RGB, black beyond the border.
        outlines: (T, 4) x1, y1, x2, y2 of whom it is about, of what lies within the border.
        border: (4,) left, top, right, bottom of the video in the pictures, whole numbers.
    """

    pictures: np.ndarray
    outlines: np.ndarray
    border: np.ndarray


class Studio:
    """Draws clips of dressed bodies.

    Args:
        figures: the body and its clothes.
        painter: of PEOPLE and pictures of SIZE.
        backgrounds: what stands behind them.
        habits: how often things happen.
    """

    def __init__(self, figures: Figures, painter: Painter, backgrounds: Backgrounds, habits: Habits) -> None:
        self.figures, self.painter = figures, painter
        self.body = figures.body
        self.backgrounds, self.habits = backgrounds, habits

    def scene(self, placed: Placed, clip: int, rng: np.random.Generator) -> Scene:
        """The bodies of one of the placed clips, and perhaps of another one, dressed.

        Args:
            placed: several clips.
            clip: which of them.
            rng: draws the rest.
        """
        frames = placed.rotmat.shape[1]

        def surface(index: int, pelvis: torch.Tensor) -> np.ndarray:
            output = self.body(placed.rotmat[index], placed.betas[index].expand(frames, -1))
            assert output.vertices is not None
            return np.asarray(output.vertices + (pelvis - output.joints[:, 0])[:, None])

        own = placed.pelvis[clip]
        people = [surface(clip, own)]
        others = 0
        if rng.random() < self.habits.company:
            others = 1 + (rng.random() < self.habits.crowd)
        for _ in range(min(others, PEOPLE - 1)):
            other = int(rng.integers(len(placed.rotmat)))
            beside = rng.choice([-1, 1]) * rng.uniform(0.35, 1.2)
            offset = torch.tensor([beside, 0.0, rng.uniform(-0.9, 1.5)], dtype=torch.float32)
            if other != clip and float(own[0, 2] + offset[2]) > NEAREST:
                people.append(surface(other, own + offset))
        whole = _outlines(people[0])
        border = np.array([-np.inf, -np.inf, np.inf, np.inf])
        if rng.random() < self.habits.truncated:
            border = _border(whole, self.habits, rng)
        outlines = np.clip(whole, np.tile(border[:2], 2), np.tile(border[2:], 2))
        outfits = [self.figures.wardrobe.dress(rng) for _ in people]
        sits = bool(seated(placed.rotmat[clip : clip + 1])[0])
        return Scene(people, outfits, outlines, border, _frame(outlines), sits)

    def film(self, scene: Scene, rng: np.random.Generator) -> Footage:
        """Draw a scene."""
        count = len(scene.people[0])
        effects, light = CameraEffects.draw(rng), Light(rng)

        def pixels(box: np.ndarray) -> np.ndarray:
            return np.asarray((box - np.tile(scene.frame[:2], 2)) / scene.frame[2] * SIZE + SIZE / 2)

        outlines = pixels(scene.outlines)
        left, top, right, bottom = border = np.clip(pixels(scene.border), 0, SIZE).round().astype(int)
        beyond = np.ones((SIZE, SIZE), bool)
        beyond[top:bottom, left:right] = False
        wide = self.backgrounds.draw(2 * SIZE, rng)
        at = SIZE / 2 + _drift(count, rng)  # of the picture's corner in the background
        thing = None
        if rng.random() < (self.habits.desk if scene.sits else self.habits.obstacle):
            centre = (outlines[:, :2] + outlines[:, 2:]).mean(0) / 2
            extent = (outlines[:, 2:] - outlines[:, :2]).mean(0)
            thing = obstacle(SIZE, centre, extent, rng, desk=scene.sits), self.backgrounds.draw(SIZE, rng)
        pictures = []
        for t in range(count):
            x, y = np.clip(at[t], 0, SIZE - 1)
            behind = cv2.getRectSubPix(wide, (SIZE, SIZE), (x + SIZE / 2, y + SIZE / 2))
            drawn = self._people(scene, t, effects.shutter, light)
            picture = drawn[..., :3] + behind * (1 - drawn[..., 3:] / np.float32(255))
            if thing is not None:
                mask, cloth = thing
                picture += mask[..., None] * (cloth - picture)
            picture = effects(picture, rng)
            picture[beyond] = 0
            pictures.append(picture)
        return Footage(np.stack(pictures), np.clip(outlines, [left, top] * 2, [right, bottom] * 2), border)

    def _people(self, scene: Scene, t: int, shutter: float, light: Light) -> np.ndarray:
        """Everyone in frame t, (SIZE, SIZE, 4) float32, 0 to 255, colour times coverage, averaged while it is open."""
        steps = (0.0,) if shutter == 0 else np.linspace(-shutter / 2, shutter / 2, EXPOSURES)
        focal = SIZE / scene.frame[2]
        x, y = SIZE / 2 - scene.frame[:2] * focal
        view = View(np.eye(4), focal, (float(x), float(y)), (SIZE, SIZE))
        total = np.zeros((SIZE, SIZE, 4), np.float32)
        for step in steps:
            near = np.clip(t + (1 if step > 0 else -1), 0, len(scene.people[0]) - 1)
            surfaces, colours = [], []
            for person, outfit in zip(scene.people, scene.outfits, strict=True):
                skin = person[t] + abs(step) * (person[near] - person[t])
                outside, normals = self.figures.clothed(skin, outfit)
                surfaces.append(outside)
                colours.append(light(normals, outfit.colours)[:, :3])
            drawn = self.painter.draw(np.stack(surfaces).astype(np.float32), np.stack(colours), view)
            if drawn is not None:
                total += drawn
        return total / len(steps)


def _outlines(surface: np.ndarray) -> np.ndarray:
    """(T, 4) x1, y1, x2, y2 in focal lengths of a surface (T, V, 3)."""
    at = surface[..., :2] / np.maximum(surface[..., 2:], 0.1)
    return np.concatenate([at.min(1), at.max(1)], 1)


def _frame(outlines: np.ndarray) -> np.ndarray:
    """Centre and side (3,), focal lengths, of the square in which all crops around outlines (T, 4) lie."""
    middles = (outlines[:, :2] + outlines[:, 2:]) / 2
    sides = (outlines[:, 2:] - outlines[:, :2]).max(1, keepdims=True) * Viewing().crop_scale * REACH
    low, high = (middles - sides / 2).min(0), (middles + sides / 2).max(0)
    return np.append((low + high) / 2, (high - low).max())


def _drift(count: int, rng: np.random.Generator) -> np.ndarray:
    """How far the background has moved (count, 2), pixels: as a camera follows somebody, and as it shakes."""
    pan = rng.normal(size=2) * rng.choice([0.0, 0.5, 3.0]) * np.arange(count)[:, None]
    shake = np.cumsum(rng.normal(size=(count, 2)), 0) * rng.choice([0.0, 0.0, 0.6])
    return np.asarray(pan + shake)


def _border(outlines: np.ndarray, habits: Habits, rng: np.random.Generator) -> np.ndarray:
    """Where the video ends (4,), in the unit of the outlines (T, 4): below somebody, at a side, or above."""
    low, high = outlines[:, :2].mean(0), outlines[:, 2:].mean(0)
    border = np.array([-np.inf, -np.inf, np.inf, np.inf])
    first = int(rng.choice(4, p=[0.16, 0.1, 0.16, 0.58]))
    sides = [first]
    if rng.random() < habits.corner:
        sides.append((first + rng.choice([1, 3])) % 4)
    for side in sides:
        axis = side % 2
        kept = rng.uniform(0.75 if side == 1 else 0.55, 0.97)  # without their heads people are seldom found
        if side == 3 and rng.random() < habits.deep:
            kept = rng.uniform(0.22, 0.55)
        reach = kept * (high - low)[axis]
        border[side] = low[axis] + reach if side >= 2 else high[axis] - reach
    return border
