"""From the features of a track to bodies before the camera: one way with landmarks to lay them on, one without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.camera import Focal
from glot_cli.features.extractor import FeatureExtractor, LandmarkExtractor
from glot_cli.features.landmark_vector import unpack
from glot_cli.lifting import Edges
from glot_cli.lifting.calibration import FOCAL_FRAMES, FOCAL_PEOPLE, fit_focal, spread
from glot_cli.lifting.crosstalk import replace_crosstalk
from glot_cli.lifting.joint_errors import Findings, JointErrors
from glot_cli.lifting.looks import settle
from glot_cli.lifting.placing import Lifted, place, place_by_camera, sight
from glot_cli.lifting.thinning import fill_lifted, lifted_rows
from glot_cli.lifting.windows import estimate
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.regressors import State
from glot_cli.tracking.tracks import Track

Features = list[NDArray[np.float32]]


@dataclass(frozen=True)
class VideoCamera:
    """What lifting must know of the video.

    Attributes:
        fps: ticks per second.
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.
        zoom: (F,) focal length in each frame over `focal`; None where the lens does not zoom.
    """

    fps: float
    focal: float
    centre: torch.Tensor
    zoom: torch.Tensor | None = None

    def focal_in(self, frames: NDArray[np.integer]) -> Focal:
        """Focal length in some frames, pixels: (N,) of a lens that zooms."""
        if self.zoom is None:
            return self.focal
        return self.focal * self.zoom[torch.from_numpy(frames.astype(np.int64))]


class Lifter(Protocol):
    """Makes bodies of features."""

    def clean(self, tracks: Sequence[Track], features: Features, fps: float) -> tuple[Features, dict[str, int]]:
        """Features (n, F) of all tracks with faults mended, and counts of what was mended, by name.

        Rows that are NaN were not looked at; they are filled, in the arrays given.
        """

    def focal(
        self, tracks: Sequence[Track], features: Features, camera: VideoCamera, *, step: int, edges: Edges
    ) -> float:
        """The focal length, pixels, that suits what is seen of everybody; the camera's own where nothing tells it.

        Arguments as for `lift`, of all tracks.
        """

    def lift(self, track: Track, features: torch.Tensor, camera: VideoCamera, *, step: int, edges: Edges) -> Lifted:
        """One person's body in every frame.

        Args:
            track: the person.
            features: (n, F) of the track's frames.
            camera: that filmed them.
            step: how many ticks lie between two frames of a window.
            edges: what stands beyond the ends of a track.
        """


def make_lifter(
    extractor: FeatureExtractor,
    glot: FoldedGLoT,
    body: Body,
    *,
    own_shape: bool,
    refine: bool = True,
    errors: JointErrors | None = None,
) -> Lifter:
    """The lifter for what an extractor's features allow.

    Args:
        extractor: that made the features.
        glot: the temporal network, made for them.
        body: that is posed.
        own_shape: whether the network speaks in the shape components of `body`.
        refine: whether pose and shape give way to landmarks, where there are any, and not the place alone.
        errors: tells how far off joints are, from features that are landmark vectors; None if nothing is to tell it.
    """
    if isinstance(extractor, LandmarkExtractor):
        telling = errors if extractor.landmark_vectors else None
        return LandmarkLifter(extractor, glot, body, LandmarkModel(), own_shape, refine, telling)
    return CameraLifter(extractor, glot, body, own_shape)


def own_shapes(state: State, body: Body) -> State:
    """What a network said, its shapes counted from the mean of a body's own people; see `Body.shape_mean`."""
    return state._replace(shape=state.shape - body.shape_mean)


@dataclass(frozen=True)
class LandmarkLifter:
    """GLoT, seen twice; then every body is laid on its landmarks, and smoothed. Fields as for `make_lifter`."""

    extractor: LandmarkExtractor
    glot: FoldedGLoT
    body: Body
    landmarks: LandmarkModel
    own_shape: bool
    refine: bool
    errors: JointErrors | None = None

    def clean(self, tracks: Sequence[Track], features: Features, fps: float) -> tuple[Features, dict[str, int]]:
        """Features of every frame, looks made to agree, with the landmarks that are somebody else's replaced."""
        counts = Counter[str]()
        if self.extractor.landmark_vectors:
            for track, feature in zip(tracks, features, strict=True):
                counts.update(settle(track, feature, fps))
        seen = [self.extractor.landmarks(torch.from_numpy(feature)) for feature in features]
        mended, count = replace_crosstalk(tracks, features, seen, fps)
        return mended, {**counts, "landmarks_replaced": count}

    def focal(
        self, tracks: Sequence[Track], features: Features, camera: VideoCamera, *, step: int, edges: Edges
    ) -> float:
        """See `Lifter`."""
        if not self.own_shape or not tracks:  # proportions of another body tell nothing
            return camera.focal
        largest = sorted(range(len(tracks)), key=lambda k: -float(tracks[k].crops[:, 2].sum()))[:FOCAL_PEOPLE]
        people = []
        for track, feature in ((tracks[k], torch.from_numpy(features[k])) for k in largest):
            rows = spread(len(feature), FOCAL_FRAMES)
            state = estimate(
                self.glot,
                feature,
                torch.from_numpy(track.segment),
                step=step,
                edges=edges,
                ticks=torch.from_numpy(track.ticks),
                prepare=self.extractor.network_input,
                rows=rows,
            )
            seen, crops = self.extractor.landmarks(feature[rows]), torch.from_numpy(track.crops)[rows]
            focal, own = camera.focal_in(track.frames[rows.numpy()]), own_shapes(state, self.body)
            people.append(sight(own, seen, crops, self.body, self.landmarks, focal=focal, centre=camera.centre))
        return fit_focal(people, camera.focal, self.body, self.landmarks)

    def lift(self, track: Track, features: torch.Tensor, camera: VideoCamera, *, step: int, edges: Edges) -> Lifted:
        """See `Lifter`."""
        segment, ticks = torch.from_numpy(track.segment), torch.from_numpy(track.ticks)
        extractor, crops = self.extractor, torch.from_numpy(track.crops)
        rows = lifted_rows(track, camera.fps)
        state = estimate(
            self.glot,
            features,
            segment,
            step=step,
            edges=edges,
            ticks=ticks,
            prepare=extractor.network_input,
            mirror=extractor.mirror,
            rows=rows,
        )
        lifted = place(
            own_shapes(state, self.body),
            extractor.landmarks(features[rows]),
            crops[rows],
            segment[rows],
            self.body,
            self.landmarks,
            focal=camera.focal_in(track.frames[rows.numpy()]),
            centre=camera.centre,
            fps=camera.fps,
            ticks=ticks[rows],
            own_shape=self.own_shape,
            refined=self.refine,
        )
        if self.errors is not None:
            focal = camera.focal_in(track.frames[rows.numpy()])
            looks = unpack(features[rows])
            found = Findings(track, rows, looks, state, lifted, camera.fps, focal, camera.centre)
            lifted = replace(lifted, joint_error=self.errors.radii(found, self.body, self.landmarks))
        if len(rows) == len(ticks):
            return lifted
        focal = camera.focal_in(track.frames)
        return fill_lifted(lifted, rows, segment, ticks, crops, self.body, focal=focal, centre=camera.centre)


@dataclass(frozen=True)
class CameraLifter:
    """GLoT alone: joints keep the network's rotations, its camera gives the place. Fields as for `make_lifter`."""

    extractor: FeatureExtractor
    glot: FoldedGLoT
    body: Body
    own_shape: bool

    def clean(self, tracks: Sequence[Track], features: Features, fps: float) -> tuple[Features, dict[str, int]]:
        """The features as they are."""
        return features, {}

    def focal(
        self, tracks: Sequence[Track], features: Features, camera: VideoCamera, *, step: int, edges: Edges
    ) -> float:
        """The camera's own: there are no landmarks to tell it."""
        return camera.focal

    def lift(self, track: Track, features: torch.Tensor, camera: VideoCamera, *, step: int, edges: Edges) -> Lifted:
        """See `Lifter`."""
        segment, ticks = torch.from_numpy(track.segment), torch.from_numpy(track.ticks)
        state = estimate(
            self.glot, features, segment, step=step, edges=edges, ticks=ticks, prepare=self.extractor.network_input
        )
        return place_by_camera(
            own_shapes(state, self.body),
            torch.from_numpy(track.crops),
            segment,
            self.body,
            focal=camera.focal_in(track.frames),
            centre=camera.centre,
            fps=camera.fps,
            ticks=ticks,
            own_shape=self.own_shape,
        )
