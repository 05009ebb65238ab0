"""Online association: boxes of single frames in, tracklets out, by ultralytics' ByteTrack (Zhang et al. 2022)."""

from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.ultralytics_adapter import import_ultralytics

LOST_BUFFER_S = 1.0  # how long a lost person is looked for at the predicted place; longer gaps are joined offline


class Tracker:
    """Follows people through the detected frames of one video.

    fps is the video's frame rate; detect_every says that every n-th frame is detected. Feed frames in order.
    """

    def __init__(self, fps: float, detect_every: int = 1) -> None:
        import_ultralytics()
        from ultralytics.engine.results import Boxes
        from ultralytics.trackers.byte_tracker import BYTETracker

        rate = fps / detect_every
        # Boxes are widened for the matching alone: someone who runs moves by a body's width in 0.15 s, and boxes that
        # do not touch are never matched. The widening follows the time between detections (C-BIoU, Yang et al. 2023).
        self._widening = min(1.0 / rate, 0.25)  # of the height, each side
        self._boxes_class = Boxes
        self._tracker = BYTETracker(
            SimpleNamespace(
                track_high_thresh=0.3,
                track_low_thresh=0.1,
                new_track_thresh=0.3,
                track_buffer=max(2, round(LOST_BUFFER_S * rate)),
                match_thresh=0.85,
                fuse_score=True,
            )
        )
        self._frames: dict[int, list[int]] = {}
        self._rows: dict[int, list[NDArray[np.float32]]] = {}
        self._descriptors: dict[int, list[NDArray[np.floating]]] = {}

    def update(
        self, frame_index: int, boxes: NDArray[np.floating], descriptors: NDArray[np.floating] | None = None
    ) -> None:
        """Take the detections of one frame.

        boxes: (N,5) x1, y1, x2, y2, score in pixels. descriptors: (N,D) looks, NaN rows where they cannot be told; kept
        for later, ByteTrack goes by motion alone.
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 5)
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes = boxes[sound]
        descriptors = None if descriptors is None else np.asarray(descriptors, np.float32)[sound]
        widened = boxes[:, :4].copy()
        margin = self._widening * (boxes[:, 3] - boxes[:, 1])
        widened[:, 0] -= margin
        widened[:, 2] += margin
        # The class column carries the row of the detection: it comes back with the match in every ultralytics version.
        rows = np.arange(len(boxes), dtype=np.float32)
        detections = np.column_stack([widened, boxes[:, 4], rows])
        self._tracker.update(self._boxes_class(detections, (1, 1)))
        # Unconfirmed tracks count too, or every track would lack its first detection; the cleaning drops the fleeting.
        for track in self._tracker.tracked_stracks:
            if track.frame_id != self._tracker.frame_id:
                continue
            row = int(track.cls)
            self._frames.setdefault(track.track_id, []).append(frame_index)
            self._rows.setdefault(track.track_id, []).append(boxes[row])
            if descriptors is not None:
                self._descriptors.setdefault(track.track_id, []).append(descriptors[row])

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
