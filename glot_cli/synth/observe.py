"""What the pipeline's own networks see in made-up pictures: boxes of the detector, landmarks in the crops they give."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.features.crops import extract_crops
from glot_cli.pipeline.options import Options
from glot_cli.tracking.boxes import box_overlap, remove_outliers, smooth_boxes, square_crops
from glot_cli.tracking.detector import PersonDetector

FPS = 30.0
CONFIDENCE = 0.25  # boxes that score less start no track
LEAST_OVERLAP = 0.3  # with the person's outline, for a box to be theirs
FOUND = 0.5  # share of a clip's frames in which a person must be found, else the clip is dropped


class Observation(NamedTuple):
    """What the networks made of one person in T pictures.

    Attributes:
        crops: (T, 3) centre x, y and side, pixels of the picture.
        features: (T, F) of the landmark network.
        pictures: (T, S, S, 3) uint8 RGB, the crops themselves.
    """

    crops: np.ndarray
    features: torch.Tensor
    pictures: np.ndarray


class Observer:
    """The detector and the landmark network of the open preset, which watch one person through a clip.

    Args:
        detector: its weight file.
        landmarks: the landmark network's weight file.
        device: torch's name of where they run.
        image_size: longer side of what the detector looks at, pixels.

    Raises:
        WeightsError: a file cannot be used.
    """

    def __init__(self, detector: Path, landmarks: Path, device: str = "cpu", image_size: int = 256) -> None:
        self.device = torch.device(device)
        self.detect = PersonDetector(None, detector, device, CONFIDENCE, image_size)
        self.landmarks = BlazePoseFeatures(landmarks, device)

    def __call__(self, pictures: np.ndarray, outlines: np.ndarray) -> Observation | None:
        """Look for a person. Boxes are smoothed and missing ones filled as in a run.

        Args:
            pictures: (T, H, W, 3) uint8 RGB.
            outlines: (T, 4) x1, y1, x2, y2, pixels: the box of the person to look for.

        Returns:
            What is seen; None when the detector misses the person too often.
        """
        found, boxes = [], []
        looked_at = range(0, len(pictures), Options.detect_every)
        # Half precision moves a box by less than a pixel and halves the time.
        with torch.autocast(self.device.type, torch.bfloat16):
            candidates_of = self.detect([pictures[frame] for frame in looked_at])
        for frame, candidates in zip(looked_at, candidates_of, strict=True):
            if not len(candidates):
                continue
            overlap = box_overlap(candidates[:, :4], outlines[frame])[0]
            best = int(overlap.argmax())
            if overlap[best] >= LEAST_OVERLAP:
                found.append(frame)
                boxes.append(candidates[best, :4])
        if len(found) < max(2, FOUND * len(looked_at)):
            return None
        keys, frames = np.array(found), np.arange(len(pictures))
        smooth = smooth_boxes(keys, remove_outliers(keys, np.stack(boxes), FPS), frames, FPS)
        crops = square_crops(smooth, self.landmarks.crop_scale)
        cut = [extract_crops(p, c[None], self.landmarks.crop_size)[0] for p, c in zip(pictures, crops, strict=True)]
        seen = np.stack(cut)
        return Observation(crops, self.landmarks(seen).cpu(), seen)
