"""What stands behind people: corners of the background that are followed through a video, and straight lines in it.

It is fed the frames that people are looked for in, keeps a small grey picture of a few of them, the keyframes, and of
every other frame where it saw a keyframe's corners again. What that says of the camera is for `camera_motion`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 640  # pixels, the longer side of the pictures in which corners are followed
TINY = (128, 96)  # and of those that say roughly how far a picture has moved; whatever its shape
LINE_SIDE = 800  # and of those in which lines are found
CORNERS = 96  # of a keyframe, at most
HEIRS = 40  # of these, that a keyframe takes over from the one before: they say how far both have moved
FEWEST = 10  # corners without which nothing is said of a frame
KEYFRAMES = 48  # whose pictures are held, and from which lines are taken, of a shot
LINES = 80  # of a keyframe, the longest
SHORTEST = 0.04  # of a line, shares of the picture's diagonal
BORDER = 0.006  # of the picture's longer side, within which a line along its border is no line
AROUND = 0.12  # of a person's box, added on every side: shadows, and limbs that boxes cut off
OVERLAP, TRACKED = 0.6, 0.5  # shares of a keyframe that are to be seen, lest another takes its place
TRIES = 3  # older keyframes that are looked for in a frame before it becomes one itself
FINE = 64  # places of corners are stored in such parts of a pixel
STILL, ALL_STILL = 0.25, 0.6  # pixels that half, and nine of ten, corners of a still picture may seem to have moved
RETURNED = 0.7  # pixels from where it started that a corner may be when it is followed there and back
WINDOW = (15, 15)
LEVELS = 3

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
NO_CORNERS = np.zeros(0, np.uint8)
NO_PLACES = np.zeros((0, 2), np.uint16)


@dataclass(frozen=True)
class SeenAgain:
    """A keyframe seen again.

    Attributes:
        look: number of the frame, counted among those looked at.
        keyframe: and of the keyframe.
        homography: (3, 3) float32, what lay where in the keyframe to where it lies in the frame, in small pixels; of a
            still picture only the shift of most corners.
        corners: (n,) which of the keyframe's; none of a still picture.
        places: (n, 2) uint16 where they are, FINEths of small pixels.
        count: how many corners were seen.
    """

    look: int
    keyframe: int
    homography: NDArray[np.float32]
    corners: NDArray[np.uint8]
    places: NDArray[np.uint16]
    count: int

    @property
    def still(self) -> bool:
        """Nothing has moved since the keyframe."""
        return len(self.corners) == 0


@dataclass(frozen=True)
class Keyframe:
    """A frame whose corners are looked for in others.

    Attributes:
        look: its number, counted among the frames looked at.
        corners: (P, 2) float32, small pixels.
        lines: (n, 4) float32 ends x, y, x, y of straight lines outside of people, pixels of the video.
        before: number of the keyframe before, from which the first corners come; -1 where there is none.
        inherited: (h,) which they were there.
    """

    look: int
    corners: NDArray[np.float32]
    lines: NDArray[np.float32]
    before: int = -1
    inherited: NDArray[np.uint8] = field(default_factory=lambda: NO_CORNERS)


@dataclass(frozen=True)
class ShotBackground:
    """The background of one shot; all pixels are those of the video.

    Attributes:
        ticks: (L,) of the frames that were looked at.
        sightings: of keyframes in them; both numbers count from 0 in this shot.
        keyframes: by number of their frames.
        scale: pixels of the video a small pixel.
    """

    ticks: Floats
    sightings: list[SeenAgain]
    keyframes: dict[int, Keyframe]
    scale: float

    def before(self, sighting: SeenAgain) -> Floats:
        """(n, 2) pixels of corners in the keyframe."""
        return self._full(self.keyframes[sighting.keyframe].corners[sighting.corners])

    def after(self, sighting: SeenAgain) -> Floats:
        """(n, 2) pixels of the same in the frame."""
        return self._full(sighting.places / FINE)

    def homography(self, sighting: SeenAgain) -> Floats:
        """(3, 3) of pixels of the video, determinant 1."""
        full = np.array([[self.scale, 0, self.scale / 2], [0, self.scale, self.scale / 2], [0, 0, 1]])
        matrix = full @ sighting.homography.astype(float) @ np.linalg.inv(full)
        return np.asarray(matrix / np.cbrt(np.linalg.det(matrix)))

    def _full(self, small: NDArray[np.floating]) -> Floats:
        return (np.asarray(small, float) + 0.5) * self.scale


@dataclass
class SeenBackground:
    """What was seen behind people in a video, or a stretch of it.

    Attributes:
        scale: pixels of the video a small pixel.
        frames: numbers of those looked at, ascending.
        ticks: where each stands in time.
        sightings: of keyframes, in the order of their looks.
        keyframes: by the number of their look.
    """

    scale: float
    frames: list[int] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    sightings: list[SeenAgain] = field(default_factory=list)
    keyframes: dict[int, Keyframe] = field(default_factory=dict)

    def scene(self, first: int, end: int) -> ShotBackground:
        """The background of the shot from one frame to before another."""
        low, high = (int(place) for place in np.searchsorted(self.frames, [first, end]))
        start, stop = (bisect_left(self.sightings, look, key=lambda s: s.look) for look in (low, high))
        sightings = [
            replace(s, look=s.look - low, keyframe=s.keyframe - low)
            for s in self.sightings[start:stop]
            if s.keyframe >= low
        ]
        own = (self.keyframes[look] for look in range(low, high) if look in self.keyframes)
        keyframes = {k.look - low: replace(k, look=k.look - low, before=k.before - low) for k in own}
        return ShotBackground(np.array(self.ticks[low:high]), sightings, keyframes, self.scale)


@dataclass
class _Held:
    """A keyframe whose picture is at hand; `there` leads from it to the frame looked at last, as far as is known."""

    keyframe: Keyframe
    picture: Picture
    there: Floats = field(default_factory=lambda: np.eye(3))


class Background:
    """Follows the background, frame by frame.

    Args:
        size: (width, height) of the video, pixels.

    Attributes:
        seen: what was seen so far.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.seen = SeenBackground(max(1.0, max(size) / SIDE))
        self._scale = self.seen.scale
        self._small = max(16, round(size[0] / self._scale)), max(16, round(size[1] / self._scale))
        self._held: list[_Held] = []  # that last used comes last
        self._lined = 0  # keyframes of the shot whose lines were taken
        self._fresh = True  # the shot has no keyframe of its own
        self._last: NDArray[np.float32] | None = None  # the picture before, tiny

    def look(self, frame: int, tick: float, begins: bool, image: Picture, boxes: NDArray[np.floating]) -> None:
        """Take the next frame.

        Args:
            frame: its number.
            tick: its place in time.
            begins: whether it begins a shot, as far as is known. What turns out to be none was lit by a flash: some
                keyframe of before is looked for in what follows too.
            image: (H, W, 3) RGB.
            boxes: (n, 4) people in it: left, top, right, bottom, pixels.
        """
        grey = _small(image, self._small)
        tiny = _small(grey, TINY).astype(np.float32)
        free = self._outside(boxes)
        number = len(self.seen.frames)
        self.seen.frames.append(frame)
        self.seen.ticks.append(tick)
        if begins:
            self._held = self._held[-1:]
            self._lined, self._fresh = 0, True
        found = self._find(number, grey, free, tiny)
        self._last = tiny
        if found is not None:
            self._keep(found)
            if not self._fresh and not self._worn(found, free):
                return
        for held in [] if self._fresh else self._others():
            again = self._see(number, held, held.there, grey, free)
            if again is not None and not self._worn(again, free):
                self._keep(again)  # beside the other: what was added up on the way is put right
                return
        known = NO_PLACES if found is None else found.places[:HEIRS]
        corners = _corners(grey, free, known / FINE)
        much = found is None or len(corners) > found.count or self._shared(found.homography) < OVERLAP
        if len(corners) >= FEWEST and (self._fresh or much):
            before, heirs = (-1, NO_CORNERS) if found is None else (found.keyframe, found.corners[:HEIRS])
            self.seen.keyframes[number] = Keyframe(number, corners, self._lines(image, boxes), before, heirs)
            self._held = [*self._held[1 - KEYFRAMES :], _Held(self.seen.keyframes[number], grey)]
            self._fresh = False

    def _find(self, number: int, grey: Picture, free: Picture, tiny: NDArray[np.float32]) -> SeenAgain | None:
        """The keyframe used last, from where it was in the frame before; where that fails, after a rough shift."""
        if not self._held or self._last is None:
            return None
        held = self._held[-1]
        found = self._see(number, held, held.there, grey, free)
        if found is None:
            (x, y), _ = cv2.phaseCorrelate(self._last, tiny)
            x, y = np.array([x, y]) * self._small / TINY
            shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
            found = self._see(number, held, shift @ held.there, grey, free)
        return found

    def _see(self, number: int, held: _Held, guess: Floats, grey: Picture, free: Picture) -> SeenAgain | None:
        """Look for a keyframe's corners, near to where a homography leads them. None where too few are found."""
        corners = held.keyframe.corners
        start = _moved(corners, guess)
        inside = ((start >= 0) & (start < self._small)).all(1)
        which = np.flatnonzero(inside)
        if len(which) < FEWEST:
            return None
        corners, start = corners[which], start[which]
        there, seen = _follow(held.picture, grey, corners, start)
        back, returned = _follow(grey, held.picture, there, corners + (there - start))
        column, row = np.rint(there).astype(int).T
        seen &= returned & (np.hypot(*(back - corners).T) < RETURNED)
        seen &= (column >= 0) & (row >= 0) & (column < self._small[0]) & (row < self._small[1])
        seen[seen] = free[row[seen], column[seen]] > 0
        if seen.sum() < FEWEST:
            return None
        which, corners, there = which[seen], corners[seen], there[seen]
        shift = np.median(there - corners, axis=0)
        moved = np.hypot(*(there - corners).T)
        if np.median(moved) < STILL and np.quantile(moved, 0.9) < ALL_STILL:
            still = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]], np.float32)
            return SeenAgain(number, held.keyframe.look, still, NO_CORNERS, NO_PLACES, len(which))
        matrix, inliers = cv2.findHomography(corners, there, cv2.USAC_MAGSAC, 1.0, maxIters=500, confidence=0.99)
        if matrix is None or inliers.sum() < FEWEST * 2 / 3 or not 0.1 < np.linalg.det(matrix) < 10:
            return None
        places = np.rint(there * FINE).astype(np.uint16)
        homography = matrix.astype(np.float32)
        return SeenAgain(number, held.keyframe.look, homography, which.astype(np.uint8), places, len(which))

    def _worn(self, sighting: SeenAgain, free: Picture) -> bool:
        """Whether so little of the keyframe is left that another one would be better."""
        corners = self.seen.keyframes[sighting.keyframe].corners
        column, row = np.clip(np.rint(_moved(corners, sighting.homography)).astype(int), 0, np.array(self._small) - 1).T
        hidden = int((free[row, column] == 0).sum())
        return self._shared(sighting.homography) < OVERLAP or sighting.count < TRACKED * (len(corners) - hidden)

    def _shared(self, homography: NDArray[np.floating]) -> float:
        """Share of a keyframe that a homography leaves inside the picture."""
        grid = np.stack(np.meshgrid(*(np.linspace(0.05, 0.95, 6) * side for side in self._small)), -1).reshape(-1, 2)
        moved = _moved(grid, homography)
        return float(((moved >= 0) & (moved < self._small)).all(1).mean())

    def _others(self) -> list[_Held]:
        """Keyframes other than the last that may show what the frame shows, those most alike first."""
        shares = [(self._shared(held.there), place) for place, held in enumerate(self._held[:-1])]
        likely = sorted((pair for pair in shares if pair[0] > OVERLAP + 0.1), reverse=True)
        return [self._held[place] for _, place in likely[:TRIES]]

    def _keep(self, sighting: SeenAgain) -> None:
        """Note it, and where all keyframes are now; the one that was seen is used from here on."""
        self.seen.sightings.append(sighting)
        place = next(i for i, held in enumerate(self._held) if held.keyframe.look == sighting.keyframe)
        used = self._held.pop(place)
        matrix = sighting.homography.astype(float)
        step = matrix @ np.linalg.inv(used.there)
        for held in self._held:
            held.there = step @ held.there
            held.there /= np.cbrt(np.linalg.det(held.there))
        used.there = matrix
        self._held.append(used)

    def _outside(self, boxes: NDArray[np.floating]) -> Picture:
        """(h, w), 255 where nobody is."""
        free = np.full(self._small[::-1], 255, np.uint8)
        for left, top, right, bottom in np.asarray(boxes, float) / self._scale:
            x, y = AROUND * (right - left), AROUND * (bottom - top)
            rows = slice(max(0, int(top - y)), max(0, int(np.ceil(bottom + y))))
            free[rows, max(0, int(left - x)) : max(0, int(np.ceil(right + x)))] = 0
        return free

    def _lines(self, image: Picture, boxes: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, 4) the longest straight lines outside of people, pixels of the video."""
        self._lined += 1
        if self._lined > KEYFRAMES:
            return np.zeros((0, 4), np.float32)
        height, width = image.shape[:2]
        scale = max(1.0, max(width, height) / LINE_SIDE)
        size = round(width / scale), round(height / scale)
        found = cv2.createLineSegmentDetector().detect(_small(image, size))[0]
        if found is None:
            return np.zeros((0, 4), np.float32)
        lines = (found.reshape(-1, 4) + 0.5) * scale
        lengths = np.hypot(*(lines[:, 2:] - lines[:, :2]).T)
        middles = (lines[:, 2:] + lines[:, :2]) / 2
        keep = lengths > SHORTEST * np.hypot(width, height)
        margins = np.stack([lines[:, 0::2], lines[:, 1::2], width - lines[:, 0::2], height - lines[:, 1::2]], -1)
        keep &= ~(margins < BORDER * max(width, height)).all(1).any(1)  # the picture's own edges
        for left, top, right, bottom in np.asarray(boxes, float):
            x, y = AROUND * (right - left), AROUND * (bottom - top)
            keep &= ~((middles > (left - x, top - y)) & (middles < (right + x, bottom + y))).all(1)
        longest = np.flatnonzero(keep)[np.argsort(-lengths[keep], kind="stable")][:LINES]
        return np.asarray(lines[longest], np.float32)


def _small(image: Picture, size: tuple[int, int]) -> Picture:
    """A picture, RGB or grey, in grey and of a (width, height)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _corners(grey: Picture, free: Picture, known: NDArray[np.floating]) -> NDArray[np.float32]:
    """(P, 2) corners of a small picture where nobody is, spread over it: those that are known, and others."""
    apart = 0.4 * np.sqrt(grey.size / CORNERS)
    free = free.copy()
    for x, y in np.rint(known).astype(int).tolist():
        cv2.circle(free, (x, y), round(apart), 0, -1)
    found = cv2.goodFeaturesToTrack(grey, CORNERS - len(known), 0.0003, apart, mask=free, blockSize=5)
    others = np.zeros((0, 2)) if found is None else found.reshape(-1, 2)
    return np.concatenate([known, others]).astype(np.float32)


def _follow(
    before: Picture, after: Picture, points: NDArray[np.float32], guess: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Places (n, 2) of points in the second picture, and which of them were found."""
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points,
        guess.astype(np.float32),
        winSize=WINDOW,
        maxLevel=LEVELS,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=1e-4,
    )
    finite = np.isfinite(moved).all(1)
    return np.where(np.isfinite(moved), moved, np.float32(-1)), (status.reshape(-1) > 0) & finite


def _moved(points: NDArray[np.floating], homography: NDArray[np.floating]) -> Floats:
    """Points (n, 2) where a homography leads them; far outside where that is behind the camera."""
    flat = np.c_[points, np.ones(len(points))] @ np.asarray(homography, float).T
    depth = flat[:, 2:]
    return np.where(depth > 1e-6, flat[:, :2] / np.maximum(depth, 1e-6), -1e6)
