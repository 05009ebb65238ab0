"""Takes of recorded motion, performed by made-up bodies that stand on a floor. The world is y up, metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, slerp
from glot_cli.errors import GlotError
from glot_cli.synth.request import Wishes

MOTION_FPS = 30
SHORTEST = 45  # frames of a take that may be played to and fro
TIPTOE = 0.15  # share of frames whose lowest point may lie below the floor: a toe that dips in now and then is no floor
FORMAT = "give poses (N, 24, 3), trans (N, 3), clip_index (N,) and clip_names (C,) at 30 frames a second"

Array = NDArray[np.floating]


class Take(NamedTuple):
    """One recorded motion. poses (n, 24, 3) axis-angle, joint 0 turning the pelvis in the world; pelvis (n, 3)."""

    poses: Array
    pelvis: Array


@dataclass(frozen=True)
class Takes:
    """The takes of one motion file by name; leg: length (metres) of the skeleton's legs, where the file tells it."""

    path: Path
    by_name: dict[str, Take]
    leg: float | None

    @staticmethod
    def read(path: Path) -> Takes:
        """Raises GlotError for what is no motion file. Nothing is unpickled."""
        try:
            with np.load(path, allow_pickle=False) as file:
                poses, trans, index, names = (file[k] for k in ("poses", "trans", "clip_index", "clip_names"))
                offsets = file["rest_offsets"] if "rest_offsets" in file.files else None
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise GlotError(f"{path}: not a motion file ({reason}); {FORMAT}") from error
        count = len(index) if index.ndim == 1 else -1
        if poses.shape != (count, 24, 3) or trans.shape != (count, 3):
            raise GlotError(f"{path}: poses {poses.shape}, trans {trans.shape}, clip_index {index.shape}; {FORMAT}")
        takes = {
            str(name): Take(poses[index == clip].astype(np.float32), trans[index == clip].astype(np.float32))
            for clip, name in enumerate(names)
        }
        return Takes(path, takes, None if offsets is None else _leg(offsets[4], offsets[7]))

    def choose(self, wishes: Wishes, people: int, turn: int, seed: int, rng: np.random.Generator) -> list[str]:
        """Names of the takes, one a person. The first person's come from all takes in turn, by the clip's number.

        Raises GlotError where there is none that is long enough, or none of a name.
        """
        need = SHORTEST if wishes.bounce else math.ceil(wishes.frames * MOTION_FPS / wishes.fps)
        long = [name for name, take in self.by_name.items() if len(take.poses) >= need]
        for name in wishes.takes:
            if name not in self.by_name:
                known = ", ".join(list(self.by_name)[:12])
                raise GlotError(f"{self.path}: has no take '{name}'; it has {known} ...")
            if name not in long:
                raise GlotError(f"{self.path}: take '{name}' is below {need} frames; fewer --seconds, or --bounce")
        if wishes.takes:
            return list(wishes.takes)
        if not long:
            raise GlotError(f"{self.path}: no take of {need} frames; ask for fewer --seconds, or --bounce")
        first = long[int(np.random.default_rng(seed).permutation(len(long))[turn % len(long)])]
        rest = [name for name in long if name != first] or [first]
        return [first, *map(str, rng.choice(rest, people - 1, replace=len(rest) < people - 1))]


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


def act(takes: Takes, name: str, wishes: Wishes, body: Body, rng: np.random.Generator) -> Actor:
    """A stretch of a take, performed by a random body whose feet reach the floor."""
    take, frames = takes.by_name[name], wishes.frames
    at = _moments(len(take.poses), frames, float(MOTION_FPS / wishes.fps), rng)
    low = np.minimum(at.astype(int), len(take.poses) - 2)
    part = torch.from_numpy(at - low).float()
    rotmat = axis_angle_to_rotmat(torch.from_numpy(take.poses))
    rotmat = slerp(rotmat[low], rotmat[low + 1], part[:, None].expand(-1, 24))
    pelvis = take.pelvis[low] + (take.pelvis[low + 1] - take.pelvis[low]) * part.numpy()[:, None]
    betas = torch.from_numpy(rng.normal(size=body.num_betas).clip(-2, 2)).float()
    rest = body.rest_joints(betas[None])[0].numpy()
    if takes.leg is not None:  # longer legs, longer steps
        pelvis = pelvis * (_leg(rest[4] - rest[1], rest[7] - rest[4]) / takes.leg)
    output = body(rotmat, betas.expand(frames, -1))
    assert output.vertices is not None
    shift = torch.from_numpy(pelvis).float() - output.joints[:, 0]
    vertices = (output.vertices + shift[:, None]).numpy()
    joints = (output.joints + shift[:, None]).double().numpy()
    floor = np.quantile(vertices[..., 1].min(1), TIPTOE)
    vertices[..., 1] -= floor
    joints[..., 1] -= floor
    return Actor(name, rotmat, betas, vertices, joints)


def _leg(knee: Array, ankle: Array) -> float:
    return float(np.linalg.norm(knee) + np.linalg.norm(ankle))


def _moments(length: int, frames: int, step: float, rng: np.random.Generator) -> Array:
    """(frames,) times in a take, in its frames: straight through, or to and fro with soft turns if it is too short."""
    spare = length - 1 - (frames - 1) * step
    if spare >= 0:
        return rng.uniform(0, spare) + np.arange(frames) * step
    ramp = rng.uniform(0, 2 * (length - 1)) + np.arange(-7, frames + 7) * step
    wave = (length - 1) - np.abs((length - 1) - ramp % (2 * (length - 1)))
    window = np.hanning(17)[1:-1]
    return np.convolve(wave, window / window.sum(), "valid")
