"""Both passes over a video go by its time stamps: how often people are looked for, and where their tracks part."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import compute_features, follow_people
from glot_cli.progress import Progress
from glot_cli.tracking.detector import Detections
from glot_cli.video import probe
from tests.video import small_videos


class Detector:
    """Sees one person who stands there, and counts how often it looks."""

    device = torch.device("cuda")  # looks at whole frames then

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, pictures: list[np.ndarray]) -> list[Detections]:
        self.looks += len(pictures)
        return [Detections(np.array([[20, 10, 40, 44, 0.9]], np.float32), None) for _ in pictures]


class Looks:
    """Knows which crops it was shown."""

    crop_scale, crop_size, feature_dim, looks_fps = 1.25, 8, 1, 15.0

    def extract(self, image: np.ndarray, squares: np.ndarray, size: int, lean: Any) -> np.ndarray:
        return np.zeros((len(squares), size, size, 3), np.uint8)

    def __call__(self, crops: np.ndarray, leans: Any) -> torch.Tensor:
        return torch.ones(len(crops), 1)


@pytest.mark.parametrize(
    ("stamps", "rate", "detected", "looks", "segments"),
    [
        (range(61), 30, 21, 31, 1),
        ([*range(31), *range(930, 960)], 30, 22, 32, 2),  # a pause of 30 s
        ([*range(20), *range(20, 120, 5)], 30, 27, 30, 1),  # slower from here on: every frame counts
        (range(481), 240, 81, 31, 1),
        (range(961), 960, 41, 16, 1),
    ],
)
def test_people_are_looked_for_and_at_by_the_second(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stamps: Any,
    rate: int,
    detected: int,
    looks: int,
    segments: int,
) -> None:
    still = small_videos.picture(37)
    monkeypatch.setattr(small_videos, "picture", lambda *_: still)  # others look like cuts
    video = small_videos.make_video(tmp_path / "video.mp4", list(stamps), Fraction(1, rate))
    info, options, progress = replace(probe(video), fps=Fraction(rate)), Options(batch_size=16), Progress(quiet=True)
    detector = Detector()
    models = cast(Any, SimpleNamespace(detector=detector, features=Looks()))
    (track,), seen, _ = follow_people(video, info, models, options, progress, pytest.fail)
    assert detector.looks == detected and len(seen.times) == len(stamps)
    np.testing.assert_allclose(seen.ticks, np.array(stamps), atol=1e-3)
    np.testing.assert_array_equal(track.frames, np.arange(len(stamps)))
    assert track.segment[-1] == segments - 1 and not track.interpolated.any()
    (feature,) = compute_features(info, tmp_path, [track], seen, models, options, progress)
    assert np.isfinite(feature).sum() == looks
