"""Draw open bodies into crops and let the landmark network look at them: pairs of truth and what was seen.

    python weights/recipes/render_pairs.py --motions train.npz --out pairs/ [--clips 2000] [--seed 0]

Writes one .npz a shard of clips (see glot_cli/training/pairs.py); run again, it goes on after the last shard. Needs a
working EGL. The pairs feed `glot train` (`rendered` in the configuration).
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

import cv2
import numpy as np
import pyrender
import torch
import torch._dynamo  # before any OpenGL context: Mesa's LLVM and triton's do not share a process otherwise
from tqdm import tqdm

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import rotmat_to_pose6d
from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.rendering.context import RENDER_FLAGS, RegionRenderer, open_platform
from glot_cli.rendering.geometry import NormalMap
from glot_cli.training.motions import load_motions
from glot_cli.training.simulate import Placed, Viewing, place
from glot_cli.training.wardrobe import dress
from glot_cli.training.windows import Augmentation, sample_windows
from glot_cli.weights import shipped_folder

SIZE = 288  # pixels drawn; shrunk to the landmark network's 256, which softens edges as a camera does
CLIPS_PER_SHARD = 20


class Painter:
    """Draws one crop: a dressed body, perhaps another person, a background."""

    def __init__(self, body: Body, regions: np.ndarray, names: list[str]) -> None:
        self.body = body
        self.regions, self.names = regions, names
        self.faces = np.asarray(body.faces)
        self.normals = NormalMap(self.faces, len(regions))
        self.platform = open_platform(SIZE, SIZE)
        self.renderer = RegionRenderer(SIZE, SIZE)

    def clip(
        self, vertices: list[np.ndarray], colours: list[np.ndarray], box: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """vertices: per person (T, V, 3) in the camera's frame; box (T, 3) in focal lengths -> (T, SIZE, SIZE, 3)."""
        scene = pyrender.Scene(bg_color=(0, 0, 0, 0))
        camera = pyrender.IntrinsicsCamera(1, 1, 0, 0, znear=0.05, zfar=60)
        scene.add(camera, pose=np.diag([1.0, -1, -1, 1]))
        light = Light(rng)
        background = make_background(rng)
        drift = (box[:, :2] - box[:1, :2]) / box[:, 2:] * SIZE
        frames = []
        for t in range(len(box)):
            for node in list(scene.mesh_nodes):
                for primitive in node.mesh.primitives:
                    primitive.delete()
                scene.remove_node(node)
            for person, colour in zip(vertices, colours, strict=True):
                points = person[t].astype(np.float32)
                normals = self.normals(points)
                material = pyrender.MetallicRoughnessMaterial(metallicFactor=0.0, roughnessFactor=0.8, doubleSided=True)
                primitive = pyrender.Primitive(
                    positions=points,
                    normals=normals,
                    color_0=light(normals, colour),
                    indices=self.faces,
                    material=material,
                    mode=pyrender.GLTF.TRIANGLES,
                )
                scene.add(pyrender.Mesh([primitive]))
            camera.fx = camera.fy = SIZE / box[t, 2]
            camera.cx, camera.cy = SIZE / 2 - box[t, :2] * camera.fx
            picture = self.renderer.render(scene, RENDER_FLAGS).astype(np.float32)
            shift = np.clip(drift[t] + SIZE / 2, 0, SIZE).astype(int)
            behind = background[shift[1] : shift[1] + SIZE, shift[0] : shift[0] + SIZE]
            frames.append(picture[..., :3] + behind * (1 - picture[..., 3:] / 255))
        self.renderer.delete()
        self.renderer = RegionRenderer(SIZE, SIZE)
        return np.stack(frames)


class Light:
    """One to three lamps of random direction and strength, and what comes from everywhere; works at the vertices."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = rng.integers(1, 4)
        # Mostly from above and from the camera's side (the frame's y points down, z away).
        towards = rng.normal(size=(count, 3)) * [1.0, 0.7, 1.0] + [0.0, -0.7, -0.6]
        self.towards = (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32)
        self.lamps = rng.uniform(0.25, 1.0, (count, 1)) * (1 + 0.06 * rng.normal(size=(count, 3)))
        self.ambient = rng.uniform(0.1, 0.45)

    def __call__(self, normals: np.ndarray, colour: np.ndarray) -> np.ndarray:
        """Lit colours (V, 4) of vertices with unit normals (V, 3) and sRGB colours (V, 4)."""
        light = self.ambient + np.maximum(normals @ self.towards.T, 0) @ self.lamps
        lit = np.clip(colour[:, :3] ** 2.2 * light, 0, 1) ** (1 / 2.2)
        return np.concatenate([lit, colour[:, 3:]], 1).astype(np.float32)


def make_background(rng: np.random.Generator) -> np.ndarray:
    """(2 SIZE, 2 SIZE, 3) float32 clutter: blurred noise of several scales, walls, boxes, lines."""
    side = 2 * SIZE
    picture = np.ones((side, side, 3), np.float32) * rng.uniform(20, 235, 3).astype(np.float32)
    for cells in rng.choice([2, 4, 8, 16, 40, 90], 3, replace=False):
        noise = rng.normal(size=(cells, cells, 3)) * [1.0, 1, 1] * rng.uniform(3, 28)
        if rng.random() < 0.6:
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
    return cv2.GaussianBlur(np.clip(picture, 0, 255), (0, 0), rng.uniform(0.5, 3))


def degrade(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, blur, sensor noise and compression, the same through a clip: (T, 256, 256, 3) uint8."""
    gain, sigma, noise, quality = (
        rng.uniform(0.6, 1.3),
        rng.uniform(0, 1.6),
        rng.uniform(0, 9),
        int(rng.uniform(25, 95)),
    )
    out = []
    for frame in frames:
        small = cv2.resize(frame * gain, (256, 256), interpolation=cv2.INTER_AREA)
        if sigma > 0.3:
            small = cv2.GaussianBlur(small, (0, 0), sigma)
        small = np.clip(small + rng.normal(size=small.shape) * noise, 0, 255).astype(np.uint8)
        if rng.random() < 0.9:
            small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        out.append(small)
    return np.stack(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", action="store_true", help="keep a contact sheet of each shard to look at")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)

    folder = shipped_folder()
    body = Body.load(folder / "open_body.npz")
    landmarks = LandmarkModel()
    with np.load(folder / "open_body.npz", allow_pickle=False) as file:
        regions, names = file["vertex_region"].astype(int), [str(n) for n in file["region_names"]]
    network = BlazePoseFeatures(folder / "blazepose_full.safetensors")
    motions = load_motions(arguments.motions, min_frames=arguments.frames)
    painter = Painter(body, regions, names)
    viewing = Viewing(truncated=0.08)
    augmentation = Augmentation(swap_arms=0.15, swap_one_arm=0.1, swap_legs=0.1, swap_upper=0.05, vary=0.6)
    arguments.out.mkdir(parents=True, exist_ok=True)

    for shard in tqdm(range(-(-arguments.clips // CLIPS_PER_SHARD)), unit="shard"):
        path = arguments.out / f"pairs_{arguments.seed}_{shard:04d}.npz"
        if path.exists():
            continue
        generator = torch.Generator().manual_seed(arguments.seed * 100_003 + shard)
        rng = np.random.default_rng([arguments.seed, shard])
        with torch.no_grad():
            rotmat = sample_windows(motions, CLIPS_PER_SHARD, arguments.frames, augmentation, generator)
            placed = place(rotmat, body, landmarks, viewing, generator)
            features, sheet = [], []
            for clip in range(CLIPS_PER_SHARD):
                frames = paint(painter, placed, clip, rng)
                features.append(network(frames).numpy())
                sheet.append(frames[:: arguments.frames // 3][:3])
        rows = {
            "pose6d": rotmat_to_pose6d(placed.rotmat).flatten(0, 1).numpy().astype(np.float32),
            "betas": placed.betas.repeat_interleave(arguments.frames, 0).numpy(),
            "pelvis": placed.pelvis.flatten(0, 1).numpy(),
            "box": placed.box.flatten(0, 1).numpy(),
            "features": np.concatenate(features).astype(np.float32),
            "clip": np.repeat(np.arange(CLIPS_PER_SHARD), arguments.frames).astype(np.int64),
        }
        buffer = io.BytesIO()
        np.savez(buffer, **rows)
        part = path.with_suffix(".part")
        part.write_bytes(buffer.getvalue())
        part.replace(path)
        if arguments.pictures:
            rows_of = [np.concatenate(list(s), 1) for s in sheet]
            cv2.imwrite(
                str(path.with_suffix(".png")),
                np.concatenate([np.concatenate(rows_of[i : i + 4], 1) for i in range(0, 20, 4)])[..., ::-1],
            )


def paint(painter: Painter, placed: Placed, clip: int, rng: np.random.Generator) -> np.ndarray:
    """Crops (T, 256, 256, 3) uint8 of one clip."""
    body = painter.body
    frames = placed.rotmat.shape[1]

    def surface(index: int, pelvis: torch.Tensor) -> np.ndarray:
        output = body(placed.rotmat[index], placed.betas[index].expand(frames, -1))
        return (output.vertices + (pelvis - output.joints[:, 0])[:, None]).numpy()

    own = placed.pelvis[clip]
    people = [surface(clip, own)]
    if rng.random() < 0.2:  # somebody else beside, before or behind
        other = int(rng.integers(len(placed.rotmat)))
        offset = torch.tensor(
            [rng.choice([-1, 1]) * rng.uniform(0.35, 1.2), 0.0, rng.uniform(-0.8, 1.5)], dtype=torch.float32
        )
        if other != clip and float(own[0, 2] + offset[2]) > 1.5:
            people.append(surface(other, own + offset))
    colours = [dress(painter.regions, painter.names, rng) for _ in people]
    box = placed.box[clip].numpy()
    pictures = painter.clip(people, colours, box, rng)
    hide(pictures, people[0], box, rng)
    return degrade(pictures, rng)


def hide(pictures: np.ndarray, vertices: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
    """Black out what lies beyond a picture border that cuts the body off; now and then put an object before it."""
    at = (vertices[..., :2] / vertices[..., 2:] - box[:, None, :2]) / (box[:, None, 2:] / 2)  # (T, V, 2), -1 to 1
    edge = 1 / 1.25
    outside = np.abs(at).max(1).mean(0) > 1.15
    for axis in (0, 1):
        if outside[axis]:
            sign = 1 if np.median(at[..., axis]) > 0 or axis == 1 else -1
            line = int((1 + sign * edge) / 2 * SIZE)
            part = [slice(None)] * 4
            part[2 - axis] = slice(line, None) if sign > 0 else slice(None, line)
            pictures[tuple(part)] = 0
    if rng.random() < 0.15:
        size = rng.uniform(0.1, 0.35, 2) * SIZE
        corner = rng.uniform(0, 1, 2) * (SIZE - size)
        (x0, y0), (x1, y1) = corner.astype(int), (corner + size).astype(int)
        pictures[:, y0:y1, x0:x1] = rng.uniform(0, 255, 3)


if __name__ == "__main__":
    main()
