"""Heels and toes: the four points of a body that stand on floors, whatever its mesh."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from glot_cli.body.model import Body, BodyOutput

SOLES = ("left_heel", "left_toes", "right_heel", "right_toes")
FEET = ((7, 10), (7, 10), (8, 11), (8, 11))  # joints whose bones carry each foot: ankle, base of the toes
CARRIERS = (7, 10, 8, 11)  # the bone that a point moves with, nearly
REAR, FRONT = 0.25, 0.35  # shares of a foot's length where heel and toes touch the floor
THICKNESS = 0.012  # metres: vertices that are no higher above the lowest one belong to the sole


class Soles(NamedTuple):
    """Where the soles of a body lie.

    Attributes:
        body: the part of it that yields the soles' vertices.
        share: (4, V) of each of these vertices in each point of `SOLES`; rows sum to 1.
    """

    body: Body
    share: Tensor

    def points(self, posed: BodyOutput) -> Tensor:
        """Points (B, 4, 3) of bodies that `self.body` posed, metres, in the order of `SOLES`."""
        assert posed.vertices is not None
        return self.share @ posed.vertices


def soles_of(body: Body) -> Soles:
    """Find the soles of a body in SMPL's format, whose rest pose stands upright and faces +z."""
    vertices, carrier = body.template_planes.T, body.weight_planes.argmax(0)
    picked = []
    for place, joints in enumerate(FEET):
        foot = torch.isin(carrier, torch.tensor(joints)).nonzero()[:, 0]
        _, y, z = vertices[foot].unbind(1)
        if len(foot):
            back, length = z.min(), z.max() - z.min()
            at = z < back + REAR * length if place % 2 == 0 else z > back + (1 - FRONT) * length
            foot = foot[at & (y < y.min() + THICKNESS)]
        if not len(foot):  # of a body that has no such feet, what is nearest to the bone
            foot = (vertices - body.joint_template[CARRIERS[place]]).norm(dim=1).argmin()[None]
        picked.append(foot)
    index = torch.cat(picked)
    owner = torch.repeat_interleave(torch.arange(len(FEET)), torch.tensor([len(p) for p in picked]))
    share = (owner == torch.arange(len(FEET))[:, None]).float()
    return Soles(body.subset(index), share / share.sum(1, keepdim=True))
