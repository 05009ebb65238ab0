"""From where the pictures of a record's world are seen, and the ways that people went: steady within a shot."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.model import Body
from glot_cli.clock import stretches
from glot_cli.rendering.stage import Stage
from glot_cli.rendering.vantage import fitting, headings, looking, posed, to_the_right
from glot_cli.results import Result
from glot_cli.smoothing import whittaker

CUTOFF_HZ = 0.3  # a view follows people and the camera slowly

# The view from the side.
_SIDE_DOWN = np.radians(10)  # it looks down on people's middle
_ROOM = 0.75  # metres beside the middle of somebody
_LEAST, _MOST = 1.0, 3.5  # metres to either side of the middle of the picture; what is further off may be cut
_HIGH = 1.3  # metres above and below it
_SHARE = 0.85  # of the people, counted by their size in the video, should be within
_FAR = 6.0  # how many times as far off the camera stands
_CLEAR = 2.0  # metres from it, at least, and nearer than half way, of anybody to the right
_BEFORE = 4.0  # metres before the filming camera, where it looks in a shot of nobody

# The view of all.
_OVER_DOWN, _OVER_BESIDE = np.radians(25), np.radians(40)  # down, and aside from the way the filming camera looks
_OVER_LENS = 1.6  # focal length in longer sides of the picture
_AIR = 0.06  # of the picture
_WIDE, _TALL = 0.6, 0.95  # metres around a pelvis
_REACH, _LEAST_REACH = 0.06, 0.3  # size of the filming camera's pyramid: of the extent of all, and metres
_TRAIL_SECONDS, _TRAIL_HZ = 6.0, 10.0  # how long a trail is, and its points a second
_GAP_SECONDS = 0.5  # without somebody: the trail is broken

Floats = NDArray[np.floating]


class Staging(Protocol):
    """What is shown of the world in every frame."""

    def at(self, frame: int) -> Stage:
        """Of a frame of the video that the record speaks of."""


def staging(result: Result, body: Body, style: str, size: tuple[int, int]) -> Staging | None:
    """What a style shows of the world of a record; None where it shows nothing, or there is no world.

    Args:
        result: the record.
        body: its body model.
        style: one of `styles.STYLES`.
        size: (width, height) of the picture of the world, pixels.
    """
    if not result.has_world or style not in _STYLES:
        return None
    return _STYLES[style](_WorldOfRecord(result, body), size)


class _WorldOfRecord:
    """A record with a world, by frames counted from its first.

    Attributes:
        result: the record.
        fps: ticks per second.
        ticks: (M,) where rows stand in time.
        pelves: (M, 3) where people's pelves are in the world, metres.
        remoteness: (M,) from how far off, in metres, the lens as it usually is would show people as large.
        rows: (M,) numbers of the rows' frames.
        shots: (begin, end) of every shot, in numbers of frames.
        cameras: (F, 4, 4) from the world to the camera's frame.
        places: (F, 3) of the camera, in the world.
    """

    def __init__(self, result: Result, body: Body) -> None:
        rotation, translation = result.cameras["camera_rotation"], result.cameras["camera_translation"]
        self.result, self.fps, self.ticks = result, float(result.meta.frame_rate), result.ticks
        self.cameras = posed(rotation.astype(np.float64), translation.astype(np.float64))
        self.places = -np.einsum("fji,fj->fi", self.cameras[:, :3, :3], self.cameras[:, :3, 3])
        self.rows = np.array([self.number(frame) for frame in result.frame.tolist()], dtype=np.intp)
        count = len(self.cameras)
        starts = sorted({0, *(number for start in result.meta.shots if 0 < (number := self.number(start)) < count)})
        self.shots = [(begin, end) for begin, end in zip(starts, [*starts[1:], count], strict=True) if begin < end]
        shapes, which = np.unique(result.betas, axis=0, return_inverse=True)
        with torch.inference_mode():
            rest = body.rest_joints(torch.from_numpy(shapes))[:, 0].numpy().astype(np.float64)
        self.pelves = result.arrays["transl_world"] + rest[which.reshape(-1)]
        focals = result.row_focal_lengths().astype(np.float64)
        usual = float(np.median(focals)) if len(focals) else 1.0
        self.remoteness = result.transl[:, 2].astype(np.float64) * (usual / focals)

    def number(self, frame: int) -> int:
        """Which of the cameras a frame of the video has: one file of `frames/` holds a single one."""
        return frame - self.result.meta.start_frame if len(self.cameras) == self.result.meta.frame_count else 0

    def rows_of(self, begin: int, end: int) -> NDArray[np.intp]:
        """The rows of a shot."""
        return np.flatnonzero((self.rows >= begin) & (self.rows < end))


class _SideStages:
    """Upright, 90 degrees to the right of the camera that filmed, following the people slowly."""

    def __init__(self, filmed: _WorldOfRecord, size: tuple[int, int]) -> None:
        self._filmed = filmed
        count = len(filmed.cameras)
        self._poses, self._middles, self._lenses = np.empty((count, 4, 4)), np.empty((count, 3)), np.empty((count, 2))
        for begin, end in filmed.shots:
            self._settle(begin, end, size)

    def _settle(self, begin: int, end: int, size: tuple[int, int]) -> None:
        """Choose the views of a shot."""
        filmed, rows = self._filmed, self._filmed.rows_of(begin, end)
        pelves, at = filmed.pelves[rows], filmed.rows[rows] - begin
        facing = headings(filmed.cameras[begin:end, :3, :3])
        middle = filmed.places[begin:end] * [1.0, 0.0, 1.0] + _BEFORE * facing + [0.0, _TALL, 0.0]
        facing = headings_smoothed(facing, self._ticks(rows, begin, end), filmed.fps)
        # Whoever is large in the video counts more, and those who then are out of the picture hardly count.
        weights = 1.0 / np.maximum(filmed.remoteness[rows], 0.5) ** 3
        span, apart = _LEAST, np.zeros((0, 3))
        for _ in range(2 if len(rows) else 0):
            middle = self._followed_middle(rows, begin, end, weights)
            apart = pelves - middle[at]
            along = np.abs(np.einsum("mi,mi->m", apart, facing[at]))
            span = float(np.clip(_weighted_quantile(along, weights, _SHARE) + _ROOM, _LEAST, _MOST))
            weights = np.where(along < span, weights, 1e-6 * weights)
        right = to_the_right(facing)
        nearer = float(np.einsum("mi,mi->m", apart, right[at]).max(initial=0.0))
        distance = max(_FAR * span, 2 * nearer + _CLEAR)
        axes = looking(-right, _SIDE_DOWN)
        self._poses[begin:end] = posed(axes, middle - distance * axes[:, :, 2])
        self._middles[begin:end] = middle
        self._lenses[begin:end] = distance * min(size[0] / 2 / span, size[1] / 2 / _HIGH), 2.0 * span + 2.0

    def _ticks(self, rows: NDArray[np.intp], begin: int, end: int) -> Floats:
        """When the frames of a shot are, as far as those with somebody in them tell."""
        numbers = np.arange(begin, end, dtype=float)
        if not len(rows):
            return numbers
        seen, first = np.unique(self._filmed.rows[rows], return_index=True)
        ticks: Floats = np.interp(numbers, seen, self._filmed.ticks[rows[first]])
        ticks += np.minimum(numbers - seen[0], 0) + np.maximum(numbers - seen[-1], 0)
        return ticks

    def _followed_middle(self, rows: NDArray[np.intp], begin: int, end: int, weights: Floats) -> Floats:
        """(end - begin, 3) the middle of people, by their weights, followed slowly; at rest before and after."""
        filmed = self._filmed
        seen, first, where = np.unique(filmed.rows[rows], return_index=True, return_inverse=True)
        total = np.stack([np.bincount(where, weights * axis) for axis in filmed.pelves[rows].T], axis=1)
        mean = total / np.bincount(where, weights)[:, None]
        path = followed(mean, filmed.ticks[rows[first]], np.zeros(len(seen)), filmed.fps)
        return np.stack([np.interp(np.arange(begin, end), seen, axis) for axis in path.T], axis=1)

    def at(self, frame: int) -> Stage:
        number = self._filmed.number(frame)
        focal, radius = self._lenses[number].tolist()
        return Stage(self._filmed.cameras[number], self._poses[number], focal, self._middles[number], radius)


class _OverviewStages:
    """From above and aside, one view of all that happens in a shot."""

    def __init__(self, filmed: _WorldOfRecord, size: tuple[int, int]) -> None:
        self._filmed = filmed
        self._starts = [begin for begin, _ in filmed.shots]
        self._views = [self._view(begin, end, size) for begin, end in filmed.shots]
        of, people = filmed.result.person, filmed.result.people
        self._rows = {
            person: (int(np.searchsorted(of, person)), int(np.searchsorted(of, person + 1))) for person in people
        }

    def _view(self, begin: int, end: int, size: tuple[int, int]) -> tuple[Floats, float, Floats, float, float]:
        """Pose, focal length, middle and radius of the floor, and reach of the camera's pyramid, of a shot."""
        filmed = self._filmed
        around = np.array([[x, y, z] for x in (-_WIDE, _WIDE) for y in (-_TALL, _TALL) for z in (-_WIDE, _WIDE)])
        places, pelves = (
            np.unique(np.round(points, 1), axis=0)  # as many as there is space for, however long the shot
            for points in (filmed.places[begin:end], filmed.pelves[filmed.rows_of(begin, end)])
        )
        bodies = (pelves[:, None] + around).reshape(-1, 3)
        seen = np.concatenate([bodies, places])
        reach = max(_LEAST_REACH, _REACH * float(np.linalg.norm(np.ptp(seen, axis=0))))
        seen = np.concatenate([seen, (places[:, None] + reach * around).reshape(-1, 3)])
        seen = np.concatenate([seen, seen * [1.0, 0.0, 1.0]])
        facing = headings(filmed.cameras[begin:end, :3, :3].mean(axis=0)[None])[0]
        towards = np.cos(_OVER_BESIDE) * facing - np.sin(_OVER_BESIDE) * to_the_right(facing)
        axes, focal = looking(towards, _OVER_DOWN), _OVER_LENS * max(size)
        low, high = seen.min(axis=0), seen.max(axis=0)
        middle = (low + high) / 2 * [1.0, 0.0, 1.0]
        radius = 0.75 * float(np.linalg.norm((high - low)[[0, 2]])) + 2.0
        return posed(axes, fitting(seen, axes, size, focal, _AIR)), focal, middle, radius, reach

    def at(self, frame: int) -> Stage:
        number = self._filmed.number(frame)
        shot = bisect.bisect_right(self._starts, number) - 1
        trails = {person: self._trail(rows, self._starts[shot], number) for person, rows in self._rows.items()}
        trails = {person: trail for person, trail in trails.items() if len(trail)}
        return Stage(self._filmed.cameras[number], *self._views[shot], trails)

    def _trail(self, rows: tuple[int, int], begin: int, number: int) -> Floats:
        """(n, 3) x, z and strength of the way of somebody, whose rows are [first, last), in a shot up to a frame."""
        filmed = self._filmed
        frames = filmed.rows[slice(*rows)]
        start, stop = rows[0] + np.searchsorted(frames, [begin, number + 1])
        if start == stop:
            return np.zeros((0, 3))
        now = filmed.ticks[stop - 1] + (number - filmed.rows[stop - 1])
        start += np.searchsorted(filmed.ticks[start:stop], now - _TRAIL_SECONDS * filmed.fps)
        ticks, places = filmed.ticks[start:stop], filmed.pelves[start:stop][:, [0, 2]]
        gap = np.diff(ticks) > max(_GAP_SECONDS * filmed.fps, 1.5)
        # Points that stay where they are as time goes on, the ends of every stretch, and the latest.
        kept = np.diff(np.floor(ticks * _TRAIL_HZ / filmed.fps), prepend=-np.inf) > 0
        kept[:-1] |= gap
        kept[1:] |= gap
        kept[-1:] = True
        strength = np.clip(1.0 - (now - ticks) / (_TRAIL_SECONDS * filmed.fps), 0.0, 1.0)
        trail = np.column_stack([places, strength])
        faint = np.column_stack([places, np.zeros(len(places))])
        # Behind the last point before a gap the same once more, without strength.
        both = np.stack([trail, faint], axis=1)
        shown = np.stack([kept, np.append(gap, np.zeros(len(kept) - len(gap), bool))], axis=1)
        way: Floats = both[shown]
        return way


def followed(values: Floats, ticks: Floats, parts: NDArray[Any], fps: float) -> Floats:
    """Values (n, C) followed slowly, but not across a pause or from one part (n,) to another.

    Args:
        values: of each moment.
        ticks: (n,) when.
        parts: (n,) a number for each.
        fps: ticks per second.
    """
    cuts = np.flatnonzero((np.diff(parts) != 0) | (np.diff(stretches(ticks, fps)) != 0)) + 1
    pieces = zip(np.split(values, cuts), np.split(ticks, cuts), strict=True)
    return np.concatenate([whittaker(piece, CUTOFF_HZ / fps, times=times) for piece, times in pieces])


def headings_smoothed(facing: Floats, ticks: Floats, fps: float) -> Floats:
    """Horizontal unit vectors (n, 3) followed slowly."""
    smooth = followed(facing, ticks, np.zeros(len(ticks)), fps)
    length = np.linalg.norm(smooth, axis=1, keepdims=True)
    return np.where(length > 1e-3, smooth / np.maximum(length, 1e-3), facing)


def _weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """The least of values (N,) that so great a share of the weights does not exceed; 0 of none."""
    if not len(values):
        return 0.0
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(total, share * total[-1])), len(values) - 1)])


_STYLES: dict[str, Callable[[_WorldOfRecord, tuple[int, int]], Staging]] = {
    "side": _SideStages,
    "world": _OverviewStages,
}
