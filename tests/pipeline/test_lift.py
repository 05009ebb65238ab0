"""Windows over a track, one shape for one person, and the body laid on its landmarks."""

from __future__ import annotations

import pytest
import torch

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, geodesic_angle, rotmat_to_pose6d
from glot_cli.features.blazepose import Landmarks, join, unpack
from glot_cli.models.config import GLoTConfig
from glot_cli.models.regressors import State
from glot_cli.pipeline.lift import Lifted, place, robust_mean, window_indices
from glot_cli.training.simulate import Placed, measure

CONFIG = GLoTConfig()
FOCAL, CENTRE = 1000.0, torch.tensor([640.0, 360.0])


def test_windows_repeat_the_edge_frames() -> None:
    windows = window_indices(torch.zeros(40), CONFIG)
    assert windows.shape == (40, 16)
    assert windows[20].tolist() == list(range(12, 28))  # the middle frame is number 8 of 16
    assert windows[0].tolist() == [0] * 9 + [1, 2, 3, 4, 5, 6, 7]
    assert windows[39].tolist() == list(range(31, 40)) + [39] * 7
    assert torch.equal(windows[:, 8], torch.arange(40))


def test_official_windows_at_the_edges_are_copies_of_one_frame() -> None:
    windows = window_indices(torch.zeros(40), CONFIG, edges="official")
    still = (windows == windows[:, :1]).all(1)
    assert still.nonzero()[:, 0].tolist() == [*range(8), *range(33, 40)]  # first 8 and last 7
    assert all(windows[i].tolist() == [i] * 16 for i in (0, 7, 33, 39))
    assert torch.equal(windows[~still], window_indices(torch.zeros(40), CONFIG)[~still])


@pytest.mark.parametrize("edges", ["replicate", "official"])
@pytest.mark.parametrize("step", [1, 2])
def test_windows_never_mix_segments(edges: str, step: int) -> None:
    segment = torch.tensor([3] * 30 + [5] * 4 + [6] * 21)
    windows = window_indices(segment, CONFIG, step, edges)  # type: ignore[arg-type]
    assert torch.equal(segment[windows], segment[:, None].expand(-1, 16))
    assert torch.equal(windows[:, 8], torch.arange(55))


def test_a_faster_video_takes_every_second_frame() -> None:
    assert window_indices(torch.zeros(60), CONFIG, step=2)[30].tolist() == list(range(14, 46, 2))


@pytest.mark.parametrize("count", [1, 5, 15])
def test_short_tracks(count: int) -> None:
    windows = window_indices(torch.zeros(count), CONFIG)
    assert windows.shape == (count, 16)
    assert (windows.min(), windows.max()) == (0, count - 1)
    official = window_indices(torch.zeros(count), CONFIG, edges="official")
    assert torch.equal(official, torch.arange(count)[:, None].expand(-1, 16))


def test_robust_mean_is_not_pulled_by_outliers() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.linspace(-1, 1, 10)
    values = true + 0.1 * torch.randn(100, 10, generator=generator)
    values[:25] += 20
    found = robust_mean(values, torch.ones(100))
    assert (found - true).norm() < 0.25 < (values.mean(0) - true).norm()
    weights_ = torch.ones(100)
    weights_[:60] = 0
    values[:60] = 50
    assert (robust_mean(values, weights_) - true).norm() < 0.25
    assert torch.allclose(robust_mean(true.expand(7, -1), torch.zeros(7)), true, atol=1e-5)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))


def seen_body(body: Body, direction: tuple[float, float], count: int = 30) -> tuple[Placed, torch.Tensor, State]:
    """A person who bends and turns slowly, 4 m away along a direction (tangents): placed, exact features, exact state.

    Image units are focal lengths.
    """
    time = torch.linspace(0, 1, count)
    pose = torch.zeros(count, 24, 3)
    pose[:, 0, 0] = 2.8
    pose[:, 16, 2], pose[:, 17, 2] = -1.0, 1.2
    pose[:, 4, 0] = 0.6 * time
    pose[:, 18, 1] = -0.8 * time
    rotmat = axis_angle_to_rotmat(pose)
    rotmat[:, 0] = rotmat[:, 0] @ axis_angle_to_rotmat(torch.stack([0 * time, 0.4 + 0.5 * time, 0 * time], -1))
    pelvis = torch.tensor([*direction, 1.0]) * 4.0 + torch.stack([0.2 * time, 0 * time, 0 * time], -1)
    centre = pelvis[:, :2] / pelvis[:, 2:]
    box = torch.cat([centre, torch.full((count, 1), 0.6)], -1)
    betas = torch.linspace(-1, 1, body.num_betas)[None]
    placed = Placed(rotmat[None], betas, pelvis[None], box[None])
    with torch.no_grad():
        seen, truth = measure(placed, body, LandmarkModel())
    sure = torch.ones(1, count, 33)
    feature = join(Landmarks(seen.image, seen.depth, sure, sure, seen.world))[0]
    state = State(rotmat_to_pose6d(truth.rotmat[0]).reshape(count, -1), betas.expand(count, -1), truth.camera[0])
    return placed, feature, state


def lay(body: Body, placed: Placed, feature: torch.Tensor, state: State) -> Lifted:
    box = placed.box[0] * FOCAL
    box[:, :2] += CENTRE
    segment = torch.zeros(len(box), dtype=torch.long)
    return place(state, feature, box, segment, body, LandmarkModel(), focal=FOCAL, centre=CENTRE, fps=30.0)


@pytest.mark.parametrize("direction", [(0.0, 0.0), (0.5, 0.1), (-0.4, -0.25)])
def test_a_body_is_put_where_its_landmarks_are(body: Body, direction: tuple[float, float]) -> None:
    placed, feature, state = seen_body(body, direction)
    lifted = lay(body, placed, feature, state)
    position = lifted.transl + lifted.joints[:, 0]
    error = (position - placed.pelvis[0]).norm(dim=-1)
    assert error.max() < 0.02 and error.mean() < 0.01  # of 4 m; the network's own camera pulls a little
    # The network speaks of the crop's own view; in the camera's frame the body is turned along the ray to it.
    assert geodesic_angle(lifted.rotmat, placed.rotmat[0]).max() < 2e-3
    assert torch.allclose(lifted.betas, placed.betas[0], atol=1e-4)


def test_a_wrong_arm_and_a_wrong_camera_move_nobody(body: Body) -> None:
    placed, feature, state = seen_body(body, (0.3, 0.0))
    clean = lay(body, placed, feature, state)
    parts = unpack(feature)
    image = parts.landmarks2d.clone()
    image[:, [13, 15, 17, 19, 21]] += 0.7  # an arm thrown off by a third of the crop
    spoilt = join(parts._replace(landmarks2d=image))
    moved = lay(body, placed, spoilt, state._replace(camera=state.camera * torch.tensor([1.1, 1.0, 1.0])))
    assert (moved.transl - clean.transl).norm(dim=-1).max() < 0.06
    assert torch.equal(moved.camera_network, state.camera * torch.tensor([1.1, 1.0, 1.0]))


def test_nobody_stands_behind_the_camera(body: Body) -> None:
    placed, feature, state = seen_body(body, (0.0, 0.0))
    parts = unpack(feature)
    mirrored = join(parts._replace(landmarks2d=-parts.landmarks2d))  # only a body behind the camera would look so
    lifted = lay(body, placed, mirrored, state)
    assert ((lifted.transl + lifted.joints[:, 0])[:, 2] >= 0.2).all()
