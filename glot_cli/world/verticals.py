"""Which way is up, told by straight lines of the background: walls, doors and posts stand upright, mostly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONE = 2.5  # standard deviations of what is known beforehand within which up is sought
END = 0.4  # pixels in 640 by which the end of a line lies off
PLUMB = 0.4  # degrees by which things that stand upright do not, lenses that bend included
SAME = 0.7  # degrees between two lines that are one
MOST = 150  # lines that are compared, the longest
FEWEST = 4  # lines that must agree, and so far apart:
APART = 8.0  # degrees
CHANCE = 4.0  # standard deviations more, by length, than would agree by chance
RIVAL = 0.6  # share of the best's lines that another direction may have, so far from it:
ELSEWHERE = 4.0  # degrees
PART = 3.0  # degrees between lines side by side, one part of the picture and another
STEPS = 10


class Verticals(NamedTuple):
    """Up, as lines tell it.

    Attributes:
        direction: (3,) unit vector of up, in the axes of the shot's first camera.
        error: standard deviation in the direction that is known worst, degrees.
        lines: lines that agree.
        precision: (3, 3) inverse covariance, in radians, of the direction across itself: how far the picture rolls is
            often known much better than how far it pitches.
    """

    direction: Floats
    error: float
    lines: int
    precision: Floats


def vertical_lines(
    lines: Mapping[int, NDArray[np.floating]],
    rotations: Floats,
    focal: float,
    size: tuple[int, int],
    prior: Floats,
    prior_error: float,
    focal_error: float = 0.15,
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
    prior = np.asarray(prior, float) / np.linalg.norm(prior)
    normals, lengths = _planes(lines, rotations, focal, size)
    cone = np.radians(CONE * prior_error)
    near = np.abs(np.arcsin(np.clip(normals @ prior, -1, 1))) < cone
    normals, lengths = _merged(normals[near], lengths[near])
    if len(normals) < FEWEST:
        return None
    # How far up may lie outside of a line's plane: its ends, seen from its middle, and how upright things are.
    spread = np.hypot(END / 640 * max(size) / focal * 2 / lengths, np.radians(PLUMB))
    weights = np.minimum(lengths, np.quantile(lengths, 0.8))
    votes = _consensus(normals, spread, weights, prior, cone)
    if votes is None:
        return None
    up, believed = _settled(normals, spread, votes)
    agree = np.abs(normals @ up) < 3 * spread
    if agree.sum() < FEWEST or up @ prior < np.cos(cone):
        return None
    covariance = _covariance(normals[agree], spread[agree], believed[agree], up, prior_error)
    # A wrong focal length tips all of them.
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    covariance += (up[2] * focal_error) ** 2 * np.outer(forward, forward)
    errors = np.degrees(np.sqrt(np.linalg.eigvalsh(covariance)[1:]))
    if errors[0] > prior_error:
        return None
    precision = np.asarray(np.linalg.pinv(covariance, rcond=1e-9, hermitian=True), float)
    return Verticals(up, float(errors[1]), int(agree.sum()), precision)


def _settled(normals: Floats, spread: Floats, up: Floats) -> tuple[Floats, Floats]:
    """The direction near `up` that lies best in the planes of most lines, and the weights of all."""
    start = up
    believed = np.ones(len(normals))
    for _ in range(STEPS):
        believed = 1 / (1 + (normals @ up / (2 * spread)) ** 2) ** 2 / spread**2
        across = np.eye(3) - np.outer(start, start)
        # Held a little to where it began, in the direction of which nothing is said.
        up = start - np.linalg.solve(
            across @ _information(normals, believed) @ across + across + np.outer(start, start),
            across @ (normals.T @ (believed * (normals @ start))),
        )
        up = up / np.linalg.norm(up)
    return up, believed


def _covariance(normals: Floats, spread: Floats, believed: Floats, up: Floats, widest: float) -> Floats:
    """(3, 3) of a direction across itself, radians: from how well lines agree, and from what a part of them says."""
    across = np.eye(3) - np.outer(up, up)

    def inverse(normals: Floats, believed: Floats) -> Floats:
        held = _information(normals, believed) + np.eye(3) / np.radians(widest) ** 2
        return np.asarray(np.linalg.inv(across @ held @ across + np.outer(up, up)) - np.outer(up, up))

    excess = max(1.0, float(np.median(np.abs(normals @ up) / spread)) / 0.67)
    covariance = inverse(normals, believed) * excess**2 + np.radians(PLUMB) ** 2 * across
    # Without those in one part of the picture: what looks upright there alone may lie on the floor.
    side = np.cross(up, [0.0, 0.0, 1.0])
    bearing = np.arctan2(normals @ np.cross(side, up), normals @ side) % np.pi
    order = np.argsort(bearing)
    parts = np.split(order, np.flatnonzero(np.diff(bearing[order]) > np.radians(PART)) + 1)
    if len(parts) < 2:
        parts = np.array_split(order, 2)
    for part in parts:
        rest = np.setdiff1d(order, part)
        if len(rest):
            off = inverse(normals[rest], believed[rest]) @ (normals[rest].T @ (believed[rest] * (normals[rest] @ up)))
            covariance += np.outer(off, off) * (len(parts) - 1) / len(parts)
    return np.asarray(covariance)


def _information(normals: Floats, weights: Floats) -> Floats:
    return np.asarray((normals * weights[:, None]).T @ normals)


def _planes(
    lines: Mapping[int, NDArray[np.floating]], rotations: Floats, focal: float, size: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Unit normals (N, 3) of the planes through the camera and each line, in the first axes; angles (N,) they span."""
    normals, lengths = [np.zeros((0, 3))], [np.zeros(0)]
    for number, ends in lines.items():
        pixels = (np.asarray(ends, float).reshape(-1, 2, 2) - np.array(size) / 2) / focal
        rays = np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], -1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        across = np.cross(rays[:, 0], rays[:, 1])
        span = np.linalg.norm(across, axis=1)
        whole = span > 1e-6
        normals.append(across[whole] / span[whole, None] @ rotations[number])
        lengths.append(np.arcsin(np.clip(span[whole], 0, 1)))
    return np.concatenate(normals), np.concatenate(lengths)


def _merged(normals: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """The longest lines, of which pieces and sides of one thing count once."""
    order = np.argsort(-lengths, kind="stable")
    kept: list[int] = []
    for index in order:
        if not kept or np.abs(normals[kept] @ normals[index]).max() < np.cos(np.radians(SAME)):
            kept.append(int(index))
            if len(kept) == MOST:
                break
    return normals[kept], lengths[kept]


def _consensus(normals: Floats, spread: Floats, weights: Floats, prior: Floats, cone: float) -> Floats | None:
    """The direction that most lines agree on, if it stands out."""
    first, second = np.triu_indices(len(normals), 1)
    ups = np.cross(normals[first], normals[second])
    size = np.linalg.norm(ups, axis=1)
    apart = size > np.sin(np.radians(APART))
    ups = ups[apart] / size[apart, None]
    ups *= np.sign(ups @ prior)[:, None]
    ups = ups[ups @ prior > np.cos(cone)]
    if not len(ups):
        return None
    agree = np.abs(ups @ normals.T) < 2.5 * spread
    votes = agree @ weights
    best = int(votes.argmax())
    chosen = agree[best]
    # By chance, a line in the cone agrees with a direction in it as often as its width is of the cone's.
    often = np.minimum(1, 2.5 * spread / cone)
    chance, varies = (weights * often).sum(), np.sqrt((weights**2 * often * (1 - often)).sum())
    if chosen.sum() < FEWEST or votes[best] < chance + CHANCE * varies:
        return None
    elsewhere = ups @ ups[best] < np.cos(np.radians(ELSEWHERE))
    own = agree[elsewhere] & ~chosen  # what a rival has beyond lines that suit both
    if elsewhere.any() and (own @ weights).max() > RIVAL * votes[best]:
        return None
    return np.asarray(ups[best])
