"""Looks for people at less cost: between two looks at whole frames, around somebody who is alone there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glot_cli.tracking.detector import Detections, PersonDetector

WHOLE_EVERY = 2  # of the frames looked at; whoever comes in is seen by then
SURE, DOUBTFUL = 0.6, 0.25  # scores of who is there, and of anybody else who may be
AROUND = 0.2  # of the box's longer side, on each of its sides
NEAR_SIZE = 320  # pixels of the longer side that the network sees; a person is as large in it as in a frame at 640
SLACK = 0.02  # of the surroundings' side: a box that comes so near to their edge may go on beyond it
KEPT = 0.7  # of the score that the person had in the whole frame


class Lookout:
    """People in frames that come in order, as `PersonDetector` finds them.

    After somebody was alone in a frame, the next look goes to the surroundings of the person, who is seen there as
    large as before with a fraction of the arithmetic; where what is found does not fit, the whole frame is looked at
    after all. On GPUs, which take many frames at once, all looks are at whole ones.

    Args:
        detector: that finds them.
    """

    def __init__(self, detector: PersonDetector) -> None:
        self._detector = detector
        self._thrifty = detector.device.type == "cpu" and detector.any_shape
        self._alone: NDArray[np.float32] | None = None  # (5,) box and score in the frame before
        self._near = 0  # looks since the last whole frame

    def __call__(self, frames: list[NDArray[np.uint8]], begins: list[bool]) -> list[Detections]:
        """Find people.

        Args:
            frames: (H, W, 3) uint8 RGB, the next ones.
            begins: of each, whether it is the first of a shot.
        """
        if not self._thrifty:
            return self._detector(frames)
        found = []
        for frame, begin in zip(frames, begins, strict=True):
            one = None if begin else self._look_near(frame)
            if one is None:
                one, self._near = self._detector([frame])[0], 0
            self._alone = _who_is_alone(one.boxes)
            found.append(one)
        return found

    def _look_near(self, frame: NDArray[np.uint8]) -> Detections | None:
        """The person in the surroundings of where it was; None where that tells not enough."""
        if self._alone is None or self._near + 1 >= WHOLE_EVERY:
            return None
        self._near += 1
        size = np.array([frame.shape[1], frame.shape[0]])
        box, score = self._alone[:4], self._alone[4]
        margin = AROUND * float((box[2:] - box[:2]).max())
        low = np.clip(np.floor(box[:2] - margin), 0, size).astype(int)
        high = np.clip(np.ceil(box[2:] + margin), 0, size).astype(int)
        if (high <= low).any():
            return None
        boxes, keypoints = self._detector([frame[low[1] : high[1], low[0] : high[0]]], size=NEAR_SIZE)[0]
        there = _who_is_alone(boxes)
        if there is None or there[4] < KEPT * score:
            return None
        slack = SLACK * (high - low)
        cut = ((there[:2] < slack) & (low > 0)) | ((there[2:4] > high - low - slack) & (high < size))
        if cut.any():
            return None
        boxes = boxes + np.array([*low, *low, 0], np.float32)
        if keypoints is not None:
            keypoints = keypoints + np.array([*low, 0], np.float32)
        return Detections(boxes, keypoints)


def _who_is_alone(boxes: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The one box (5,) of somebody who is surely there, where surely nobody else is."""
    if len(boxes) and np.isfinite(boxes[0]).all() and boxes[0, 4] >= SURE and (boxes[1:, 4] < DOUBTFUL).all():
        first: NDArray[np.float32] = boxes[0]
        return first
    return None
