"""Batches for training: simulated windows, and windows of rendered bodies that the real landmark network has seen."""

from __future__ import annotations

import torch
from torch import Tensor

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.features.landmark_vector import Landmarks, join, unpack
from glot_cli.features.skeleton import network_input
from glot_cli.motion.motions import Motions
from glot_cli.motion.sampling import sample_windows
from glot_cli.motion.viewing import ExactLandmarks, Targets, view_randomly
from glot_cli.training.config import LandmarkData
from glot_cli.training.simulate import corrupt
from glot_cli.training.training_crops import Crops, half_backwards


class LandmarkBatches:
    """Draws training windows of `frames` frames."""

    def __init__(
        self,
        data: LandmarkData,
        frames: int,
        motions: Motions,
        body: Body,
        landmarks: LandmarkModel,
        crops: Crops | None,
    ) -> None:
        self.data = data
        self.frames = frames
        self.motions = motions
        self.body = body
        self.landmarks = landmarks
        self.crops = crops
        self.residuals = ResidualBank(crops, frames) if crops and data.residual_share > 0 else None

    @torch.no_grad()
    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Targets]:
        """The network's input (count, T, SKELETON_DIM) and the truth; all of their randomness comes of `generator`."""
        data, frames = self.data, self.frames
        rendered = round(data.rendered_share * count) if self.crops else 0
        rotmat = sample_windows(self.motions, count - rendered, frames, data.augmentation, generator)
        exact, targets = view_randomly(rotmat, self.body, self.landmarks, data.viewing, generator)
        features = corrupt(exact, data.noise, generator)
        if self.residuals is not None:
            real = self.residuals.corrupt(exact, generator)
            pick = torch.rand(len(features), generator=generator) < data.residual_share
            features = torch.where(pick[:, None, None], real, features)
        if rendered and self.crops:
            more, more_targets = self.crops.draw(rendered, frames, self.body, generator)
            features = torch.cat([features, more])
            targets = Targets(*(torch.cat(both) for both in zip(targets, more_targets, strict=True)))
        return network_input(features), targets


class ResidualBank:
    """What the landmark network got wrong on rendered windows, to be repeated on simulated windows that look alike.

    Args:
        crops: the rendered windows.
        frames: of a window.
        stride: frames from the start of one kept window to the next one's.
        neighbours: how many of the most similar windows one is drawn of.
    """

    def __init__(self, crops: Crops, frames: int = 16, stride: int = 4, neighbours: int = 12) -> None:
        self.neighbours = neighbours
        self.windows = crops.window_starts(frames, stride)[:, None] + torch.arange(frames)  # (W, T)
        self.features = crops.features
        self.exact = crops.exact
        self.keys = self._key(crops.exact.world[self.windows[:, frames // 2]])

    @staticmethod
    def _key(world: Tensor) -> Tensor:
        """World landmarks (..., 33, 3) -> what is compared: (..., 99), the face counting once, not eleven times."""
        weight = torch.ones(33, 1)
        weight[1:11] = 0.3
        return (world * weight).flatten(-2)

    def corrupt(self, exact: ExactLandmarks, generator: torch.Generator) -> Tensor:
        """Exact landmarks (B, T, 33, ...) with the errors of similar rendered windows: features (B, T, 264)."""
        middle = exact.world.shape[1] // 2
        distances = torch.cdist(self._key(exact.world[:, middle]), self.keys)  # (B, W)
        nearest = distances.topk(min(self.neighbours, len(self.keys)), largest=False).indices
        pick = torch.randint(nearest.shape[1], (len(nearest), 1), generator=generator)
        window = half_backwards(self.windows[nearest.gather(1, pick)[:, 0]], generator)  # (B, T)
        got = unpack(self.features[window])
        there = ExactLandmarks(*(x[window] for x in self.exact))
        gain = 0.7 + 0.6 * torch.rand(len(window), 1, 1, 1, generator=generator)
        return join(
            Landmarks(
                exact.image + gain * (got.landmarks2d - there.image),
                exact.depth + gain[..., 0] * (got.z - there.depth),
                got.visibility,
                got.presence,
                exact.world + gain * (got.world - there.world),
            )
        )
