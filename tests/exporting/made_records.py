"""Records of people who move in known ways, without a video and without a run."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from glot_cli import weights
from glot_cli.results import Result, empty_arrays
from glot_cli.schema import Meta

# Camera of every frame: 1.5 m above the floor, looking along -z of the world and down a little.
CAMERA = (Rotation.from_euler("x", 190, degrees=True)).as_matrix().astype(np.float32)


def made_record(
    people: Sequence[tuple[int, int, Sequence[int]]],
    *,
    fps: str = "30",
    times: Sequence[float] | None = None,
    frames: int | None = None,
    world: bool = True,
    seed: int = 0,
) -> Result:
    """A record of smooth random motion.

    Args:
        people: (person, shot, frames that they are in), sorted.
        fps: frames a second.
        times: of every frame, seconds; evenly by default.
        frames: how many were looked at; by default as far as people are in.
        world: whether it has one.
        seed: of motion and shapes.
    """
    rng = np.random.default_rng(seed)
    count = frames or max((max(seen) for *_, seen in people), default=-1) + 1
    clock = np.arange(count) / float(Fraction(fps)) if times is None else np.asarray(times, float)
    parts: dict[str, list[np.ndarray]] = {name: [array] for name, array in empty_arrays(world=world).items()}
    for person, shot, seen in people:
        size = len(seen)
        knots = np.linspace(0, max(count, 2), 8)
        wave = CubicSpline(knots, rng.normal(0, 0.4, (8, 75)))(np.asarray(seen, float))
        pose = wave[:, :72].reshape(-1, 24, 3)
        heading = Rotation.from_rotvec(np.stack([0 * wave[:, 0], 3 * wave[:, 1], 0 * wave[:, 0]], 1))
        place = np.array([person - 1.0, 1.0, -4.0]) + 0.3 * wave[:, 72:]
        camera = Rotation.from_matrix(CAMERA)
        own = {
            "frame": np.asarray(seen), "person": np.full(size, person), "time": clock[list(seen)],
            "betas": np.tile(rng.normal(0, 0.7, 10), (size, 1)), "shot": np.full(size, shot),
            "score": np.full(size, 0.9), "box": np.tile([320.0, 240.0, 200.0], (size, 1)),
            "camera": np.tile([0.9, 0, 0], (size, 1)),
        }  # fmt: skip
        if world:
            own |= {"transl_world": place, "global_orient_world": heading.as_rotvec()}
            own |= {"contact": rng.random((size, 4))}
        own["transl"] = camera.apply(place) + np.array([0, 1.5, 0])
        pose[:, 0] = (camera * heading).as_rotvec()
        own["pose"] = pose
        for name, arrays in parts.items():
            shape = (size, *arrays[0].shape[1:])
            arrays.append(np.asarray(own.get(name, np.zeros(shape))).astype(arrays[0].dtype))
    shots = sorted({shot for _, shot, _ in people})
    first = [0, *(min(min(seen) for _, own, seen in people if own == shot) for shot in shots[1:])][: len(shots)]
    meta = Meta(
        video="clip.mp4", source="/films/clip.mp4", width=640, height=480, fps=fps, frame_count=count, start_frame=0,
        focal_length=700.0, body_model="open-neutral", body_model_sha256=weights.manifest()["open-neutral"].sha256,
        preset="open", weights={}, program_version="0", shots=first.copy(),
    )  # fmt: skip
    if not world:
        return Result({name: np.concatenate(arrays) for name, arrays in parts.items()}, meta)
    many = max(len(shots), 1)
    meta.shots[:] = first or [0]
    meta.camera_motion[:], meta.camera_confidence[:], meta.gravity_error[:] = (
        ["static"] * many,
        [1.0] * many,
        [1.0] * many,
    )
    meta.floor[:] = [[0.0, -1.0, 0.0, 1.5]] * many
    cameras = {
        "camera_rotation": np.tile(CAMERA, (count, 1, 1)),
        "camera_translation": np.tile(np.float32([0, 1.5, 0]), (count, 1)),
    }
    return Result({name: np.concatenate(arrays) for name, arrays in parts.items()}, meta, cameras)
