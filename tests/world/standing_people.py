"""A body that stands before a camera, for tests of worlds."""

from __future__ import annotations

from functools import cache

import torch

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.lifting.yielding import Figure
from glot_cli.world.soles import Soles, soles_of
from glot_cli.world.standing import Sight

HEIGHT, AWAY = 1.4, 4.0  # of the camera, and how far off people are, metres


@cache
def open_body() -> Body:
    return Body.load(weights.locate("open-body"))


@cache
def open_soles() -> Soles:
    return soles_of(open_body())


def standing(count: int) -> Figure:
    """(count) frames of somebody who stands still on the floor, arms out, facing the camera at the world's z axis."""
    rotmat = torch.eye(3).expand(count, 24, 3, 3).clone()
    betas = torch.zeros(10)
    posed = open_soles().body(rotmat[:1], betas[None])
    low = open_soles().points(posed)[0, :, 1].mean()
    transl = torch.tensor([0.3, -float(low), -AWAY]).expand(count, 3).clone()
    return Figure(rotmat, transl, betas)


def level_camera(count: int) -> Sight:
    """A camera HEIGHT above the origin that looks along -z."""
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return Sight(turn.expand(count, 3, 3).clone(), torch.tensor([0.0, HEIGHT, 0.0]).expand(count, 3).clone())


def feet_of(figure: Figure) -> torch.Tensor:
    """(N, 4, 3) soles in the world."""
    soles = open_soles()
    posed = soles.body(figure.rotmat, figure.betas.expand(len(figure.rotmat), -1))
    return soles.points(posed) + figure.transl[:, None]
