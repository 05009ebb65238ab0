import torch

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from glot_cli.lifting.pose_smoothing import shown_joints, smooth_pose, trust
from glot_cli.smpl import SMPL_JOINTS


def test_jitter_goes_and_slow_motion_stays() -> None:
    time = torch.arange(90) / 30
    slow = 0.8 * torch.sin(2 * torch.pi * 1.0 * time)  # once a second
    shake = 0.1 * torch.sin(2 * torch.pi * 14.0 * time)
    segment = torch.tensor([0] * 60 + [1] * 30)
    jump = (segment == 1).float()  # what lies beyond a gap must not be drawn in

    def smoothed(angle: torch.Tensor) -> torch.Tensor:
        turn = torch.zeros(90, 24, 3)
        turn[:, 18, 1] = angle
        out = rotmat_to_axis_angle(smooth_pose(axis_angle_to_rotmat(turn), segment, 30.0, torch.ones(90, 24)))
        assert out[:, :18].abs().max() < 1e-5
        return out[:, 18, 1]

    assert (smoothed(slow + jump) - slow - jump).abs().max() < 0.02
    inner = torch.cat([torch.arange(5, 55), torch.arange(65, 85)])  # at its ends a stretch is held by one side only
    assert smoothed(shake)[inner].abs().max() < 0.005


def test_what_was_hardly_seen_gives_way_to_the_frames_around() -> None:
    """An elbow that is wrong for a third of a second, while it was hidden."""
    reliability = torch.full((90, 33), 0.8**4)
    wrong = slice(40, 50)
    for name in ("left_elbow", "left_wrist"):
        reliability[wrong, LANDMARK_NAMES.index(name)] = 0.2**4
    turn = torch.zeros(90, 24, 3)
    elbow, other = SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")
    turn[wrong, elbow, 1] = turn[wrong, other, 1] = 1.0
    segment = torch.zeros(90, dtype=torch.long)
    out = rotmat_to_axis_angle(smooth_pose(axis_angle_to_rotmat(turn), segment, 30.0, trust(reliability)))
    assert out[wrong, elbow, 1].max() < 0.3 < 0.9 < out[wrong, other, 1].max()


def test_joints_are_trusted_by_the_landmarks_that_show_them() -> None:
    for name, joints in {
        "left_knee": {"left_hip", "left_knee"},
        "right_index": {"right_wrist", "right_hand"},
        "nose": {"neck", "head"},
        "left_shoulder": {"left_shoulder", "neck", "head", "pelvis", "spine1", "spine2", "spine3", "left_collar",
                          "right_collar"},
    }.items():  # fmt: skip
        reliability = torch.full((1, 33), 0.8**4)
        reliability[:, LANDMARK_NAMES.index(name)] = 0.0
        doubted = trust(reliability)[0] < 0.99
        assert {joint for joint, doubt in zip(SMPL_JOINTS, doubted, strict=True) if doubt} == joints


def test_joints_are_shown_as_far_as_the_landmarks_that_show_them() -> None:
    landmarks = torch.ones(1, 33)
    landmarks[:, [LANDMARK_NAMES.index(f"left_{name}") for name in ("ankle", "heel", "foot_index")]] = 0.0
    shown = dict(zip(SMPL_JOINTS, shown_joints(landmarks)[0].tolist(), strict=True))
    assert shown["left_ankle"] == shown["left_foot"] == 0
    assert shown["left_knee"] == 0.5  # its bend shows by the knee and the ankle
    assert shown["left_hip"] == shown["right_ankle"] == shown["pelvis"] == 1
