"""What the background tells of the lens: its focal length where the camera turns, and how it zooms."""

from __future__ import annotations

import numpy as np

from glot_cli.world.background import ShotBackground
from glot_cli.world.camera_motion import BESIDE, WHOLE, judged_of, travels_of
from glot_cli.world.chaining import chain_places
from glot_cli.world.links import (
    GUESSES,
    SAMPLE,
    Link,
    fit_of,
    focal_of,
    links_of,
    missed_by_homography,
    noise_of,
    sample_of,
    turns_of,
)
from glot_cli.world.turning import Floats

UNKNOWN = 0.2  # standard deviation of the logarithm of a focal length that is not known
ZOOMED = 1.03  # a focal length that changes by more through a shot changes
NOTICED = 1.006  # and between two pictures, from which on it is looked at more closely
CLEAR = 0.9  # share of the corners which fit a camera that moves which fit one that zooms, where it is said to zoom
TRUSTED = 0.5  # of the usual share of a picture's corners that fit, lest it says nothing of the zoom
ROUNDS = 3  # zoom and focal length, by turns


def lens_zoom(scene: ShotBackground, focal: float, centre: tuple[float, float]) -> Floats | None:
    """How the lens of a camera that stands, or turns where it stands, zooms.

    A picture that grows as one is a zoom; one whose near and far grow differently, a camera that goes there. All that
    is seen on one wall may be either, and is taken for a zoom.

    Args:
        scene: of one shot.
        focal: focal length that is assumed, pixels of the video.
        centre: principal point, pixels of the video.

    Returns:
        (L,) focal length in each frame over that of the first; None where it does not clearly change.
    """
    links = links_of(scene, centre)
    if not links:
        return None
    small, noise = focal / scene.scale, noise_of(links)
    most = _most_grown(links, small)
    if not most:
        return None
    sample = [links[number] for number in most]
    own = turns_of(sample, small, noise, zooms=False)
    if own.fits.mean() > WHOLE:
        return None
    moving = travels_of(sample, own, small, noise)[0].fits.mean()
    # Whatever turning and zooming explain, a homography does; that is known at once.
    if np.mean([fit_of(missed_by_homography(link), noise) for link in sample]) < CLEAR * moving:
        return None
    guesses = small * np.exp(GUESSES)
    tried = np.array([turns_of(sample, guess, noise, zooms=True).fits for guess in guesses])
    free = tried.max(0).mean()  # keyframes have focal lengths of their own
    if own.fits.mean() > BESIDE * free:
        return None
    better, _ = focal_of(sample, small, noise)  # with a wrong focal length, turning may look like zooming
    fixed = max(own.fits.mean(), turns_of(sample, better, noise, zooms=False).fits.mean())
    if fixed > WHOLE or fixed > BESIDE * free:
        return None
    if free < CLEAR * moving:
        return None
    small = float(guesses[tried.mean(1).argmax()])
    for _ in range(ROUNDS):
        zoom = _followed(scene, centre, small, noise)
        links = links_of(scene, centre, zoom)
        sample = [links[number] for number in most]
        found, spread = focal_of(sample, small, noise)
        small = found if spread < UNKNOWN else small
    left = turns_of(sample, small, noise, zooms=False).fits.mean()
    clear = zoom.max() > ZOOMED * zoom.min() and left > CLEAR * moving and fixed < BESIDE * left
    return zoom if clear else None


def turned_focal(
    scene: ShotBackground, focal: float, centre: tuple[float, float], zoom: Floats | None = None
) -> tuple[float, float] | None:
    """The focal length with which the background of a camera that turns moves as it does.

    Args:
        scene: of one shot.
        focal: what is assumed, pixels of the video.
        centre: principal point, pixels of the video.
        zoom: (L,) focal length in each frame over the one that is sought; None where the lens does not zoom.

    Returns:
        The focal length in pixels of the video and the standard deviation of its logarithm; None where the camera does
        not turn, or travels.
    """
    links = links_of(scene, centre, zoom)
    if not links:
        return None
    focal, noise = focal / scene.scale, noise_of(links)
    sample = sample_of(links)
    found, spread = focal_of(sample, focal, noise)
    if spread > UNKNOWN:
        return None
    judged = judged_of(links, found, noise)
    return None if judged.moves or judged.zooms else (found * scene.scale, spread)


def _most_grown(links: list[Link], focal: float) -> list[int]:
    """Numbers of some links, of those whose homographies grow or shrink the picture most; none where none does."""
    camera = np.array([focal, focal, 1.0])
    matrices = np.stack([link.homography for link in links]) * camera / camera[:, None]
    rows = np.linalg.norm(matrices, axis=2)
    grown = np.abs(np.log(rows[:, 0] * rows[:, 1]) / 2 - np.log(rows[:, 2]))
    if np.quantile(grown, 0.9) < np.log(NOTICED):
        return []
    most = np.flatnonzero(grown > 0.5 * np.quantile(grown, 0.9))
    return [int(number) for number in most[:: -(-len(most) // SAMPLE)]]


def _followed(scene: ShotBackground, centre: tuple[float, float], focal: float, noise: float) -> Floats:
    """(L,) focal length over that of the first frame, if the camera but turns and zooms; `focal` in small pixels."""
    zoom = np.ones(len(scene.ticks))
    stills = [(s.keyframe, s.look) for s in scene.sightings if s.still]
    for _ in range(ROUNDS):  # that of keyframes is known the better each time
        links = links_of(scene, centre, zoom)
        turns = turns_of(links, focal, noise, zooms=True)
        trusted = np.flatnonzero(turns.fits > TRUSTED * np.median(turns.fits))
        pairs = [links[number].pair for number in trusted] + stills
        unchanged = [np.log(zoom[first] / zoom[second]) for first, second in stills]
        logs = np.concatenate([np.log(turns.zoom[trusted]), unchanged])
        zoom = zoom * np.exp(chain_places(pairs, np.repeat(logs[:, None], 3, 1), len(zoom))[:, 0])
    return zoom
