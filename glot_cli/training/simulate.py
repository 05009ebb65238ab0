"""Simulated landmarks: exact ones (`motion.viewing`) read off by an imitation of the landmark network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glot_cli.body.landmarks import LANDMARK_HIPS, LANDMARK_SHOULDERS
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.features.landmark_vector import Landmarks, join, swap_sides, unpack
from glot_cli.motion.viewing import ExactLandmarks, correlated_noise


@dataclass(frozen=True)
class Noise:
    """Errors of the imitated landmark network. Image errors are shares of half the crop side, world errors metres.

    Attributes:
        slow2d: standard deviation of image errors that drift through a window.
        fast2d: standard deviation of image errors that change from frame to frame.
        slow3d: standard deviation of world errors that drift through a window.
        fast3d: standard deviation of world errors that change from frame to frame.
        depth_gain: world errors along the view are this much larger.
        tilt_std: standard deviation of the angle that the whole world skeleton is turned by, degrees.
        lean: how far the trunk of the world skeleton leans too far to the body's own front, mean of all windows,
            degrees, where the front or the back is seen: from the side the picture shows how a trunk leans. Measured: 5
            to 8 on drawn people; 13 to 19 came out of whole runs on real footage.
        lean_std: standard deviation of that from window to window, degrees (measured: 6 to 13).
        flattened: share that is lost of a trunk's own angle to the picture, of who bends or of a high or low camera,
            mean of all windows (measured on drawn people: a third to a half).
        flattened_std: standard deviation of that.
        scale_std: standard deviation of its size, a share.
        level_std: standard deviation of the logarithm of a window's overall level of noise.
        wrong_joint: share of windows in which limbs are badly wrong for a while.
        swapped: share of windows in which left and right change places for a while.
        lost_frames: share of windows in which nothing is known of a few frames.
        doubted: share of windows in which the network is unsure for a while of what it marks no worse.
    """

    slow2d: float = 0.025
    fast2d: float = 0.008
    slow3d: float = 0.045
    fast3d: float = 0.010
    depth_gain: float = 1.8
    tilt_std: float = 9.0
    lean: float = 9.0
    lean_std: float = 8.0
    flattened: float = 0.4
    flattened_std: float = 0.25
    scale_std: float = 0.10
    level_std: float = 0.45
    wrong_joint: float = 0.06
    swapped: float = 0.03
    lost_frames: float = 0.05
    doubted: float = 0.05


# How far each of the 33 landmarks strays, relative to the average: face, hands and feet as measured on renders.
STRAY = torch.tensor(
    [0.7] * 11 + [0.9, 0.9, 1.1, 1.1, 1.3, 1.3] + [1.5] * 6 + [0.8, 0.8, 1.0, 1.0, 1.1, 1.1, 1.2, 1.2, 1.4, 1.4]
)
# Of the logit of presence: constant, by the logarithm of the error, standard deviations of what the landmarks of a
# window have in common and of each one's own.
CERTAINTY = -1.2, -0.7, 0.4, 0.65
UPPER_BODY = slice(0, 23)  # face, shoulders, arms and hands
LIMB_LANDMARKS = (
    (13, 15, 17, 19, 21),
    (14, 16, 18, 20, 22),
    (25, 27, 29, 31),
    (26, 28, 30, 32),
    (15, 17, 19, 21),
    (16, 18, 20, 22),
)


def corrupt(exact: ExactLandmarks, noise: Noise, generator: torch.Generator) -> Tensor:
    """Features as the landmark network might give them.

    Args:
        exact: (B, T, 33, ...) where the landmarks are.
        noise: how far the network errs.
        generator: of everything random.

    Returns:
        (B, T, 264) features, see `features.blazepose`.
    """
    batch, frames = exact.depth.shape[:2]
    level = torch.exp(noise.level_std * torch.randn(batch, 1, 1, 1, generator=generator))
    # What lies behind the body's middle is often hidden by it, and what is outside the crop is guessed.
    behind = exact.world[..., 2:].clamp(0, 0.4) / 0.4
    across = (exact.world[..., :2].norm(dim=-1, keepdim=True) < 0.22).float()
    outside = (exact.image.abs() - 1).amax(-1, keepdim=True).clamp(0, 0.3) / 0.3
    hidden = (behind * (0.35 + 0.65 * across) + outside).clamp_max(1.3)  # (B, T, 33, 1)
    amount = level * STRAY[:, None] * (1 + 1.5 * hidden + 2.5 * outside)

    image = exact.image + amount * (
        noise.slow2d * correlated_noise((batch, frames, 33, 2), 0.93, generator)
        + noise.fast2d * torch.randn(batch, frames, 33, 2, generator=generator)
    )
    axes = torch.tensor([1.0, 1.0, noise.depth_gain])
    world = _leaning(exact.world, noise, generator) + amount * axes * (
        noise.slow3d * correlated_noise((batch, frames, 33, 3), 0.93, generator)
        + noise.fast3d * torch.randn(batch, frames, 33, 3, generator=generator)
    )
    tilt = level[..., 0] * math.radians(noise.tilt_std) * correlated_noise((batch, frames, 3), 0.97, generator)
    world = world @ axis_angle_to_rotmat(tilt * torch.tensor([1.0, 1.0, 0.3])).transpose(-1, -2)
    gain = torch.exp(noise.scale_std * torch.randn(batch, 1, 1, 1, generator=generator))
    flat = 0.75 + 0.4 * torch.rand(batch, 1, 1, 1, generator=generator)
    world = world * gain * torch.cat([torch.ones(batch, 1, 1, 2), flat], -1)
    # The image depth is the world depth seen through the same network: it errs alike, and coarser.
    far = exact.world[..., 2:].norm(dim=2, keepdim=True).clamp_min(1e-3)
    half = exact.depth.unsqueeze(-1).norm(dim=2, keepdim=True) / far
    depth = world[..., 2:] * half * (1 + 0.1 * torch.randn(batch, 1, 1, 1, generator=generator))
    depth = depth + 0.05 * level * correlated_noise((batch, frames, 33, 1), 0.9, generator)

    image, world, wrong = _wrong_limbs(image, world, noise.wrong_joint, generator)
    doubt = 2.2 * hidden + 25 * (amount * noise.slow2d - noise.slow2d).clamp_min(0) + 1.5 * wrong
    visibility = torch.sigmoid(5.0 - 2.0 * doubt + 1.2 * correlated_noise((batch, frames, 33, 1), 0.9, generator))
    presence = _presence(image, exact.image, noise.doubted, generator)
    feature = join(Landmarks(image, depth[..., 0], visibility[..., 0], presence, world))
    feature = _swap_sides(feature, noise.swapped, generator)
    return _lose_frames(feature, noise.lost_frames, generator)


def _leaning(world: Tensor, noise: Noise, generator: torch.Generator) -> Tensor:
    """World landmarks (B, T, 33, 3) whose upper bodies are turned about the line of the hips.

    By one angle a window towards the front, as far as the front faces the camera or turns away from it, and back into
    the picture's plane by a share of the angle at which shoulders are nearer to the camera or further off than hips.
    """
    batch = len(world)
    lean = torch.deg2rad(noise.lean + noise.lean_std * torch.randn(batch, 1, generator=generator))
    lost = noise.flattened + noise.flattened_std * torch.randn(batch, 1, generator=generator)
    hips = world[:, :, LANDMARK_HIPS]
    middle = hips.mean(2)
    up = world[:, :, LANDMARK_SHOULDERS].mean(2) - middle
    left = F.normalize(hips[:, :, 0] - hips[:, :, 1], dim=-1)
    away = F.normalize(torch.linalg.cross(left, up), dim=-1)[..., 2]  # how far the front points away from the camera
    tilt = torch.atan2(up[..., 2], up[..., :2].norm(dim=-1))
    angle = lean * away.abs() - lost * tilt * away
    turn = axis_angle_to_rotmat(angle[..., None] * left)
    leaning = world.clone()
    upper = world[:, :, UPPER_BODY] - middle[:, :, None]
    leaning[:, :, UPPER_BODY] = upper @ turn.transpose(-1, -2) + middle[:, :, None]
    return leaning


def _presence(image: Tensor, exact: Tensor, doubted: float, generator: torch.Generator) -> Tensor:
    """How high the heatmaps rise (B, T, 33) at landmarks (B, T, 33, 2): the less, the further these are off.

    Figures fitted to drawn people: the logit's mean and spread by the error, and how it drifts. No heatmap shows what
    lies outside the crop. In a share `doubted` of the windows they rise less for a while, whatever the error.
    """
    batch, frames = image.shape[:2]
    off = (image - exact).norm(dim=-1)
    constant, slope, common, own = CERTAINTY
    drift = own * correlated_noise((batch, frames, 33), 0.9, generator)
    level = common * torch.randn(batch, 1, 1, generator=generator)
    falls = (torch.rand(batch, 1, generator=generator) < doubted) * _stretch(batch, frames, generator)
    falls = falls[..., None] * 3 * torch.rand(batch, 1, 1, generator=generator)
    rises = torch.sigmoid(constant + slope * torch.log(off + 0.01) + drift + level - falls)
    return rises * (image.abs().amax(-1) < 1)


def _wrong_limbs(
    image: Tensor, world: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Throw whole limbs off for a stretch of frames: (image, world, 1 where wrong)."""
    batch, frames = image.shape[:2]
    wrong = torch.zeros(batch, frames, 33, 1)
    for limb in LIMB_LANDMARKS:
        hit = (torch.rand(batch, generator=generator) < share).float()[:, None] * _stretch(batch, frames, generator)
        mask = torch.zeros(33)
        mask[list(limb)] = 1
        mask = hit[:, :, None, None] * mask[:, None]
        throw = torch.randn(batch, 1, 1, 3, generator=generator) * torch.tensor([0.15, 0.15, 0.3])
        world = world + mask * throw
        image = image + mask * throw[..., :2] * 0.8
        wrong = torch.maximum(wrong, mask)
    return image, world, wrong


def _swap_sides(feature: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Exchange left and right for a stretch of frames, as landmark networks do with backs and profiles."""
    batch, frames = feature.shape[:2]
    swapped = join(swap_sides(unpack(feature)))
    hit = (torch.rand(batch, 1, generator=generator) < share) & (_stretch(batch, frames, generator) > 0)
    return torch.where(hit[..., None], swapped, feature)


def _lose_frames(feature: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Replace a stretch of frames by what comes of a crop without the person: another window's landmarks, unsure."""
    batch, frames = feature.shape[:2]
    other = unpack(feature[torch.randperm(batch, generator=generator)].flip(1))
    unsure = torch.rand(2, batch, frames, 33, generator=generator) * 0.5
    lost = join(other._replace(visibility=unsure[0], presence=unsure[1]))
    short = _stretch(batch, frames, generator, longest=5)
    hit = (torch.rand(batch, 1, generator=generator) < share) & (short > 0)
    return torch.where(hit[..., None], lost, feature)


def _stretch(batch: int, frames: int, generator: torch.Generator, longest: int | None = None) -> Tensor:
    """(B, T) with ones over one run of frames of random place and length."""
    length = torch.randint(1, (longest or frames) + 1, (batch, 1), generator=generator)
    first = torch.randint(-(longest or frames) // 2, frames, (batch, 1), generator=generator)
    at = torch.arange(frames)
    return ((at >= first) & (at < first + length)).float()
