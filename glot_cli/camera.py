"""Weak-perspective crop cameras, pinhole image cameras and metres, one into the other.

Conventions: camera frame x right, y down, z forward. Image coordinates are pixels, the principal point is the image
centre (width/2, height/2). A `crop` is a square (centre x, centre y, side) in pixels; crop coordinates run from -1
to 1 over its side. A weak-perspective `camera` (s, tx, ty) maps a body point (X, Y, .) in metres to crop coordinates
s * (X + tx), s * (Y + ty). A focal length is a number, or (N,) for N frames of a lens that zooms.
"""

from __future__ import annotations

import torch
from torch import Tensor

OFFICIAL_FOCAL = 5000.0  # pixels, of the 224-pixel crop; the official network's near-orthographic projection
OFFICIAL_CROP = 224

Focal = float | Tensor


def focal_beside(focal: Focal, values: Tensor) -> Focal:
    """A focal length that goes with values (N, ...): as it is, or (N, 1, ...) with as many axes as they have."""
    if not isinstance(focal, Tensor) or focal.ndim == 0:
        return focal
    return focal.reshape(*focal.shape, *[1] * (values.ndim - focal.ndim))


def project_official(points: Tensor, camera: Tensor) -> Tensor:
    """Project as the official network does in training: pinhole, focal length 5000, over a crop of 224 pixels.

    Args:
        points: (..., K, 3) metres.
        camera: (..., 3) weak-perspective.

    Returns:
        (..., K, 2) crop coordinates.
    """
    s, tx, ty = camera.unbind(-1)
    depth = 2 * OFFICIAL_FOCAL / (OFFICIAL_CROP * s + 1e-9)
    moved = points + torch.stack([tx, ty, depth], dim=-1).unsqueeze(-2)
    return moved[..., :2] / moved[..., 2:] * (OFFICIAL_FOCAL / (OFFICIAL_CROP / 2))


def project_weak(points: Tensor, camera: Tensor) -> Tensor:
    """Weak-perspective projection.

    Args:
        points: (..., K, 3) metres.
        camera: (..., 3).

    Returns:
        (..., K, 2) crop coordinates.
    """
    return camera[..., None, :1] * (points[..., :2] + camera[..., None, 1:])


def project_pinhole(points: Tensor, focal: Focal, centre: Tensor) -> Tensor:
    """Pinhole projection.

    Args:
        points: (..., 3) in the camera's frame, any unit.
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.

    Returns:
        (..., 2) pixels.
    """
    return points[..., :2] / points[..., 2:] * focal_beside(focal, points) + centre


def ray_rotation(pixels: Tensor, focal: Focal, centre: Tensor) -> Tensor:
    """Rotation of least angle that turns the optical axis onto the ray through a pixel.

    A crop around a person off the image centre looks at that person along this ray, so what a network says of the crop
    holds in the frame turned by this rotation. `body.rotations.least_rotation` is the same between any two directions,
    but rounds differently: what was made with either is repeated to the last bit by that one alone, so both stay.

    Args:
        pixels: (..., 2).
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.

    Returns:
        (..., 3, 3).
    """
    ray = torch.nn.functional.normalize(
        torch.cat([(pixels - centre) / focal_beside(focal, pixels), torch.ones_like(pixels[..., :1])], dim=-1), dim=-1
    )
    x, y, z = ray.unbind(-1)
    k = 1 / (1 + z)  # z > 0: what is seen lies in front of the camera
    rows = [1 - x * x * k, -x * y * k, x, -x * y * k, 1 - y * y * k, y, -x, -y, z]
    return torch.unflatten(torch.stack(rows, dim=-1), -1, (3, 3))


def from_crop(points: Tensor, crops: Tensor) -> Tensor:
    """Crop coordinates to pixels of the image.

    Args:
        points: (N, K, 2), -1 to 1 across the crop.
        crops: (N, 3) centre x, centre y and side, pixels.

    Returns:
        (N, K, 2) pixels.
    """
    return crops[:, None, :2] + crops[:, None, 2:] / 2 * points


def to_crop(pixels: Tensor, crops: Tensor) -> Tensor:
    """Pixels of the image to crop coordinates: the inverse of `from_crop`, of the same shapes."""
    return (pixels - crops[:, None, :2]) / (crops[:, None, 2:] / 2)


def translation_from_camera(camera: Tensor, crop: Tensor, pelvis: Tensor, focal: Focal, centre: Tensor) -> Tensor:
    """Translation that puts the body where its weak-perspective camera draws it; exact at the pelvis.

    Args:
        camera: (..., 3) weak-perspective.
        crop: (..., 3) centre x, centre y and side, pixels.
        pelvis: (..., 3) the pelvis joint in the body's own frame, metres.
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.

    Returns:
        (..., 3) metres, to be added to the body's points.
    """
    focal = focal_beside(focal, camera)
    scale = crop[..., 2:] / 2 * camera[..., :1]  # pixels per metre
    pixel = crop[..., :2] + scale * (pelvis[..., :2] + camera[..., 1:])
    depth = focal / scale
    return torch.cat([(pixel - centre) * depth / focal, depth], dim=-1) - pelvis


def camera_from_translation(translation: Tensor, crop: Tensor, pelvis: Tensor, focal: Focal, centre: Tensor) -> Tensor:
    """Inverse of `translation_from_camera`: the weak-perspective camera (..., 3) that agrees at the pelvis.

    Args:
        translation: (..., 3) metres.
        crop: (..., 3) centre x, centre y and side, pixels.
        pelvis: (..., 3) the pelvis joint in the body's own frame, metres.
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.
    """
    position = translation + pelvis
    pixel = project_pinhole(position, focal, centre)
    scale = focal_beside(focal, position) / position[..., 2:]
    shift = (pixel - crop[..., :2]) / scale - pelvis[..., :2]
    return torch.cat([scale / (crop[..., 2:] / 2), shift], dim=-1)


def fit_translation(points: Tensor, pixels: Tensor, weights: Tensor, focal: Focal, centre: Tensor) -> Tensor:
    """Translation that lays a body's points on their pixels, by weighted linear least squares.

    For u = (pixel - centre) / focal the equation X + tx - u (Z + tz) = 0 is linear in t: three unknowns, two equations
    a point.

    Args:
        points: (..., K, 3) metres.
        pixels: (..., K, 2).
        weights: (..., K), 0 or more.
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.

    Returns:
        (..., 3) metres.
    """
    u = (pixels - centre) / focal_beside(focal, pixels)
    w = weights.unsqueeze(-1)
    total = w.sum(-2).clamp_min(1e-9)
    # Normal equations of rows (1, 0, -ux), (0, 1, -uy) with right sides u * Z - X.
    right = u * points[..., 2:] - points[..., :2]
    mean_u = (w * u).sum(-2) / total
    mean_right = (w * right).sum(-2) / total
    du, dr = u - mean_u.unsqueeze(-2), right - mean_right.unsqueeze(-2)
    # Eliminating tx, ty leaves one equation for tz.
    depth = -(w * du * dr).sum((-2, -1)) / (w * du * du).sum((-2, -1)).clamp_min(1e-12)
    shift = mean_right + mean_u * depth.unsqueeze(-1)
    return torch.cat([shift, depth.unsqueeze(-1)], dim=-1)


def fit_weak_perspective(points: Tensor, image: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weak-perspective cameras that lay points best on crop coordinates, by weighted least squares.

    Scales are kept above 0.01, a crop of 200 metres: points that all fall together or lie mirrored have no camera.

    Args:
        points: (..., K, 2 or 3) metres.
        image: (..., K, 2) crop coordinates.
        weights: (..., K), 0 or more; all alike when None.

    Returns:
        (..., 3).
    """
    flat = points[..., :2]
    w = torch.ones_like(flat[..., :1]) if weights is None else weights.unsqueeze(-1)
    w = w / w.sum(-2, keepdim=True)
    mean_p, mean_i = (w * flat).sum(-2, keepdim=True), (w * image).sum(-2, keepdim=True)
    spread = (w * (flat - mean_p).square()).sum((-2, -1)).clamp_min(1e-9)
    s = ((w * (flat - mean_p) * (image - mean_i)).sum((-2, -1)) / spread).clamp_min(0.01)
    return torch.cat([s[..., None], mean_i[..., 0, :] / s[..., None] - mean_p[..., 0, :]], -1)
