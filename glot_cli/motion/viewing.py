"""Posed bodies seen by a random camera: exact landmarks in their crops, and the truth in the crops' frames.

A window's truth is expressed in the frame of its crop: the camera turned to look along the ray through the crop's
centre (`camera.ray_rotation`), which is all that a network looking at the crop can know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_HIPS, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import about_axis, axis_angle_to_rotmat, turn_root
from glot_cli.camera import fit_weak_perspective, project_pinhole, ray_rotation
from glot_cli.motion.postures import seated

CENTRE = torch.zeros(2)  # principal point; pixels count from it, and the focal length is 1 "pixel": sizes are angles


@dataclass(frozen=True)
class Viewing:
    """Ranges of the random cameras and of the crops.

    Attributes:
        shape_std: standard deviations of the first beta, size, and of the others. With (0.9, 1.5) statures spread by
            0.11 m and the bones' shares of them by 1.4 to 4.9 %, about as those of people (men and women of ANSUR II:
            0.09 m, 3 to 4 %). Betas of 1 would spread statures by 0.12 m and bones' shares by 1.1 to 4.0 %.
        pitch_mean: how far the camera looks down, degrees.
        pitch_std: standard deviation of that.
        steep: share of windows whose camera looks down by anything within `steep_range` instead, all alike.
        steep_range: least and most, degrees.
        roll_std: standard deviation of its turn about its axis, degrees.
        tumble: share of windows whose body is turned any way at all: lying, upside down.
        off_axis: furthest that people stand from its axis, across and down, degrees.
        distance: least and most, metres, drawn evenly by its logarithm.
        turn_std: standard deviation of a frame's turn, camera and person turning against each other, degrees.
        crop_scale: side of a crop over the longer side of the person's box.
        crop_scale_std: standard deviation of that, a share.
        crop_shift_std: standard deviation of how far off the middle of a crop lies, a share of its side.
        truncated: share of windows that a border of the picture cuts.
        seated_truncated: that of windows of somebody who sits, whom desks and tables hide as well.
    """

    shape_std: tuple[float, float] = (0.9, 1.5)
    pitch_mean: float = 8.0
    pitch_std: float = 14.0
    steep: float = 0.4
    steep_range: tuple[float, float] = (-30.0, 60.0)
    roll_std: float = 7.0
    tumble: float = 0.04
    off_axis: tuple[float, float] = (34.0, 22.0)
    distance: tuple[float, float] = (1.5, 14.0)
    turn_std: float = 0.35
    crop_scale: float = 1.25
    crop_scale_std: float = 0.06
    crop_shift_std: float = 0.025
    truncated: float = 0.2
    seated_truncated: float = 0.45


class Targets(NamedTuple):
    """What the network should answer, per frame of each window."""

    rotmat: Tensor  # (B, T, 24, 3, 3), joint 0 in the crop's frame
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, T, 24, 3) metres, body's own frame (no translation)
    vertices: Tensor  # (B, T, V, 3), the body's subset
    camera: Tensor  # (B, T, 3) weak perspective that fits best


class ExactLandmarks(NamedTuple):
    """Where the 33 landmarks of each frame truly are."""

    image: Tensor  # (..., 33, 2) x, y in half crop sides
    depth: Tensor  # (..., 33) z in half crop sides
    world: Tensor  # (..., 33, 3) metres from the mid hip, crop's frame


class Placed(NamedTuple):
    """Bodies in front of a camera."""

    rotmat: Tensor  # (B, T, 24, 3, 3), joint 0 in the camera's frame
    betas: Tensor  # (B, 10)
    pelvis: Tensor  # (B, T, 3) metres, camera's frame
    box: Tensor  # (B, T, 3) crops: centre x, y from the principal point, and side, in focal lengths


def view_randomly(
    rotmat: Tensor, body: Body, landmarks: LandmarkModel, viewing: Viewing, generator: torch.Generator
) -> tuple[ExactLandmarks, Targets]:
    """`place_randomly`, then `view_exactly`."""
    return view_exactly(place_randomly(rotmat, body, landmarks, viewing, generator), body, landmarks)


def place_randomly(
    rotmat: Tensor, body: Body, landmarks: LandmarkModel, viewing: Viewing, generator: torch.Generator
) -> Placed:
    """Put bodies of random shapes in front of random cameras, and lay crops around them.

    Args:
        rotmat: (B, T, 24, 3, 3) local rotations in a y-up world.
        body: the whole body or part of its surface.
        landmarks: what the crops are laid around, together with the joints.
        viewing: ranges of cameras and crops.
        generator: of everything random.
    """
    batch, frames = rotmat.shape[:2]
    low, high = (torch.tensor(viewing.distance).log()).tolist()
    distance = torch.exp(low + (high - low) * torch.rand(batch, generator=generator))
    angle = (torch.rand(batch, 2, generator=generator) * 2 - 1) * torch.tensor(viewing.off_axis).deg2rad()
    pelvis = torch.cat([torch.tan(angle), torch.ones(batch, 1)], -1)
    pelvis = (pelvis / pelvis.norm(dim=-1, keepdim=True) * distance[:, None])[:, None].expand(-1, frames, -1)
    size, rest = viewing.shape_std
    spread = torch.tensor([size] + [rest] * (body.num_betas - 1))
    betas = spread * torch.randn(batch, body.num_betas, generator=generator)

    # The view is drawn as seen along the ray to the person, so that people stand upright wherever they stand.
    towards = ray_rotation(pelvis[..., :2] / pelvis[..., 2:], 1.0, CENTRE)
    shares = torch.where(seated(rotmat), viewing.seated_truncated, viewing.truncated)
    rotmat = turn_root(towards @ world_to_camera(batch, frames, viewing, generator), rotmat)

    posed = body(rotmat.flatten(0, 1), betas.repeat_interleave(frames, 0), vertices=False)
    both = torch.unflatten(torch.cat([posed.joints, landmarks(posed)], 1), 0, (batch, frames))
    moved = both + (pelvis - both[:, :, 0]).unsqueeze(2)
    return Placed(rotmat, betas, pelvis, crop_boxes(project_pinhole(moved, 1.0, CENTRE), viewing, shares, generator))


def view_exactly(placed: Placed, body: Body, landmarks: LandmarkModel) -> tuple[ExactLandmarks, Targets]:
    """Exact landmarks of placed bodies in their crops, and the truth in the crops' frames.

    Args:
        placed: where they are.
        body: what they are; the targets hold its vertices, so give the part of the surface that is wanted.
        landmarks: where its landmarks sit.
    """
    batch, frames = placed.rotmat.shape[:2]
    turn = ray_rotation(placed.box[..., :2], 1.0, CENTRE).transpose(-1, -2)  # (B, T, 3, 3) camera's -> crop's frame
    rotmat = turn_root(turn, placed.rotmat)
    output = body(rotmat.flatten(0, 1), placed.betas.repeat_interleave(frames, 0))
    assert output.vertices is not None
    joints = torch.unflatten(output.joints, 0, (batch, frames))
    points = torch.unflatten(landmarks(output), 0, (batch, frames))

    def crop(x: Tensor) -> tuple[Tensor, Tensor]:
        """Points (B, T, K, 3) of the body -> where the camera sees them in the crop, and how deep."""
        moved = (x - joints[:, :, :1]) @ turn + placed.pelvis.unsqueeze(2)  # turn^-1 = turn^T, for rows
        pixels = project_pinhole(moved, 1.0, CENTRE)
        return (pixels - placed.box[..., None, :2]) / (placed.box[..., None, 2:] / 2), moved[..., 2]

    image, z = crop(points)
    hips = points[:, :, LANDMARK_HIPS].mean(2, keepdim=True)
    world = points - hips
    hip_depth = z[..., LANDMARK_HIPS].mean(-1, keepdim=True)
    depth = world[..., 2] / (hip_depth * placed.box[..., 2:] / 2)
    camera = fit_weak_perspective(joints, crop(joints)[0])
    vertices = torch.unflatten(output.vertices, 0, (batch, frames))
    targets = Targets(rotmat, placed.betas, joints, vertices, camera)
    return ExactLandmarks(image, depth, world), targets


def world_to_camera(batch: int, frames: int, viewing: Viewing, generator: torch.Generator) -> Tensor:
    """Rotations (B, T, 3, 3) from the y-up world into the frame of a camera that looks at the person from anywhere."""
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))

    time = torch.arange(frames) - frames / 2
    rate = torch.randn(3, batch, 1, generator=generator) * torch.tensor(viewing.turn_std).deg2rad()
    heading = torch.rand(batch, 1, generator=generator) * 2 * torch.pi
    pitch, roll = torch.randn(2, batch, 1, generator=generator)
    low, high = viewing.steep_range
    anything = low + (high - low) * torch.rand(batch, 1, generator=generator)
    steep = torch.rand(batch, 1, generator=generator) < viewing.steep
    pitch = torch.deg2rad(torch.where(steep, anything, viewing.pitch_mean + viewing.pitch_std * pitch))
    roll = torch.deg2rad(viewing.roll_std * roll)
    view = (
        about_axis(2, roll + 0.5 * rate[0] * time)
        @ about_axis(0, pitch + 0.5 * rate[1] * time)
        @ flip
        @ about_axis(1, heading + 2.0 * rate[2] * time)
    )
    tumble = axis_angle_to_rotmat(torch.randn(batch, 1, 3, generator=generator) * 1.5)
    tumbled = (torch.rand(batch, generator=generator) < viewing.tumble)[:, None, None, None]
    return torch.where(tumbled, view @ tumble, view)


def crop_boxes(points: Tensor, viewing: Viewing, shares: Tensor, generator: torch.Generator) -> Tensor:
    """Square crops around points, as a detector and a box smoother would lay them.

    Args:
        points: (B, T, K, 2) joints and landmarks in the image, in any unit.
        viewing: how large the crops are, and how far off.
        shares: (B,) how likely it is that a border of the picture, or a desk, cuts a window.
        generator: of everything random.

    Returns:
        (B, T, 3) centre x, y and side, in the unit of the points.
    """
    batch, frames = points.shape[:2]
    low, high = points.amin(2), points.amax(2)
    # The head's top and the soles reach beyond the landmarks by some 6 % of the body's height.
    size = (high - low) * 1.06
    centre = (low + high) / 2
    # A picture border that cuts off the legs (or, seldom, another side): the detector sees only the rest.
    cut = torch.rand(batch, 1, 1, generator=generator) < shares[:, None, None]
    share = 0.3 + 0.65 * torch.rand(batch, 1, 1, generator=generator)
    axis = (torch.rand(batch, 1, 1, generator=generator) < 0.7).long()  # 1: vertical
    sign = torch.where((axis == 1) & (torch.rand(batch, 1, 1, generator=generator) < 0.9), -1.0, 1.0)
    along = torch.cat([1 - axis, axis], -1).float()
    cut_size = size * (1 - along * (1 - share))
    centre = torch.where(cut, centre + sign * along * (size - cut_size) / 2, centre)
    size = torch.where(cut, cut_size, size)
    side = size.amax(-1, keepdim=True) * viewing.crop_scale
    box = torch.cat([centre, side], -1)
    box = F.avg_pool1d(F.pad(box.transpose(1, 2), (3, 3), mode="replicate"), 7, 1).transpose(1, 2)
    constant = torch.randn(batch, 1, 3, generator=generator)
    wander = correlated_noise((batch, frames, 3), 0.95, generator) * 0.3
    shift = (constant + wander)[..., :2] * viewing.crop_shift_std
    grow = torch.exp((constant + wander)[..., 2:] * viewing.crop_scale_std)
    return torch.cat([box[..., :2] + shift * box[..., 2:], box[..., 2:] * grow], -1)


def correlated_noise(shape: tuple[int, ...], rho: float, generator: torch.Generator) -> Tensor:
    """Noise (B, T, ...) of unit variance whose neighbours along T correlate by `rho`."""
    white = torch.randn(shape, generator=generator)
    steps = torch.arange(shape[1])
    # Cholesky factor of the correlation rho^|i-j|: one matrix product instead of a loop over time.
    factor = torch.linalg.cholesky(rho ** (steps[:, None] - steps).abs().float())
    return torch.einsum("ij,bj...->bi...", factor, white)
