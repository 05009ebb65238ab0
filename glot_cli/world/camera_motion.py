"""How the camera of a shot moved, told from the background: not at all, by turning alone, or through the room."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from glot_cli.world.background import CORNERS, FEWEST, SeenAgain, ShotBackground
from glot_cli.world.chaining import chain_places, chain_rotations
from glot_cli.world.links import (
    Link,
    Turns,
    fit_of,
    focal_of,
    links_of,
    missed_by_homography,
    noise_of,
    sample_of,
    turns_of,
)
from glot_cli.world.turning import Floats, Start, Travelled, starts, travel

RESTS = 0.95  # share of its pictures in which a camera that stands still is seen to
STEADY = 0.1  # degrees that a camera which stands still seems to turn, at most
STAYS = 0.7  # share of the corners which fit any turn that have not moved, where the camera stands and much else moves
BESIDE = 0.75  # share of the corners which fit a moving camera that fit a turning one, where it is said to turn alone
WHOLE = 0.9  # share of the corners that leaves nothing to explain
WALKS = 0.03  # of the background's usual depth; a camera that goes farther travels
ZOOMS = 1.04  # a focal length that changes by more changes
DOUBT = 1.5  # times the cost of the likeliest motion, at which another one is likely too
AT_ONCE = 10  # pictures whose cameras and depths are sought together


@dataclass(frozen=True)
class CameraMotion:
    """The motion of a shot's camera, frame by frame of those looked at.

    Attributes:
        kind: one of `schema.MOTIONS`.
        confidence: 0 to 1.
        reason: what speaks for it, or why nothing can be known.
        ticks: (L,) of the frames.
        rotations: (L, 3, 3) from the axes of the shot's first camera to those of the frame's.
        places: (L, 3) of the camera, in the axes of the shot's first; the unit is about the usual depth of the
            background, and drifts. 0 where the camera does not travel.
    """

    kind: str
    confidence: float
    reason: str
    ticks: Floats
    rotations: Floats
    places: Floats

    def rotations_at(self, ticks: Floats) -> Floats:
        """(F, 3, 3) rotations at other times (F,); before the first and after the last they stay as they are."""
        if len(self.ticks) < 2:
            return np.repeat(self.rotations[:1], len(ticks), 0)
        between = Slerp(self.ticks, Rotation.from_matrix(self.rotations))
        return np.asarray(between(np.clip(ticks, self.ticks[0], self.ticks[-1])).as_matrix())

    def places_at(self, ticks: Floats) -> Floats:
        """(F, 3) places at other times (F,)."""
        return np.stack([np.interp(ticks, self.ticks, axis) for axis in self.places.T], -1)


def camera_motion(
    scene: ShotBackground,
    focal: float,
    centre: tuple[float, float],
    moves: bool = False,
    zoom: Floats | None = None,
) -> CameraMotion:
    """Tell how the camera of a shot moved.

    Args:
        scene: its background.
        focal: focal length, pixels of the video.
        centre: principal point, pixels of the video.
        moves: it is known not to stand still.
        zoom: (L,) focal length in each frame over `focal`; None where the lens does not zoom.
    """
    looks = len(scene.ticks)
    if not scene.sightings:
        return standing(scene, 0.0, "nothing of the background is seen twice")
    links = links_of(scene, centre, zoom)
    if moves and not links:
        return standing(scene, 0.0, "the background stays where it is, though the camera is said to move")
    focal = focal / scene.scale
    trust = min(1.0, len({s.look for s in scene.sightings}) / (looks - 1))
    trust *= min(1.0, float(np.median([s.count for s in scene.sightings])) / (CORNERS / 3))
    noise = noise_of(links)
    turns = turns_of(links, focal, noise, zooms=False)
    fixed = np.array([fit_of(np.hypot(*(link.after - link.before).T), noise) for link in links])
    flat = np.array([fit_of(missed_by_homography(link), noise) for link in links])
    steady = fixed > STAYS * np.maximum(turns.fits, flat)
    turns.rotations[steady] = np.eye(3)
    shifts = [s for s in scene.sightings if s.still]
    pairs = [link.pair for link in links] + [(s.keyframe, s.look) for s in shifts]
    stills = np.array([_turn_of_shift(s, focal) for s in shifts]).reshape(-1, 3, 3)
    rotations = chain_rotations(pairs, np.concatenate([turns.rotations, stills]), looks)
    rest = (len(shifts) + int(steady.sum())) / len(pairs)
    sway = np.degrees(Rotation.from_matrix(rotations).magnitude())
    if not moves and (rest > RESTS or (np.quantile(sway, 0.95) < STEADY and np.median(fixed) > 0.5)):
        return standing(scene, trust * rest, "the background stays where it is")
    moving = [link for link, still in zip(links, steady, strict=True) if not still]
    if not moving:
        return standing(scene, trust * rest, "nothing of the background moves")
    judged = judged_of(moving, focal, noise)
    if judged.zooms:
        turns = turns_of(links, focal, noise, zooms=True)
    places, nearness = np.zeros((len(links), 3)), dict[int, Floats]()
    if judged.moves:
        turns, places, nearness = travels_of(links, turns, focal, noise)
    turns.rotations[steady], places[steady] = np.eye(3), 0
    rotations = chain_rotations(pairs, np.concatenate([turns.rotations, stills]), looks)
    kind = "travelling" if judged.moves and judged.reach > WALKS else "rotating"
    path = np.zeros((looks, 3))
    if kind == "travelling":
        keyframes = rotations[[keyframe for keyframe, _ in pairs]]
        places *= _units(scene, links, turns, places, nearness, focal)[:, None]
        steps = np.concatenate([places, np.zeros((len(shifts), 3))])
        path = chain_places(pairs, np.einsum("nji,nj->ni", keyframes, steps), looks)
    return CameraMotion(kind, trust * judged.sure, judged.reason, scene.ticks, rotations, path)


class Judged(NamedTuple):
    """Of what kind a shot's motion is.

    Attributes:
        moves: the camera leaves its place.
        zooms: its focal length changes.
        reach: how far it goes, in usual depths of the background.
        sure: 0 to 1.
        reason: in words.
    """

    moves: bool
    zooms: bool
    reach: float
    sure: float
    reason: str


def judged_of(links: list[Link], focal: float, noise: float) -> Judged:
    """Weigh what turning, zooming and travelling explain of the same pictures."""
    sample = sample_of(links)
    own = turns_of(sample, focal, noise, zooms=False)
    best, zooms = float(own.fits.mean()), False
    if best > WHOLE:
        return Judged(False, False, 0.0, 1.0, "the background moves as one")
    moving, places, _ = travels_of(sample, own, focal, noise)
    reach, most = float(np.linalg.norm(places, axis=1).max()), float(moving.fits.mean())
    if best < BESIDE * most:  # with a wrong focal length, turning looks like travelling
        better, _ = focal_of(sample, focal, noise)
        best = max(best, float(turns_of(sample, better, noise, zooms=False).fits.mean()))
    if best < BESIDE * most:
        free = turns_of(sample, focal, noise, zooms=True)
        zooms = bool(free.fits.mean() > best / BESIDE and np.exp(np.ptp(np.log([*free.zoom, 1.0]))) > ZOOMS)
        best = float(free.fits.mean()) if zooms else best
    ratio = min(1.0, best / max(most, 1e-6))
    if best < BESIDE * most:
        words = "near and far move past each other"
        return Judged(True, False, reach, min(1.0, 0.5 + 2 * (BESIDE - ratio)) * min(1.0, most / 0.7), words)
    words = "the background grows and shrinks" if zooms else "the background moves as one"
    return Judged(False, zooms, reach, min(1.0, (0.5 + 5 * (ratio - BESIDE)) * most / 0.7), words)


def _turn_of_shift(sighting: SeenAgain, focal: float) -> Floats:
    """(3, 3) the small turn that shifts a still picture as it was seen to."""
    x, y = sighting.homography[:2, 2].astype(float)
    return np.asarray(Rotation.from_rotvec([-y / focal, x / focal, 0]).as_matrix())


def travels_of(links: list[Link], turns: Turns, focal: float, noise: float) -> tuple[Turns, Floats, dict[int, Floats]]:
    """How the camera turned and travelled; begins with turns.

    Returns:
        The turns, places (N, 3) of the camera in the axes of each link's keyframe, and by keyframe the inverse depths
        (CORNERS,) of its corners, NaN where they are not known; each keyframe has its own unit.
    """
    nearness: dict[int, Floats] = {}
    rotations, places, fits = turns.rotations.copy(), np.zeros((len(links), 3)), np.zeros(len(links))
    groups = defaultdict(list)
    for number, link in enumerate(links):
        groups[link.sighting.keyframe].append(number)
    for keyframe, numbers in groups.items():
        parts = -(-len(numbers) // AT_ONCE)
        for some in (numbers[start::parts] for start in range(parts)):  # far from and near to the keyframe in each
            which, found = _travelled([links[n] for n in some], rotations[some], focal, noise)
            near = np.full(CORNERS, np.nan)
            near[which] = found.nearness
            if keyframe in nearness:  # in the unit of the first part
                found = found._replace(places=found.places / _usual(near / nearness[keyframe]))
            else:
                nearness[keyframe] = near
            rotations[some], places[some] = found.rotations, found.places
            fits[some] = [fit_of(missed[np.isfinite(missed)], noise) for missed in found.missed]
    return Turns(rotations, turns.zoom, fits), places, nearness


def _units(
    scene: ShotBackground, links: list[Link], turns: Turns, places: Floats, nearness: dict[int, Floats], focal: float
) -> Floats:
    """(N,) units of all links' places over the first keyframe's, told by corners that keyframes have in common."""
    units = dict.fromkeys(scene.keyframes, 1.0)
    numbers = {link.pair: number for number, link in enumerate(links)}
    for look, keyframe in sorted(scene.keyframes.items()):
        number = numbers.get((keyframe.before, look))
        if number is None or look not in nearness or keyframe.before not in nearness:
            continue
        link = links[number]
        place = np.searchsorted(link.sighting.corners, keyframe.inherited)
        rays = np.c_[link.before[place], np.full(len(place), focal)] / focal
        near = nearness[keyframe.before][keyframe.inherited]
        depths = (rays - near[:, None] * places[number]) @ turns.rotations[number][2] / near
        units[look] = units[keyframe.before] * _usual(nearness[look][: len(place)] * depths)
    return np.array([units[link.sighting.keyframe] for link in links])


def _usual(ratios: Floats) -> float:
    """The usual one of ratios (n,) of depths, of which some are not known or make no sense; 1 where too few do."""
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(known)) if len(known) >= FEWEST else 1.0


def _travelled(links: list[Link], turned: Floats, focal: float, noise: float) -> tuple[NDArray[np.int_], Travelled]:
    """Which corners were seen in some pictures that show one keyframe, and how the camera moved."""
    which = np.unique(np.concatenate([link.sighting.corners for link in links]))
    before, after = np.zeros((len(which), 2)), np.full((len(links), len(which), 2), np.nan)
    for row, link in zip(after, links, strict=True):
        place = np.searchsorted(which, link.sighting.corners)
        before[place], row[place] = link.before, link.after
    # Two pictures may have moved in more than one way; of those, the others show which it was.
    far = int(np.argmax([link.moved * np.sqrt(len(link.before)) for link in links]))
    link = links[far]
    ways = [
        travel(link.before, link.after[None], start, focal, noise)
        for start in starts(link.before, link.after, link.homography, turned[far], focal)
    ]
    ways.sort(key=lambda way: way.cost)
    shares = np.array([one.moved / max(link.moved, 1e-9) for one in links])
    best = None
    for way in [ways[0], *(way for way in ways[1:2] if way.cost < DOUBT * ways[0].cost)]:
        near = np.ones(len(which))
        near[np.searchsorted(which, link.sighting.corners)] = way.nearness
        turns = Rotation.from_rotvec(Rotation.from_matrix(way.rotations).as_rotvec() * shares[:, None]).as_matrix()
        start = Start(turns, way.places * shares[:, None], near)
        found = travel(before, after, start, focal, noise)
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    return which, best


def standing(scene: ShotBackground, confidence: float, reason: str) -> CameraMotion:
    """The motion of a camera that stands still."""
    looks = len(scene.ticks)
    still = np.repeat(np.eye(3)[None], looks, 0)
    return CameraMotion("static", confidence, reason, scene.ticks, still, np.zeros((looks, 3)))
