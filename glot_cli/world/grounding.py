"""Which way is up for a body, and which of its heels and toes rest: read from how it is bent and how it moves.

Two small networks over time, trained on open motion capture that was seen through simulated errors of all that comes
before (`weights/recipes/make_grounding.py`). The first works in the frame of the pelvis, so that it matters not how the
camera stands; the second in the world that up makes of it, one foot at a time, the right one in a mirror.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glot_cli.body.rotations import rotmat_to_axis_angle, rotmat_to_pose6d, slerp

RATE = 30.0  # frames a second that the networks know
BENT = tuple(range(1, 22))  # joints whose rotations tell of up: all but the pelvis and the hands
FAST = 5.0  # metres or radians a second; what is faster is taken for this
LOW = 0.2  # the share of frames whose lowest point may lie under what is taken for the floor at first
SPREADS = -3.5, 1.0  # logarithms of the least and the greatest spread that training knows, of radians
STANDING = 0.93  # of soles of who stands still, share at rest
STILL_SPEED = 0.2  # metres a second of a pelvis that hardly stands still
PACE = 1.0  # seconds over which its speed is taken
OTHER_FOOT_FIRST = [2, 3, 0, 1]  # of the four points of both feet


class Gait(NamedTuple):
    """How a person moves: N frames at RATE, in axes that do not turn with the camera.

    Attributes:
        rotmat: (N, 24, 3, 3) local rotations, that of the pelvis to these axes.
        pelvis: (N, 3) metres.
        soles: (N, 4, 3) points of `soles.SOLES`, metres.
        ray: (N, 3) unit vectors along which the camera sees the pelvis.
    """

    rotmat: Tensor
    pelvis: Tensor
    soles: Tensor
    ray: Tensor

    def turned(self, axes: Tensor) -> Gait:
        """The same in other axes: (3, 3) from these to those."""
        rotmat = torch.cat([(axes @ self.rotmat[:, 0])[:, None], self.rotmat[:, 1:]], 1)
        return Gait(rotmat, self.pelvis @ axes.mT, self.soles @ axes.mT, self.ray @ axes.mT)


def upright_input(walk: Gait) -> Tensor:
    """(N, 159) for `Upright`: rotations of joints; feet, velocities and the line of sight seen by the pelvis."""
    turns = walk.rotmat[1:, 0] @ walk.rotmat[:-1, 0].mT
    turning = torch.cat([rotmat_to_axis_angle(turns), torch.zeros(1, 3)]) * RATE
    vectors = [
        walk.soles - walk.pelvis[:, None],
        _velocity(walk.soles),
        _velocity(walk.pelvis)[:, None],
        turning[:, None].clamp(-FAST, FAST),
        walk.ray[:, None],
    ]
    seen = torch.cat(vectors, 1) @ walk.rotmat[:, 0]  # of rows: the inverse rotation of each
    return torch.cat([rotmat_to_pose6d(walk.rotmat[:, list(BENT)]).flatten(1), seen.flatten(1)], 1)


def contact_input(walk: Gait) -> Tensor:
    """(2, N, 38) for `Contact`, of a walk in axes whose y is up: for the left foot, and for the right one in a mirror.

    Heights above the provisional floor and above the lowest point, velocities, and places beside the pelvis, across,
    up and ahead of how the body faces.
    """
    ahead = F.normalize(walk.rotmat[:, 0, ::2, 2], dim=-1)  # (N, 2) of x and z
    lowest = walk.soles[..., 1].amin(1)
    floor = lowest.quantile(LOW)

    def faced(vectors: Tensor) -> Tensor:
        """Vectors (N, K, 3) as across, up and ahead."""
        x, y, z = vectors.unbind(-1)
        along, beside = ahead[:, None].unbind(-1)
        return torch.stack([x * beside - z * along, y, x * along + z * beside], -1)

    height = (walk.soles[..., 1] - floor).clamp(-0.5, 1.0)
    above = (walk.soles[..., 1] - lowest[:, None]).clamp(0, 1.0)
    moving, going = faced(_velocity(walk.soles)), faced(_velocity(walk.pelvis)[:, None])
    ray, place = faced(walk.ray[:, None]), faced(walk.soles - walk.pelvis[:, None])
    both = []
    for order, mirror in (([0, 1, 2, 3], 1.0), (OTHER_FOOT_FIRST, -1.0)):
        flip = torch.tensor([mirror, 1.0, 1.0])
        vectors = torch.cat([moving[:, order], going, ray, place[:, order]], 1) * flip
        both.append(torch.cat([height[:, order], above[:, order], vectors.flatten(1)], 1))
    return torch.stack(both)


def _velocity(points: Tensor) -> Tensor:
    """Metres a second of points (N, ..., 3), between the frames before and after; no more than FAST."""
    ends = torch.cat([points[:1], points, points[-1:]])
    moved = ends[2:] - ends[:-2]
    moved[1:-1] /= 2
    return (moved * RATE).clamp(-FAST, FAST)


class Temporal(nn.Module):
    """Dilated convolutions over time (van den Oord et al., 2016), each of which adds to what came before.

    Args:
        inputs: numbers of a frame.
        outputs: likewise.
        width: channels between.
        reaches: distances in frames of what each layer looks at.
        dropout: share of channels that training leaves out.
    """

    __call__: Callable[..., Tensor]

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, outputs: int, width: int, reaches: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.first = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=reach) for reach in reaches)
        self.last = nn.Linear(width, outputs)
        self.dropout = nn.Dropout(dropout)
        self.reaches = tuple(reaches)

    def forward(self, values: Tensor) -> Tensor:
        """(B, N, inputs) to (B, N, outputs)."""
        x = self.dropout(self.first((values - self.mean) / self.scale)).mT
        for layer, reach in zip(self.layers, self.reaches, strict=True):
            x = x + self.dropout(F.gelu(layer(F.pad(F.gelu(x), (reach, reach), mode="replicate"))))
        answer: Tensor = self.last(F.gelu(x).mT)
        return answer


class Upright(Temporal):
    """Up in the frame of the pelvis (3, a correction of the pelvis's own y) and the logarithm of its spread."""

    def __init__(self) -> None:
        super().__init__(6 * len(BENT) + 3 * 11, 4, 64, (1, 3, 9), 0.3)


class Contact(Temporal):
    """Logits of a foot's heel and toes resting."""

    def __init__(self) -> None:
        super().__init__(8 + 3 * 10, 2, 48, (1, 2, 4), 0.2)


class Grounding(nn.Module):
    """Both networks."""

    def __init__(self) -> None:
        super().__init__()
        self.upright, self.contact = Upright(), Contact()

    @classmethod
    def load(cls, path: Path) -> Grounding:
        """Read the weights. Raises OSError or SafetensorError where they are not there."""
        from safetensors.torch import load_file

        network = cls()
        network.load_state_dict(load_file(path))
        return network.eval().requires_grad_(False)

    @torch.inference_mode()
    def up(self, walk: Gait) -> tuple[Tensor, Tensor]:
        """Up (N, 3) in the axes of the walk, unit vectors, and their spread (N, 1) in either direction, radians."""
        answer = self.upright(upright_input(walk)[None])[0]
        up = (walk.rotmat[:, 0] @ own_up(answer).unsqueeze(-1)).squeeze(-1)
        return up, answer[:, 3:].clamp(*SPREADS).exp()

    @torch.inference_mode()
    def contacts(self, walk: Gait) -> Tensor:
        """Probabilities (N, 4) that `soles.SOLES` rest, of a walk whose y is up."""
        return torch.cat(torch.sigmoid(self.contact(contact_input(walk))).unbind(0), -1)


def stillness(places: Tensor) -> Tensor:
    """How far (n, 1) a body whose pelvis (n, 3) moves at RATE, y up, stands where it is: 1 if it does, 0 if it walks.

    In open motion capture heels and toes rest in 88 % of frames in which the pelvis goes at less than 0.05 m/s over the
    floor, in 74 % up to 0.1, in 55 % up to 0.15, and from there to walking pace in 35 to 43 %, whatever the speed.
    STILL_SPEED is a little more: a pelvis below which no legs are seen seems to waver.
    """
    reach = round(PACE * RATE / 2)
    frames = torch.arange(len(places))
    before, after = (frames - reach).clamp_min(0), (frames + reach).clamp_max(len(places) - 1)
    moved = (places[after] - places[before])[:, ::2].norm(dim=1, keepdim=True)
    speed = moved * RATE / (after - before).clamp_min(1)[:, None]
    return torch.exp(-((speed / STILL_SPEED) ** 2))


def own_up(answer: Tensor) -> Tensor:
    """Up (..., 3) in the pelvis's frame, of what `Upright` answers (..., 4)."""
    return F.normalize(answer[..., :3] + answer.new_tensor([0.0, 1.0, 0.0]), dim=-1)


def resampled(walk: Gait, seconds: Tensor) -> tuple[Gait, Tensor]:
    """A walk of frames at any times (N,), ascending, at RATE, and the times (n,) of its frames."""
    times = torch.arange(float(seconds[0]), float(seconds[-1]) + 0.5 / RATE, 1 / RATE, dtype=seconds.dtype)
    low, part = _between(seconds, times)
    high = (low + 1).clamp_max(len(seconds) - 1)

    def mixed(values: Tensor) -> Tensor:
        share = part.view(-1, *[1] * (values.dim() - 1)).to(values.dtype)
        return values[low] + share * (values[high] - values[low])

    rotmat = slerp(walk.rotmat[low], walk.rotmat[high], part.float()[:, None].expand(-1, walk.rotmat.shape[1]))
    return Gait(rotmat, mixed(walk.pelvis), mixed(walk.soles), F.normalize(mixed(walk.ray), dim=-1)), times


def at_times(values: Tensor, times: Tensor, seconds: Tensor) -> Tensor:
    """Values (n, C) at times (n,), ascending, between them at others (N,): (N, C)."""
    low, part = _between(times, seconds)
    high = (low + 1).clamp_max(len(times) - 1)
    return values[low] + part.to(values.dtype)[:, None] * (values[high] - values[low])


def _between(times: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The last of `times` (n,) at or before each wanted one (m,), and the share of the way to the next, both (m,)."""
    low = (torch.searchsorted(times, wanted, right=True) - 1).clamp(0, max(len(times) - 2, 0))
    if len(times) < 2:
        return low, torch.zeros_like(wanted)
    return low, ((wanted - times[low]) / (times[low + 1] - times[low])).clamp(0, 1)
