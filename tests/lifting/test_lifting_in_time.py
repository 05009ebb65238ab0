"""Bodies move in seconds: windows, smoothing, refinement and filling where frames are missing, and at high rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_pose6d
from glot_cli.clock import ticks_of
from glot_cli.features.landmark_vector import Landmarks, join, picture_landmarks
from glot_cli.lifting import lifters
from glot_cli.lifting.joint_errors import JointErrors
from glot_cli.lifting.lifters import LandmarkLifter, VideoCamera
from glot_cli.lifting.looks import settle
from glot_cli.lifting.placing import Lifted
from glot_cli.lifting.pose_smoothing import smooth_pose, smooth_position
from glot_cli.lifting.thinning import MOST_FPS, lifted_rows
from glot_cli.lifting.windows import window_indices
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.regressors import State
from glot_cli.motion.viewing import Placed, view_exactly
from glot_cli.tracking.tracks import Track
from tests.body.oracles import geodesic_angle

FOCAL, CENTRE = 1000.0, torch.tensor([640.0, 360.0])
CONFIG = GLoTConfig()


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))


def test_windows_take_the_frames_that_are_nearest_in_time() -> None:
    """Against the nearest of all frames of the stretch, one by one; ties go to the later one."""
    random = np.random.default_rng(0)
    ticks = np.cumsum(random.choice([1, 1, 1, 2, 0.5, 6.25], 80))
    segment = np.repeat([0, 1], [50, 30])
    windows = window_indices(torch.from_numpy(segment), CONFIG, 2, "replicate", torch.from_numpy(ticks)).numpy()
    for row in range(80):
        own = np.flatnonzero(segment == segment[row])[::-1]
        for place in range(16):
            wanted = ticks[row] + 2 * (place - 8)
            assert windows[row, place] == own[np.abs(ticks[own] - wanted).argmin()]
    official = window_indices(torch.from_numpy(segment), CONFIG, 2, "official", torch.from_numpy(ticks)).numpy()
    whole = np.array([np.ptp(windows[row]) > 0 and (official[row] == windows[row]).all() for row in range(80)])
    assert whole.any() and (official[~whole] == np.flatnonzero(~whole)[:, None]).all()


def test_a_fast_recording_has_the_windows_of_a_slow_one() -> None:
    slow = window_indices(torch.zeros(60), CONFIG)
    for times in (8, 32):
        fast = window_indices(torch.zeros(60 * times), CONFIG, times, "replicate", torch.arange(60.0 * times))
        assert torch.equal(fast[::times][9:-9], slow[9:-9] * times)


def test_steady_turns_and_walks_stay_steady_where_frames_are_missing() -> None:
    ticks = torch.from_numpy(np.delete(np.arange(120.0), [*range(30, 45), *range(80, 90)]))
    segment = torch.zeros(len(ticks), dtype=torch.long)
    turn = torch.zeros(len(ticks), 24, 3)
    turn[:, 18, 1] = 0.01 * ticks
    rotmat = axis_angle_to_rotmat(turn)
    trusted = torch.ones(len(ticks), 24)
    smooth = smooth_pose(rotmat.clone(), segment, 30.0, trusted, ticks)
    blind = smooth_pose(rotmat.clone(), segment, 30.0, trusted)
    assert geodesic_angle(smooth, rotmat).max() < 2e-3 < 1e-2 < geodesic_angle(blind, rotmat).max()
    position = torch.stack([0.02 * ticks, 0 * ticks, 4 + 0 * ticks], -1)
    assert (smooth_position(position, segment, 30.0, ticks) - position).abs().max() < 1e-6
    assert (smooth_position(position, segment, 30.0) - position).abs().max() > 1e-2


def motion(time: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (N, 24, 3, 3) and places of the pelvis (N, 3) of somebody who moves about, at seconds (N,)."""
    pose = torch.zeros(len(time), 24, 3, dtype=time.dtype)
    pose[:, 0, 0] = 2.8
    pose[:, 16, 2], pose[:, 17, 2] = -1.0 + 0.3 * torch.sin(4 * time), 1.2
    pose[:, 4, 0] = 0.3 + 0.3 * torch.sin(6 * time)
    pose[:, 18, 1] = -0.8 * torch.sin(3 * time)
    pelvis = torch.stack([0.3 * torch.sin(2 * time), 0 * time, 4 + 0.2 * time], -1)
    return axis_angle_to_rotmat(pose.float()), pelvis.float()


@dataclass
class Filmed:
    """What a network and landmarks say of `motion` in frames at seconds (N,)."""

    body: Body
    seconds: np.ndarray
    ticks: np.ndarray
    segment: np.ndarray

    def lifted(self, monkeypatch: pytest.MonkeyPatch, fps: float) -> Lifted:
        rotmat, pelvis = motion(torch.from_numpy(self.seconds))
        count = len(rotmat)
        box = torch.cat([pelvis[:, :2] / pelvis[:, 2:], torch.full((count, 1), 0.6)], -1)
        betas = torch.linspace(-1, 1, self.body.num_betas)[None]
        with torch.no_grad():
            seen, truth = view_exactly(Placed(rotmat[None], betas, pelvis[None], box[None]), self.body, LandmarkModel())
        sure = torch.ones(1, count, 33)
        feature = join(Landmarks(seen.image, seen.depth, sure, sure, seen.world))[0]
        said = State(
            rotmat_to_pose6d(truth.rotmat[0]).reshape(count, -1), betas.expand(count, -1).clone(), truth.camera[0]
        )

        def estimate(*_: Any, rows: Tensor, **__: Any) -> State:
            return State(*(x[rows] for x in said))

        monkeypatch.setattr(lifters, "estimate", estimate)
        crops = box * FOCAL
        crops[:, :2] += CENTRE
        none, ones = np.zeros(count, bool), np.ones(count, np.float32)
        track = Track(1, np.arange(count, dtype=np.int32), np.zeros((count, 4), np.float32), crops.numpy(), ones, none,
                      self.segment.astype(np.int32), ticks=self.ticks)  # fmt: skip
        extractor = cast(Any, type("Marks", (), {"landmarks": staticmethod(picture_landmarks), "network_input": None,
                                                 "mirror": None}))  # fmt: skip
        errors = JointErrors.load(weights.locate("confidence"))
        lifter = LandmarkLifter(extractor, cast(Any, None), self.body, LandmarkModel(), True, True, errors)
        return lifter.lift(track, feature, VideoCamera(fps, FOCAL, CENTRE), step=1, edges="replicate")


def steady(body: Body, fps: float, seconds: float = 1.5) -> Filmed:
    count = round(seconds * fps) + 1
    return Filmed(body, np.arange(count) / fps, np.arange(float(count)), np.zeros(count))


@pytest.mark.parametrize("fps", [240.0, 960.0, 1000.0])
def test_a_fast_recording_gives_the_same_poses_at_the_same_times(
    body: Body, monkeypatch: pytest.MonkeyPatch, fps: float
) -> None:
    slow, fast = (steady(body, rate).lifted(monkeypatch, rate) for rate in (30.0, fps))
    at = np.round(np.arange(46) / 30 * fps).astype(int)
    assert len(fast.rotmat) == round(1.5 * fps) + 1
    assert geodesic_angle(fast.rotmat[at], slow.rotmat).max() < 0.03
    place = fast.transl + fast.joints[:, 0], slow.transl + slow.joints[:, 0]
    assert (place[0][at] - place[1]).norm(dim=-1).max() < 0.02
    true, pelvis = motion(torch.arange(len(fast.rotmat)) / fps)
    assert geodesic_angle(fast.rotmat, true).max() < 0.1
    assert (place[0] - pelvis).norm(dim=-1).max() < 0.05
    joints = (fast.joints - fast.joints[:, :1]).double()
    assert (torch.diff(joints, n=2, dim=0).norm(dim=-1) * fps**2).mean() < 30  # no corners; metres a second squared
    assert fast.joint_error is not None and slow.joint_error is not None
    assert (fast.joint_error[at] / slow.joint_error).log().abs().max() < 0.2
    for values in fast.__dict__.values():
        assert torch.isfinite(values).all()


def test_nothing_crosses_a_pause(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen on either side of half a minute comes out as it does alone, but for the shape, which is one's."""
    seconds = np.arange(60) / 30
    late = np.arange(60) >= 30
    whole = Filmed(body, seconds, ticks_of(seconds + 30 * late, 30.0), late).lifted(monkeypatch, 30.0)
    for part in (~late, late):
        alone = Filmed(body, seconds[part], np.arange(30.0), np.zeros(30)).lifted(monkeypatch, 30.0)
        assert geodesic_angle(whole.rotmat[torch.from_numpy(part)], alone.rotmat).max() < 0.01
        assert (whole.transl[torch.from_numpy(part)] - alone.transl).abs().max() < 0.01


def test_where_frames_are_missing_bodies_move_as_in_the_others(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = np.delete(np.arange(60), [*range(20, 32), 40, 45, 46])
    whole = steady(body, 30.0).lifted(monkeypatch, 30.0)
    kept = kept[kept < len(whole.rotmat)]
    some = Filmed(body, kept / 30, kept.astype(float), 0 * kept).lifted(monkeypatch, 30.0)
    assert geodesic_angle(some.rotmat, whole.rotmat[kept]).max() < 0.06
    assert (some.transl - whole.transl[kept]).norm(dim=-1).max() < 0.05


def test_only_fast_recordings_are_thinned() -> None:
    def rows(ticks: np.ndarray, fps: float, segment: np.ndarray | None = None) -> list[int]:
        count = len(ticks)
        segment = np.zeros(count, np.int32) if segment is None else segment
        track = Track(1, np.arange(count, dtype=np.int32), *(np.zeros((count, n), np.float32) for n in (4, 3)),
                      np.ones(count, np.float32), np.zeros(count, bool), segment, ticks=ticks)  # fmt: skip
        return lifted_rows(track, fps).tolist()

    for fps in (0.5, 24.0, 25.0, 59.94, 120.0, MOST_FPS):
        assert rows(np.arange(500.0), fps) == list(range(500))
    assert rows(np.arange(10.0), 240.0) == [0, 2, 4, 6, 8, 9]
    assert rows(np.arange(20.0), 1000.0) == [0, 8, 16, 19]
    assert rows(np.arange(12.0), 960.0, np.repeat([0, 1], 6)) == [0, 5, 6, 8, 11]
    burst = np.concatenate([np.arange(10.0), 10 + np.arange(100) * 0.05])  # 600 frames a second amid 30
    assert np.median(np.diff(burst[rows(burst, 30.0)][10:])) == pytest.approx(30 / MOST_FPS, abs=0.02)


def test_features_between_looks_are_filled_by_time() -> None:
    """A point at constant speed is where it was, also where frames are missing beside the looks."""
    ticks = np.delete(np.arange(40.0), [5, 6, 7, 8, 20, 21, 31])
    count = len(ticks)
    crops = np.tile(np.array([100, 100, 80], np.float32), (count, 1))
    points = torch.from_numpy(np.tile((0.01 * ticks - 0.2)[:, None, None], (1, 33, 2))).float()
    none = torch.zeros(count, 33)
    truth = join(Landmarks(points, none, none + 0.9, none + 0.9, torch.zeros(count, 33, 3))).numpy()
    boxes, ones = np.zeros((count, 4), np.float32), np.ones(count, np.float32)
    track = Track(1, np.arange(count, dtype=np.int32), boxes, crops, ones, ones < 0, np.zeros(count, np.int32),
                  ticks=ticks)  # fmt: skip
    features = truth.copy()
    features[~track.key_rows(3)] = np.nan
    settle(track, features, 30.0)
    np.testing.assert_allclose(features, truth, atol=1e-5)
