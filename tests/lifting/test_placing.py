"""Bodies laid on their landmarks: where they stand, how they turn, and that they are steady."""

from __future__ import annotations

import pytest
import torch

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_pose6d
from glot_cli.camera import camera_from_translation
from glot_cli.features.landmark_vector import Landmarks, join, picture_landmarks, unpack
from glot_cli.lifting.placing import Lifted, place, place_by_camera
from glot_cli.lifting.thinning import fill_lifted
from glot_cli.models.regressors import State
from glot_cli.motion.viewing import Placed, view_exactly
from tests.body.oracles import geodesic_angle

FOCAL, CENTRE = 1000.0, torch.tensor([640.0, 360.0])


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
        seen, truth = view_exactly(placed, body, LandmarkModel())
    sure = torch.ones(1, count, 33)
    feature = join(Landmarks(seen.image, seen.depth, sure, sure, seen.world))[0]
    state = State(rotmat_to_pose6d(truth.rotmat[0]).reshape(count, -1), betas.expand(count, -1), truth.camera[0])
    return placed, feature, state


def lay(body: Body, placed: Placed, feature: torch.Tensor, state: State) -> Lifted:
    box = placed.box[0] * FOCAL
    box[:, :2] += CENTRE
    segment = torch.zeros(len(box), dtype=torch.long)
    return place(
        state, picture_landmarks(feature), box, segment, body, LandmarkModel(), focal=FOCAL, centre=CENTRE, fps=30.0
    )


@pytest.mark.parametrize("direction", [(0.0, 0.0), (0.5, 0.1), (-0.4, -0.25)])
def test_a_body_is_put_where_its_landmarks_are(body: Body, direction: tuple[float, float]) -> None:
    placed, feature, state = seen_body(body, direction)
    lifted = lay(body, placed, feature, state)
    position = lifted.transl + lifted.joints[:, 0]
    error = (position - placed.pelvis[0]).norm(dim=-1)
    assert error.max() < 0.02 and error.mean() < 0.01  # of 4 m; the network's own camera pulls a little
    # The network speaks of the crop's own view; in the camera's frame the body is turned along the ray to it.
    assert geodesic_angle(lifted.rotmat, placed.rotmat[0]).max() < 2e-3
    assert torch.allclose(lifted.betas, placed.betas[0], atol=0.02)  # of unit variance; drawn to the landmarks too


def test_a_body_stays_where_it_is_when_the_lens_zooms(body: Body) -> None:
    """As large a change as that of a body that comes from 4 m to 2.5 m, seen by a lens whose focal length is known."""
    placed, feature, state = seen_body(body, (0.3, 0.1))
    focal = FOCAL * torch.linspace(1.0, 1.6, len(feature))
    box = placed.box[0] * focal[:, None]
    box[:, :2] += CENTRE
    segment = torch.zeros(len(box), dtype=torch.long)
    seen, known = picture_landmarks(feature), {"focal": focal, "centre": CENTRE, "fps": 30.0}
    lifted = place(state, seen, box, segment, body, LandmarkModel(), **known)
    steady = lay(body, placed, feature, state)
    torch.testing.assert_close(lifted.transl, steady.transl, atol=1e-3, rtol=0)
    torch.testing.assert_close(lifted.rotmat, steady.rotmat, atol=1e-3, rtol=0)
    torch.testing.assert_close(lifted.camera, steady.camera, atol=1e-3, rtol=0)
    of_camera = place_by_camera(state, box, segment, body, **known)
    torch.testing.assert_close(of_camera.transl, by_camera(body, placed, state).transl, atol=1e-3, rtol=0)
    thin = fill_lifted(
        lifted, torch.arange(len(box)), segment, torch.arange(len(box)).double(), box, body, focal=focal, centre=CENTRE
    )
    torch.testing.assert_close(thin.camera, steady.camera, atol=1e-3, rtol=0)


def by_camera(body: Body, placed: Placed, state: State, *, own_shape: bool = True) -> Lifted:
    box = placed.box[0] * FOCAL
    box[:, :2] += CENTRE
    segment = torch.zeros(len(box), dtype=torch.long)
    return place_by_camera(state, box, segment, body, focal=FOCAL, centre=CENTRE, fps=30.0, own_shape=own_shape)


@pytest.mark.parametrize("direction", [(0.0, 0.0), (0.5, 0.1), (-0.4, -0.25)])
def test_a_body_is_put_where_its_camera_says(body: Body, direction: tuple[float, float]) -> None:
    """From the exact state of the crop alone: the place to a centimetre, the rotations as they were."""
    placed, _, state = seen_body(body, direction)
    box = placed.box[0] * FOCAL
    box[:, :2] += CENTRE
    rest = body.rest_joints(placed.betas)[:, 0]
    exact = camera_from_translation(placed.pelvis[0] - rest, box, rest, FOCAL, CENTRE)
    lifted = by_camera(body, placed, state._replace(camera=exact))
    assert (lifted.transl + lifted.joints[:, 0] - placed.pelvis[0]).norm(dim=-1).max() < 0.01
    # A camera fitted to what the crop shows: off the axis a pinhole stretches, and the body seems nearer.
    fitted = by_camera(body, placed, state)
    error = (fitted.transl + fitted.joints[:, 0] - placed.pelvis[0]).norm(dim=-1) / placed.pelvis[0].norm(dim=-1)
    assert error.max() < 0.07
    assert geodesic_angle(lifted.rotmat, placed.rotmat[0]).max() < 2e-3
    torch.testing.assert_close(lifted.rotmat[:, 1:], placed.rotmat[0, :, 1:], atol=1e-5, rtol=0)  # nothing is smoothed
    torch.testing.assert_close(rotmat_to_pose6d(lifted.root_network), state.pose6d[:, :6], atol=1e-5, rtol=0)


def test_a_foreign_shape_is_not_worn(body: Body) -> None:
    placed, _, state = seen_body(body, (0.0, 0.0))
    foreign = by_camera(body, placed, state, own_shape=False)
    assert not foreign.betas.any() and torch.equal(foreign.betas_frame, state.shape)
    assert by_camera(body, placed, state).betas.any()


def test_a_camera_that_cannot_be_leaves_finite_numbers(body: Body) -> None:
    placed, _, state = seen_body(body, (0.0, 0.0))
    camera = state.camera.clone()
    camera[3:9, 0] = torch.tensor([0.0, -1.0, 1e-9, -1e3, 0.0, 0.0])
    lifted = by_camera(body, placed, state._replace(camera=camera))
    assert all(torch.isfinite(x).all() for x in (lifted.transl, lifted.camera, lifted.rotmat))
    assert ((lifted.transl + lifted.joints[:, 0])[:, 2] > 0).all()


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
