"""From the features of a track to bodies before the camera: the two ways of the two kinds of presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.lifting import Edges
from glot_cli.lifting.crosstalk import replace_mistaken
from glot_cli.lifting.placing import Lifted, place, place_by_camera
from glot_cli.lifting.windows import estimate, estimate_twice
from glot_cli.models.fold import FoldedGLoT
from glot_cli.tracking.tracks import Track

Features = list[NDArray[np.float32]]


@dataclass(frozen=True)
class View:
    """What lifting must know of the video: frames per second, focal length in pixels, principal point (2,) pixels."""

    fps: float
    focal: float
    centre: torch.Tensor


class Lifter(Protocol):
    """Makes bodies of features."""

    def clean(self, tracks: Sequence[Track], features: Features, fps: float) -> tuple[Features, dict[str, int]]:
        """Features (n, F) of all tracks with faults mended, and counts of what was mended, by name."""

    def lift(self, track: Track, features: torch.Tensor, view: View, *, step: int, edges: Edges) -> Lifted:
        """One person's body in every frame, from features (n, F)."""


@dataclass(frozen=True)
class LandmarkLifter:
    """Preset `open`: GLoT on landmarks, seen twice; then every body is laid on its landmarks, and smoothed.

    own_shape: whether the network speaks in the shape components of `body`. refine: whether pose and shape give way to
    the landmarks, and not the place alone.
    """

    glot: FoldedGLoT
    body: Body
    landmarks: LandmarkModel
    own_shape: bool
    refine: bool = True

    def clean(self, tracks: Sequence[Track], features: Features, fps: float) -> tuple[Features, dict[str, int]]:
        mended, count = replace_mistaken(tracks, features, fps)
        return mended, {"landmarks_replaced": count}

    def lift(self, track: Track, features: torch.Tensor, view: View, *, step: int, edges: Edges) -> Lifted:
        segment = torch.from_numpy(track.segment)
        state = estimate_twice(self.glot, features, segment, step=step, edges=edges)
        return place(
            state,
            features,
            torch.from_numpy(track.crops),
            segment,
            self.body,
            self.landmarks,
            focal=view.focal,
            centre=view.centre,
            fps=view.fps,
            own_shape=self.own_shape,
            refined=self.refine,
        )


@dataclass(frozen=True)
class ImageLifter:
    """Preset `paper`: GLoT on image features; joints keep the network's rotations, its camera gives the place."""

    glot: FoldedGLoT
    body: Body
    own_shape: bool

    def clean(self, tracks: Sequence[Track], features: Features, fps: float) -> tuple[Features, dict[str, int]]:
        return features, {}

    def lift(self, track: Track, features: torch.Tensor, view: View, *, step: int, edges: Edges) -> Lifted:
        segment = torch.from_numpy(track.segment)
        state = estimate(self.glot, features, segment, step=step, edges=edges)
        return place_by_camera(
            state,
            torch.from_numpy(track.crops),
            segment,
            self.body,
            focal=view.focal,
            centre=view.centre,
            fps=view.fps,
            own_shape=self.own_shape,
        )
