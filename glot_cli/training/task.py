"""What the loop asks of a training's data: batches, what an estimate of one is worth, and how good the network is."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from glot_cli.models.glot import Estimate, GLoT


class Task(Protocol):
    """One kind of training data with its losses."""

    feature_dim: int

    def draw(self, update: int, part: int, parts: int) -> tuple[Tensor, Any]:
        """One of the parts of an update's batch; depends on its arguments alone, not on what was drawn before.

        Args:
            update: counted from 0.
            part: counted from 0.
            parts: that the batch has.

        Returns:
            Features (B, T, F) and labels, on the CPU.
        """

    def terms(self, estimate: Estimate, labels: Any, dropped: Tensor | None) -> dict[str, Tensor]:
        """Weighted loss terms of both branches, named branch.term.

        Args:
            estimate: the network's answer to the features that `draw` gave.
            labels: what it gave with them.
            dropped: (B, T) 1 in frames that were hidden; None: none were.
        """

    def mean_state(self) -> Tensor:
        """(157,) pose6d, shape, camera from which the first regressor starts."""

    def validate(self, model: GLoT) -> dict[str, float]:
        """Errors on data that are not trained on, the first being what the best weights are chosen by; may be none."""


def share(count: int, part: int, parts: int) -> range:
    """Which of `count` things belong to one of the parts; the numbers of two parts differ by one at most."""
    return range(count * part // parts, count * (part + 1) // parts)


def near_middle(frames: int) -> slice:
    """The three frames of a window that the local branch answers for in training."""
    return slice(frames // 2 - 1, frames // 2 + 2)
