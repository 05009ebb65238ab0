"""Motions to train on, read from where the user keeps them: glot's motion format, AMASS-style npz files, BVH."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_pose6d
from glot_cli.errors import InputError
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz
from glot_cli.motion.bvh import read_bvh

FPS = 30.0
_NO_MOTIONS = ("shape.npz", "neutral_stagei.npz", "male_stagei.npz", "female_stagei.npz")  # in AMASS's folders
_ARRAYS = ("poses", "clip_index", "clip_action", "clip_names", "mocap_framerate", "mocap_frame_rate")
_FORMATS = "give motions in glot's format or AMASS's"
_RATES = 1.0, 10_000.0  # frames a second that a motion can have been recorded with
MOST_CLIPS = 1 << 24  # in one file
LONGEST = 2 * 3600  # seconds of one clip
LARGEST_ANGLE = 1e3  # radians; nobody turns as often
_AT_ONCE = 1 << 13  # frames whose joints are turned at once; that takes room on the way


@dataclass(frozen=True)
class Motions:
    """C clips of N frames in all, laid end to end, 30 frames a second; y up, rest pose facing +z.

    Attributes:
        pose6d: (N, 24, 6) local rotations, the first two columns of their matrices.
        start: (C,) first frame of each clip.
        length: (C,) number of frames of each clip.
        weight: (C,) probability that a clip is drawn.
    """

    pose6d: Tensor
    start: Tensor
    length: Tensor
    weight: Tensor


def load_motions(paths: Sequence[Path], min_frames: int = 17) -> Motions:
    """Read motion files, and those in folders at any depth, and join them.

    Args:
        paths: .npz files in glot's format or AMASS's, .bvh files, or folders of them.
        min_frames: shorter clips are left out.

    Raises:
        InputError: a file is no motion, a folder holds none, or no clip is long enough.
    """
    poses: list[np.ndarray] = []
    labels: list[str] = []
    for path in _files(paths):
        for pose, label in _read(path):
            if len(pose) >= min_frames:
                poses.append(pose)
                labels.append(label)
    if not poses:
        reason = f"no clip of at least {min_frames} frames{', nor in the others given' * (len(paths) > 1)}"
        raise InputError(reason, path=paths[0] if paths else None, remedy="give longer motions")
    lengths = np.array([len(p) for p in poses])
    # By the square root of what each action lasts: standing fills hours and must not fill the training.
    seconds: dict[str, float] = {}
    for label, frames in zip(labels, lengths, strict=True):
        seconds[label] = seconds.get(label, 0.0) + frames / FPS
    weight = np.array([f / seconds[la] ** 0.5 for la, f in zip(labels, lengths, strict=True)])
    whole = torch.from_numpy(np.concatenate(poses))
    del poses, pose
    pose6d = torch.empty(len(whole), 24, 6)
    for part in _pieces(len(whole)):
        pose6d[part] = rotmat_to_pose6d(axis_angle_to_rotmat(whole[part]))
    return Motions(
        pose6d=pose6d,
        start=torch.from_numpy(np.cumsum(lengths) - lengths),
        length=torch.from_numpy(lengths),
        weight=torch.from_numpy(weight / weight.sum()).float(),
    )


def _pieces(count: int) -> Iterator[slice]:
    """So many frames, a part of them at a time."""
    return (slice(begin, begin + _AT_ONCE) for begin in range(0, count, _AT_ONCE))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders."""
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        found = (p for p in path.rglob("*") if p.suffix.lower() in (".npz", ".bvh"))
        inside = sorted(p for p in found if p.name not in _NO_MOTIONS)
        if not inside:
            raise InputError("no .npz or .bvh files there", path=path, remedy="give a folder of motions")
        yield from inside


def _read(path: Path) -> list[tuple[np.ndarray, str]]:
    """Clips of one file: axis-angle poses (n, 24, 3) float32 at 30 fps and a label to balance by."""
    if path.suffix.lower() == ".bvh":
        return [(_at_30_fps(path, *read_bvh(path)), path.parent.name)]
    try:
        arrays = load_npz(path, _ARRAYS)
    except FileFault as error:
        raise error.about(path, InputError, remedy=_FORMATS) from error
    poses = check_angles(path, arrays.get("poses"), _FORMATS)
    if "clip_index" in arrays:
        index = arrays["clip_index"]
        if poses.shape[1:] not in ((24, 3), (72,)) or index.shape != poses.shape[:1] or index.dtype.kind not in "iu":
            raise InputError(f"has poses {poses.shape} and clip_index {index.shape}", path=path, remedy=_FORMATS)
        names = arrays.get("clip_action", arrays.get("clip_names"))
        count = MOST_CLIPS if names is None else len(names) if names.ndim == 1 and names.dtype.kind in "USiu" else 0
        if len(index) and not 0 <= index.min() <= index.max() < count:
            raise InputError("has numbers of clips without a name", path=path, remedy=_FORMATS)
        cuts = np.flatnonzero(index[1:] != index[:-1]) + 1
        numbers = index[[0, *cuts] if len(index) else []].tolist()
        labels = {n: str(n if names is None else names[n]) for n in set(numbers)}  # each once: it may be long
        clips = np.split(poses.reshape(-1, 24, 3), cuts)
        return list(zip(clips, map(labels.__getitem__, numbers), strict=False))
    rate = arrays.get("mocap_framerate", arrays.get("mocap_frame_rate"))
    if rate is None:
        raise InputError("has neither clip_index nor mocap_framerate", path=path, remedy=_FORMATS)
    if poses.ndim != 2 or poses.shape[1] < 66 or rate.size != 1 or rate.dtype.kind not in "fiu":
        reason = f"has poses {poses.shape} at {rate.size} rates of frames"
        raise InputError(reason, path=path, remedy=_FORMATS)
    return [(_from_amass(path, poses, rate.item()), path.stem)]


def check_angles(path: Path, poses: np.ndarray | None, remedy: str) -> np.ndarray:
    """The array 'poses' of a file as float32, whatever its shape. Raises InputError where it can be no angles."""
    if poses is None or poses.dtype.kind != "f":
        raise InputError("has no array 'poses' of angles", path=path, remedy=remedy)
    with np.errstate(all="ignore"):
        angles: np.ndarray = poses.astype(np.float32)
    if angles.size and not -LARGEST_ANGLE <= angles.min() <= angles.max() <= LARGEST_ANGLE:
        raise InputError("has poses that are no angles of joints, in radians", path=path, remedy=remedy)
    return angles


def _from_amass(path: Path, poses: np.ndarray, fps: float) -> np.ndarray:
    """SMPL(-H) poses (n, 72 or more) in AMASS's z-up world at any rate -> (m, 24, 3), y up, 30 fps, hands flat."""
    pose = np.zeros((len(poses), 24, 3), np.float32)
    pose[:, :22] = poses[:, :66].reshape(len(poses), 22, 3)
    z_up_to_y_up = Rotation.from_euler("x", -90, degrees=True)
    pose[:, 0] = (z_up_to_y_up * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    return _at_30_fps(path, pose, fps)


def _at_30_fps(path: Path, pose: np.ndarray, fps: float) -> np.ndarray:
    """Poses (n, 24, 3) at any rate -> (m, 24, 3) float32 at 30 fps, along the shortest turns.

    Raises:
        InputError: nothing that lives is recorded at that rate, or for so long.
    """
    if not _RATES[0] <= fps <= _RATES[1]:
        reason = f"has {fps:g} frames a second, where {_RATES[0]:g} to {_RATES[1]:g} can be"
        raise InputError(reason, path=path, remedy="export it again")
    if len(pose) > LONGEST * fps:
        raise InputError(f"lasts more than {LONGEST // 3600} hours", path=path, remedy="cut it into shorter ones")
    if len(pose) < 2:
        return pose.astype(np.float32)
    last = len(pose) - 1
    # Rates are rounded where they are written down (0.0333333 s a frame); that must not cost the last frame.
    place = np.minimum(np.arange(0, last / fps + 0.01 / FPS, 1 / FPS) * fps, last)
    before = np.minimum(place.astype(int), last - 1)
    even = np.empty((len(place), 24, 3), np.float32)
    for part in _pieces(len(place)):
        start, end = (Rotation.from_rotvec(pose[at].reshape(-1, 3)) for at in (before[part], before[part] + 1))
        step = (start.inv() * end).as_rotvec().reshape(-1, 24, 3) * (place - before)[part, None, None]
        even[part] = (start * Rotation.from_rotvec(step.reshape(-1, 3))).as_rotvec().reshape(-1, 24, 3)
    return even
