"""Online association: boxes of single frames in, tracklets out, by ByteTrack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glot_cli.tracking.tracklets import Tracklet, gather
from glot_cli.tracking.ultralytics_adapter import ByteTrack

LOST_BUFFER_S = 1.0  # how long a lost person is looked for at the predicted place; longer gaps are joined offline
TOGETHER = 256  # detections of a track that are kept as one piece


class Tracker:
    """Follows people through the detected frames of one shot, which come in order.

    Args:
        fps: ticks per second.
        detect_every: ticks between two detected frames.
    """

    def __init__(self, fps: float, detect_every: float = 1) -> None:
        rate = fps / detect_every
        self._every = detect_every
        self._last: float | None = None  # tick of the frame before
        # Boxes are widened for the matching alone: someone who runs moves by a body's width in 0.15 s, and boxes that
        # do not touch are never matched. The widening follows the time between detections (C-BIoU, Yang et al. 2023).
        self._widening = min(1.0 / rate, 0.25)  # of the height, each side
        self._tracker = ByteTrack(sure=0.3, remembered=max(2, round(LOST_BUFFER_S * rate)), match_limit=0.85)
        self._found: dict[int, list[Tracklet]] = {}  # of every track, in pieces

    def update(
        self,
        tick: float,
        boxes: NDArray[np.floating],
        descriptors: NDArray[np.floating] | None = None,
        keypoints: NDArray[np.floating] | None = None,
    ) -> None:
        """Take the detections of one frame.

        Args:
            tick: its place in time.
            boxes: (N,5) x1, y1, x2, y2, score in pixels; those that are not finite or empty are left out.
            descriptors: (N,D) looks, NaN rows where they cannot be told; kept for later: ByteTrack goes by motion.
            keypoints: (N,17,3), kept for later too.
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 5)
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        seen = Tracklet(
            np.full(len(boxes), tick),
            boxes[:, :4],
            boxes[:, 4],
            None if descriptors is None else np.asarray(descriptors, np.float32),
            None if keypoints is None else np.asarray(keypoints, np.float32),
        ).take(sound)
        widened = boxes[sound]
        margin = self._widening * (widened[:, 3] - widened[:, 1])
        widened[:, 0] -= margin
        widened[:, 2] += margin
        # Unconfirmed tracks count too, or every track would lack its first detection; the cleaning drops the fleeting.
        missing = 0 if self._last is None else max(0, round((tick - self._last) / self._every) - 1)
        self._last = tick
        for track, row in self._tracker.update(widened, missing):
            found = self._found.setdefault(track, [])
            found.append(seen.take(np.array([row])))
            # One by one, arrays take three times the room of what is in them, and a video may be long.
            if len(found) >= TOGETHER and len(found[-TOGETHER]) == 1:
                found[-TOGETHER:] = [gather(found[-TOGETHER:])]

    def finish(self) -> list[Tracklet]:
        """All tracklets so far, in the order in which they began."""
        return [gather(found) for found in self._found.values()]
