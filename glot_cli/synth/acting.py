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
from glot_cli.body.rotations import axis_angle_to_rotmat, slerp, turn_root
from glot_cli.errors import InputError
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz
from glot_cli.motion.motions import check_angles
from glot_cli.synth.request import ClipRequest

MOTION_FPS = 30
SHORTEST = 45  # frames of a take that may be played to and fro
TIPTOE = 0.15  # share of frames whose lowest point may lie below the floor: a toe that dips in now and then is no floor
_ARRAYS = ("poses", "trans", "clip_index", "clip_names")
MOST_TAKES = 10_000
FARTHEST = 1e6  # metres
FORMAT = "give poses (N, 24, 3), trans (N, 3), clip_index (N,) and clip_names (C,) at 30 frames a second"

Array = NDArray[np.floating]


class Take(NamedTuple):
    """One recorded motion of n frames.

    Attributes:
        poses: (n, 24, 3) axis-angle, radians; joint 0 turns the pelvis in the world.
        pelvis: (n, 3) its place, metres.
    """

    poses: Array
    pelvis: Array


@dataclass(frozen=True)
class Takes:
    """The takes of one motion file.

    Attributes:
        path: the file.
        by_name: the takes.
        leg: length of the skeleton's legs, metres, where the file tells it.
    """

    path: Path
    by_name: dict[str, Take]
    leg: float | None

    @staticmethod
    def read(path: Path) -> Takes:
        """Read a motion file; nothing is unpickled.

        Raises:
            InputError: it is none.
        """
        try:
            arrays = load_npz(path, (*_ARRAYS, "rest_offsets"))
        except FileFault as error:
            raise error.about(path, InputError, remedy=FORMAT) from error
        for name in _ARRAYS:
            if name not in arrays:
                raise InputError(f"not a motion file (has no array '{name}')", path=path, remedy=FORMAT)
        poses, trans, index, names = (arrays[name] for name in _ARRAYS)
        poses = check_angles(path, poses, FORMAT)
        offsets = arrays.get("rest_offsets")
        count = len(index) if index.ndim == 1 else -1
        if poses.shape != (count, 24, 3) or trans.shape != (count, 3) or names.ndim != 1:
            found = f"poses {poses.shape}, trans {trans.shape}, clip_index {index.shape}, clip_names {names.shape}"
            raise InputError(found, path=path, remedy=FORMAT)
        if index.dtype.kind not in "iu" or names.dtype.kind not in "USiu" or len(names) > MOST_TAKES:
            raise InputError("has no numbers of clips, or no names of them", path=path, remedy=FORMAT)
        lengths = [trans] if offsets is None else [trans, offsets]
        if any(n.dtype.kind not in "fiu" or not (np.abs(n.astype(float)) <= FARTHEST).all() for n in lengths):
            raise InputError("has places that are no metres", path=path, remedy=FORMAT)
        if offsets is not None and offsets.shape != (24, 3):
            raise InputError(f"has rest_offsets {offsets.shape}, expected (24, 3)", path=path, remedy=FORMAT)
        takes = {
            str(name): Take(poses[index == clip].astype(np.float32), trans[index == clip].astype(np.float32))
            for clip, name in enumerate(names)
        }
        return Takes(path, takes, None if offsets is None else _leg(offsets[4], offsets[7]))

    def choose(self, request: ClipRequest, people: int, turn: int, seed: int, rng: np.random.Generator) -> list[str]:
        """Who plays what. The first person's takes come from all in turn.

        Args:
            request: what is asked for.
            people: how many play.
            turn: the clip's number, which decides whose turn it is.
            seed: of the order of the turns.
            rng: draws the others.

        Returns:
            Names of the takes, one a person.

        Raises:
            InputError: none is long enough, or none has a name that was asked for.
        """
        need = SHORTEST if request.bounce else math.ceil(request.frames * MOTION_FPS / request.fps)
        long = [name for name, take in self.by_name.items() if len(take.poses) >= need]
        for name in request.takes:
            if name not in self.by_name:
                known = ", ".join(list(self.by_name)[:12])
                raise InputError(f"has no take '{name}'; it has {known} ...", path=self.path, option="takes")
            if name not in long:
                raise self._too_short(f"take '{name}' is below {need} frames")
        if request.takes:
            return list(request.takes)
        if not long:
            raise self._too_short(f"no take of {need} frames")
        first = long[int(np.random.default_rng(seed).permutation(len(long))[turn % len(long)])]
        rest = [name for name in long if name != first] or [first]
        return [first, *map(str, rng.choice(rest, people - 1, replace=len(rest) < people - 1))]

    def _too_short(self, reason: str) -> InputError:
        remedy = "ask for fewer seconds, or let takes play to and fro"
        return InputError(reason, path=self.path, remedy=remedy, option="bounce")


@dataclass(frozen=True)
class Actor:
    """One person's motion.

    Attributes:
        take: name of what is played.
        rotmat: (T, 24, 3, 3), of the joints to their parents; the first to the world.
        betas: (10,) shape.
        vertices: (T, V, 3) metres in the world.
        joints: (T, 24, 3) metres in the world.
    """

    take: str
    rotmat: torch.Tensor
    betas: torch.Tensor
    vertices: Array
    joints: Array

    def moved(self, yaw: float, x: float, z: float) -> Actor:
        """The same motion elsewhere.

        Args:
            yaw: turn about the vertical through the middle of the path, radians.
            x: where that middle comes to stand, metres.
            z: likewise.
        """
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
        path = self.joints[:, 0]
        middle = (path.min(0) + path.max(0)) / 2 * [1, 0, 1]
        shift = np.array([x, 0, z])
        return Actor(
            self.take,
            turn_root(torch.from_numpy(turn), self.rotmat),
            self.betas,
            ((self.vertices - middle) @ turn.T + shift).astype(np.float32),
            (self.joints - middle) @ turn.T + shift,
        )


def act(takes: Takes, name: str, request: ClipRequest, body: Body, rng: np.random.Generator) -> Actor:
    """A stretch of a take, performed by a random body whose feet reach the floor."""
    take, frames = takes.by_name[name], request.frames
    at = _moments(len(take.poses), frames, float(MOTION_FPS / request.fps), rng)
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
