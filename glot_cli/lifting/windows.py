"""From features of a track to GLoT's estimates: windows over time, one shape per person.

Shapes: N frames of one person's track.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from glot_cli.body.joints import mirror_rotmat
from glot_cli.lifting import Edges
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.regressors import State


def window_indices(
    segment: Tensor, config: GLoTConfig, step: int = 1, edges: Edges = "replicate", ticks: Tensor | None = None
) -> Tensor:
    """Which frames of a track make up the window of each.

    Args:
        segment: (N,) number of the gap-free stretch a frame lies in; windows never reach beyond their own.
        config: of the network, which says how many frames T a window has.
        step: distance of a window's frames in time: it takes the frames that are nearest.
        edges: what stands where a window would reach beyond its stretch: `replicate` repeats the stretch's first or
            last frame; `official` takes T copies of the middle frame, as the released demo does.
        ticks: (N,) where frames stand in time, ascending; even where None.

    Returns:
        (N, T) indices of frames.
    """
    count = len(segment)
    at = torch.arange(count)
    ticks = at.double() if ticks is None else ticks
    _, index, lengths = torch.unique_consecutive(segment, return_inverse=True, return_counts=True)
    first = (lengths.cumsum(0) - lengths)[index]
    last = first + lengths[index] - 1
    windows = torch.empty(count, config.frames, dtype=torch.long)
    ends = config.frames - 1 - config.middle
    whole = (ticks - step * config.middle >= ticks[first]) & (ticks + step * ends <= ticks[last])
    for place in range(config.frames):  # one at a time: a track may be long
        wanted = ticks + step * (place - config.middle)
        after = torch.searchsorted(ticks, wanted).clamp(max=count - 1)
        before = (after - 1).clamp(min=0)
        nearest = torch.where(wanted - ticks[before] < ticks[after] - wanted, before, after).clamp(first, last)
        windows[:, place] = torch.where(whole, nearest, at) if edges == "official" else nearest
    return windows


@torch.inference_mode()
def estimate(
    network: FoldedGLoT,
    features: Tensor,
    segment: Tensor,
    *,
    step: int = 1,
    edges: Edges = "replicate",
    ticks: Tensor | None = None,
    batch_size: int = 128,
    prepare: Callable[[Tensor], Tensor] | None = None,
    mirror: Callable[[Tensor], Tensor] | None = None,
    rows: Tensor | None = None,
) -> State:
    """GLoT's states of the frames of a track.

    Args:
        network: in evaluation mode.
        features: (N, F) of the frames.
        segment: (N,) number of the gap-free stretch each lies in.
        step: as for `window_indices`.
        edges: likewise.
        ticks: likewise.
        batch_size: windows that are computed at once.
        prepare: makes the network's input of features, frame by frame; None where they are its input.
        mirror: makes of features those of the crops in a mirror. Then two answers are averaged, the second being that
            for the mirrored crop, mirrored back: the same person seen by a network that errs in other ways.
        rows: (R,) the frames whose states are wanted, ascending; all where None.

    Returns:
        (N, .) or (R, .) on the CPU.
    """
    windows = window_indices(segment, network.config, step, edges, ticks)
    if rows is not None:
        needed, windows = torch.unique(windows[rows], return_inverse=True)
        features = features[needed]

    def answer(prepare: Callable[[Tensor], Tensor] | None) -> State:
        final = network.lift_track(features, windows, batch_size, prepare).final
        return State(*(x[:, 0].float().cpu() for x in final))

    if mirror is None:
        return answer(prepare)
    turned = mirror

    def mirrored(features: Tensor) -> Tensor:
        seen = turned(features)
        return prepare(seen) if prepare else seen

    both = zip(answer(prepare), mirror_state(answer(mirrored)), strict=True)
    return State(*((a + b) / 2 for a, b in both))


def mirror_state(state: State) -> State:
    """The states (N, .) of the same people in a mirror. Shapes have no left and right."""
    columns = torch.unflatten(state.pose6d, -1, (24, 3, 2))  # the first two of each rotation's three
    flip = torch.tensor([1.0, -1.0, 1.0], dtype=columns.dtype, device=columns.device)
    return State(mirror_rotmat(columns).flatten(-3), state.shape, state.camera * flip)


def robust_mean(values: Tensor, weights: Tensor, iterations: int = 20) -> Tensor:
    """Weighted geometric median of rows (N, D) with weights (N,): a mean that outliers cannot pull (Weiszfeld 1937)."""
    weights = weights.clamp_min(1e-6)
    centre = (values * weights[:, None]).sum(0) / weights.sum()
    for _ in range(iterations):
        near = weights / (values - centre).norm(dim=-1).clamp_min(1e-3)
        centre = (values * near[:, None]).sum(0) / near.sum()
    return centre
