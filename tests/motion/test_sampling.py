"""Motions in, windows out: formats, mirror images, speeds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat, rotmat_to_pose6d
from glot_cli.errors import GlotError
from glot_cli.motion.motions import load_motions
from glot_cli.motion.sampling import Augmentation, cut_windows, mirror_rotmat, sample_windows
from glot_cli.weights import locate


def swinging(frames: int, fps: float = 30.0) -> np.ndarray:
    """Axis-angle poses (frames, 24, 3): the right elbow swings once a second, the root turns slowly."""
    time = np.arange(frames) / fps
    poses = np.zeros((frames, 24, 3), np.float32)
    poses[:, 19, 1] = np.sin(2 * np.pi * time)
    poses[:, 0, 1] = 0.3 * time
    return poses


def write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_own_format_and_balance_by_action(tmp_path):
    poses = np.concatenate([swinging(40), swinging(400), swinging(10)])
    path = write(
        tmp_path / "m.npz",
        poses=poses,
        clip_index=np.repeat([0, 1, 2], [40, 400, 10]),
        clip_action=np.array(["walk", "stand", "short"]),
    )
    motions = load_motions([path])
    assert motions.start.tolist() == [0, 40] and motions.length.tolist() == [40, 400]  # the short one is left out
    assert motions.weight[1] / motions.weight[0] == pytest.approx(10**0.5, rel=1e-4)
    back = Rotation.from_matrix(pose6d_to_rotmat(motions.pose6d[:40, 19]).numpy()).as_rotvec()
    assert np.abs(back - poses[:40, 19]).max() < 1e-5


def test_amass_is_resampled_and_turned_upright(tmp_path):
    at_120 = swinging(241, 120.0)
    root = Rotation.from_euler("x", 90, degrees=True)  # AMASS's world is z-up: an upright body is turned by 90 degrees
    at_120[:, 0] = (root * Rotation.from_rotvec(at_120[:, 0])).as_rotvec()
    flat = at_120[:, :22].reshape(241, 66)
    path = write(tmp_path / "a.npz", poses=np.pad(flat, ((0, 0), (0, 90))), mocap_framerate=np.array(120.0))
    motions = load_motions([path])
    assert motions.length.tolist() == [61]
    expected = swinging(61)
    for joint in (0, 19):
        found = Rotation.from_matrix(pose6d_to_rotmat(motions.pose6d[:, joint]).numpy())
        assert (found.inv() * Rotation.from_rotvec(expected[:, joint])).magnitude().max() < 2e-3


@pytest.mark.parametrize("arrays", [{}, {"poses": np.zeros((5, 24, 3))}, {"other": np.zeros(3)}])
def test_files_that_are_no_motions_are_named(tmp_path, arrays):
    path = write(tmp_path / "x.npz", **arrays)
    with pytest.raises(GlotError, match=r"x\.npz"):
        load_motions([path])
    (tmp_path / "y.npz").write_text("nothing")
    with pytest.raises(GlotError, match=r"y\.npz"):
        load_motions([tmp_path / "y.npz"])


def test_pickled_motions_are_refused(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, poses=np.array([{"a": 1}], dtype=object))
    with pytest.raises(GlotError, match=r"p\.npz"):
        load_motions([path])


def test_windows_at_single_speed_are_stretches_of_the_clip(tmp_path):
    motions = load_motions([write(tmp_path / "m.npz", poses=swinging(60), clip_index=np.zeros(60, int))])
    generator = torch.Generator().manual_seed(0)
    windows = cut_windows(motions, 5, 16, (2.0, 2.0), generator)
    for window in windows:
        angle = Rotation.from_matrix(pose6d_to_rotmat(window[:, 0]).numpy()).as_rotvec()[:, 1]
        assert np.allclose(np.diff(angle), 0.3 * 2 / 30, atol=2e-4)  # two clip frames a step


def test_same_seed_same_windows(tmp_path):
    motions = load_motions([write(tmp_path / "m.npz", poses=swinging(60), clip_index=np.zeros(60, int))])

    def draw(seed: int) -> torch.Tensor:
        return sample_windows(motions, 8, 16, Augmentation(), torch.Generator().manual_seed(seed))

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))
    rotmat = draw(3)
    assert torch.allclose(rotmat @ rotmat.transpose(-1, -2), torch.eye(3).expand_as(rotmat), atol=1e-5)


def test_mirrored_pose_is_the_mirror_image_of_the_body():
    """The surface of the mirrored pose is the mirror image of the surface, vertex for mirrored vertex."""
    path = locate("open-body")
    with np.load(path) as file:
        partner = torch.from_numpy(file["mirror_vertices"].astype(np.int64))
    body = Body.load(path)
    rotmat = torch.from_numpy(Rotation.random(24, random_state=0).as_matrix()).float()[None]
    rotmat = pose6d_to_rotmat(rotmat_to_pose6d(rotmat))
    betas = torch.zeros(1, 10)
    plain, mirrored = body(rotmat, betas).vertices, body(mirror_rotmat(rotmat), betas).vertices
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert (mirrored[0, partner] - plain[0] * flip).norm(dim=-1).max() < 2e-3
