"""Film open bodies in a made-up room: a clip, and the truth of everyone in it as a record like that of `glot run`.

    python examples/make_clip.py --motions motions.npz --out clip/ --people 2 --seconds 6 --seed 3

writes clip/clip.mp4 and clip/truth.npz; `glot eval RESULT --against clip/truth.npz` compares. The motions are the
user's own: an .npz with poses (N, 24, 3) axis-angle at 30 frames a second, joint 0 turning the pelvis in a world with
y up, trans (N, 3) the pelvis in metres, clip_index (N,) and clip_names (C,). In the record, `score` is the share of a
person's outline that nobody else hides. Needs a working EGL.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

import cv2
import numpy as np
import pyrender
import torch
import torch._dynamo  # before any OpenGL context: Mesa's LLVM and triton's do not share a process otherwise
from numpy.typing import NDArray
from tqdm import tqdm

from glot_cli import __version__, weights
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle, slerp
from glot_cli.camera import camera_from_translation, project_pinhole
from glot_cli.errors import GlotError
from glot_cli.rendering.blend import blend_over
from glot_cli.rendering.context import RENDER_FLAGS, PinholeCamera, RegionRenderer, open_platform, update_vertices
from glot_cli.rendering.geometry import NEAR, NormalMap, Region, covered_region, front_view
from glot_cli.results import Meta, Result
from glot_cli.training.wardrobe import dress
from glot_cli.video import VideoWriter

MOTION_FPS = 30
BODY = "open-body"
APART = 0.75  # metres between two people's pelves, at least
MARGIN = 0.02  # of the picture's size, kept free around people
CROP_SCALE = 1.25  # side of a record's box over the longer side of the person's, as the open preset cuts it
SHORTEST = 45  # frames of a take that may be played to and fro

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Camera:
    """A pinhole that turns about the vertical. height in metres above the floor, pitch (radians) down, heading (T,)."""

    size: tuple[int, int]
    focal: float
    height: float
    pitch: float
    heading: Array

    @property
    def centre(self) -> Array:
        return np.array(self.size) / 2

    @property
    def position(self) -> Array:
        return np.array([0.0, self.height, 0.0])

    def rotation(self, heading: float) -> Array:
        """(3, 3) from the world (y up, the camera looks along -z at heading 0) into the camera's frame."""
        c, s, cp, sp = np.cos(heading), np.sin(heading), np.cos(self.pitch), np.sin(self.pitch)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        return tilt @ np.diag([1.0, -1, -1]) @ turn

    @property
    def rotations(self) -> Array:
        """(T, 3, 3), one a frame."""
        return np.stack([self.rotation(h) for h in self.heading])


@dataclass(frozen=True)
class Actor:
    """One person's motion. rotmat (T, 24, 3, 3), betas (10,); vertices (T, V, 3), joints (T, 24, 3) in the world."""

    take: str
    rotmat: torch.Tensor
    betas: torch.Tensor
    vertices: Array
    joints: Array

    def moved(self, yaw: float, x: float, z: float) -> Actor:
        """Turned about the vertical through the middle of the path, which comes to stand at x, z."""
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
        path = self.joints[:, 0]
        middle = (path.min(0) + path.max(0)) / 2 * [1, 0, 1]
        shift = np.array([x, 0, z])
        rotmat = self.rotmat.clone()
        rotmat[:, 0] = torch.from_numpy(turn) @ rotmat[:, 0]
        return Actor(
            self.take,
            rotmat,
            self.betas,
            ((self.vertices - middle) @ turn.T + shift).astype(np.float32),
            (self.joints - middle) @ turn.T + shift,
        )


def read_takes(path: Path) -> tuple[dict[str, tuple[Array, Array]], float | None]:
    """Poses (n, 24, 3) and pelvis (n, 3) of each take, and the leg length of the skeleton, if the file tells it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            a = {k: file[k] for k in ("poses", "trans", "clip_index", "clip_names")}
            offsets = file["rest_offsets"] if "rest_offsets" in file.files else None
    except (OSError, ValueError, KeyError) as error:
        raise GlotError(f"{path}: not a motion file ({error}); give poses, trans, clip_index and clip_names") from error
    takes = {}
    for index, name in enumerate(a["clip_names"]):
        rows = a["clip_index"] == index
        takes[str(name)] = (a["poses"][rows].astype(np.float32), a["trans"][rows].astype(np.float32))
    return takes, None if offsets is None else _leg(offsets[4], offsets[7])


def _leg(knee: Array, ankle: Array) -> float:
    return float(np.linalg.norm(knee) + np.linalg.norm(ankle))


def act(
    name: str, take: tuple[Array, Array], leg: float | None, frames: int, fps: Fraction, body: Body,
    rng: np.random.Generator,
) -> Actor:  # fmt: skip
    """A stretch of a take, performed by a random body whose feet reach the floor."""
    at = _moments(len(take[0]), frames, float(MOTION_FPS / fps), rng)
    low = np.minimum(at.astype(int), len(take[0]) - 2)
    part = torch.from_numpy(at - low).float()
    rotmat = axis_angle_to_rotmat(torch.from_numpy(take[0]))
    rotmat = slerp(rotmat[low], rotmat[low + 1], part[:, None].expand(-1, 24))
    pelvis = take[1][low] + (take[1][low + 1] - take[1][low]) * part.numpy()[:, None]
    betas = torch.from_numpy(rng.normal(size=10).clip(-2, 2)).float()
    rest = body.rest_joints(betas[None])[0].numpy()
    if leg is not None:  # longer legs, longer steps
        pelvis = pelvis * (_leg(rest[4] - rest[1], rest[7] - rest[4]) / leg)
    output = body(rotmat, betas.expand(frames, -1))
    shift = torch.from_numpy(pelvis).float() - output.joints[:, 0]
    vertices = (output.vertices + shift[:, None]).numpy()
    joints = (output.joints + shift[:, None]).double().numpy()
    floor = np.quantile(vertices[..., 1].min(1), 0.15)  # not the lowest: a toe that dips in now and then is no floor
    vertices[..., 1] -= floor
    joints[..., 1] -= floor
    return Actor(name, rotmat, betas, vertices, joints)


def _moments(length: int, frames: int, step: float, rng: np.random.Generator) -> Array:
    """(frames,) times in a take, in its frames: straight through, or to and fro with soft turns if it is too short."""
    spare = length - 1 - (frames - 1) * step
    if spare >= 0:
        return rng.uniform(0, spare) + np.arange(frames) * step
    ramp = rng.uniform(0, 2 * (length - 1)) + np.arange(-7, frames + 7) * step
    wave = (length - 1) - np.abs((length - 1) - ramp % (2 * (length - 1)))
    window = np.hanning(17)[1:-1]
    return np.convolve(wave, window / window.sum(), "valid")


def stage(
    actors: list[Actor], size: tuple[int, int], args: argparse.Namespace, rng: np.random.Generator
) -> tuple[Camera, list[Actor]]:
    """A camera, and places for everyone: in sight all the time, clear of each other. Raises GlotError if none fit."""
    frames = len(actors[0].joints)
    diagonal = float(np.hypot(*size))
    pan = np.radians(args.pan)
    sketches = [replace(a, vertices=a.vertices[:, ::40]) for a in actors]  # enough to tell where people are
    for _ in range(4000):
        height = args.height or rng.uniform(1.0, 2.0)
        distance = args.distance or rng.uniform(3.0, 6.0)
        pitch = np.arctan((height - 0.9) / distance) + np.radians(rng.normal() * 1.5)
        heading = pan * np.linspace(-0.5, 0.5, frames)
        camera = Camera(size, args.focal or 0.9 * diagonal, height, float(pitch), heading)
        rotations = camera.rotations
        places = []
        for index in range(len(actors)):
            depth = distance + (rng.uniform(-0.3, 2.2) if index else 0.0)
            spread = 0.3 if len(actors) == 1 else 0.45
            x = rng.uniform(-spread, spread) * depth * size[0] / camera.focal
            places.append((rng.uniform(0, 2 * np.pi), x, -depth))
        placed = [sketch.moved(*place) for sketch, place in zip(sketches, places, strict=True)]
        if all(_in_sight(a, camera, rotations) for a in placed) and _clear(placed):
            return camera, [actor.moved(*place) for actor, place in zip(actors, places, strict=True)]
    raise GlotError("no place where everyone stays in sight; take another --seed, fewer --seconds or more --distance")


def _in_sight(actor: Actor, camera: Camera, rotations: Array) -> bool:
    points = np.einsum("tij,tvj->tvi", rotations, actor.vertices - camera.position)
    if points[..., 2].min() < 1.8:
        return False
    pixels = points[..., :2] / points[..., 2:] * camera.focal + camera.centre
    share = pixels / camera.size
    return bool(share.min() > MARGIN and share.max() < 1 - MARGIN)


def _clear(actors: list[Actor]) -> bool:
    paths = [a.joints[:, 0] for a in actors]
    return all(
        np.linalg.norm((p - q)[:, [0, 2]], axis=-1).min() > APART for i, p in enumerate(paths) for q in paths[:i]
    )


class Room:
    """Floor, walls, furniture, as rays from the camera meet them. Everything in metres; colours 0 to 1."""

    def __init__(self, camera: Camera, deepest: float, rng: np.random.Generator) -> None:
        self.rng = rng
        self.light = _light(rng)
        wide = deepest * camera.size[0] / camera.focal / 2
        self.back = deepest + rng.uniform(2.0, 4.0)
        self.sides = (-wide - rng.uniform(0.6, 4.0), wide + rng.uniform(0.6, 4.0))
        self.top = rng.uniform(2.6, 4.2)
        self.wall = np.clip(rng.uniform(0.5, 0.9) + rng.normal(size=3) * 0.05, 0.2, 0.95)
        self.floor = np.clip(rng.uniform(0.25, 0.65) * np.array([1.1, 1.0, 0.85]) + rng.normal(size=3) * 0.04, 0.1, 0.9)
        self.pattern = str(rng.choice(["planks", "tiles", "plain"]))
        self.noise = _noise(rng)
        self.panels = [self._panel() for _ in range(rng.integers(2, 6))]
        self.boxes = [self._box() for _ in range(rng.integers(1, 5))]

    def _panel(self) -> tuple[Array, Array]:
        """A picture, window or door on the back wall: (x0, y0, x1, y1) and a colour."""
        rng = self.rng
        x = rng.uniform(self.sides[0] + 0.3, self.sides[1] - 1.2)
        if rng.random() < 0.4:
            return np.array([x, 0, x + rng.uniform(0.8, 1.1), 2.05]), rng.uniform(0.2, 0.8) + rng.normal(size=3) * 0.06
        y = rng.uniform(1.0, 1.6)
        return np.array([x, y, x + rng.uniform(0.4, 1.8), y + rng.uniform(0.4, 1.0)]), rng.uniform(
            0.15, 0.9
        ) + rng.normal(size=3) * 0.12

    def _box(self) -> tuple[Array, Array, Array]:
        """A piece of furniture along the back wall: lowest and highest corner, colour."""
        rng = self.rng
        x = rng.uniform(self.sides[0], self.sides[1] - 1)
        low = np.array([x, 0, -self.back])
        high = np.array([x + rng.uniform(0.4, 1.8), rng.uniform(0.4, 1.9), -self.back + rng.uniform(0.3, 0.7)])
        return low, high, np.clip(rng.uniform(0.15, 0.7) + rng.normal(size=3) * 0.1, 0.05, 0.9)

    def picture(self, origin: Array, rays: Array) -> Array:
        """Colours (H, W, 3) float32, 0 to 1, that rays (H, W, 3) from `origin` (3,) meet."""
        inverse = 1 / np.where(np.abs(rays) < 1e-9, 1e-9, rays)
        ends = np.array([[self.sides[0], 0, -self.back], [self.sides[1], self.top, 1e3]]) - origin
        hits = np.where(inverse > 0, ends[1], ends[0]) * inverse  # of a room seen from inside, the first wall met
        axis = hits.argmin(-1)
        reach = hits.min(-1)
        at = origin + rays * reach[..., None]
        x, y, z = at[..., 0], at[..., 1], at[..., 2]
        # There and back again over the noise, so that it has no seams.
        where = (np.abs(v * 170 % 2046 - 1023).astype(np.float32) for v in (x + 0.37 * y, z + 0.81 * y))
        speckle = cv2.remap(self.noise, *where, cv2.INTER_LINEAR)
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
        for low, high, paint in self.boxes:
            t0, t1 = (low - origin) * inverse, (high - origin) * inverse
            enter, leave = np.minimum(t0, t1), np.maximum(t0, t1)
            first = enter.max(-1)
            met = (first > 0) & (first < leave.min(-1)) & (first < reach + 1e-6)
            bright = np.array([0.75, 1.15, 0.95])[enter.argmax(-1)]
            colour = np.where(met[..., None], paint * bright[..., None], colour)
        return np.clip(colour, 0, 1).astype(np.float32)

    def _joints(self, x: Array, z: Array) -> Array:
        """Brightness of the floor's pattern at x, z."""
        if self.pattern == "plain":
            return np.ones_like(x)
        if self.pattern == "tiles":
            return 1 - 0.3 * (np.maximum(np.abs(x / 0.6 % 1 - 0.5), np.abs(z / 0.6 % 1 - 0.5)) > 0.485)
        row = np.floor(x / 0.16)
        length = (z + row * 0.77) / 1.4
        tone = 1 + 0.13 * np.sin(row * 12.9898 + np.floor(length) * 78.233)
        gap = (np.abs(x / 0.16 % 1 - 0.5) > 0.475) | (np.abs(length % 1 - 0.5) > 0.496)
        return tone * (1 - 0.35 * gap)


def _light(rng: np.random.Generator) -> Array:
    """(3,) unit vector towards the main light: above, and not behind the people."""
    azimuth, height = np.radians(rng.uniform(-75, 75)), np.radians(rng.uniform(48, 68))
    return np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])


def _noise(rng: np.random.Generator) -> NDArray[np.float32]:
    """(1024, 1024) float32 cloudy noise of several scales, about -2 to 2."""
    total = np.zeros((1024, 1024), np.float32)
    for cells in (6, 24, 96, 384):
        total += cv2.resize(
            rng.normal(size=(cells, cells)).astype(np.float32), (1024, 1024), interpolation=cv2.INTER_CUBIC
        )
    return total / 2


class Backdrop:
    """The empty room in every frame: drawn once, wide, and turned for each frame (a pinhole's turn is a homography)."""

    def __init__(self, room: Room, camera: Camera) -> None:
        self.camera = camera
        over = 2.0  # finer than the picture: shrinking it smooths the edges
        half = np.arctan(camera.size[0] / 2 / camera.focal) + np.abs(camera.heading).max() + np.radians(0.5)
        up = np.arctan(camera.size[1] / 2 / camera.focal) * (1 + 2 * np.abs(camera.heading).max()) + np.radians(0.5)
        focal = camera.focal * over
        wide, high = int(2 * focal * np.tan(half)), int(2 * focal * np.tan(up))
        self.matrix = np.array([[focal, 0, wide / 2], [0, focal, high / 2], [0, 0, 1]])
        y, x = np.mgrid[0:high, 0:wide] + 0.5
        rays = np.stack([(x - wide / 2) / focal, (y - high / 2) / focal, np.ones_like(x)], -1) @ camera.rotation(0.0)
        picture = room.picture(camera.position, rays)
        self.picture = cv2.GaussianBlur(picture, (0, 0), 0.8)

    def frame(self, heading: float) -> Array:
        """(H, W, 3) float32, 0 to 1."""
        camera = self.camera
        own = np.array([[camera.focal, 0, camera.centre[0]], [0, camera.focal, camera.centre[1]], [0, 0, 1]])
        turn = camera.rotation(heading) @ camera.rotation(0.0).T
        half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV counts from the middle of a pixel
        matrix = half @ own @ turn @ np.linalg.inv(self.matrix) @ np.linalg.inv(half)
        return cv2.warpPerspective(self.picture, matrix, camera.size, flags=cv2.INTER_LINEAR)


class Meshes:
    """Several bodies of one topology, drawn as they are coloured. An OpenGL context must be current."""

    def __init__(self, faces: Array, people: int, vertices: int, camera: Camera) -> None:
        self.view = front_view(*camera.size, camera.focal)
        self.renderer = RegionRenderer(*camera.size)
        self.scene = pyrender.Scene(bg_color=(0.0, 0.0, 0.0, 0.0))
        self.camera = PinholeCamera()
        self.camera.focal = camera.focal
        self.scene.add(self.camera, pose=np.diag([1.0, -1, -1, 1]))
        self.meshes = []
        for _ in range(people):
            blank = np.ones((vertices, 7), np.float32)
            material = pyrender.MetallicRoughnessMaterial(baseColorFactor=(1.0, 1.0, 1.0, 1.0), doubleSided=True)
            primitive = pyrender.Primitive(
                positions=blank[:, :3], color_0=blank[:, 3:], indices=faces, material=material, mode=4
            )
            self.meshes.append(pyrender.Mesh([primitive]))
            self.scene.add(self.meshes[-1])

    def draw(
        self, vertices: Array, colours: Array | None = None, only: int | None = None
    ) -> tuple[Region, NDArray[np.uint8]] | None:
        """vertices (P, V, 3) in the camera's frame, colours (P, V, 3) or white -> the region they cover, RGBA."""
        region = covered_region(vertices if only is None else vertices[only : only + 1], self.view, margin=24)
        if region is None:
            return None
        for index, mesh in enumerate(self.meshes):
            mesh.is_visible = only in (None, index)
            rows = np.ones((vertices.shape[1], 7), np.float32)
            rows[:, :3] = vertices[index]
            if colours is not None:
                rows[:, 3:6] = colours[index]
            update_vertices(mesh.primitives[0], rows)
        self.camera.centre = (self.view.centre[0] - region.x0, self.view.centre[1] - region.y0)
        self.camera.znear, self.camera.zfar = 0.0, region.far * 1.01
        self.camera.znear = max(region.near * 0.99, NEAR)
        self.renderer.viewport_width, self.renderer.viewport_height = region.x1 - region.x0, region.y1 - region.y0
        return region, self.renderer.render(self.scene, RENDER_FLAGS)


class Film:
    """Draws the frames of a scene."""

    def __init__(
        self, camera: Camera, actors: list[Actor], body: Body, parts: dict[str, Array], rng: np.random.Generator
    ) -> None:
        self.camera, self.actors, self.rng = camera, actors, rng
        deepest = max(float(-a.vertices[..., 2].min()) for a in actors)
        self.room = Room(camera, deepest, rng)
        self.backdrop = Backdrop(self.room, camera)
        names = [str(n) for n in parts["region_names"]]
        regions = parts["vertex_region"].astype(int)
        self.albedo = np.stack([dress(regions, names, rng)[:, :3] for _ in actors])
        self.normals = NormalMap(body.faces, body.num_vertices)
        self.platform = open_platform(*camera.size)
        self.bodies = Meshes(body.faces, len(actors), body.num_vertices, camera)
        self.shadows = Meshes(body.faces, len(actors), body.num_vertices, camera)
        self.tint = 1 + rng.normal(size=3) * 0.03

    def frame(self, index: int) -> tuple[NDArray[np.uint8], list[float]]:
        """The picture, and for every actor the share of the outline that no other actor hides."""
        rotation = self.camera.rotation(float(self.camera.heading[index]))
        world = np.stack([a.vertices[index] for a in self.actors])
        seen = self._to_camera(world, rotation)
        light = self.room.light
        picture = self.backdrop.frame(float(self.camera.heading[index]))
        picture = picture * (1 - 0.45 * self._shadow(world, light, rotation, 4.0)[..., None])
        picture = picture * (1 - 0.30 * self._shadow(world, np.array([0.0, 1.0, 0.0]), rotation, 14.0)[..., None])
        image = np.clip(picture * self.tint * 255, 0, 255).astype(np.uint8)
        colours = []
        for points, albedo in zip(world, self.albedo, strict=True):
            normals = self.normals(points)
            sky = 0.42 + 0.16 * normals[:, 1:2]
            sun = 0.80 * np.clip(normals @ light, 0, None)[:, None]
            ground = 1 - 0.25 * np.exp(-np.maximum(points[:, 1:2], 0) / 0.25)  # darker near the floor
            colours.append(np.clip(albedo * (sky + sun) * ground * self.tint, 0, 1))
        drawn = self.bodies.draw(seen, np.stack(colours))
        if drawn is not None:
            region, rgba = drawn
            blend_over(image[region.y0 : region.y1, region.x0 : region.x1], rgba)
        image = cv2.GaussianBlur(image, (0, 0), 0.6)
        noise = self.rng.normal(size=(*image.shape[:2], 1)) * 2.0
        return np.clip(image + noise, 0, 255).astype(np.uint8), self._visible(seen)

    def _to_camera(self, points: Array, rotation: Array) -> NDArray[np.float32]:
        return ((points - self.camera.position) @ rotation.T).astype(np.float32)

    def _shadow(self, world: Array, light: Array, rotation: Array, softness: float) -> NDArray[np.float32]:
        """(H, W) 0 to 1: everyone laid flat on the floor along the light, blurred by `softness` pixels in 720."""
        flat = world - np.maximum(world[..., 1:2], 0) / light[1] * light
        flat[..., 1] = 0
        mask = np.zeros(self.camera.size[::-1], np.float32)
        drawn = self.shadows.draw(self._to_camera(flat, rotation))
        if drawn is not None:
            region, rgba = drawn
            mask[region.y0 : region.y1, region.x0 : region.x1] = rgba[..., 3] / np.float32(255)
        small = cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), softness * self.camera.size[1] / 1440)
        return cv2.resize(small, self.camera.size)

    def _visible(self, seen: Array) -> list[float]:
        if len(seen) == 1:
            return [1.0]
        outlines = []
        for index in range(len(seen)):
            outline = np.zeros(self.camera.size[::-1], bool)
            drawn = self.shadows.draw(seen, only=index)
            if drawn is not None:
                region, rgba = drawn
                outline[region.y0 : region.y1, region.x0 : region.x1] = rgba[..., 3] > 127
            outlines.append(outline)
        shares = [1.0] * len(seen)
        taken = np.zeros_like(outlines[0])
        for index in np.argsort(np.median(seen[..., 2], axis=1)):  # the nearest first
            shares[index] = float((outlines[index] & ~taken).sum() / max(outlines[index].sum(), 1))
            taken |= outlines[index]
        return shares


def truth(
    camera: Camera, actors: list[Actor], visible: Array, body: Body, clip: Path, fps: Fraction, sha256: str
) -> Result:
    """The record of everyone; visible (T, P)."""
    rotations = torch.from_numpy(camera.rotations).float()
    centre = torch.from_numpy(camera.centre).float()
    frames = len(rotations)
    parts = []
    for person, actor in enumerate(actors, 1):
        rotmat = actor.rotmat.clone()
        rotmat[:, 0] = rotations @ rotmat[:, 0]
        betas = actor.betas.expand(frames, -1)
        joints = body(rotmat, betas, vertices=False).joints
        pelvis = torch.from_numpy(
            np.einsum("tij,tj->ti", camera.rotations, actor.joints[:, 0] - camera.position)
        ).float()
        transl = pelvis - joints[:, 0]
        surface = torch.from_numpy(
            np.einsum("tij,tvj->tvi", camera.rotations, actor.vertices - camera.position)
        ).float()
        pixels = project_pinhole(surface, camera.focal, centre)
        low, high = pixels.amin(1), pixels.amax(1)
        box = torch.cat([(low + high) / 2, (high - low).amax(-1, keepdim=True) * CROP_SCALE], -1)
        weak = camera_from_translation(transl, box, joints[:, 0], camera.focal, centre)
        parts.append(
            {
                "frame": np.arange(frames, dtype=np.int32),
                "person": np.full(frames, person, np.int32),
                "time": np.arange(frames) / float(fps),
                "pose": rotmat_to_axis_angle(rotmat).numpy(),
                "betas": betas.numpy(),
                "betas_frame": betas.numpy(),
                "camera": weak.numpy(),
                "camera_network": weak.numpy(),
                "box": box.numpy(),
                "transl": transl.numpy(),
                "joints3d": (joints - joints[:, :1]).numpy(),
                "joints2d": project_pinhole(joints + transl[:, None], camera.focal, centre).numpy(),
                "score": visible[:, person - 1].astype(np.float32),
                "interpolated": np.zeros(frames, bool),
            }
        )
    meta = Meta(
        video=clip.name,
        source=str(clip.resolve()),
        width=camera.size[0],
        height=camera.size[1],
        fps=str(fps),
        frame_count=frames,
        start_frame=0,
        focal_length=camera.focal,
        body_model=BODY,
        body_model_sha256=sha256,
        preset="truth",
        weights={},
        program_version=__version__,
    )
    return Result({name: np.concatenate([p[name] for p in parts]) for name in parts[0]}, meta)


def choose(
    takes: dict[str, tuple[Array, Array]], args: argparse.Namespace, frames: int, rng: np.random.Generator
) -> list[str]:
    """Names of the takes, one a person. Raises GlotError where there is none."""
    need = SHORTEST if args.bounce else int(np.ceil(frames * MOTION_FPS / args.fps))
    long = [name for name, (poses, _) in takes.items() if len(poses) >= need]
    if args.takes:
        if len(args.takes) != args.people:
            raise GlotError(f"--takes: {len(args.takes)} takes for {args.people} people; name one a person")
        for name in args.takes:
            if name not in takes:
                raise GlotError(f"{args.motions}: has no take {name}; it has {', '.join(list(takes)[:12])} ...")
            if name not in long:
                raise GlotError(f"{args.motions}: take {name} is shorter than {need} frames; see --seconds, --bounce")
        return list(args.takes)
    if not long:
        raise GlotError(f"{args.motions}: no take of {need} frames; ask for fewer --seconds, or --bounce")
    return [str(n) for n in rng.choice(long, args.people, replace=len(long) < args.people)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path, required=True, help="motion file (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder for clip.mp4 and truth.npz")
    parser.add_argument("--people", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--fps", type=Fraction, default=Fraction(30), help="frames a second, e.g. 25 or 30000/1001")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=_size, default=(1280, 720), help="pixels, even; 1280x720 if not given")
    parser.add_argument("--takes", nargs="+", help="names of takes, one a person, instead of random ones")
    parser.add_argument("--bounce", action="store_true", help="play takes that are too short to and fro")
    parser.add_argument("--focal", type=float, help="pixels; by default 0.9 of the picture's diagonal")
    parser.add_argument("--height", type=float, help="of the camera, metres; by default 1 to 2")
    parser.add_argument("--distance", type=float, help="of the first person, metres; by default 3 to 6")
    parser.add_argument("--pan", type=float, default=0.0, help="degrees that the camera turns through the clip")
    parser.add_argument("--crf", type=int, default=23, help="x264 quality, lower is better")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        make(args)
    except GlotError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _size(text: str) -> tuple[int, int]:
    """Width and height of "1280x720"; H.264 wants both even, and truth and clip must agree."""
    width, height = (int(part) for part in text.split("x"))
    if min(width, height) < 64 or width % 2 or height % 2:
        raise ValueError
    return width, height


def make(args: argparse.Namespace) -> None:
    """The clip and its truth. Raises GlotError."""
    rng = np.random.default_rng(args.seed)
    width, height = args.size
    frames = round(args.seconds * args.fps) if args.fps > 0 else 0
    if frames < 2:
        raise GlotError(f"--seconds {args.seconds} at --fps {args.fps}: less than two frames; ask for more")
    path = weights.locate(BODY)
    body = Body.load(path)
    takes, leg = read_takes(args.motions)
    names = choose(takes, args, frames, rng)
    with torch.no_grad():
        actors = [act(name, takes[name], leg, frames, args.fps, body, rng) for name in names]
    camera, actors = stage(actors, (width, height), args, rng)
    away = ", ".join(f"{-actor.joints[:, 0, 2].mean():.1f}" for actor in actors)
    print(f"{', '.join(names)}: {away} m away; focal {camera.focal:.0f} px, camera {camera.height:.2f} m high")
    args.out.mkdir(parents=True, exist_ok=True)
    clip = args.out / "clip.mp4"
    film = Film(camera, actors, body, read_body_arrays(path), rng)
    visible = []
    step = 1 / args.fps
    with VideoWriter(clip, width, height, time_base=step, fps=args.fps, crf=args.crf, preset="medium") as writer:
        for index in tqdm(range(frames), unit="frame", disable=None):
            image, shares = film.frame(index)
            writer.write(image, index)
            visible.append(shares)
    with torch.no_grad():
        truth(camera, actors, np.array(visible), body, clip, args.fps, weights.sha256(path)).save(
            args.out / "truth.npz"
        )


if __name__ == "__main__":
    sys.exit(main())
