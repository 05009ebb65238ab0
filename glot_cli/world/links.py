"""Corners of the background seen twice: what they say of a camera that turns and zooms where it stands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from glot_cli.world.background import SeenAgain, ShotBackground
from glot_cli.world.chaining import Pair
from glot_cli.world.turning import FAR, LEAST_NOISE, MOST_NOISE, Floats, turn

NEAR = 0.5  # small pixels beyond the noise that a corner may miss by, and still fit
SAMPLE = 8  # pairs of pictures that say of what kind a shot is
GUESSES = np.linspace(-0.6, 0.6, 9)  # logarithms of the focal length over what is assumed
TOGETHER = 10.0  # corners of a picture err together: so many count as one


class Link(NamedTuple):
    """Corners of a keyframe in another frame; small pixels, from the centre.

    Attributes:
        sighting: whence.
        before: (n, 2) in the keyframe.
        after: (n, 2) in the frame.
        homography: (3, 3) from one to the other.
    """

    sighting: SeenAgain
    before: Floats
    after: Floats
    homography: Floats

    @property
    def pair(self) -> Pair:
        return self.sighting.keyframe, self.sighting.look

    @property
    def moved(self) -> float:
        """How far most corners have gone."""
        return float(np.median(np.hypot(*(self.after - self.before).T)))


class Turns(NamedTuple):
    """What all links of a shot say of a camera that turns; N links.

    Attributes:
        rotations: (N, 3, 3).
        zoom: (N,)
        fits: (N,) shares of the corners that it explains.
    """

    rotations: Floats
    zoom: Floats
    fits: Floats


def sample_of(links: list[Link]) -> list[Link]:
    """Some links, of those that have moved most."""
    some = sorted(links, key=lambda link: -link.moved)[: max(SAMPLE, len(links) // 2)]
    return some[:: -(-len(some) // SAMPLE)]


def links_of(scene: ShotBackground, centre: tuple[float, float], zoom: Floats | None = None) -> list[Link]:
    """Corners of all pictures that are not still.

    Args:
        scene: the background.
        centre: principal point, pixels of the video.
        zoom: (L,) by how much the lens magnifies each picture, which is taken out; None where it does not zoom.
    """
    middle = np.array(centre)
    shift = np.array([[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1]])
    scale = np.array([scene.scale, scene.scale, 1.0])
    links = []
    for s in scene.sightings:
        if not s.still:
            matrix = np.linalg.inv(shift) @ scene.homography(s) @ shift
            before, after = ((pixels - middle) / scene.scale for pixels in (scene.before(s), scene.after(s)))
            matrix = matrix * scale / scale[:, None]
            if zoom is not None:
                first, second = (np.array([zoom[look], zoom[look], 1.0]) for look in (s.keyframe, s.look))
                before, after, matrix = before / first[:2], after / second[:2], matrix * first / second[:, None]
            links.append(Link(s, before, after, matrix))
    return links


def noise_of(links: list[Link]) -> float:
    """Standard deviation of corners in either direction, small pixels, from those that a homography explains best."""
    if not links:
        return LEAST_NOISE
    missed = [missed_by_homography(link) for link in links[:: max(1, len(links) // SAMPLE)]]
    quarter = float(np.quantile(np.concatenate(missed), 0.25))
    return float(np.clip(quarter / 0.76, LEAST_NOISE, MOST_NOISE))  # of a Rayleigh distribution


def missed_by_homography(link: Link) -> Floats:
    """(n,) by how many small pixels each corner lies elsewhere than where the homography has it."""
    flat = np.c_[link.before, np.ones(len(link.before))] @ link.homography.T
    return np.asarray(np.hypot(*(flat[:, :2] / flat[:, 2:] - link.after).T))


def fit_of(missed: Floats, noise: float) -> float:
    """Share of the corners that miss by no more than they may."""
    return float((missed < FAR * noise + NEAR).mean())


def turns_of(links: list[Link], focal: float, noise: float, *, zooms: bool) -> Turns:
    """How the camera turned, and zoomed where it may, by each of N links; small pixels."""
    found = [turn(link.before, link.after, link.homography, focal, noise, zooms=zooms) for link in links]
    fits = np.array([fit_of(one.missed, noise) for one in found])
    return Turns(
        np.array([one.rotation for one in found]).reshape(-1, 3, 3), np.array([one.zoom for one in found]), fits
    )


def focal_of(links: list[Link], focal: float, noise: float) -> tuple[float, float]:
    """The focal length with which turns explain most, and the standard deviation of its logarithm."""
    costs = []
    for guess in GUESSES:
        missed = [
            turn(link.before, link.after, link.homography, focal * np.exp(guess), noise, zooms=False).missed
            for link in links
        ]
        costs.append(np.log1p((np.concatenate(missed) / (FAR * noise)) ** 2).mean())
    place = int(np.clip(np.argmin(costs), 1, len(GUESSES) - 2))
    apart = GUESSES[1] - GUESSES[0]
    low, middle, high = costs[place - 1 : place + 2]
    bend = max((low - 2 * middle + high) / apart**2, 1e-9)
    best = GUESSES[place] + np.clip((low - high) / 2 / apart / bend, -apart, apart)
    count = sum(len(link.before) for link in links) / TOGETHER
    return float(focal * np.exp(best)), float(np.sqrt(2 / (count * bend)) / FAR)
