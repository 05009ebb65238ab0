"""Crops of made-up people: truth, and what the real detector and landmark network make of the pictures.

Files of them (see `training.training_crops`) feed `glot train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.rotations import rotmat_to_pose6d
from glot_cli.errors import InputError
from glot_cli.files.npz import write_npz
from glot_cli.motion.motions import Motions, load_motions
from glot_cli.motion.sampling import Augmentation, sample_windows
from glot_cli.motion.viewing import Placed, Viewing, place_randomly
from glot_cli.pipeline.presets import PRESETS
from glot_cli.rendering.geometry import View
from glot_cli.synth.camera_effects import CameraEffects
from glot_cli.synth.observe import Observation, Observer
from glot_cli.synth.painter import Painter
from glot_cli.synth.request import make_folder
from glot_cli.synth.scenery import Backgrounds, Light, obstacle
from glot_cli.synth.wardrobe import Figures, Outfit

SIZE = 384  # pixels of a picture's side
REACH = 1.3  # crops laid so much wider than they should be still lie within the picture
CLIPS_PER_FILE = 20
EXPOSURES = 5  # moments that make up a blurred picture
CLIP_TRIES = 4  # clips drawn for one that the detector finds
VIEWING = Viewing(truncated=0.0)
AUGMENTATION = Augmentation(swap_arms=0.15, swap_one_arm=0.1, swap_legs=0.1, swap_upper=0.05, wander=0.12, vary=0.6)


@dataclass(frozen=True)
class Habits:
    """How often things happen in a clip, 0 to 1.

    Attributes:
        company: somebody is beside, before or behind.
        obstacle: a thing is in front.
        truncated: the picture's border cuts the person.
    """

    company: float = 0.25
    obstacle: float = 0.2
    truncated: float = 0.15


@dataclass(frozen=True)
class Scene:
    """One clip before the camera.

    Attributes:
        people: (T, V, 3) a person, metres in the camera's frame; the first is looked at.
        outfits: what they wear.
        frame: (3,) centre x, y and side of the pictures, in focal lengths, the same through the clip: what moves in a
            picture moves as in a video, and boxes can be smoothed there.
    """

    people: list[np.ndarray]
    outfits: list[Outfit]
    frame: np.ndarray


class Studio:
    """Draws clips of dressed bodies.

    Args:
        figures: the body and its clothes.
        painter: of two people and pictures of SIZE.
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
        if rng.random() < self.habits.company:
            other = int(rng.integers(len(placed.rotmat)))
            beside = rng.choice([-1, 1]) * rng.uniform(0.35, 1.2)
            offset = torch.tensor([beside, 0.0, rng.uniform(-0.8, 1.5)], dtype=torch.float32)
            if other != clip and float(own[0, 2] + offset[2]) > 1.5:
                people.append(surface(other, own + offset))
        return Scene(people, [self.figures.wardrobe.dress(rng) for _ in people], _frame(people[0]))

    def film(self, scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a scene.

        Returns:
            Pictures (T, SIZE, SIZE, 3) uint8 RGB, and the outlines (T, 4) in them of whom it is about: x1, y1, x2, y2,
            pixels, of what lies within the borders of the video.
        """
        count = len(scene.people[0])
        effects, light = CameraEffects.draw(rng), Light(rng)
        outlines = (_outlines(scene.people[0]) - np.tile(scene.frame[:2], 2)) / scene.frame[2] * SIZE + SIZE / 2
        centre = (outlines[:, :2] + outlines[:, 2:]).mean(0) / 2
        extent = (outlines[:, 2:] - outlines[:, :2]).mean(0)
        wide = self.backgrounds.draw(2 * SIZE, rng)
        at = SIZE / 2 + _drift(count, rng)  # of the picture's corner in the background
        thing = None
        if rng.random() < self.habits.obstacle:
            thing = obstacle(SIZE, centre, extent, rng), self.backgrounds.draw(SIZE, rng)
        left, top, right, bottom = (0, 0, SIZE, SIZE)
        if rng.random() < self.habits.truncated:
            left, top, right, bottom = _borders(centre, extent, rng)
        beyond = np.ones((SIZE, SIZE), bool)
        beyond[top:bottom, left:right] = False
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
        return np.stack(pictures), np.clip(outlines, [left, top] * 2, [right, bottom] * 2)

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


def _frame(surface: np.ndarray) -> np.ndarray:
    """Centre and side (3,), focal lengths, of the square in which all crops of a surface (T, V, 3) lie."""
    outlines = _outlines(surface)
    middles = (outlines[:, :2] + outlines[:, 2:]) / 2
    sides = (outlines[:, 2:] - outlines[:, :2]).max(1, keepdims=True) * Viewing().crop_scale * REACH
    low, high = (middles - sides / 2).min(0), (middles + sides / 2).max(0)
    return np.append((low + high) / 2, (high - low).max())


def _drift(count: int, rng: np.random.Generator) -> np.ndarray:
    """How far the background has moved (count, 2), pixels: as a camera follows somebody, and as it shakes."""
    pan = rng.normal(size=2) * rng.choice([0.0, 0.5, 3.0]) * np.arange(count)[:, None]
    shake = np.cumsum(rng.normal(size=(count, 2)), 0) * rng.choice([0.0, 0.0, 0.6])
    return np.asarray(pan + shake)


def _borders(centre: np.ndarray, extent: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Where the video ends, left, top, right, bottom: below the person's waist, at one side, or above."""
    kept = rng.uniform(0.4, 0.95)
    side = rng.choice(["below", "left", "right", "above"], p=[0.6, 0.15, 0.15, 0.1])
    axis = 1 if side in ("below", "above") else 0
    low, high = [0, 0], [SIZE, SIZE]
    if side in ("above", "left"):
        low[axis] = max(0, int(centre[axis] + extent[axis] * (0.5 - max(kept, 0.7))))
    else:
        high[axis] = min(SIZE, int(centre[axis] + extent[axis] * (kept - 0.5)))
    return low[0], low[1], high[0], high[1]


def synthesise(
    motions: Sequence[Path],
    out: Path,
    *,
    clips: int,
    frames: int = 24,
    seed: int = 0,
    backgrounds: Backgrounds | None = None,
    pictures: bool = False,
    device: str = "cpu",
    quiet: bool = False,
) -> list[Path]:
    """Write files of crops; goes on after the last file when run again.

    Every file depends on its own number and the seed alone.

    Args:
        motions: as for `glot train`.
        out: the folder for the files.
        clips: how many; rounded up to whole files.
        frames: of one clip.
        seed: another one draws other people and places.
        backgrounds: what stands behind people; None: drawn clutter.
        pictures: keep the crops themselves, as JPEG, in the files.
        device: torch's name of where the networks run.
        quiet: show no progress bar.

    Returns:
        The files.

    Raises:
        InputError: the motions cannot be used, or the detector finds nobody.
        OutputError: a file cannot be written.
        RenderError: nothing draws on this machine.
        WeightsError: a network or the open body is not there, or damaged.
    """
    source = load_motions(motions, min_frames=frames)
    figures = Figures()
    preset = PRESETS["open"]
    observer = Observer(weights.locate(preset.detector), weights.locate(preset.features), device)
    make_folder(out)
    paths = [out / f"crops_{seed}_{number:05d}.npz" for number in range(-(-clips // CLIPS_PER_FILE))]
    with Painter(figures.body.faces, figures.body.num_vertices, 2, (SIZE, SIZE)) as painter:
        studio = Studio(figures, painter, backgrounds or Backgrounds(), Habits())
        for number, path in enumerate(tqdm(paths, unit="file", disable=quiet or None)):
            if path.exists():
                continue
            parts = _clips(studio, observer, source, frames, (seed, number), pictures)
            if not parts:
                reason = f"nobody was found in {CLIP_TRIES * CLIPS_PER_FILE} clips"
                raise InputError(reason, path=path, remedy="give other motions")
            # Aside, then under its name, so that a file that is there is whole.
            write_npz(path, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, compress=False)
    return paths


@torch.inference_mode()
def _clips(
    studio: Studio, observer: Observer, source: Motions, frames: int, seeds: tuple[int, int], pictures: bool
) -> list[dict[str, np.ndarray]]:
    """The clips of file `seeds[1]` of the set `seeds[0]`; fewer than CLIPS_PER_FILE where people are seldom found."""
    generator = torch.Generator().manual_seed(seeds[0] * 100_003 + seeds[1])
    rng = np.random.default_rng(seeds)
    landmarks = LandmarkModel()
    parts: list[dict[str, np.ndarray]] = []
    for _ in range(CLIP_TRIES):
        rotmat = sample_windows(source, CLIPS_PER_FILE, frames, AUGMENTATION, generator)
        placed = place_randomly(rotmat, studio.body, landmarks, VIEWING, generator)
        for clip in range(CLIPS_PER_FILE):
            rows = _clip(studio, observer, placed, clip, rng, pictures)
            if rows is not None:
                parts.append({**rows, "clip": np.full(frames, len(parts), np.int64)})
            if len(parts) == CLIPS_PER_FILE:
                return parts
    return parts


def _clip(
    studio: Studio, observer: Observer, placed: Placed, clip: int, rng: np.random.Generator, pictures: bool
) -> dict[str, np.ndarray] | None:
    """Arrays of one clip, a row a frame; None when the detector did not find the person."""
    scene = studio.scene(placed, clip, rng)
    film, outlines = studio.film(scene, rng)
    seen = observer(film, outlines)
    if seen is None:
        return None
    frames = len(film)
    box = (seen.crops - [SIZE / 2, SIZE / 2, 0]) / SIZE * scene.frame[2] + np.append(scene.frame[:2], 0)
    rows = {
        "pose6d": rotmat_to_pose6d(placed.rotmat[clip]).numpy().astype(np.float32),
        "betas": placed.betas[clip].expand(frames, -1).numpy(),
        "pelvis": placed.pelvis[clip].numpy(),
        "box": box.astype(np.float32),
        "features": seen.features.numpy().astype(np.float32),
    }
    return {**rows, **(_packed(seen) if pictures else {})}


def _packed(seen: Observation) -> dict[str, np.ndarray]:
    """The crops as JPEG: `jpeg` (N,) bytes one after another, `jpeg_size` (T,)."""
    files = [
        cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].ravel() for picture in seen.pictures
    ]
    return {"jpeg": np.concatenate(files), "jpeg_size": np.array([len(file) for file in files], np.int64)}
