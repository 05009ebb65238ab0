"""How the camera of a shot moved, told from the background: not at all, by turning alone, or through the room."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from glot_cli.world.background import CORNERS, Scene, Sighting
from glot_cli.world.chaining import Pair, chain_places, chain_rotations
from glot_cli.world.turning import FAR, LEAST_NOISE, MOST_NOISE, Floats, travel, turn

NEAR = 0.5  # small pixels beyond the noise that a corner may miss by, and still fit
STEADY = 0.1  # degrees that a camera which stands still seems to turn, at most
STAYS = 0.7  # share of the corners which fit any turn that have not moved, where the camera stands and much else moves
BESIDE = 0.9  # share of the corners which fit a moving camera that fit a turning one, where it is said to turn alone
WALKS = 0.03  # of the background's usual depth; a camera that goes farther travels
ZOOMS = 1.04  # a focal length that changes by more changes
AT_ONCE = 10  # pictures whose cameras and depths are sought together
SAMPLE = 12  # pairs of pictures that say of what kind a shot is
GUESSES = np.linspace(-0.6, 0.6, 9)  # logarithms of the focal length over what is assumed
TOGETHER = 10.0  # corners of a picture err together: so many count as one


@dataclass(frozen=True)
class CameraMotion:
    """The motion of a shot's camera, frame by frame of those looked at.

    Attributes:
        kind: "static", "rotating" or "travelling".
        confidence: 0 to 1.
        reason: what speaks for it, or why nothing can be known.
        ticks: (L,) of the frames.
        rotations: (L, 3, 3) from the axes of the shot's first camera to those of the frame's.
        places: (L, 3) of the camera, in the axes of the shot's first; the unit is about the usual depth of the
            background, and drifts. 0 where the camera does not travel.
        zoom: (L,) focal length over that of the shot's first frame.
    """

    kind: str
    confidence: float
    reason: str
    ticks: Floats
    rotations: Floats
    places: Floats
    zoom: Floats

    def rotations_at(self, ticks: Floats) -> Floats:
        """(F, 3, 3) rotations at other times (F,); before the first and after the last they stay as they are."""
        if len(self.ticks) < 2:
            return np.repeat(self.rotations[:1], len(ticks), 0)
        between = Slerp(self.ticks, Rotation.from_matrix(self.rotations))
        return np.asarray(between(np.clip(ticks, self.ticks[0], self.ticks[-1])).as_matrix())

    def places_at(self, ticks: Floats) -> Floats:
        """(F, 3) places at other times (F,)."""
        return np.stack([np.interp(ticks, self.ticks, axis) for axis in self.places.T], -1)


class Link(NamedTuple):
    """Corners of a keyframe in another frame; small pixels, from the centre.

    Attributes:
        sighting: whence.
        before: (n, 2) in the keyframe.
        after: (n, 2) in the frame.
        homography: (3, 3) from one to the other.
    """

    sighting: Sighting
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


def camera_motion(scene: Scene, focal: float, centre: tuple[float, float]) -> CameraMotion:
    """Tell how the camera of a shot moved.

    Args:
        scene: its background.
        focal: focal length, pixels of the video.
        centre: principal point, pixels of the video.
    """
    looks = len(scene.ticks)
    if not scene.sightings:
        return _standing(scene, 0.0, "nothing of the background is seen twice")
    links = links_of(scene, centre)
    focal = focal / scene.scale
    trust = min(1.0, len({s.look for s in scene.sightings}) / (looks - 1))
    trust *= min(1.0, float(np.median([s.count for s in scene.sightings])) / (CORNERS / 3))
    if not links:
        return _standing(scene, trust, "the background stays where it is")
    noise = _noise(links)
    turns = _turns(links, focal, noise, zooms=False)
    fixed = np.array([_fit(np.hypot(*(link.after - link.before).T), noise) for link in links])
    steady = fixed > STAYS * turns.fits
    turns.rotations[steady] = np.eye(3)
    shifts = [s for s in scene.sightings if s.still]
    pairs = [link.pair for link in links] + [(s.keyframe, s.look) for s in shifts]
    stills = np.array([_turn_of_shift(s, focal) for s in shifts]).reshape(-1, 3, 3)
    rotations = chain_rotations(pairs, np.concatenate([turns.rotations, stills]), looks)
    sway = np.degrees(Rotation.from_matrix(rotations).magnitude())
    rest = (len(shifts) + steady.sum()) / len(pairs)
    if np.quantile(sway, 0.95) < STEADY or rest > 0.95:
        return _standing(scene, trust * max(rest, 0.5), "the background stays where it is")
    sample = [link for link in sorted(links, key=lambda link: -link.moved)[: 4 * SAMPLE]][::4]
    own, free = _turns(sample, focal, noise, zooms=False), _turns(sample, focal, noise, zooms=True)
    better, _ = _focal_of(sample, focal, noise)
    other = _turns(sample, better, noise, zooms=False)
    share = {"own": own.fits.mean(), "other": other.fits.mean(), "free": free.fits.mean()}
    places, nearer, moving = _travels(sample, own.rotations, focal, noise)
    share["moving"] = moving
    print({k: round(float(v), 3) for k, v in share.items()}, 'noise', round(noise, 2), 'f', round(better / focal, 3), 'zoom', np.round(np.quantile(free.zoom, [0, .5, 1]), 3), 'reach', np.round(np.linalg.norm(places, axis=1).max(), 3))
    return CameraMotion('rotating', trust, '', scene.ticks, rotations, np.zeros((looks, 3)), np.ones(looks))


def links_of(scene: Scene, centre: tuple[float, float]) -> list[Link]:
    """Corners of all pictures that are not still."""
    middle = np.array(centre)
    shift = np.array([[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1]])
    scale = np.array([scene.scale, scene.scale, 1.0])
    links = []
    for s in scene.sightings:
        if not s.still:
            matrix = np.linalg.inv(shift) @ scene.homography(s) @ shift
            before, after = ((pixels - middle) / scene.scale for pixels in (scene.before(s), scene.after(s)))
            links.append(Link(s, before, after, matrix * scale / scale[:, None]))
    return links


def _noise(links: list[Link]) -> float:
    """Standard deviation of corners in either direction, small pixels, from those that a homography explains best."""
    missed = []
    for link in links[:: max(1, len(links) // SAMPLE)]:
        flat = np.c_[link.before, np.ones(len(link.before))] @ link.homography.T
        missed.append(np.hypot(*(flat[:, :2] / flat[:, 2:] - link.after).T))
    quarter = float(np.quantile(np.concatenate(missed), 0.25))
    return float(np.clip(quarter / 0.76, LEAST_NOISE, MOST_NOISE))  # of a Rayleigh distribution


def _fit(missed: Floats, noise: float) -> float:
    """Share of the corners that miss by no more than they may."""
    return float((missed < FAR * noise + NEAR).mean())


def _turns(links: list[Link], focal: float, noise: float, *, zooms: bool) -> Turns:
    found = [turn(link.before, link.after, link.homography, focal, noise, zooms=zooms) for link in links]
    fits = np.array([_fit(one.missed, noise) for one in found])
    return Turns(np.array([one.rotation for one in found]), np.array([one.zoom for one in found]), fits)


def _turn_of_shift(sighting: Sighting, focal: float) -> Floats:
    x, y = sighting.homography[:2, 2].astype(float)
    return np.asarray(Rotation.from_rotvec([-y / focal, x / focal, 0]).as_matrix())


def _focal_of(links: list[Link], focal: float, noise: float) -> tuple[float, float]:
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


def _travels(links: list[Link], rotations: Floats, focal: float, noise: float) -> tuple[Floats, Floats, float]:
    """How the camera travelled in some pictures: places (N, 3) and rotations (N, 3, 3), and the share it explains."""
    turned, places, fits = rotations.copy(), np.zeros((len(links), 3)), np.zeros(len(links))
    groups = defaultdict(list)
    for number, link in enumerate(links):
        groups[link.sighting.keyframe].append(number)
    for numbers in groups.values():
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            which = np.unique(np.concatenate([links[n].sighting.corners for n in some]))
            before = np.zeros((len(which), 2))
            after = np.full((len(some), len(which), 2), np.nan)
            for row, n in zip(after, some, strict=True):
                place = np.searchsorted(which, links[n].sighting.corners)
                before[place], row[place] = links[n].before, links[n].after
            found = travel(before, after, rotations[some], focal, noise)
            turned[some], places[some] = found.rotations, found.places
            fits[some] = [_fit(missed[np.isfinite(missed)], noise) for missed in found.missed]
    return places, turned, float(fits.mean())


def _standing(scene: Scene, confidence: float, reason: str) -> CameraMotion:
    looks = len(scene.ticks)
    still = np.repeat(np.eye(3)[None], looks, 0)
    return CameraMotion("static", confidence, reason, scene.ticks, still, np.zeros((looks, 3)), np.ones(looks))
