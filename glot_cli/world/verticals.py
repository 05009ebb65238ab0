"""Which way is up, told by straight lines of the background.

Walls, doors and posts stand upright; floors, ceilings, tables and windows have level edges, mostly in two directions at
right angles to each other (a "Manhattan world"). What is sought is up, the azimuth of these and the focal length that
explain most lines; the rest may lie anyhow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONE = 2.5  # standard deviations of what is known beforehand within which up is sought
WIDEST = 25.0  # degrees within which it is sought at most
END = 0.4  # pixels in 640 by which the end of a line lies off
PLUMB = 0.4  # degrees by which things that stand upright or level do not, lenses that bend included
ALONE = 1.5  # degrees by which all upright lines may lean alike where nothing level bears them out
SLOPED = 2.5  # and by which a whole floor may, where nothing upright bears it out
NARROW = 2.0  # and instead of CONE
LEVEL = 1.5  # degrees by which all lines of a level direction may slope alike: boards, ramps, tables
SAME = 0.7  # degrees between two lines that are one
CROWD = 2.0  # degrees between lines that tell less than each by itself
MOST = 100  # lines that are compared, the longest
FEWEST = 6  # lines that must agree
GAIN = 12.0  # how much likelier, logarithm, the lines must be than if they lay anyhow
AXIS = 8.0  # and by how much less without one of the directions, lest that is there by chance
UPRIGHT, ACROSS = 0.25, 0.2  # shares of lines that are upright, and level in either direction, to begin with
COARSE = 1.5  # degrees between directions that are tried first
AZIMUTHS = 45  # level directions that are tried, in a right angle
FOCALS = 0.1  # of the logarithm of the focal length, between those that are tried
MODES = 6  # of what was tried that are looked at more closely
PART = 3.0  # degrees between lines side by side, one part of the picture and another
FREE = 20.0  # degrees to which up is held where lines say nothing
TINY = 1e-5
STEPS = 12


class Verticals(NamedTuple):
    """Up, as lines tell it.

    Attributes:
        direction: (3,) unit vector of up, in the axes of the shot's first camera.
        error: standard deviation in the direction that is known worst, degrees.
        lines: lines that agree.
        precision: (3, 3) inverse covariance, in radians, of the direction across itself: how far the picture rolls is
            often known much better than how far it pitches.
        focal: focal length as the lines have it, pixels.
        focal_error: standard deviation of that, of itself; that given beforehand where they do not tell.
    """

    direction: Floats
    error: float
    lines: int
    precision: Floats
    focal: float
    focal_error: float


class _Setting(NamedTuple):
    """What lines are compared with.

    Attributes:
        up: (3,) unit vector in the first axes.
        azimuth: of one level direction, radians; the other lies at a right angle to it.
        zoom: logarithm of the focal length, of that given.
        slopes: (2,) by which these are not level, radians.
    """

    up: Floats
    azimuth: float
    zoom: float
    slopes: Floats

    def axes(self) -> Floats:
        """(3, 3) up and the level directions, in rows."""
        turns = self.azimuth + np.array([0, np.pi / 2])
        level = np.stack([np.cos(turns), np.sin(turns), self.slopes], 1) @ np.vstack([_tangent(self.up), self.up])
        return np.vstack([self.up, level / np.linalg.norm(level, axis=1, keepdims=True)])

    def moved(self, step: Floats) -> _Setting:
        """A world changed by (6,) two angles of up, the zoom, the azimuth and the slopes."""
        up = self.up + step[:2] @ _tangent(self.up)
        azimuth, zoom = self.azimuth + float(step[3]), self.zoom + float(step[2])
        return _Setting(up / np.linalg.norm(up), azimuth, zoom, self.slopes + step[4:])


def _tangent(up: Floats) -> Floats:
    """(2, 3) across up: to the side, and ahead."""
    ahead = np.array([0.0, 0.0, 1.0]) if abs(up[2]) < 0.99 else np.array([0.0, -1.0, 0.0])
    side = np.cross(up, ahead)
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(side, up)])


class _Lines:
    """Straight lines, as they lie in space for any focal length.

    Args:
        lines: (n, 4) ends x, y, x, y in pixels, by number of the frame.
        rotations: (L, 3, 3) from the axes of the first frame to those of each.
        focal: focal length as given, pixels.
        size: (width, height) of the picture, pixels.
    """

    def __init__(
        self, lines: Mapping[int, NDArray[np.floating]], rotations: Floats, focal: float, size: tuple[int, int]
    ) -> None:
        numbers = [n for n, ends in lines.items() for _ in ends]
        ends = np.concatenate([np.zeros((0, 4)), *(np.asarray(ends, float).reshape(-1, 4) for ends in lines.values())])
        self._ends = (ends.reshape(-1, 2, 2) - np.array(size) / 2) / focal
        self._back = np.asarray(rotations, float)[numbers]
        length = np.linalg.norm(self._ends[:, 1] - self._ends[:, 0], axis=1)
        self._keep(np.argsort(-length, kind="stable")[: int((length > 1e-6).sum())])
        normals, _ = self.placed(0.0)
        kept: list[int] = []
        for index in range(len(normals)):  # pieces and sides of one thing count once
            if not kept or np.abs(normals[kept] @ normals[index]).max() < np.cos(np.radians(SAME)):
                kept.append(index)
                if len(kept) == MOST:
                    break
        self._keep(np.array(kept, int))
        normals = normals[kept]
        length = np.linalg.norm(self._ends[:, 1] - self._ends[:, 0], axis=1)
        self.spread = END / 640 * max(size) / focal * 2 / length
        between = np.arccos(np.clip(np.abs(normals @ normals.T), 0, 1))
        self.weights = np.exp(-((between / np.radians(CROWD)) ** 2)).sum(1) ** -0.5

    def _keep(self, which: NDArray[np.integer]) -> None:
        self._ends, self._back = self._ends[which], self._back[which]

    def __len__(self) -> int:
        return len(self._ends)

    def placed(self, zoom: float) -> tuple[Floats, Floats]:
        """Unit normals (N, 3) of the planes through the camera and each line, and its middles (N, 3), first axes."""
        rays = np.concatenate([self._ends, np.full((len(self._ends), 2, 1), np.exp(zoom))], -1)
        normals, middles = np.cross(rays[:, 0], rays[:, 1]), rays.mean(1)
        found = []
        for vectors in (normals, middles):
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            found.append((vectors[:, None] @ self._back)[:, 0])
        return found[0], found[1]

    def roughly(self, axes: Floats, zoom: float) -> NDArray[np.float32]:
        """(A, N) how much likelier lines are that follow axes (A, 3), give or take `COARSE`, than by chance."""
        normals, middles = (vectors.T.astype(np.float32) for vectors in self.placed(zoom))
        axes = axes.astype(np.float32)
        square = (axes @ normals) ** 2 / np.maximum(1 - (axes @ middles) ** 2, np.float32(1e-2))
        spread = np.hypot(self.spread, np.radians(0.7 * COARSE)).astype(np.float32)
        return np.asarray(np.exp(-square / (2 * spread**2)) * (np.float32(np.sqrt(np.pi / 2)) / spread), np.float32)

    def off(self, world: _Setting) -> tuple[Floats, Floats]:
        """Angles (N, K) in the picture between lines and each axis of a world, and their standard deviations."""
        normals, middles = self.placed(world.zoom)
        axes = world.axes().T
        across = np.sqrt(np.maximum(1 - (middles @ axes) ** 2, 1e-4))
        angles = np.arcsin(np.clip(normals @ axes / across, -1, 1))
        return angles, np.hypot(self.spread[:, None], np.radians(PLUMB) / across)


def vertical_lines(
    lines: Mapping[int, NDArray[np.floating]],
    rotations: Floats,
    focal: float,
    size: tuple[int, int],
    prior: Floats,
    prior_error: float,
    focal_error: float = 0.17,
) -> Verticals | None:
    """Up from straight lines; None where they do not speak clearly.

    Args:
        lines: (n, 4) ends x, y, x, y in pixels, by number of the frame.
        rotations: (L, 3, 3) from the axes of the first frame to those of each.
        focal: focal length, pixels.
        size: (width, height) of the picture, pixels; its centre is the principal point.
        prior: (3,) up as it is known without lines, in the axes of the first frame.
        prior_error: standard deviation of that, degrees.
        focal_error: standard deviation of the focal length, of itself.
    """
    edges = _Lines(lines, rotations, focal, size)
    if len(edges) < FEWEST:
        return None
    sought = _Sought(np.asarray(prior, float) / np.linalg.norm(prior), np.radians(prior_error), focal_error)
    found = [_settled(edges, start, sought) for start in _starts(edges, sought)]
    best = max(found, key=lambda one: one.score)
    shares = _borne_out(edges, best)
    axes = np.count_nonzero(shares)
    cone = CONE if axes > 1 else NARROW  # what leans all alike and is not borne out by anything level
    if best.gain < GAIN or best.world.up @ sought.up < np.cos(cone * sought.spread) or not (shares[0] or axes > 1):
        return None
    return _verdict(edges, best._replace(shares=shares), _rivalry(found, best), sought, focal)


class _Found(NamedTuple):
    """A world that explains lines.

    Attributes:
        world: that world.
        shares: (K,) of lines that follow its axes.
        gain: logarithm of how much likelier the lines are in it than if they lay anyhow.
        score: the same with what is known beforehand.
    """

    world: _Setting
    shares: Floats
    gain: float
    score: float


def _borne_out(edges: _Lines, found: _Found) -> Floats:
    """The shares (K,) of lines that follow axes; 0 for axes that so few follow that it may be by chance."""
    heard = _heard(edges, found.world, found.shares)
    without = (1 - heard.belief) + found.shares / np.exp(heard.likely)[:, None]  # of how likely each is with the axis
    return np.where(-edges.weights @ np.log(without) > AXIS, found.shares, 0.0)


def _rivalry(found: Sequence[_Found], best: _Found) -> Floats:
    """(3, 3) second moments of where else up may be, by how likely that is."""
    others = [best]
    for one in found:
        if all(one.world.up @ other.world.up < np.cos(np.radians(SAME)) for other in others):
            others.append(one)
    odds = np.exp([(one.score - best.score) / 2 for one in others])  # lines are not independent
    off = np.stack([one.world.up - best.world.up for one in others])
    return np.asarray((off * odds[:, None]).T @ off / odds.sum())


def _verdict(edges: _Lines, found: _Found, rivalry: Floats, sought: _Sought, focal: float) -> Verticals | None:
    """What lines alone say of up, and how sure that is."""
    world = found.world
    free = sought._replace(up=world.up, spread=np.radians(FREE))
    for _ in range(STEPS):
        heard = _heard(edges, world, found.shares)
        world = world.moved(_step(heard, world, free))
    heard = _heard(edges, world, found.shares)
    agree = heard.belief.sum(1) > 0.5
    if agree.sum() < FEWEST:
        return None
    known = np.diag(_known(free))
    contradicted = (world.zoom / sought.zoom) ** 2  # by the focal length as it is known without lines
    excess = max(1.0, heard.excess, contradicted)
    covariance = np.linalg.inv(heard.matrix.sum(0) / excess + known)
    # Without those in one part of the picture: what looks level or upright there may not be.
    parts = _parts(edges, world, heard.belief)
    for part in parts:
        rest = heard.matrix.sum(0) - heard.matrix[part].sum(0)
        off = np.linalg.solve(rest / excess + known, heard.pull[part].sum(0) / excess)
        covariance += np.outer(off, off) * (len(parts) - 1) / len(parts)
    tangent = _tangent(world.up)
    alike = SLOPED if not found.shares[0] else PLUMB if found.shares[1:].any() else ALONE
    covariance[:2, :2] += tangent @ rivalry @ tangent.T + np.radians(alike) ** 2 * np.eye(2)
    across = tangent.T @ covariance[:2, :2] @ tangent
    errors = np.degrees(np.sqrt(np.linalg.eigvalsh(across)[1:]))
    if errors[0] > np.degrees(sought.spread):
        return None
    precision = np.asarray(np.linalg.pinv(across, rcond=1e-9, hermitian=True), float)
    length, length_error = focal * float(np.exp(world.zoom)), float(np.sqrt(covariance[2, 2]))
    return Verticals(world.up, float(errors[1]), int(agree.sum()), precision, length, length_error)


def _parts(edges: _Lines, world: _Setting, belief: Floats) -> list[NDArray[np.integer]]:
    """Lines that follow one axis side by side."""
    normals, _ = edges.placed(world.zoom)
    parts: list[NDArray[np.integer]] = []
    for number, axis in enumerate(world.axes()):
        own = np.flatnonzero((belief.argmax(1) == number) & (belief[:, number] > 0.1))
        side, ahead = _tangent(axis)
        bearing = np.arctan2(normals[own] @ ahead, normals[own] @ side) % np.pi
        order = own[np.argsort(bearing)]
        parts += np.split(order, np.flatnonzero(np.diff(np.sort(bearing)) > np.radians(PART)) + 1)
    return [part for part in parts if len(part)]


class _Sought(NamedTuple):
    """What is known beforehand: up, its standard deviation in radians, and that of the focal length, of itself."""

    up: Floats
    spread: float
    zoom: float

    def doubt(self, world: _Setting) -> float:
        """Minus the logarithm of how likely a world is beforehand."""
        tip = np.arccos(np.clip(world.up @ self.up, -1, 1)) / self.spread
        slopes = np.sum((world.slopes / np.radians(LEVEL)) ** 2)
        return float(tip**2 + (world.zoom / self.zoom) ** 2 + slopes) / 2


def _starts(edges: _Lines, sought: _Sought) -> list[_Setting]:
    """The likeliest of many worlds, each unlike the others."""
    radius, apart = min(CONE * sought.spread, np.radians(WIDEST)), np.radians(COARSE)
    ticks = np.arange(-np.floor(radius / apart), radius / apart) * apart
    grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    ups = sought.up + grid[np.hypot(*grid.T) <= radius] @ _tangent(sought.up)
    ups /= np.linalg.norm(ups, axis=1, keepdims=True)
    many = int(np.floor(2 * sought.zoom / FOCALS))
    zooms = np.arange(-many, many + 1) * FOCALS
    turns = np.arange(2 * AZIMUTHS) * np.pi / 2 / AZIMUTHS
    level = np.stack([np.cos(turns), np.sin(turns)], 1) @ np.stack([_tangent(up) for up in ups])
    scores = np.zeros((len(zooms), len(ups), AZIMUTHS), np.float32)
    for number, zoom in enumerate(zooms):
        upright = UPRIGHT * edges.roughly(ups, zoom)[:, None]
        levels = ACROSS * edges.roughly(level.reshape(-1, 3), zoom).reshape(len(ups), 2, AZIMUTHS, -1)
        likely = np.log(1 - UPRIGHT - 2 * ACROSS + upright + levels.sum(1))
        scores[number] = likely @ edges.weights.astype(np.float32) - (zoom / sought.zoom) ** 2 / 2
    scores -= (np.arccos(np.clip(ups @ sought.up, -1, 1)) ** 2 / (2 * sought.spread**2)).astype(np.float32)[:, None]
    best = scores.max(0)
    starts: list[_Setting] = []
    while len(starts) < MODES and np.isfinite(best.max()):
        place, turn = (int(index) for index in np.unravel_index(best.argmax(), best.shape))
        zoom = float(zooms[scores[:, place, turn].argmax()])
        starts.append(_Setting(ups[place], float(turns[turn]), zoom, np.zeros(2)))
        near = ups @ ups[place] > np.cos(2.2 * apart)
        between = np.abs((np.arange(AZIMUTHS) - turn + AZIMUTHS // 2) % AZIMUTHS - AZIMUTHS // 2)
        best[np.ix_(near, between <= 3)] = -np.inf
    return starts


class _Heard(NamedTuple):
    """What N lines say of a world of K axes and P numbers, those of `_Setting.moved`.

    Attributes:
        belief: (N, K) that each follows each axis.
        likely: (N,) logarithm of how much likelier each is than if it lay anyhow.
        pull: (N, P) towards a better world.
        matrix: (N, P, P) and how stiffly.
        excess: square of how far lines lie off their axes, of what they should.
    """

    belief: Floats
    likely: Floats
    pull: Floats
    matrix: Floats
    excess: float


def _heard(edges: _Lines, world: _Setting, shares: Floats, loose: float = 0.0) -> _Heard:
    """What lines say of a world whose axes are followed by shares (K,) of them, and are `loose` radians uncertain."""
    angles, spread = edges.off(world)
    spread = np.hypot(spread, loose)
    off = angles / spread
    each = shares * np.sqrt(np.pi / 2) / spread * np.exp(-(off**2) / 2)
    whole = 1 - shares.sum() + each.sum(1)
    belief = each / whole[:, None]
    changes = [(edges.off(world.moved(TINY * unit))[0] - angles) / TINY for unit in np.eye(6)]
    slope = np.stack(changes, -1) / spread[..., None]
    weight = edges.weights[:, None] * belief
    pull = -np.einsum("nk,nkp,nk->np", weight, slope, off)
    matrix = np.einsum("nk,nkp,nkq->npq", weight, slope, slope)
    excess = float((weight * off**2).sum() / max(float(weight.sum()), 1e-9))
    return _Heard(belief, np.log(whole), pull, matrix, excess)


def _known(sought: _Sought) -> Floats:
    """(P,) how stiffly the numbers of a world are held beforehand."""
    level = np.radians(LEVEL) ** -2
    return np.array([sought.spread**-2, sought.spread**-2, sought.zoom**-2, 1e-6, level, level])


def _step(heard: _Heard, world: _Setting, sought: _Sought) -> Floats:
    """(P,) of least squares."""
    known = _known(sought)
    off = np.concatenate([_tangent(world.up) @ sought.up, [-world.zoom, 0], -world.slopes])
    return np.asarray(np.linalg.solve(heard.matrix.sum(0) + np.diag(known), heard.pull.sum(0) + known * off), float)


def _settled(edges: _Lines, world: _Setting, sought: _Sought) -> _Found:
    """The likeliest world near by."""
    shares = np.array([UPRIGHT, ACROSS, ACROSS])
    for step in range(STEPS):
        heard = _heard(edges, world, shares, np.radians(COARSE) * max(0.0, 0.7 - 0.1 * step))
        world = world.moved(_step(heard, world, sought))
        believed = edges.weights @ heard.belief
        shares = (believed + 0.3) / (edges.weights.sum() + 0.3 * (len(believed) + 1))
    gain = float(edges.weights @ _heard(edges, world, shares).likely)
    return _Found(world, shares, gain, gain - sought.doubt(world))
