"""Errors of people who move through a world, and of the camera that sees them. Arrays in, arrays out; metres, seconds.

Pieces, root, jitter and skating are defined as in WHAM (Shin et al., CVPR 2024, lib/eval/evaluate_emdb.py) and GVHMR
(Shen et al., SIGGRAPH Asia 2024, hmr4d/utils/eval/eval_utils.py), the pieces there after SLAHMR (Ye et al., CVPR 2023).
Their films have 30 frames a second: what they count in frames is here counted in thirtieths of a second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.metrics import mpjpe, similarity_align

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

FRAME_S = 1 / 30  # what a frame is to those who defined these errors
PIECE = 100  # of these frames
LEAST_PATH = 1.0  # metres: of those who walk less, no share is taken


def piece_errors(predicted: Floats, truth: Floats, length: int) -> tuple[Floats, Floats]:
    """WA-MPJPE and W-MPJPE: errors of joints after one similarity transform for a whole piece of a film.

    Args:
        predicted: (N, K, 3) joints of a person.
        truth: (N, K, 3) likewise.
        length: of a piece, frames; the last one may be shorter.

    Returns:
        (N,) where all frames of the piece, and (N,) where its first two were laid on the truth.
    """
    aligned = [np.zeros((0, *truth.shape[1:]))], [np.zeros((0, *truth.shape[1:]))]
    for start in range(0, len(truth), length):
        mine, true = predicted[start : start + length], truth[start : start + length]
        for parts, first in zip(aligned, (None, 2 * truth.shape[1]), strict=True):
            laid = similarity_align(mine.reshape(1, -1, 3), true.reshape(1, -1, 3), first=first)
            parts.append(laid.reshape(mine.shape))
    whole, beginning = (mpjpe(np.concatenate(parts), truth) for parts in aligned)
    return whole, beginning


def root_errors(predicted: Floats, truth: Floats) -> Floats:
    """RTE: distance of roots after the best rigid transform of the path, as a share of the true path's length.

    Args:
        predicted: (N, 3) roots of a person.
        truth: (N, 3) likewise.

    Returns:
        (N,), or (0,) where the true path is shorter than `LEAST_PATH`.
    """
    path = np.linalg.norm(np.diff(truth, axis=0), axis=-1).sum()
    if path < LEAST_PATH:
        return np.zeros(0)
    shares: Floats = np.linalg.norm(similarity_align(predicted[None], truth[None], rigid=True)[0] - truth, axis=-1)
    return shares / float(path)


def jitter(joints: Floats, time: Floats, joined: Flags) -> Floats:
    """Size of the third derivative of joints, mean over them.

    Args:
        joints: (N, K, 3).
        time: (N,) ascending.
        joined: (N - 1,) whether a frame follows the one before it without a gap.

    Returns:
        (n,) m/s^3, of every four frames in a row.
    """
    if len(joints) < 4:
        return np.zeros(0)
    divided = joints
    for order in (1, 2, 3):  # divided differences, which need no steady rate
        divided = order * np.diff(divided, axis=0) / (time[order:] - time[:-order])[:, None, None]
    whole = joined[:-2] & joined[1:-1] & joined[2:]
    sizes: Floats = np.linalg.norm(divided[whole], axis=-1).mean(-1)
    return sizes


def skating(soles: Floats, contact: Flags, time: Floats, joined: Flags) -> Floats:
    """How far points move that rest in truth.

    Args:
        soles: (N, S, 3).
        contact: (N, S) whether they truly rest.
        time: (N,) ascending.
        joined: (N - 1,) whether a frame follows the one before it without a gap.

    Returns:
        (n,) metres a thirtieth of a second, of every point that rests in two frames in a row.
    """
    speed = np.linalg.norm(np.diff(soles, axis=0), axis=-1) / np.diff(time)[:, None]
    resting: Floats = speed[contact[1:] & contact[:-1] & joined[:, None]] * FRAME_S
    return resting


def gravity_error(rotation: Floats, truth: Floats) -> float:
    """Degrees between the two ups in a camera's frame, of rotations (3, 3) from worlds with y up to the camera."""
    up, true = rotation[:, 1], truth[:, 1]
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(up, true)), up @ true)))


def turn_errors(rotations: Floats, truth: Floats) -> Floats:
    """How far a camera's turn since the first frame is off, of rotations (N, 3, 3): (N - 1,) degrees."""
    mine, true = (Rotation.from_matrix(values[1:] @ values[0].T) for values in (rotations, truth))
    angles: Floats = np.degrees((mine * true.inv()).magnitude())
    return angles
