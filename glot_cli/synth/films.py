"""Films of made-up people in made-up rooms, and the truth of everyone in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from glot_cli.body.model import Body
from glot_cli.errors import InputError
from glot_cli.rendering.geometry import View, front_view
from glot_cli.synth.acting import Actor, Array, Takes, act
from glot_cli.synth.backdrop import backdrop_of
from glot_cli.synth.camera_effects import CameraEffects
from glot_cli.synth.painter import Painter
from glot_cli.synth.placement import COARSE, Camera, Stance, place_everyone
from glot_cli.synth.request import MOST_PEOPLE, ClipRequest, Shot, make_folder, settle
from glot_cli.synth.room import Room
from glot_cli.synth.truth import truth_record
from glot_cli.synth.wardrobe import Figures
from glot_cli.video import VideoWriter

CAST_TRIES = 6  # casts that are tried before a clip is given up
STUDIO = CameraEffects(gain=1.0, blur=0.6, noise=2.0, quality=100, shutter=0.0)  # what is not filmed with a phone


@dataclass(frozen=True)
class Plan:
    """One clip before it is drawn: what it came to, and the camera and the actors in their places."""

    shot: Shot
    camera: Camera
    actors: list[Actor]


def plan(takes: Takes, request: ClipRequest, body: Body, seed: int, number: int) -> Plan:
    """Who plays what where in one clip.

    Args:
        takes: what can be played.
        request: what is asked for.
        body: the open body, which plays.
        seed: of the set of clips.
        number: of the clip in it.

    Raises:
        InputError: nothing fits.
    """
    rng = np.random.default_rng([seed, number])
    shot = settle(request, rng)
    with torch.inference_mode():
        for _ in range(CAST_TRIES):
            names = takes.choose(request, shot.people, number, seed, rng)
            actors = [act(takes, name, request, body, rng) for name in names]
            placed = place_everyone(actors, request, shot, rng)
            if placed is not None:
                return Plan(shot, *placed)
    raise InputError(
        f"clip {number}: no place where everyone stays in sight",
        remedy="ask for fewer people or seconds, more distance, or another seed",
    )


class Film:
    """Draws the frames of a plan; deterministic when they are drawn in order.

    Args:
        plan: what to draw.
        figures: the body and its clothes.
        painter: that draws, for all people of the plan at once.
        loose: clothes stand off the skin.
        rng: draws clothes, room and noise.
    """

    def __init__(self, plan: Plan, figures: Figures, painter: Painter, loose: bool, rng: np.random.Generator) -> None:
        self.camera, self.actors = plan.camera, plan.actors
        self._figures, self._painter, self._rng = figures, painter, rng
        self._view = front_view(*self.camera.size, self.camera.focal)
        deepest = max(float(-actor.vertices[..., 2].min()) for actor in self.actors)
        self.room = Room(self.camera, deepest, rng)
        if plan.shot.obstacle:
            self.room.put_before(self.camera, [actor.vertices[:, ::COARSE] for actor in self.actors])
        self._backdrop = backdrop_of(self.room, self.camera)
        outfits = [figures.wardrobe.dress(rng) for _ in self.actors]
        self._outfits = [o if loose else replace(o, offset=np.zeros_like(o.offset)) for o in outfits]
        self._tint = 1 + rng.normal(size=3) * 0.03
        self._effects = CameraEffects.draw(rng) if plan.shot.phone else STUDIO

    def frame(self, index: int) -> tuple[NDArray[np.uint8], list[float]]:
        """One frame as the camera stores it.

        Returns:
            The picture (H, W, 3) uint8, and of every actor the share of the outline that nobody and nothing hides.
        """
        half = self._effects.shutter / 2
        exposures = [self.picture(index + offset) for offset in ((-half, 0.0, half) if half else (0.0,))]
        image = self._effects.expose(np.stack(exposures).mean(0), self._rng)
        return image, self._visible(index)

    def picture(self, time: float) -> NDArray[np.float32]:
        """(H, W, 3), 0 to 255, at a time in frames, as light brings it to the camera."""
        stance = self.camera.at(time)
        picture = self._backdrop.frame(stance)  # changed in place from here on: it is what takes the time
        outsides, colours = self._people(time)
        shade = 1 - 0.45 * self._shadow(outsides, self.room.light, stance, 4.0)
        shade *= 1 - 0.30 * self._shadow(outsides, np.array([0.0, 1.0, 0.0]), stance, 14.0)
        picture *= shade[..., None]
        picture *= (self._tint * 255).astype(np.float32)
        drawn = self._painter.draw(stance.sees(outsides).astype(np.float32), colours, self._seen_from(stance))
        if drawn is not None:
            picture *= 1 - drawn[..., 3:] / np.float32(255)
            picture += drawn[..., :3]
        thing = self._backdrop.thing(stance)
        if thing is not None:
            picture *= 1 - thing[..., 3:]
            picture += thing[..., :3] * np.float32(255)
        return picture

    def coverage(self, index: int, person: int) -> NDArray[np.float32]:
        """(H, W), 0 to 1: how much of each pixel a dressed person would cover, were nobody and nothing else there."""
        skin = self.actors[person].vertices[index]
        outside, _ = self._figures.clothed(skin, self._outfits[person])
        return self._mask(outside[None], self.camera.at(index))

    def _people(self, time: float) -> tuple[Array, Array]:
        """Everyone's outside (P, V, 3) in the world, and its lit colours (P, V, 3)."""
        last = len(self.camera.angles) - 1
        time = float(np.clip(time, 0, last))
        before = min(int(time), last - 1)
        outsides, colours = [], []
        for actor, outfit in zip(self.actors, self._outfits, strict=True):
            skin = actor.vertices[before]
            skin = skin + np.float32(time - before) * (actor.vertices[before + 1] - skin)
            outside, normals = self._figures.clothed(skin, outfit)
            sky = 0.42 + 0.16 * normals[:, 1:2]
            sun = 0.80 * np.clip(normals @ self.room.light, 0, None)[:, None]
            ground = 1 - 0.25 * np.exp(-np.maximum(outside[:, 1:2], 0) / 0.25)  # darker near the floor
            outsides.append(outside)
            colours.append(np.clip(outfit.colours[:, :3] * (sky + sun) * ground * self._tint, 0, 1))
        return np.stack(outsides), np.stack(colours)

    def _seen_from(self, stance: Stance) -> View:
        return replace(self._view, focal=self._view.focal * stance.zoom)

    def _mask(self, points: Array, stance: Stance) -> NDArray[np.float32]:
        """Coverage (H, W), 0 to 1, of bodies (P, V, 3) in the world."""
        drawn = self._painter.draw(stance.sees(points).astype(np.float32), None, self._seen_from(stance))
        if drawn is None:
            return np.zeros(self.camera.size[::-1], np.float32)
        return drawn[..., 3].astype(np.float32) / np.float32(255)

    def _shadow(self, world: Array, light: Array, stance: Stance, softness: float) -> NDArray[np.float32]:
        """(H, W) 0 to 1: everyone laid flat on the floor along the light, blurred by `softness` pixels in 1440."""
        flat = world - np.maximum(world[..., 1:2], 0) / light[1] * light
        flat[..., 1] = 0
        mask = self._mask(flat, stance)
        small = cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), softness * self.camera.size[1] / 1440)
        return np.asarray(cv2.resize(small, self.camera.size))

    def _visible(self, index: int) -> list[float]:
        stance = self.camera.at(index)
        thing = self._backdrop.thing(stance)
        if len(self.actors) == 1 and thing is None:
            return [1.0]
        outlines = [self.coverage(index, person) > 0.5 for person in range(len(self.actors))]
        taken = np.zeros_like(outlines[0]) if thing is None else thing[..., 3] > 0.5
        points = np.stack([actor.vertices[index] for actor in self.actors])
        depth = np.median(stance.sees(points)[..., 2], axis=1)
        shares = [1.0] * len(self.actors)
        for person in np.argsort(depth):  # the nearest first
            shares[person] = float((outlines[person] & ~taken).sum() / max(outlines[person].sum(), 1))
            taken = taken | outlines[person]
        return shares


def film(
    motions: Path,
    out: Path,
    request: ClipRequest,
    *,
    clips: int = 1,
    seed: int = 0,
    quiet: bool = False,
    tell: Callable[[str], None] = print,
) -> list[Path]:
    """Write clips NAME.mp4, and the truth of each to NAME.npz; those that are finished are kept.

    Every clip depends on its own number, the seed and the request alone.

    Args:
        motions: an .npz with poses, trans, clip_index and clip_names (see `acting`).
        out: the folder for them.
        request: what is asked for.
        clips: how many.
        seed: another one draws other people and places.
        quiet: show no progress bar.
        tell: receives one line a clip.

    Returns:
        The clips' files.

    Raises:
        InputError: the motions cannot be used, or a clip finds no place for everyone.
        OutputError: a file cannot be written.
        RenderError: nothing draws on this machine.
        WeightsError: the open body is not there, or damaged.
    """
    takes = Takes.read(motions)
    figures = Figures()
    make_folder(out)
    paths = [out / f"clip_{seed}_{number:03d}.mp4" for number in range(clips)]
    with Painter(figures.body.faces, figures.body.num_vertices, MOST_PEOPLE, request.size) as painter:
        for number, path in enumerate(paths):
            if path.exists() and path.with_suffix(".npz").exists():
                tell(f"{path}: finished before, kept")
                continue
            scene = plan(takes, request, figures.body, seed, number)
            tell(f"{path}: {_described(scene)}")
            rng = np.random.default_rng([seed, number, 1])  # its own, so that no drawing changes the truth
            visible = _shoot(Film(scene, figures, painter, request.loose, rng), path, request, scene.shot.crf, quiet)
            with torch.inference_mode():
                truth = truth_record(scene.camera, scene.actors, visible, figures.body, path, request)
            truth.save(path.with_suffix(".npz"))  # last: a clip whose truth is there is finished
    return paths


def _shoot(film: Film, path: Path, request: ClipRequest, crf: int, quiet: bool) -> NDArray[np.floating]:
    """Write the clip. Shares (T, P) of everyone's outline that can be seen."""
    visible = []
    step = 1 / request.fps
    with VideoWriter(path, *request.size, time_base=step, fps=request.fps, crf=crf, preset="medium") as writer:
        bar = tqdm(range(request.frames), unit="frame", desc=path.name, leave=False, disable=quiet or None)
        for index in bar:
            image, shares = film.frame(index)
            writer.write(image, index)
            visible.append(shares)
    return np.array(visible)


def _described(scene: Plan) -> str:
    """One line: who, how far away, through which camera."""
    shot, camera = scene.shot, scene.camera
    people = ", ".join(f"{actor.take} {-actor.joints[:, 0, 2].mean():.1f} m away" for actor in scene.actors)
    extras = [f"turns {shot.pan:.0f} degrees"] if shot.pan else []
    if shot.zoom != 1:
        extras.append(f"zooms by {shot.zoom:.2f}")
    if shot.travel:
        extras.append(f"travels {np.linalg.norm(np.ptp(camera.positions, axis=0)):.1f} m")
    extras += [
        word
        for word, there in (("unsteady", shot.shake), ("a phone's", shot.phone), ("a thing in front", shot.obstacle))
        if there
    ]
    return "; ".join([people, f"focal {camera.focal:.0f} px, camera {camera.height:.2f} m high", *extras])
