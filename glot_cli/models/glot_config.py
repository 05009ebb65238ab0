"""Sizes and switches of the network in one frozen record, stored beside the weights it describes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

POSE6D_DIM = 144  # 24 joints x 6
SHAPE_DIM = 10
CAMERA_DIM = 3
STATE_DIM = POSE6D_DIM + SHAPE_DIM + CAMERA_DIM

_CHOICES = {
    "hscr_columns": ("official", "joint"),
    "branches": ("both", "global", "local"),
    "mask_token": ("template", "learned", "none"),
    "correction": ("hierarchical", "plain"),
}
_LARGEST = {  # beyond these nobody has a network, nor the memory for one
    "feature_dim": 1 << 16, "frames": 1024, "global_dim": 1 << 14, "global_layers": 128, "decoder_dim": 1 << 14,
    "decoder_layers": 128, "local_dim": 1 << 14, "local_layers": 128, "nearby": 1024, "heads": 1024,
    "regressor_dim": 1 << 14, "iterations": 128,
}  # fmt: skip
_SHARES = ("dropout", "drop_path", "regressor_dropout")


@dataclass(frozen=True)
class GLoTConfig:
    """Configuration of GLoT; the defaults are the published model (16.74 M learned parameters).

    Attributes:
        feature_dim: numbers a frame.
        frames: of a window.
        global_dim: width of the global encoder.
        global_layers: its blocks.
        decoder_dim: width of its decoder.
        decoder_layers: blocks of that.
        local_dim: width of the local encoder.
        local_layers: its blocks.
        nearby: frames on each side of the middle one that the local encoder sees.
        heads: of every attention.
        regressor_dim: hidden width of both regressors.
        iterations: corrections that the global regressor adds up.
        hscr_columns: which columns of the global pose joint j of the spatial regressor reads. `joint` takes its own
            six, 6j..6j+6; `official` takes j..j+6, as the released code does and as its checkpoints were trained.
        dropout: probability, used in training alone, as are the next two.
        drop_path: of dropping a whole residual branch.
        regressor_dropout: in the regressors.
        branches: `both`; `global` answers with the global branch's estimate; `local` has no memory to look back to and
            corrects the mean parameters. This and the next two are what the paper takes away to see what it is worth;
            the defaults are as published.
        mask_token: what stands for a frame that training hides: `template` is made of the mean body parameters,
            `learned` is a vector of its own, `none` is nothing but the frame's position.
        correction: `hierarchical` lets a joint see what was corrected above it in the kinematic tree (HSCR), `plain`
            not.

    Raises:
        ValueError: a value cannot be.
    """

    feature_dim: int = 2048
    frames: int = 16
    global_dim: int = 512
    global_layers: int = 2
    decoder_dim: int = 256
    decoder_layers: int = 1
    local_dim: int = 256
    local_layers: int = 3
    nearby: int = 4
    heads: int = 8
    regressor_dim: int = 1024
    iterations: int = 3
    hscr_columns: Literal["official", "joint"] = "official"
    dropout: float = 0.1
    drop_path: float = 0.2
    regressor_dropout: float = 0.25
    branches: Literal["both", "global", "local"] = "both"
    mask_token: Literal["template", "learned", "none"] = "template"
    correction: Literal["hierarchical", "plain"] = "hierarchical"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, not {getattr(self, name)!r}")
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= largest:
                raise ValueError(f"{name} must be a whole number from 1 to {largest}")
        for name in _SHARES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"{name} must be 0 or more, and less than 1")
        if not 1 <= self.nearby <= self.frames - 1 - self.middle:
            raise ValueError(f"nearby={self.nearby} frames do not fit on both sides of frame {self.middle}")

    @property
    def middle(self) -> int:
        """Index of the frame of a window that the network answers for."""
        return self.frames // 2

    @property
    def local_slice(self) -> slice:
        """The frames of a window that the local branch sees."""
        return slice(self.middle - self.nearby, self.middle + self.nearby + 1)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
