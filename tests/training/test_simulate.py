"""Simulated landmarks against projective geometry, and crops of drawn people against their mirror images."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.body.landmarks import LANDMARK_NAMES, LandmarkModel, attachments
from glot_cli.body.model import Body
from glot_cli.body.rotations import about_axis, rotmat_to_pose6d
from glot_cli.camera import fit_weak_perspective
from glot_cli.features.landmark_vector import SWAP, Landmarks, join, unpack
from glot_cli.motion.viewing import ExactLandmarks, Placed, Viewing, place_randomly, view_exactly, world_to_camera
from glot_cli.training.landmark_batches import ResidualBank
from glot_cli.training.simulate import Noise, corrupt
from glot_cli.training.training_crops import Crops, mirror, recropped, rolled, varied
from glot_cli.weights import locate


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(locate("open-body")).subset(range(0, 6000, 300))


@pytest.fixture(scope="module")
def placed(body) -> Placed:
    turns = Rotation.from_rotvec(0.3 * np.random.default_rng(0).normal(size=(4 * 16 * 24, 3))).as_matrix()
    rotmat = torch.from_numpy(turns).float().view(4, 16, 24, 3, 3)
    return place_randomly(
        rotmat, body, LandmarkModel(), Viewing(truncated=0.0, tumble=0.0), torch.Generator().manual_seed(1)
    )


def test_cameras_look_from_above_and_below_at_people_of_all_proportions(body):
    """Pitch as the angle between the camera's axis and the floor; statures from the rest pose's joints."""
    viewing = Viewing(tumble=0.0)
    generator = torch.Generator().manual_seed(0)
    view = world_to_camera(3000, 1, viewing, generator)[:, 0]
    down = torch.rad2deg(torch.asin(-view[:, 2, 1]))  # the world's up, seen along the camera's axis
    assert (down > 20).float().mean() > 0.25 and (down < -10).float().mean() > 0.1
    assert -75 < down.min() < -20 and 50 < down.max() < 75
    placed = place_randomly(torch.eye(3).repeat(800, 1, 24, 1, 1), body, LandmarkModel(), viewing, generator)
    hip, knee, ankle = body.rest_joints(placed.betas)[:, (1, 4, 7)].unbind(1)
    thigh, shank = (knee - hip).norm(dim=-1), (ankle - knee).norm(dim=-1)
    assert 0.035 < (thigh / shank).std() / (thigh / shank).mean() < 0.06
    assert 0.06 < (thigh + shank).std() / (thigh + shank).mean() < 0.11
    assert (placed.pelvis.norm(dim=-1) < 3).float().mean() > 0.2


def test_landmark_table_is_symmetric_and_complete():
    joint, offset = attachments()
    assert joint.shape == (len(LANDMARK_NAMES),)
    assert torch.allclose(offset[list(SWAP)] * torch.tensor([-1.0, 1.0, 1.0]), offset)


def test_measured_landmarks_are_what_a_pinhole_camera_sees(body, placed):
    """Pose the body in the camera's own frame and project, with none of the crop-frame arithmetic."""
    landmarks = LandmarkModel()
    seen, truth = view_exactly(placed, body, landmarks)
    rotmat = placed.rotmat.flatten(0, 1)
    posed = body(rotmat, placed.betas.repeat_interleave(16, 0), vertices=False)
    points = landmarks(posed) + (placed.pelvis.flatten(0, 1) - posed.joints[:, 0])[:, None]
    pixels = points[..., :2] / points[..., 2:]
    box = placed.box.flatten(0, 1)
    expected = (pixels - box[:, None, :2]) / (box[:, None, 2:] / 2)
    assert (seen.image.flatten(0, 1) - expected).abs().max() < 1e-4
    # World landmarks: distances between points do not depend on the frame.
    world = seen.world.flatten(0, 1)
    spread, expected = ((x[:, :, None] - x[:, None]).norm(dim=-1) for x in (world, points))
    assert (spread - expected).abs().max() < 1e-4
    # The true camera lays the joints near where perspective does; it cannot be exact for a body with depth.
    drawn = truth.camera[..., None, :1] * (truth.joints[..., :2] + truth.camera[..., None, 1:])
    centre = seen.image[..., (23, 24), :].mean(-2)
    assert (drawn[..., (1, 2), :].mean(-2) - centre).norm(dim=-1).median() < 0.1


def test_crop_contains_the_person(body, placed):
    seen, _ = view_exactly(placed, body, LandmarkModel())
    assert (seen.image.abs() < 1).float().mean() > 0.97
    assert seen.image.abs().amax((-2, -1)).median() > 0.6


def test_weak_perspective_fit_is_exact_for_weak_perspective():
    points = torch.randn(5, 24, 3)
    camera = torch.tensor([0.9, 0.1, -0.2]).expand(5, 3)
    image = camera[:, None, :1] * (points[..., :2] + camera[:, None, 1:])
    assert torch.allclose(fit_weak_perspective(points, image), camera, atol=1e-5)


def test_no_noise_leaves_image_landmarks_exact(body, placed):
    seen, _ = view_exactly(placed, body, LandmarkModel())
    quiet = Noise(
        slow2d=0, fast2d=0, slow3d=0, fast3d=0, tilt_std=0, scale_std=0, wrong_joint=0, swapped=0, lost_frames=0
    )  # fmt: skip
    parts = unpack(corrupt(seen, quiet, torch.Generator().manual_seed(0)))
    assert torch.allclose(parts.landmarks2d, seen.image, atol=1e-6)
    noisy = unpack(corrupt(seen, Noise(), torch.Generator().manual_seed(0)))
    error = (noisy.landmarks2d - seen.image).norm(dim=-1)
    assert 0.01 < error.median() < 0.15  # of half a crop
    hidden = noisy.visibility < 0.5
    assert error[hidden].median() > error[~hidden].median()  # visibility tells of the error
    outside = noisy.landmarks2d.abs().amax(-1) > 1
    assert (noisy.presence[outside] == 0).all() and outside.any()
    # on drawn people the median error is 0.0175 / presence^2; presence was made from the error, this looks from there
    for low in (0.4, 0.5, 0.6, 0.7, 0.8):
        there = (noisy.presence >= low) & (noisy.presence < low + 0.1)
        expected = 0.0175 / (low + 0.05) ** 2
        assert 0.5 * expected < error[there].median() < 2 * expected


def test_doubt_lowers_presence_for_a_while_and_moves_nothing(body, placed):
    """The same draws with doubt and without: presence must not always mean that landmarks are wrong."""
    seen, _ = view_exactly(placed, body, LandmarkModel())
    sure, unsure = (
        unpack(corrupt(seen, Noise(doubted=share, lost_frames=0), torch.Generator().manual_seed(0)))
        for share in (0.0, 1.0)
    )
    assert torch.equal(sure.landmarks2d, unsure.landmarks2d) and torch.equal(sure.world, unsure.world)
    fell = unsure.presence < sure.presence
    assert (unsure.presence <= sure.presence).all() and 0.05 < fell.float().mean() < 0.95
    assert torch.equal(fell.any(-1), (fell | (sure.presence == 0)).all(-1))  # all landmarks of a frame, or none


def crops_of(placed: Placed, body: Body, shift: float) -> dict[str, torch.Tensor]:
    """Crops as the renderer writes them, whose image landmarks are all off by `shift` to the right."""
    seen, _ = view_exactly(placed, body, LandmarkModel())
    sure = torch.full_like(seen.depth, 0.9)
    features = join(Landmarks(seen.image + torch.tensor([shift, 0.0]), seen.depth, sure, sure, seen.world))
    return {
        "pose6d": rotmat_to_pose6d(placed.rotmat).flatten(0, 1),
        "betas": placed.betas.repeat_interleave(16, 0),
        "pelvis": placed.pelvis.flatten(0, 1),
        "box": placed.box.flatten(0, 1),
        "features": features.flatten(0, 1),
        "clip": torch.arange(4).repeat_interleave(16),
    }


def test_mirrored_crops_agree_with_their_own_truth(body, placed):
    """Exact landmarks stay exact in the mirror: features and truth are mirrored alike."""
    crops = Crops(mirror(crops_of(placed, body, 0.0)), body, LandmarkModel())
    got = unpack(crops.features)
    assert (got.landmarks2d - crops.exact.image).abs().max() < 1e-4
    assert (got.world - crops.exact.world).abs().max() < 1e-4


def test_crops_file_round_trip_and_windows(tmp_path, body, placed):
    path = tmp_path / "crops.npz"
    np.savez(path, **{name: values.numpy() for name, values in crops_of(placed, body, 0.0).items()})
    crops = Crops.load([path, path], body, LandmarkModel())
    assert len(crops.clip) == 4 * 64 and len(crops.clip.unique()) == 16  # two files, each with its mirror image
    starts = crops.window_starts(10)
    assert torch.equal(crops.clip[starts], crops.clip[starts + 9]) and len(starts) == 16 * 7
    features, truth = crops.draw(6, 16, body, torch.Generator().manual_seed(0))
    assert features.shape == (6, 16, 264) and truth.rotmat.shape == (6, 16, 24, 3, 3)


def test_a_crop_laid_otherwise_agrees_with_its_own_truth(body, placed):
    features = crops_of(placed, body, 0.0)["features"].unflatten(0, (4, 16))
    moved, other = recropped(features, placed, torch.Generator().manual_seed(0))
    assert (other.box - placed.box).abs().amax((1, 2)).min() > 1e-3
    seen, _ = view_exactly(other, body, LandmarkModel())
    got = unpack(moved)
    assert (got.landmarks2d - seen.image).abs().max() < 1e-4
    # The crop's own ray has turned a little, by which the world landmarks and depths are off.
    assert (got.world - seen.world).abs().max() < 0.05 and (got.z - seen.depth).abs().max() < 0.05


def test_a_camera_that_rolls_sees_what_the_turned_features_say(body, placed):
    features = crops_of(placed, body, 0.0)["features"].view(4, 16, -1)
    turned, other = rolled(features, placed, torch.Generator().manual_seed(0))
    assert (turned - features).abs().amax((1, 2)).min() > 1e-2
    seen, _ = view_exactly(other, body, LandmarkModel())
    got = unpack(turned)
    assert (got.landmarks2d - seen.image).abs().max() < 1e-4
    assert (got.world - seen.world).abs().max() < 1e-5 and (got.z - seen.depth).abs().max() < 1e-4


def test_people_of_another_shape_and_pose_agree_with_their_own_truth(body, placed):
    """And the network errs by as much as it did."""
    model = LandmarkModel()
    exact = view_exactly(placed, body, model)[0]
    features = crops_of(placed, body, 0.1)["features"].unflatten(0, (4, 16)).repeat(8, 1, 1)
    many = Placed(*(x.repeat(8, *[1] * (x.dim() - 1)) for x in placed))
    exact = ExactLandmarks(*(x.repeat(8, *[1] * (x.dim() - 1)) for x in exact))
    moved, other = varied(features, many, exact, body, model, torch.Generator().manual_seed(0))
    seen, _ = view_exactly(other, body, model)
    got = unpack(moved)
    assert (got.landmarks2d - torch.tensor([0.1, 0.0]) - seen.image).abs().max() < 1e-4
    assert (got.world - seen.world).abs().max() < 1e-4 and (got.z - seen.depth).abs().max() < 1e-4
    changed = (other.rotmat - many.rotmat).flatten(1).abs().amax(1) > 1e-2
    assert 8 < int(changed.sum()) < 24
    assert torch.equal(changed, (other.betas - many.betas).abs().amax(1) > 1e-2)


def test_windows_are_varied_and_half_of_them_run_backwards(body, placed):
    crops = Crops(crops_of(placed, body, 0.0), body, LandmarkModel())
    features, truth = crops.draw(64, 16, body, torch.Generator().manual_seed(0))
    known = view_exactly(placed, body, LandmarkModel())[1].joints  # whole clips are the windows
    # Distances between joints do not feel how the camera rolls.
    mine, known = torch.cdist(truth.joints, truth.joints), torch.cdist(known, known)
    apart = [(mine[:, None] - order[None]).abs().mean((-1, -2, -3)) for order in (known, known.flip(1))]
    forwards = apart[0].amin(1) < apart[1].amin(1)
    assert 20 < int(forwards.sum()) < 44
    nearest = torch.minimum(apart[0].amin(1), apart[1].amin(1))  # metres
    assert 20 < int((nearest < 1e-4).sum()) < 44  # half of them are others, who move much alike
    assert 0.005 < nearest[nearest > 1e-4].median() < 0.05
    exact = truth.camera[:, :, None, :1] * (truth.joints[..., :2] + truth.camera[:, :, None, 1:])
    hips = unpack(features).landmarks2d[:, :, (23, 24)].mean(2)
    assert (hips - exact[:, :, (1, 2)].mean(2)).norm(dim=-1).median() < 0.05


def test_residual_bank_repeats_the_errors_it_saw(body, placed):
    crops = Crops(crops_of(placed, body, 0.1), body, LandmarkModel())
    seen, _ = view_exactly(placed, body, LandmarkModel())
    features = ResidualBank(crops, neighbours=2).corrupt(seen, torch.Generator().manual_seed(0))
    error = unpack(features).landmarks2d - seen.image
    assert error[..., 1].abs().max() < 1e-4
    assert error[..., 0].min() > 0.069 and error[..., 0].max() < 0.131  # 0.1, times 0.7 to 1.3


def turn_between(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Degrees that the trunk (hips' middle to shoulders' middle) of landmarks (..., 33, 3) has turned to its front."""
    up, now = (x[..., (11, 12), :].mean(-2) - x[..., (23, 24), :].mean(-2) for x in (before, after))
    left = before[..., 23, :] - before[..., 24, :]
    front = torch.linalg.cross(left, up)
    ahead = (now * front).sum(-1) / front.norm(dim=-1)
    return torch.rad2deg(torch.atan2(ahead, (now * up).sum(-1) / up.norm(dim=-1)))


def standing(body: Body, heading: float, pitch: float = 0.0) -> ExactLandmarks:
    """Ten windows of somebody upright, turned by `heading` from facing the camera, which looks down by `pitch`."""
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotmat = torch.eye(3).repeat(10, 4, 24, 1, 1)
    view = Rotation.from_euler("x", pitch, degrees=True).as_matrix()
    rotmat[:, :, 0] = torch.from_numpy(view).float() @ flip @ about_axis(1, torch.tensor(math.radians(heading)))
    pelvis = torch.tensor([0.0, 0.0, 5.0]).expand(10, 4, 3)
    box = torch.tensor([0.0, 0.0, 0.5]).expand(10, 4, 3)
    return view_exactly(Placed(rotmat, torch.zeros(10, 10), pelvis, box), body, LandmarkModel())[0]


def leaning(exact: ExactLandmarks, **noise: float) -> torch.Tensor:
    """Degrees (10, 4) that trunks lean too far to their front, with this noise alone."""
    still = Noise(**{name: 0.0 for name in vars(Noise())} | noise)
    found = unpack(corrupt(exact, still, torch.Generator().manual_seed(0))).world
    # A skeleton is also made flatter along the view, which turns nobody who stands across it.
    return turn_between(exact.world, found)


@pytest.mark.parametrize(("heading", "share"), [(0, 1.0), (180, 1.0), (60, 0.5), (90, 0.0)])
def test_trunks_lean_to_their_front_as_far_as_it_faces_the_camera_or_away(body, heading, share):
    """Who is seen from the front leans towards the camera, who is seen from behind leans away from it."""
    exact = standing(body, heading)
    found = leaning(exact, lean=10.0)
    assert found.mean() == pytest.approx(10 * share, abs=3.0)  # depth comes out 0.75 to 1.15 times as large
    legs = slice(23, 33)
    still, lent = (
        unpack(corrupt(exact, Noise(**{n: 0.0 for n in vars(Noise())} | {"lean": d}), torch.Generator().manual_seed(0)))
        for d in (0.0, 10.0)
    )
    assert torch.equal(still.world[:, :, legs], lent.world[:, :, legs])
    assert torch.equal(still.landmarks2d, lent.landmarks2d), "the picture shows where they are"


def test_every_window_leans_by_its_own_amount_and_high_cameras_add_theirs(body):
    spread = leaning(standing(body, 0.0), lean=10.0, lean_std=8.0)
    assert spread.std(0).min() > 3 and spread.std(1).max() < 1e-3, "one a window"
    for pitch in (0.0, 40.0):
        # Below a high camera the head of who stands is nearer to it: leaning back, a share of that angle is lost.
        exact = standing(body, 0.0, pitch)
        up = (exact.world[..., (11, 12), :].mean(-2) - exact.world[..., (23, 24), :].mean(-2)).mean((0, 1))
        nearer = math.degrees(math.atan2(-up[2], math.hypot(up[0], up[1])))
        assert abs(nearer - pitch) < 15, "shoulders are not right above hips"
        back = leaning(exact) - leaning(exact, flattened=0.3)
        assert back.mean() == pytest.approx(0.3 * nearer * math.cos(math.radians(nearer)), abs=1.0)
    assert leaning(standing(body, 0.0, 40.0), flattened_std=0.25).std(0).min() > 4
