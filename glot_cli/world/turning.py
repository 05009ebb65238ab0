"""How a camera turned, zoomed and moved between two pictures or more, from corners seen in them.

Corners are in pixels from the centre of the picture. A camera turned by R and moved to C sees what lies at depth 1 / r
along the ray a (its third number is 1) along R (a - r C).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

STEPS = 12  # of Gauss and Newton
LEAST_NOISE, MOST_NOISE = 0.1, 1.0  # small pixels, of a corner in either direction
FAR = 3.0  # standard deviations of a corner beyond which it says little
DEPTHS = 0.7  # standard deviation of inverse depths, of their mean; so the unit is the scene's usual depth
REACH = 1.0  # and of the camera's places, in that unit


class Turned(NamedTuple):
    """A camera that turned where it stood.

    Attributes:
        rotation: (3, 3) from the first picture's axes to the second's.
        zoom: focal length of the second over that of the first.
        missed: (n,) by how many pixels each corner lies elsewhere.
    """

    rotation: Floats
    zoom: float
    missed: Floats


class Travelled(NamedTuple):
    """A camera that turned and moved, L pictures of P corners.

    Attributes:
        rotations: (L, 3, 3) from the keyframe's axes to each picture's.
        places: (L, 3) of the camera, in the keyframe's axes; the unit is the usual depth of the corners.
        nearness: (P,) inverse depths of the corners in the keyframe.
        missed: (L, P) by how many pixels each corner lies elsewhere; NaN where it was not seen.
        cost: what is left unexplained; less is better, of the same corners.
    """

    rotations: Floats
    places: Floats
    nearness: Floats
    missed: Floats
    cost: float


class Start(NamedTuple):
    """Where to begin to look for how a camera moved: as in `Travelled`."""

    rotations: Floats
    places: Floats
    nearness: Floats


def rays_of(pixels: Floats, focal: float) -> Floats:
    """(..., 3) rays with a third number of 1, through pixels (..., 2) from the centre."""
    return np.concatenate([pixels / focal, np.ones_like(pixels[..., :1])], -1)


def nearest_rotation(matrix: Floats) -> Floats:
    """The rotation (3, 3) most like a matrix."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right)


def turn(before: Floats, after: Floats, homography: Floats, focal: float, noise: float, *, zooms: bool) -> Turned:
    """How a camera turned where it stood.

    Args:
        before: (n, 2) corners, pixels from the centre.
        after: (n, 2) the same in the second picture.
        homography: (3, 3) from the one to the other, of pixels from the centre: where to begin.
        focal: focal length, pixels.
        noise: standard deviation of corners, pixels.
        zooms: whether the focal length may have changed.
    """
    camera = np.array([focal, focal, 1.0])
    matrix = homography * camera / camera[:, None]
    matrix = matrix / np.cbrt(np.linalg.det(matrix))
    zoom = float(np.sqrt(np.prod(np.linalg.norm(matrix[:2], axis=1))) / np.linalg.norm(matrix[2])) if zooms else 1.0
    zoom = float(np.clip(zoom, 0.2, 5.0))
    rotation = nearest_rotation(matrix / np.array([zoom, zoom, 1.0])[:, None])
    rays = rays_of(before, focal)
    scale = np.inf
    for _ in range(STEPS):
        seen, slopes = _seen(rays @ rotation.T, focal * zoom)
        error = after - seen
        missed = np.hypot(*error.T)
        scale = max(FAR * noise, min(scale / 2, 2 * float(np.median(missed))))
        weights = 1 / (1 + (missed / scale) ** 2) ** 2  # Geman and McClure
        design = np.concatenate([slopes, seen[..., None]], -1)[..., : 4 if zooms else 3]
        normal = np.einsum("n,nij,nik->jk", weights, design, design)
        step = np.linalg.solve(
            normal + 1e-9 * np.trace(normal) * np.eye(len(normal)), np.einsum("n,nij,ni->j", weights, design, error)
        )
        rotation = Rotation.from_rotvec(step[:3]).as_matrix() @ rotation
        if zooms:
            zoom = float(np.clip(zoom * np.exp(np.clip(step[3], -0.5, 0.5)), 0.2, 5.0))
        if scale <= FAR * noise and np.abs(step).max() < 1e-7:
            break
    missed = np.hypot(*(after - _seen(rays @ rotation.T, focal * zoom)[0]).T)
    return Turned(rotation, zoom, missed)


def travel(before: Floats, after: Floats, start: Start, focal: float, noise: float) -> Travelled:
    """How a camera turned and moved, and how far away corners are: all at once, by damped least squares.

    Args:
        before: (P, 2) corners of the keyframe, pixels from the centre.
        after: (L, P, 2) the same in other pictures; NaN where they were not seen.
        start: where to begin.
        focal: focal length, pixels.
        noise: standard deviation of corners, pixels.
    """
    rays = rays_of(before, focal)
    there = np.isfinite(after[..., 0])
    filled = np.where(there[..., None], after, 0.0)
    rotations, places, nearness = start
    damping, scale = 1e-3, np.inf

    def misses(turns: Floats, at: Floats, near: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        turned = np.einsum("lij,lpj->lpi", turns, rays - near[:, None] * at[:, None])
        seen, slopes = _seen(turned, focal)
        return filled - seen, np.where(there, np.hypot(*np.moveaxis(filled - seen, -1, 0)), 0.0), slopes, turned

    def cost(missed: Floats, at: Floats, near: Floats) -> float:
        ratio = (missed[there] / scale) ** 2
        held = (((near - 1) / DEPTHS) ** 2).sum() + ((at / REACH) ** 2).sum()
        return float((scale**2 * ratio / (1 + ratio)).sum() / noise**2 + held)

    error, missed, slopes, turned = misses(rotations, places, nearness)
    for _ in range(4 * STEPS):
        scale = max(FAR * noise, min(scale / 2, 3 * float(np.median(missed[there]))))
        weights = np.where(there, 1 / (1 + (missed / scale) ** 2) ** 2, 0.0) / noise**2
        # A step of the camera C moves what is seen as a turn does: slopes say how pixels move with the turned ray.
        by_ray = _by_ray(turned, focal)
        by_place = -nearness[None, :, None, None] * np.einsum("lpij,ljk->lpik", by_ray, rotations)
        by_near = -np.einsum("lpij,ljk,lk->lpi", by_ray, rotations, places)
        design = np.concatenate([slopes, by_place], -1)  # (L, P, 2, 6)
        cameras = np.einsum("lp,lpij,lpik->ljk", weights, design, design)
        pull = np.einsum("lp,lpij,lpi->lj", weights, design, error)
        cameras[:, range(3, 6), range(3, 6)] += REACH**-2
        pull[:, 3:] -= places / REACH**2
        depths = np.einsum("lp,lpi,lpi->p", weights, by_near, by_near) + DEPTHS**-2
        deepen = np.einsum("lp,lpi,lpi->p", weights, by_near, error) - (nearness - 1) / DEPTHS**2
        both = np.einsum("lp,lpij,lpi->ljp", weights, design, by_near).reshape(-1, len(before))
        before_cost = cost(missed, places, nearness)
        for _ in range(6):
            whole = np.zeros((len(after), 6, len(after), 6))
            index = np.arange(len(after))
            whole[index, :, index] = cameras * (1 + damping * np.eye(6))
            stiff = depths * (1 + damping)
            system = whole.reshape(6 * len(after), -1) - (both / stiff) @ both.T
            step = np.linalg.solve(
                system + 1e-9 * np.trace(system) / len(system) * np.eye(len(system)),
                pull.reshape(-1) - both @ (deepen / stiff),
            )
            nearer = nearness + (deepen - both.T @ step) / stiff
            moves = step.reshape(-1, 6)
            turns = Rotation.from_rotvec(moves[:, :3]).as_matrix() @ rotations
            at = places + moves[:, 3:]
            tried = misses(turns, at, nearer)
            if cost(tried[1], at, nearer) < before_cost:
                damping = max(damping / 5, 1e-8)
                break
            damping *= 8
        else:
            if scale <= FAR * noise:
                break
            continue
        gain = before_cost - cost(tried[1], at, nearer)
        rotations, places, nearness = turns, at, nearer
        error, missed, slopes, turned = tried
        if scale <= FAR * noise and gain < 1e-3 * before_cost:
            break
    scale = FAR * noise
    left = cost(missed, places, nearness)
    return Travelled(rotations, places, nearness, np.where(there, missed, np.nan), left)


def starts(before: Floats, after: Floats, homography: Floats, turned: Floats, focal: float) -> list[Start]:
    """What two pictures may say of a camera's motion, roughly, each with one picture.

    Args:
        before: (n, 2) corners, pixels from the centre.
        after: (n, 2) the same in the second picture.
        homography: (3, 3) from the one to the other, of pixels from the centre.
        turned: (3, 3) how the camera turned, if it did not move.
        focal: focal length, pixels.
    """
    rays = rays_of(before, focal)
    found = [Start(turned[None], np.zeros((1, 3)), np.ones(len(rays)))]
    camera = np.diag([focal, focal, 1.0])
    # All on one plane: at most two ways to see it from before.
    _, rotations, shifts, normals = cv2.decomposeHomographyMat(homography, camera)
    for rotation, shift, normal in zip(rotations, shifts, normals, strict=True):
        near = (rays @ normal).ravel()
        if np.median(near) > 0.05:
            found.append(_start(rotation, (-rotation.T @ shift).ravel(), near))
    matrix, _ = cv2.findEssentialMat(before, after, camera, cv2.USAC_MAGSAC, 0.99, 1.0)
    if matrix is not None and matrix.shape == (3, 3):
        _, rotation, shift, _ = cv2.recoverPose(matrix, before, after, camera)
        place = (-rotation.T @ shift).ravel()
        seen = rays_of(after, focal) @ rotation
        # seen x (ray - near * place) = 0
        first, second = np.cross(seen, rays), np.cross(seen, place)
        found.append(_start(rotation, place, (first * second).sum(1) / np.maximum((second**2).sum(1), 1e-9)))
    return found


def _start(rotation: NDArray[Any], place: NDArray[Any], nearness: NDArray[Any]) -> Start:
    """In the usual unit; what lies behind the camera, or too near, is put at its border."""
    unit = max(float(np.median(nearness)), 1e-6)
    return Start(rotation[None], place[None] * unit, np.clip(nearness / unit, 0.1, 4.0))


def _by_ray(rays: Floats, focal: float) -> Floats:
    """(..., 2, 3) how pixels move with the ray (..., 3) through them."""
    depth = np.maximum(rays[..., 2], 1e-3)
    zero = np.zeros_like(depth)
    first = np.stack([1 / depth, zero, -rays[..., 0] / depth**2], -1)
    second = np.stack([zero, 1 / depth, -rays[..., 1] / depth**2], -1)
    return focal * np.stack([first, second], -2)


def _seen(rays: Floats, focal: float) -> tuple[Floats, Floats]:
    """Pixels (..., 2) of rays (..., 3), and (..., 2, 3) how they move with a small turn of the camera's axes."""
    depth = np.maximum(rays[..., 2:], 1e-3)
    x, y = np.moveaxis(rays[..., :2] / depth, -1, 0)
    slopes = np.stack([np.stack([-x * y, 1 + x * x, -y], -1), np.stack([-1 - y * y, x * y, x], -1)], -2)
    return focal * rays[..., :2] / depth, focal * slopes
