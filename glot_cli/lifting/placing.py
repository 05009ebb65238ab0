"""From GLoT's estimates to bodies before the camera: laid on their landmarks, in metres, smooth over time.

Shapes: N frames of one person's track.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_NAMES, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat, turn_root
from glot_cli.camera import (
    Focal,
    camera_from_translation,
    fit_translation,
    from_crop,
    project_pinhole,
    project_weak,
    ray_rotation,
    translation_from_camera,
)
from glot_cli.features.extractor import PictureLandmarks
from glot_cli.lifting.calibration import Sighting, fit_shape
from glot_cli.lifting.pose_smoothing import shown_joints, smooth_pose, smooth_position, trust
from glot_cli.lifting.refine import LEAST_DEPTH, Evidence, refine
from glot_cli.lifting.windows import robust_mean
from glot_cli.lifting.yielding import Figure
from glot_cli.models.regressors import State

PRIOR_WEIGHT = 0.02  # of the network's own camera, per joint, against a landmark that is certain
SMALLEST_SCALE = 0.01  # of a weak-perspective camera: a crop of 200 metres
CHUNK = 256  # frames
FEET = [LANDMARK_NAMES.index(f"{side}_{point}") for side in ("left", "right") for point in ("heel", "foot_index")]
LANDMARK_SURE = 0.5  # presence from which on a landmark is taken for seen
PLACING_OUTLIER = 0.06  # landmarks further off than this share of the crop side count little


@dataclass(frozen=True)
class Lifted:
    """Body parameters of one person, in the camera's frame. Tensors on the CPU.

    Attributes:
        rotmat: (N, 24, 3, 3) local rotations.
        betas: (10,) one shape.
        betas_frame: (N, 10) what the network said of it in each frame.
        camera: (N, 3) weak-perspective cameras that agree with `transl`.
        camera_network: (N, 3) the network's own.
        root_network: (N, 3, 3) the network's rotation of the pelvis, in the frame of the crop.
        transl: (N, 3) metres.
        joints: (N, 24, 3) metres, without the translation.
        seen: (N, 24) how far landmarks show each joint, 0 to 1; the square tells how surely, as inverse standard
            deviations go.
        feet_seen: (N, 4) how far left heel and toes, right heel and toes are seen, likewise.
        joint_error: (N, 24) metres, see `joint_errors`; None where nothing tells it.
    """

    rotmat: Tensor
    betas: Tensor
    betas_frame: Tensor
    camera: Tensor
    camera_network: Tensor
    root_network: Tensor
    transl: Tensor
    joints: Tensor
    seen: Tensor
    feet_seen: Tensor
    joint_error: Tensor | None = None


@torch.inference_mode()
def place(
    state: State,
    seen: PictureLandmarks,
    crops: Tensor,
    segment: Tensor,
    body: Body,
    landmarks: LandmarkModel,
    *,
    focal: Focal,
    centre: Tensor,
    fps: float,
    ticks: Tensor | None = None,
    own_shape: bool = True,
    refined: bool = True,
) -> Lifted:
    """Turn crop-frame states into a body in the camera's frame, laid on its 2D landmarks and smooth over time.

    Args:
        state: (N, .) of the track's frames.
        seen: (N, 33, .) landmarks in the crops.
        crops: (N, 3) centre x, y and side, pixels.
        segment: (N,) number of the gap-free stretch a frame lies in.
        body: that is posed.
        landmarks: where they sit on it.
        focal: focal length, pixels; (N,) where it changes.
        centre: (2,) principal point, pixels.
        fps: ticks per second.
        ticks: (N,) where frames stand in time, ascending; even where None.
        own_shape: whether the states speak in the shape components of `body`; if not, its average shape is taken.
        refined: whether pose and shape too are fitted to the landmarks, and not the place alone.
    """
    reliable = seen.reliability  # (N, 33)
    betas = _one_shape(state, reliable.mean(-1), own_shape)
    observed = Evidence(from_crop(seen.points, crops), reliable, crops[:, 2], focal, centre)
    chunks = []
    for rows in torch.split(torch.arange(len(crops)), CHUNK):  # the body's joints take kilobytes a frame on the way
        chunks.append(_lay(State(*(x[rows] for x in state)), observed.rows(rows), crops[rows], betas, body, landmarks))
    rotmat, transl, safe = (torch.cat(x) for x in zip(*chunks, strict=True))
    if refined:
        figure = Figure(rotmat, transl, betas)
        if own_shape:
            figure = replace(figure, betas=fit_shape(figure, observed, body, landmarks))
        figure = refine(figure, observed, segment, fps, body, landmarks, ticks)
        rotmat, transl, betas = figure.rotmat, figure.transl, figure.betas
        transl = torch.where((transl + body.rest_joints(betas[None])[:, 0])[:, 2:] < LEAST_DEPTH, safe, transl)
    rotmat = smooth_pose(rotmat, segment, fps, trust(reliable), ticks)
    joints = joints_of(rotmat, betas, body)
    pelvis = joints[:, 0]
    transl = smooth_position(transl + pelvis, segment, fps, ticks) - pelvis
    camera = camera_from_translation(transl, crops, pelvis, focal, centre)
    shown = (seen.presence / LANDMARK_SURE).clamp(0, 1)
    places = transl, joints, shown_joints(shown), shown[:, FEET]
    return Lifted(rotmat, betas, state.shape, camera, state.camera, _root(state), *places)


@torch.inference_mode()
def sight(
    state: State,
    seen: PictureLandmarks,
    crops: Tensor,
    body: Body,
    landmarks: LandmarkModel,
    *,
    focal: Focal,
    centre: Tensor,
) -> Sighting:
    """What some frames of a person say of the focal length. Arguments as for `place`, of these frames."""
    observed = Evidence(from_crop(seen.points, crops), seen.reliability, crops[:, 2], focal, centre)
    betas = _one_shape(state, seen.reliability.mean(-1), True)
    rotmat, transl, _ = _lay(state, observed, crops, betas, body, landmarks)
    return Sighting(Figure(rotmat, transl, betas), observed, crops[:, :2])


@torch.inference_mode()
def place_by_camera(
    state: State,
    crops: Tensor,
    segment: Tensor,
    body: Body,
    *,
    focal: Focal,
    centre: Tensor,
    fps: float,
    ticks: Tensor | None = None,
    own_shape: bool = True,
) -> Lifted:
    """Put crop-frame states where their weak-perspective cameras say. No rotation is fitted or smoothed.

    The pelvis alone is turned from the frame of the crop, which looks along the crop's own ray, into the camera's.
    Position is smoothed over time. Arguments as for `place`.
    """
    betas = _one_shape(state, torch.ones(len(crops)), own_shape)
    turn = ray_rotation(crops[:, :2], focal, centre)
    rotmat = pose6d_to_rotmat(torch.unflatten(state.pose6d, -1, (24, 6)))
    rotmat = turn_root(turn, rotmat)
    joints = joints_of(rotmat, betas, body)
    pelvis = joints[:, 0]
    possible = torch.cat([state.camera[:, :1].clamp_min(SMALLEST_SCALE), state.camera[:, 1:]], -1)
    transl = translation_from_camera(possible, crops, pelvis, focal, centre)
    transl = smooth_position(transl + pelvis, segment, fps, ticks) - pelvis
    camera = camera_from_translation(transl, crops, pelvis, focal, centre)
    places = transl, joints, torch.ones(len(crops), 24), torch.ones(len(crops), 4)  # nobody says otherwise
    return Lifted(rotmat, betas, state.shape, camera, state.camera, _root(state), *places)


def _one_shape(state: State, weights: Tensor, own_shape: bool) -> Tensor:
    """One shape (10,) of a person from those of all frames, weighted (N,); the average body's when it is foreign."""
    return robust_mean(state.shape, weights) if own_shape else torch.zeros_like(state.shape[0])


def _root(state: State) -> Tensor:
    return pose6d_to_rotmat(state.pose6d[:, :6])


def joints_of(rotmat: Tensor, betas: Tensor, body: Body) -> Tensor:
    """Joints (N, 24, 3) of a body of one shape, without its translation."""
    return torch.cat(
        [body(part, betas.expand(len(part), -1), vertices=False).joints for part in torch.split(rotmat, CHUNK)]
    )


def _lay(
    state: State, observed: Evidence, crops: Tensor, betas: Tensor, body: Body, landmarks: LandmarkModel
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (N, 24, 3, 3) in the camera's frame, translations (N, 3) by the landmarks, and by the network's camera.

    A body never stands behind or inside the camera, whatever the landmarks say.
    """
    focal, centre = observed.focal, observed.centre
    rotmat = pose6d_to_rotmat(torch.unflatten(state.pose6d, -1, (24, 6)))
    # The network saw the crop, so it speaks of the frame that looks along the crop's own ray.
    turn = ray_rotation(crops[:, :2], focal, centre)
    rotmat = turn_root(turn, rotmat)
    posed = body(rotmat, betas.expand(len(rotmat), -1), vertices=False)
    joints = posed.joints
    expected = from_crop(project_weak(joints, state.camera), crops)
    transl = _fit_robust(
        torch.cat([landmarks(posed), joints], 1),
        torch.cat([observed.pixels, expected], 1),
        observed.reliability,
        torch.full_like(joints[..., 0], PRIOR_WEIGHT),
        crops[:, 2],
        focal,
        centre,
    )
    pelvis = joints[:, 0]
    safe = translation_from_camera(state.camera, crops, pelvis, focal, centre)
    return rotmat, torch.where((transl + pelvis)[:, 2:] < LEAST_DEPTH, safe, transl), safe


def _fit_robust(
    points: Tensor, pixels: Tensor, reliable: Tensor, prior: Tensor, side: Tensor, focal: Focal, centre: Tensor
) -> Tensor:
    """`fit_translation` with landmarks far from the others weighed down; the prior's weights stay."""
    weights = torch.cat([reliable, prior], 1)
    transl = fit_translation(points, pixels, weights, focal, centre)
    count = reliable.shape[1]
    for _ in range(3):
        drawn = project_pinhole(points[:, :count] + transl[:, None], focal, centre)
        error = (drawn - pixels[:, :count]).norm(dim=-1) / (PLACING_OUTLIER * side[:, None])
        weights = torch.cat([reliable / (1 + error.square()).square(), prior], 1)
        transl = fit_translation(points, pixels, weights, focal, centre)
    return transl
