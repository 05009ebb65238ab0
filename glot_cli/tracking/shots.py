"""Shots: where a film is cut. Nothing is followed, filled or smoothed across a cut."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import inf
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import Clock, Ticks
from glot_cli.video import Frame

SIDE = 128  # pixels; the longer side of the pictures that are compared
WINDOW = 2  # frames on either side that a change is measured against: a cut is known so many frames late
# A change counts that is so many times the mean of those around it, and so large itself, of 255. Whip pans, shaken
# cameras and people who run past have ratios of up to 2.5; cuts in tried material began at 3.4, and at 9.4 of 255.
LEAST_RATIO, LEAST_CHANGE = 3.0, 9.0
# Light alone leaves the coarse layout of a picture as it was: of the 64 signs of its slowest waves, so many differ. And
# what comes back within this time was lit by a flash, or hidden by what passed the lens, unless what lay between is a
# picture of its own: still, of a layout that has nothing to do with the other, not blank and not blown out.
SAME_LAYOUT, OTHER_LAYOUT, FLASH_S = 0.1, 0.3, 0.2
FLAT, BLOWN_OUT = 12.0, 250.0  # of 255: standard deviation of the brightness, and its median

Layout = NDArray[np.bool_]


class CutFinder:
    """Says which frames begin a shot, while they come in order: PySceneDetect's AdaptiveDetector, minus flashes.

    Args:
        fps: ticks per second.

    Attributes:
        starts: frames that begin a shot, ascending, from 0 on. What has been taken for a cut may turn out to be the
            first edge of a flash, and goes again.
        decided: of so many frames it has been said, for now, whether they begin a shot.
    """

    def __init__(self, fps: float) -> None:
        from scenedetect import AdaptiveDetector

        self.starts = [0]
        self.decided = 1
        self._detector = AdaptiveDetector(
            adaptive_threshold=LEAST_RATIO, min_content_val=LEAST_CHANGE, window_width=WINDOW, min_scene_len=0
        )
        self._flash = max(WINDOW, round(FLASH_S * fps))  # ticks
        self._count = 0  # frames so far
        self._fed = 0  # those that the detector has seen, mirrored ones included
        self._pictures: deque[NDArray[np.uint8]] = deque(maxlen=WINDOW + 1)
        self._layouts: dict[int, tuple[float, Layout, bool]] = {}  # with the ticks of their frames; if blank

    def add(self, image: NDArray[np.uint8], tick: float) -> None:
        """Take the next frame, (H,W,3) uint8 RGB, as it is or reduced, and its place in time."""
        picture = _reduced(image)
        self._pictures.append(picture)
        self._layouts[self._count] = tick, _layout(picture), _is_blank(picture)
        self._layouts.pop(self._count - self._flash - WINDOW - 1, None)
        self._count += 1
        if self._count == WINDOW + 1:
            # The clip is continued before its first frame, and after its last, by what it shows in a mirror of time:
            # cuts close to the ends are found too, and motion there has something to be measured against.
            for mirrored in [*self._pictures][:0:-1]:
                self._feed(mirrored)
            for begun in self._pictures:
                self._feed(begun)
        elif self._count > WINDOW:
            self._feed(picture)

    def begins(self, frame: int) -> bool:
        """Whether a frame begins a shot, as far as is known."""
        place = bisect_left(self.starts, frame)
        return place < len(self.starts) and self.starts[place] == frame

    def finish(self) -> None:
        """There are no more frames."""
        if self._count > WINDOW:
            for mirrored in [*self._pictures][-2::-1]:
                self._feed(mirrored)
        self.decided = self._count

    def _feed(self, picture: NDArray[np.uint8]) -> None:
        from scenedetect import FrameTimecode

        found = self._detector.process_frame(FrameTimecode(self._fed, 1.0), picture)
        self._fed += 1
        for cut in found:
            self._judge(cut.frame_num - WINDOW)
        self.decided = max(self.decided, self._fed - 2 * WINDOW)

    def _judge(self, frame: int) -> None:
        """Whether the change at a frame, 0 being the first, is a cut."""
        if not 0 < frame < self._count:
            return  # the mirrored ones
        _, now, _ = self._layouts[min(frame + WINDOW, self._count - 1)]
        since = self._layouts[frame][0] - self._flash
        before = {b: self._layouts[b] for b in range(max(0, frame - self._flash), frame)}
        same = [b for b, (tick, layout, _) in before.items() if tick >= since and np.mean(now != layout) < SAME_LAYOUT]
        if same and not (self.starts[-1] > same[-1] and self._is_shot(self.starts[-1], frame, now)):
            self.starts = self.starts[: bisect_right(self.starts, same[0])]
            return
        self.starts.append(frame)

    def _is_shot(self, start: int, end: int, other: Layout) -> bool:
        """Whether the frames of [start, end), between two that look alike, are a shot, and not those with a layout."""
        shown = [self._layouts[frame] for frame in range(start, end)]
        still = all(np.mean(layout != following) < SAME_LAYOUT for (_, layout, _), (_, following, _) in pairwise(shown))
        another = all(not blank and np.mean(layout != other) > OTHER_LAYOUT for _, layout, blank in shown)
        return len(shown) > 1 and still and another


class ShownFrame(NamedTuple):
    """A frame, and where it stands.

    Attributes:
        frame: as it came.
        tick: its place in time.
        since: ticks since its shot began, 0 in the shot's first frame alone.
        until: ticks from there to the next frame of the shot; infinity for its last.
    """

    frame: Frame
    tick: float
    since: float
    until: float


def in_shots(frames: Iterable[Frame], finder: CutFinder, clock: Clock) -> Iterator[ShownFrame]:
    """Frames with their places in their shots.

    Comes WINDOW + 1 frames after what it is given, which are held so long. Places are those known by then: a cut that
    turns out to be a flash has begun a shot here.

    Args:
        frames: in order.
        finder: that finds the shots.
        clock: that says where frames stand in time.
    """
    held: deque[tuple[Frame, float]] = deque()
    number = 0
    start = 0.0

    def known() -> Iterator[ShownFrame]:
        nonlocal number, start
        while held and (number + 1 < finder.decided or ended):
            frame, tick = held.popleft()
            if finder.begins(number):
                start = tick
            number += 1
            until = held[0][1] if held and not finder.begins(number) else inf
            yield ShownFrame(frame, tick, tick - start, until - start)

    ended = False
    for frame in frames:
        tick = clock.add(float(frame.time))
        held.append((frame, tick))
        finder.add(frame.thumbnail(2 * SIDE), tick)  # to average over all of a large picture would cost milliseconds
        yield from known()
    finder.finish()
    ended = True
    yield from known()


def looked_at(ticks: Ticks, every: float) -> Ticks:
    """Which frames of a shot to look at: the first, and each without which the next would come too late.

    So no more than `every` ticks lie between two looks, unless there is no frame between them.

    Args:
        ticks: (n,) of its frames, ascending.
        every: ticks between two looks.
    """
    places = [0]
    while places[-1] < len(ticks) - 1:
        late = int(np.searchsorted(ticks, ticks[places[-1]] + every, side="right")) - 1
        places.append(max(late, places[-1] + 1))
    return ticks[places]


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H,W,3) RGB as the detector wants it: BGR, its longer side SIDE pixels."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), np.uint8)


def _layout(picture: NDArray[np.uint8]) -> Layout:
    """The perceptual hash of a picture, (8,8)."""
    from scenedetect import HashDetector

    return np.asarray(HashDetector.hash_frame(picture, 8, 2), bool)


def _is_blank(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture shows nothing: the lens is covered, or half of it is blown out by a light."""
    brightness = picture.mean(axis=2)
    return bool(brightness.std() < FLAT or np.median(brightness) > BLOWN_OUT)
