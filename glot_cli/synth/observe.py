"""What the pipeline's own networks see in made-up pictures: boxes of the detector, landmarks in the crops they give."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.features.crops import extract_crops
from glot_cli.lifting.looks import settle
from glot_cli.pipeline.options import Options
from glot_cli.tracking.boxes import box_overlap
from glot_cli.tracking.detector import PersonDetector
from glot_cli.tracking.tracklets import Tracklet, gather
from glot_cli.tracking.tracks import build_track

FPS = 30.0
CONFIDENCE = 0.25  # boxes that score less start no track
LEAST_OVERLAP = 0.3  # with the person's outline, for a box to be theirs
FOUND = 0.5  # share of a clip's frames in which a person must be found, else the clip is dropped


class Observation(NamedTuple):
    """What the networks made of one person in T pictures.

    Attributes:
        crops: (T, 3) centre x, y and side, pixels of the picture.
        features: (T, F) of the landmark network.
    """

    crops: np.ndarray
    features: torch.Tensor


class Observer:
    """The detector and the landmark network of the open preset, which watch one person through a clip.

    Args:
        detector: its weight file.
        full: the landmark network's weight file.
        heavy: that of the network which looks again.
        device: torch's name of where they run.
        image_size: longer side of what the detector looks at, pixels.

    Raises:
        WeightsError: a file cannot be used.
    """

    def __init__(self, detector: Path, full: Path, heavy: Path, device: str = "cpu", image_size: int = 320) -> None:
        self.device = torch.device(device)
        self.detect = PersonDetector(None, detector, device, CONFIDENCE, image_size)
        self.landmarks = BlazePoseFeatures(full, heavy, device)

    def __call__(self, pictures: np.ndarray, outlines: np.ndarray) -> Observation | None:
        """Look for a person. Boxes are smoothed and missing ones filled as in a run.

        Args:
            pictures: (T, H, W, 3) uint8 RGB.
            outlines: (T, 4) x1, y1, x2, y2, pixels: the box of the person to look for.

        Returns:
            What is seen; None when the detector misses the person too often.
        """
        pieces = []
        # The last one too: a track ends where it was last seen.
        looked_at = sorted({*range(0, len(pictures), Options.detect_every), len(pictures) - 1})
        for frame, (boxes, keypoints) in zip(looked_at, self.detect([pictures[f] for f in looked_at]), strict=True):
            if not len(boxes):
                continue
            overlap = box_overlap(boxes[:, :4], outlines[frame])[0]
            best = int(overlap.argmax())
            if overlap[best] >= LEAST_OVERLAP:
                row = None if keypoints is None else keypoints[best : best + 1]
                pieces.append(Tracklet(np.array([float(frame)]), boxes[best, None, :4], boxes[best, 4:], keypoints=row))
        if len(pieces) < max(2, FOUND * len(looked_at)):
            return None
        height, width = pictures.shape[1:3]
        track = build_track(
            gather(pieces),
            person=1,
            fps=FPS,
            ticks=np.arange(len(pictures), dtype=float),
            detect_every=Options.detect_every,
            crop_scale=self.landmarks.crop_scale,
            image_size=(width, height),
        )
        if len(track.frames) < len(pictures):
            return None
        looked = np.flatnonzero(track.key_rows(max(1, round(FPS / self.landmarks.looks_fps))))
        lean = np.zeros(len(pictures)) if track.lean is None else track.lean
        size = self.landmarks.crop_size
        cut = [extract_crops(pictures[i], track.crops[i, None], size, lean[i, None])[0] for i in looked]
        features = np.full((len(pictures), self.landmarks.feature_dim), np.nan, np.float32)
        features[looked] = self.landmarks(np.stack(cut), None if track.lean is None else lean[looked]).cpu().numpy()
        settle(track, features, FPS)
        return Observation(track.crops, torch.from_numpy(features))
