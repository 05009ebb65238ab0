"""When and where things are in files that know time: frames, the camera, who can be seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.clock import ascending
from glot_cli.exporting.characters import Y_UP, Character, frames_looked_at
from glot_cli.exporting.formats import Cast
from glot_cli.results import Result

Floats = NDArray[np.floating]
_AROUND = 0.01  # of the step over a cut: how far on either side of its middle the camera has its two keys


def frame_times(result: Result) -> NDArray[np.float64]:
    """(F,) seconds on the video's clock of every frame that was looked at.

    A frame without people has no time in a record: it lies evenly between those that have, or at the record's rate
    before the first and after the last of them.

    Raises:
        InputError: there are more than an export can hold.
    """
    rate = float(result.meta.frame_rate)
    every = np.array(frames_looked_at(result), np.int64)
    frames, first = np.unique(result.frame, return_index=True)
    if not len(frames):
        return every / rate
    known = result.time[first]
    before, after = (every - frames[0]).clip(max=0), (every - frames[-1]).clip(min=0)
    times: NDArray[np.float64] = np.interp(every, frames, known) + (before + after) / rate
    return ascending(times, 1 / rate)


def shots_of_frames(result: Result) -> NDArray[np.integer]:
    """(F,) the shot of every frame that was looked at."""
    return np.searchsorted(result.meta.shots, frames_looked_at(result), side="right").clip(1) - 1


class Switches(NamedTuple):
    """When somebody appears and vanishes; without entries they are always there.

    Attributes:
        times: (K,) seconds on the video's clock, the first one that of the first frame.
        shown: (K,) whether they can be seen from then on.
    """

    times: NDArray[np.float64]
    shown: NDArray[np.bool_]


def switches(cast: Cast, own: Character) -> Switches:
    """When a character can be seen: in its shot; and only while the record has it, if that was asked for.

    People change half a frame early, so that no rounding of times shows them a frame too late.

    Args:
        cast: what is exported.
        own: the character at the times of the record's own frames.
    """
    result = cast.result
    times, shots = frame_times(result), shots_of_frames(result)
    shown = shots == own.shot
    if cast.hide:
        shown &= np.isin(result.meta.start_frame + np.arange(len(times)), own.frames)
    if shown.all():
        return Switches(times[:0], shown[:0])
    changes = np.flatnonzero(shown[1:] != shown[:-1]) + 1
    middles = (times[changes - 1] + times[changes]) / 2
    return Switches(np.concatenate([times[:1], middles]), shown[np.concatenate([[0], changes])])


class CameraKeys(NamedTuple):
    """The way of the camera: straight and evenly from key to key, at least one.

    Attributes:
        times: (K,) seconds on the video's clock.
        places: (K, 3) metres.
        turns: (K, 4) quaternions x, y, z, w from the camera's axes (y up, it looks along -z) to those of the space.
    """

    times: NDArray[np.float64]
    places: Floats
    turns: Floats


def camera_keys(cast: Cast) -> CameraKeys:
    """Where the camera is, in the space of the people. Where it stands still it has no keys; at cuts it jumps."""
    result = cast.result
    if cast.space == "camera" or not result.meta.frame_count:
        return CameraKeys(_first_time(result), np.zeros((1, 3)), np.array([[0.0, 0, 0, 1]]))
    to_camera = result.cameras["camera_rotation"].astype(float)
    places = -np.einsum("fji,fj->fi", to_camera, result.cameras["camera_translation"])
    turns = aligned(Rotation.from_matrix(to_camera.swapaxes(1, 2) @ Y_UP).as_quat())
    keys, kept = _keys(result, np.hstack([places, turns]))
    return CameraKeys(keys, kept[:, :3], kept[:, 3:])


class LensKeys(NamedTuple):
    """How the camera zooms: evenly from key to key, at least one.

    Attributes:
        times: (K,) seconds on the video's clock.
        focal_lengths: (K,) pixels.
    """

    times: NDArray[np.float64]
    focal_lengths: Floats


def lens_keys(cast: Cast) -> LensKeys:
    """The focal length of the camera. Where it stays as it is it has no keys; at cuts it jumps."""
    result = cast.result
    lengths, usual = result.camera_focal_length, result.meta.focal_length
    if lengths is None or not len(lengths):
        return LensKeys(_first_time(result), np.array([usual]))
    exact = np.where(lengths == np.float32(usual), usual, lengths.astype(float))  # that of `meta` is not rounded
    keys, kept = _keys(result, exact[:, None])
    return LensKeys(keys, kept[:, 0])


def focal_lengths_at(cast: Cast, times: NDArray[np.float64]) -> Floats:
    """(T,) focal length of the camera at times on the video's clock, seconds; pixels."""
    if cast.result.camera_focal_length is None:  # no need to know when frames are, of which there may be many
        return np.full(len(times), cast.result.meta.focal_length)
    keys = lens_keys(cast)
    lengths: Floats = np.interp(times, keys.times, keys.focal_lengths)
    return lengths


def _first_time(result: Result) -> NDArray[np.float64]:
    """(1,) when the first frame is."""
    times = frame_times(result)
    return times[:1] if len(times) else np.zeros(1)


def _keys(result: Result, values: Floats) -> tuple[NDArray[np.float64], Floats]:
    """Times (K,) and values (K, N) from which all of (F, N) come back, evenly from key to key; at cuts they jump."""
    times, shots = frame_times(result), shots_of_frames(result)
    if len(values) != len(times):  # one file of `frames/`, which holds one camera
        times, shots = times[:1], shots[:1]
    cuts = np.flatnonzero(shots[1:] != shots[:-1]) + 1
    step = times[cuts] - times[cuts - 1]
    middles = times[cuts - 1] + step / 2
    # Two keys around the middle of every cut: the last value before it is held until then.
    where = np.repeat(cuts, 2)
    keys = np.insert(times, where, np.stack([middles - _AROUND * step, middles + _AROUND * step], 1).ravel())
    values = values[np.insert(np.arange(len(times)), where, np.stack([cuts - 1, cuts], 1).ravel())]
    moves = (values[1:] != values[:-1]).any(1)
    kept = np.concatenate([[True], moves]) | np.concatenate([moves, [False]])
    kept[0] = True
    return keys[kept], values[kept]


def aligned(quaternions: Floats) -> Floats:
    """Quaternions (T, ..., 4) over time whose signs follow each other, so that what lies between goes the short way."""
    signs = np.where((quaternions[1:] * quaternions[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    signs = np.concatenate([np.ones_like(quaternions[:1, ..., :1]), np.cumprod(signs, 0)])
    turned: Floats = quaternions * signs
    return turned
