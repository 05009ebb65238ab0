"""Online association: boxes of single frames in, tracklets out, by ByteTrack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.ultralytics_adapter import ByteTrack

LOST_BUFFER_S = 1.0  # how long a lost person is looked for at the predicted place; longer gaps are joined offline


class Tracker:
    """Follows people through the detected frames of one video, which come in order.

    Args:
        fps: the video's frames per second.
        detect_every: every n-th frame is detected.
    """

    def __init__(self, fps: float, detect_every: int = 1) -> None:
        rate = fps / detect_every
        # Boxes are widened for the matching alone: someone who runs moves by a body's width in 0.15 s, and boxes that
        # do not touch are never matched. The widening follows the time between detections (C-BIoU, Yang et al. 2023).
        self._widening = min(1.0 / rate, 0.25)  # of the height, each side
        self._tracker = ByteTrack(sure=0.3, remembered=max(2, round(LOST_BUFFER_S * rate)), match_limit=0.85)
        self._frames: dict[int, list[int]] = {}
        self._rows: dict[int, list[NDArray[np.float32]]] = {}
        self._descriptors: dict[int, list[NDArray[np.floating]]] = {}

    def update(
        self, frame_index: int, boxes: NDArray[np.floating], descriptors: NDArray[np.floating] | None = None
    ) -> None:
        """Take the detections of one frame.

        Args:
            frame_index: its number in the video.
            boxes: (N,5) x1, y1, x2, y2, score in pixels; those that are not finite or empty are left out.
            descriptors: (N,D) looks, NaN rows where they cannot be told; kept for later: ByteTrack goes by motion.
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 5)
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes = boxes[sound]
        descriptors = None if descriptors is None else np.asarray(descriptors, np.float32)[sound]
        widened = boxes.copy()
        margin = self._widening * (boxes[:, 3] - boxes[:, 1])
        widened[:, 0] -= margin
        widened[:, 2] += margin
        # Unconfirmed tracks count too, or every track would lack its first detection; the cleaning drops the fleeting.
        for track, row in self._tracker.update(widened):
            self._frames.setdefault(track, []).append(frame_index)
            self._rows.setdefault(track, []).append(boxes[row])
            if descriptors is not None:
                self._descriptors.setdefault(track, []).append(descriptors[row])

    def finish(self) -> list[Tracklet]:
        """All tracklets so far, in the order in which they began."""
        tracklets = []
        for track_id, frames in self._frames.items():
            rows = np.stack(self._rows[track_id])
            looks = self._descriptors.get(track_id)
            tracklets.append(
                Tracklet(
                    np.array(frames, np.int32), rows[:, :4], rows[:, 4], None if looks is None else np.stack(looks)
                )
            )
        return tracklets
