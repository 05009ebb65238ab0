"""What tests of bodies measure with: angles between rotations, and the surface of the rest pose."""

from __future__ import annotations

import torch
from torch import Tensor

from glot_cli.body.model import Body


def geodesic_angle(a: Tensor, b: Tensor) -> Tensor:
    """(...,) angle in radians, 0 to pi, between rotations a and b (...,3,3).

    2 asin(|a-b|_F / (2 sqrt 2)) is precise for small angles, where the arc cosine of the trace is not; it loses
    precision only within about 1e-3 of pi.
    """
    difference = a - b
    squared = (difference * difference).sum((-2, -1)) / 8  # sin^2 of half the angle
    sine = squared.clamp_min(torch.finfo(a.dtype).tiny).sqrt()
    cosine = (1 - squared).clamp_min(torch.finfo(a.dtype).tiny).sqrt()
    return 2 * torch.atan2(sine, cosine)


def rest_vertices(body: Body, betas: Tensor) -> Tensor:
    """(B,V,3) surface of the rest pose for betas (B,num_betas), from the template and the shape directions alone."""
    planes = body.template_planes + (betas @ body.shape_planes).view(-1, 3, body.num_vertices)
    return planes.transpose(1, 2)
