"""Bodies of `glot run` on real footage, beside joints triangulated from several calibrated cameras.

    glot run clip_cam02.mp4 clip_cam03.mp4 --no-render --no-frames --out results/
    python weights/studies/multiview.py results/ clip.npz --mediapipe clip_cam02.mp4 clip_cam03.mp4

The camera CAMERA filmed clip_CAMERA.mp4, of which results/clip_CAMERA/params.npz tells. The truth, clip.npz, holds:

- `joints3d` (person, frame, joint, xyz): metres in the world's axes; NaN where a joint, or all of a frame, is not known
- `names` (joint,): l_ or r_ and shoulder, elbow, wrist, hip, knee, ankle, in any order; others are left alone
- `cameras` (camera,): their names
- `R` (camera, 3, 3), `t` (camera, 3): a point X of the world is at R X + t in OpenCV's frame of the camera (x right, y
  down, z forward)
- `K` (camera, 3, 3), `dist` (camera, 4 or more): camera matrix in pixels of the video, OpenCV's distortion
- `size` (camera, 2): width and height of the video, pixels
- `fps`: frames per second of all videos; the truth's frame n is the n-th of each, from 0

The 12 limb joints are centred on the middle of the hips, in the camera's axes. Whoever lies within GATE of a true
person in the picture is that person; a body with left and right exchanged mostly lies further off. Columns, means over
frames:

- seen: share of the true frames in which the person was found; ids: how many ids the person went by
- MPJPE, PA-MPJPE in mm; accel: acceleration error in mm/frame^2, over three frames in a row under one id
- lean: how far the trunk, from hips to shoulders, rises along the line of sight towards the camera, less how far it
  truly does, degrees; |lean|: the mean of the absolute
- bones: how far the lengths of 11 bones are off the median true length, mm; below the table, by bone, longer being
  positive
- 2D: distance in the picture, % of the height there of the person's limb joints

`--mediapipe` adds MediaPipe Pose (model_complexity=1) on the same frames: its own world landmarks, which know no camera
and so are turned along the true camera's line of sight to the hips. It needs the package mediapipe; a Python that has
it, NumPy and SciPy can run all of this with this repository as PYTHONPATH, as glot's other packages are not used.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.metrics import acceleration_error, mpjpe, pa_mpjpe
from glot_cli.results import load_result
from glot_cli.smpl import SMPL_JOINTS

Floats = NDArray[np.floating]
LIMBS = [f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in "lr"]
OF_SMPL = [SMPL_JOINTS.index(name.replace("l_", "left_").replace("r_", "right_")) for name in LIMBS]
OF_MEDIAPIPE = [*range(11, 17), *range(23, 29)]
SHOULDERS, HIPS = (0, 1), (6, 7)  # of LIMBS
BONES: dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "trunk": [(SHOULDERS, HIPS)],
    "shoulders": [((0,), (1,))],
    "hips": [((6,), (7,))],
    "upper arms": [((0,), (2,)), ((1,), (3,))],
    "forearms": [((2,), (4,)), ((3,), (5,))],
    "thighs": [((6,), (8,)), ((7,), (9,))],
    "shanks": [((8,), (10,)), ((9,), (11,))],
}
GATE = 0.3  # of the true person's height in the picture; further off it is somebody else
COLUMNS = ("seen %", "ids", "MPJPE", "PA-MPJPE", "accel", "lean", "|lean|", "bones", "2D %")


@dataclass(frozen=True)
class Seen:
    """Everyone who was seen in one video: rows of a frame's index, an id, (12, 3) metres and (12, 2) pixels."""

    frame: NDArray[np.integer]
    person: NDArray[np.integer]
    joints: Floats
    pixels: Floats


@dataclass(frozen=True)
class View:
    """One camera: joints (person, frame, 12, 3), metres in its frame, and their pixels (person, frame, 12, 2)."""

    name: str  # of the video, without its ending
    joints: Floats
    pixels: Floats
    matrix: Floats
    distortion: Floats
    size: tuple[int, int]
    fps: float


def views_of(path: Path) -> Iterator[View]:
    """Every camera of a file of truth."""
    truth = np.load(path, allow_pickle=False)
    names = truth["names"].tolist()
    world = truth["joints3d"][:, :, [names.index(name) for name in LIMBS]].astype(np.float64)
    for i, camera in enumerate(truth["cameras"]):
        matrix, distortion, (width, height) = truth["K"][i], truth["dist"][i], truth["size"][i].tolist()
        joints = world @ truth["R"][i].T + truth["t"][i]
        flat, _ = cv2.projectPoints(joints.reshape(-1, 3), np.zeros(3), np.zeros(3), matrix, distortion)
        pixels = np.asarray(flat, np.float64).reshape(*joints.shape[:-1], 2)
        yield View(f"{path.stem}_{camera}", joints, pixels, matrix, distortion, (width, height), float(truth["fps"]))


def seen_by_glot(results: Path, view: View) -> Seen:
    """The rows of a view's record."""
    record = load_result(results / view.name)
    meta = record.meta
    if (meta.width, meta.height) != view.size or abs(float(meta.frame_rate) / view.fps - 1) > 0.01:
        raise SystemExit(f"{view.name}: the truth is of a video of another size or frame rate")
    return Seen(record.frame, record.person, record.joints3d[:, OF_SMPL], record.joints2d[:, OF_SMPL])


def seen_by_mediapipe(video: Path, view: View) -> Seen:
    """What MediaPipe Pose, which follows one person, makes of a video's frames; metres in the true camera's axes."""
    try:
        from mediapipe.python.solutions.pose import Pose  # type: ignore[import-not-found]
    except ImportError as error:
        raise SystemExit("--mediapipe needs a mediapipe with solutions.pose, as 0.10.21, in this Python") from error
    frames, world, pixels = [], [], []
    capture = cv2.VideoCapture(str(video))
    with Pose(model_complexity=1) as network:
        for index in itertools.count():
            there, picture = capture.read()
            if not there:
                break
            found = network.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            if found.pose_landmarks is None:
                continue
            frames.append(index)
            world.append([(p.x, p.y, p.z) for p in found.pose_world_landmarks.landmark])
            pixels.append([(p.x, p.y) for p in found.pose_landmarks.landmark])
    if not frames:
        raise SystemExit(f"{video}: MediaPipe finds nobody, or it cannot be read")
    points = np.array(world)[:, OF_MEDIAPIPE]
    places = np.array(pixels)[:, OF_MEDIAPIPE] * view.size
    turn = onto_rays(places[:, HIPS].mean(1), view)
    return Seen(np.array(frames), np.ones(len(frames), int), np.einsum("nij,nkj->nki", turn, points), places)


def onto_rays(pixels: Floats, view: View) -> Floats:
    """Rotations (N, 3, 3) of least angle that turn the optical axis onto the rays through pixels (N, 2)."""
    x, y = cv2.undistortPoints(pixels[:, None], view.matrix, view.distortion)[:, 0].T
    across = np.hypot(x, y)
    axis = np.stack([-y, x, np.zeros_like(x)], -1) / np.maximum(across, 1e-12)[:, None]
    turn: Floats = Rotation.from_rotvec(axis * np.arctan(across)[:, None]).as_matrix()
    return turn


def match(seen: Seen, pixels: Floats) -> NDArray[np.intp]:
    """For every frame of a person's true pixels (N, 12, 2), NaN where unknown, the row that is this person, or -1."""
    rows = np.full(len(pixels), -1)
    height = np.ptp(pixels[..., 1], axis=1)
    for frame in np.flatnonzero(np.isfinite(height)):
        candidates = np.flatnonzero(seen.frame == frame)
        apart = np.linalg.norm(seen.pixels[candidates] - pixels[frame], axis=-1).mean(-1) / height[frame]
        if apart.min(initial=GATE) < GATE:
            rows[frame] = candidates[apart.argmin()]
    return rows


def centred(joints: Floats) -> Floats:
    """Joints (..., 12, 3) from the middle of the hips."""
    moved: Floats = joints - joints[..., HIPS, :].mean(-2, keepdims=True)
    return moved


def lean(joints: Floats, sight: Floats) -> Floats:
    """Degrees (N,) by which the trunk of centred joints (N, 12, 3) rises against the unit line of sight (N, 3)."""
    trunk = joints[:, SHOULDERS].mean(1)
    degrees: Floats = np.degrees(np.arcsin(-(trunk * sight).sum(-1) / np.linalg.norm(trunk, axis=-1)))
    return degrees


def lengths(joints: Floats) -> dict[str, Floats]:
    """Metres (N, 1 or 2: left and right) of each of BONES."""
    return {
        name: np.stack([np.linalg.norm(joints[:, a].mean(1) - joints[:, b].mean(1), axis=-1) for a, b in ends], -1)
        for name, ends in BONES.items()
    }


def score(seen: Seen, joints: Floats, pixels: Floats) -> tuple[list[float], list[float]]:
    """Figures of one true person in one view: those of COLUMNS, and by how many mm each of BONES is too long.

    `joints` (N, 12, 3) in the camera's frame, metres, and `pixels` (N, 12, 2) are the true ones, by frame.
    """
    known = np.asarray(np.isfinite(joints).all((1, 2)))
    rows = match(seen, np.where(known[:, None, None], pixels, np.nan))
    found = np.flatnonzero(rows >= 0)
    if not len(found):
        return [0.0, 0.0, *[np.nan] * (len(COLUMNS) - 2)], [np.nan] * len(BONES)
    rows = rows[found]
    mine, true, ids = centred(seen.joints[rows].astype(np.float64)), centred(joints[found]), seen.person[rows]
    whole = np.asarray((found[2:] - found[:-2] == 2) & (ids[2:] == ids[:-2]) & (ids[1:-1] == ids[:-2]))
    hips = joints[found][:, HIPS].mean(1)
    sight = hips / np.linalg.norm(hips, axis=-1, keepdims=True)
    leaning = lean(mine, sight) - lean(true, sight)
    real = lengths(joints[known])
    longer = [1000 * (values - np.median(real[name], axis=0)) for name, values in lengths(mine).items()]
    off = np.linalg.norm(seen.pixels[rows] - pixels[found], axis=-1).mean(-1) / np.ptp(pixels[found][..., 1], axis=1)
    figures = (
        100 * len(found) / known.sum(),
        len(np.unique(ids)),
        1000 * mpjpe(mine, true).mean(),
        1000 * pa_mpjpe(mine, true).mean(),
        1000 * acceleration_error(mine, true)[whole].mean() if whole.any() else np.nan,
        leaning.mean(),
        np.abs(leaning).mean(),
        np.abs(np.concatenate(longer, axis=1)).mean(),
        100 * off.mean(),
    )
    return [float(value) for value in figures], [float(values.mean()) for values in longer]


def show(title: str, everyone: list[tuple[View, Seen]]) -> None:
    """Print a row a view and true person, their mean, and the bones."""
    print(f"{title:32s}" + "".join(f"{column:>9s}" for column in COLUMNS))
    table, bones = [], []
    for view, seen in everyone:
        for person, (joints, pixels) in enumerate(zip(view.joints, view.pixels, strict=True), 1):
            figures, longer = score(seen, joints, pixels)
            table.append(figures)
            bones.append(longer)
            name = f"{view.name}/{person}" if len(view.joints) > 1 else view.name
            print(f"{name:32s}" + "".join(f"{value:9.1f}" for value in figures))
    print(f"{'mean':32s}" + "".join(f"{value:9.1f}" for value in np.mean(table, axis=0)))
    means = zip(BONES, np.mean(bones, axis=0), strict=True)
    print("bones, mm too long: " + ", ".join(f"{name} {mean:+.0f}" for name, mean in means) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--mediapipe", type=Path, nargs="+", default=[], metavar="VIDEO")
    arguments = parser.parse_args()
    views = list(views_of(arguments.truth))
    show("glot", [(view, seen_by_glot(arguments.results, view)) for view in views])
    videos = {video.stem: video for video in arguments.mediapipe}
    if not videos.keys() <= {view.name for view in views}:
        raise SystemExit(f"the videos of this truth are named {', '.join(view.name for view in views)}")
    if videos:
        there = [view for view in views if view.name in videos]
        show("MediaPipe", [(view, seen_by_mediapipe(videos[view.name], view)) for view in there])


if __name__ == "__main__":
    main()
