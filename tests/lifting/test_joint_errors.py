"""How far off joints may be: more where less is known, the same however the work is cut, nothing across gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LANDMARK_NAMES, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_pose6d
from glot_cli.camera import project_pinhole
from glot_cli.errors import WeightsError
from glot_cli.features.landmark_vector import Landmarks
from glot_cli.lifting import joint_errors
from glot_cli.lifting.joint_errors import (
    BY_KEYPOINT,
    BY_LANDMARK,
    HIPS,
    KEYPOINT_LANDMARKS,
    KIND,
    LEAST,
    MOST,
    SIGNS,
    UNSEEN_S,
    Findings,
    JointErrors,
    course,
    evidence,
    smoothed,
)
from glot_cli.lifting.placing import Lifted, joints_of
from glot_cli.models.regressors import State
from glot_cli.smpl import SMPL_JOINTS, SMPL_MIRROR
from glot_cli.tracking.detector import COCO_KEYPOINTS
from glot_cli.tracking.tracks import Track

FOCAL, CENTRE, SIDE = 1000.0, torch.tensor([640.0, 360.0]), 500.0
LEFT_WRIST, RIGHT_WRIST = SMPL_JOINTS.index("left_wrist"), SMPL_JOINTS.index("right_wrist")
ARM = [LANDMARK_NAMES.index(f"left_{name}") for name in ("elbow", "wrist", "pinky", "index", "thumb")]


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-body"))


@pytest.fixture(scope="module")
def network() -> JointErrors:
    return JointErrors.load(weights.locate("confidence"))


def standing(body: Body, count: int = 40, fps: float = 30.0) -> Findings:
    """Somebody 4 m away who swings the left arm, of whom everything that is seen agrees."""
    pose = torch.zeros(count, 24, 3)
    pose[:, 0, 0] = torch.pi  # upright in the camera's frame
    pose[:, 16, 2] = -1.0 + 0.3 * torch.sin(torch.arange(count) * 4 / fps)
    pose[:, 17, 2] = 1.0
    rotmat, betas = axis_angle_to_rotmat(pose), torch.zeros(10)
    transl = torch.tensor([0.0, 0.0, 4.0]).expand(count, 3)
    points = LandmarkModel()(body(rotmat, betas.expand(count, -1), vertices=False))
    pixels = project_pinhole(points + transl[:, None], FOCAL, CENTRE)
    crops = torch.cat([CENTRE, torch.tensor([SIDE])]).expand(count, 3)
    sure = torch.full((count, 33), 0.95)
    hips = points[:, 23:25].mean(1, keepdim=True)
    seen = Landmarks((pixels - CENTRE) / (SIDE / 2), points[..., 2] - hips[..., 2], sure, sure, points - hips)
    keypoints = torch.cat([pixels[:, KEYPOINT_LANDMARKS], torch.full((count, 17, 1), 0.95)], -1)
    ticks = np.arange(float(count))
    track = Track(
        1, ticks.astype(np.int32), np.zeros((count, 4), np.float32), crops.numpy(), np.full(count, 0.9, np.float32),
        np.zeros(count, bool), np.zeros(count, np.int32), keypoints.numpy(), ticks=ticks,
    )  # fmt: skip
    camera, joints = torch.zeros(count, 3), joints_of(rotmat, betas, body)
    shown, feet = torch.ones(count, 24), torch.ones(count, 4)
    lifted = Lifted(rotmat, betas, betas.expand(count, -1), camera, camera, rotmat[:, 0], transl, joints, shown, feet)
    state = State(rotmat_to_pose6d(rotmat).flatten(1), betas.expand(count, -1), camera)
    return Findings(track, torch.arange(count), seen, state, lifted, fps, FOCAL, CENTRE)


def said(network: JointErrors, found: Findings, body: Body) -> Tensor:
    return network.radii(found, body, LandmarkModel())


def signs_of(found: Findings, body: Body) -> Tensor:
    with torch.inference_mode():
        return evidence(found, course(found), body, LandmarkModel())


def test_both_sides_are_told_alike_and_all_that_tells_counts_once() -> None:
    for weight, names in ((BY_LANDMARK, LANDMARK_NAMES), (BY_KEYPOINT, COCO_KEYPOINTS)):
        torch.testing.assert_close(weight.sum(1), torch.ones(24))
        swapped = [n.replace("left", "L").replace("right", "left").replace("L", "right") for n in names]
        torch.testing.assert_close(weight[list(SMPL_MIRROR)][:, [names.index(n) for n in swapped]], weight)
    assert LANDMARK_NAMES[int(BY_LANDMARK[LEFT_WRIST].argmax())] == "left_wrist"
    assert COCO_KEYPOINTS[int(BY_KEYPOINT[SMPL_JOINTS.index("right_hand")].argmax())] == "right_wrist"
    assert [KIND[j] for j in SMPL_MIRROR] == KIND and len(set(KIND)) == 15


def test_evidence_is_in_units(body: Body) -> None:
    """What agrees is no distance apart; what is moved by a tenth of the crop, or of a metre, is that far off."""
    found = standing(body)
    signs = signs_of(found, body)
    assert signs.shape == (40, 24, SIGNS) and torch.isfinite(signs).all()
    torch.testing.assert_close(signs[..., 3].exp(), torch.full((40, 24), 0.005), atol=1e-4, rtol=0)
    torch.testing.assert_close(signs[..., 6].exp(), torch.full((40, 24), 0.005), atol=1e-4, rtol=0)
    moved = found.seen.landmarks2d.clone()
    moved[:, ARM[1], 0] += 0.2  # of half a side
    world = found.seen.world.clone()
    world[:, ARM[1], 2] += 0.1
    after = signs_of(replace(found, seen=found.seen._replace(landmarks2d=moved, world=world)), body)
    torch.testing.assert_close(after[:, LEFT_WRIST, 3].exp(), torch.full((40,), 0.105), atol=1e-4, rtol=0)
    torch.testing.assert_close(after[:, LEFT_WRIST, 4].exp(), torch.full((40,), 0.11), atol=1e-3, rtol=0)
    torch.testing.assert_close(after[:, RIGHT_WRIST, :14], signs[:, RIGHT_WRIST, :14])


def test_speed_and_time_unseen_are_in_seconds(body: Body) -> None:
    found = standing(body, 61, fps=60.0)
    away = np.zeros(61, bool)
    away[20:50] = True
    found = replace(found, track=replace(found.track, interpolated=away))
    moving = course(found)
    joints = found.lifted.joints - found.lifted.joints[:, HIPS].mean(1, keepdim=True)
    speed = (joints[2:] - joints[:-2]).norm(dim=-1) * 30
    torch.testing.assert_close(moving.speed[1:-1, LEFT_WRIST], speed[:, LEFT_WRIST], atol=0.01, rtol=0.05)
    assert moving.speed[:, RIGHT_WRIST].max() < 1e-3
    np.testing.assert_allclose(moving.unseen[[0, 19, 20, 34, 35, 49, 50]], np.array([0, 0, 1, 15, 15, 1, 0]) / 60)
    never = replace(found, track=replace(found.track, interpolated=np.ones(61, bool)))
    assert (course(never).unseen == UNSEEN_S).all()


def test_less_evidence_makes_larger_radii(body: Body, network: JointErrors) -> None:
    found = standing(body)
    good = said(network, found, body)
    assert good.shape == (40, 24) and (good >= LEAST).all() and (good <= MOST).all()
    assert good.mean() < 0.12
    hidden = found.seen.presence.clone()
    hidden[:, ARM] = 0.1
    hand = said(network, replace(found, seen=found.seen._replace(presence=hidden, visibility=hidden)), body)
    assert (hand[:, LEFT_WRIST] > 1.1 * good[:, LEFT_WRIST]).all()
    doubted = replace(
        found,
        seen=found.seen._replace(presence=torch.full((40, 33), 0.3), visibility=torch.full((40, 33), 0.3)),
        track=replace(found.track, score=np.full(40, 0.3, np.float32)),
    )
    assert (said(network, doubted, body).mean(1) > 1.2 * good.mean(1)).all()
    shaken = found.seen.world + 0.2 * torch.randn(40, 33, 3, generator=torch.Generator().manual_seed(0))
    assert (said(network, replace(found, seen=found.seen._replace(world=shaken)), body) > good).float().mean() > 0.8


def test_without_keypoints_the_rest_tells(body: Body, network: JointErrors) -> None:
    found = standing(body)
    blind = replace(found, track=replace(found.track, keypoints=None))
    assert torch.isnan(signs_of(blind, body)).any()
    radii = said(network, blind, body)
    assert torch.isfinite(radii).all() and (radii / said(network, found, body)).log().abs().mean() < 0.5


def test_a_track_is_the_same_in_pieces(body: Body, network: JointErrors, monkeypatch: pytest.MonkeyPatch) -> None:
    found = standing(body, 70)
    whole = said(network, found, body)
    monkeypatch.setattr(joint_errors, "CHUNK", 13)
    torch.testing.assert_close(said(network, found, body), whole, atol=1e-5, rtol=1e-4)


def test_radii_change_slowly_and_not_across_gaps() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(120, 24, generator=generator)
    values[60:] += 3.0
    segment, ticks = torch.arange(120) // 60, torch.arange(120.0)
    smooth = smoothed(values, segment, ticks, 30.0)
    for part in (slice(0, 60), slice(60, 120)):
        alone = smoothed(values[part], segment[part], ticks[part], 30.0)
        torch.testing.assert_close(smooth[part], alone)
        assert alone.diff(dim=0).abs().mean() < 0.1 * values[part].diff(dim=0).abs().mean()
    one = torch.tensor([[1.0] * 24])
    torch.testing.assert_close(smoothed(one, torch.zeros(1), torch.zeros(1), 30.0), one)


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(WeightsError, match="how far off joints are"):
        JointErrors.load(weights.locate("grounding"))
