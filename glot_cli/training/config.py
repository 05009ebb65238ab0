"""What a training run is: one TOML file, checked against typed fields; unknown keys are errors."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from glot_cli.errors import GlotError
from glot_cli.models.config import GLoTConfig
from glot_cli.training.losses import LossWeights
from glot_cli.training.simulate import Noise, Viewing
from glot_cli.training.windows import Augmentation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


@dataclass(frozen=True)
class TrainConfig:
    """A training run on simulated landmarks.

    motions: motion files, relative to the configuration. rendered: files of rendered pairs mixed in (see `pairs`).
    initial: GLoT weights to start from, instead of random ones.
    steps, batch_size: updates, windows in each. learning_rate falls by cosine to a tenth after `warmup` steps.
    optimizer: `adam` (the paper's) or `muon`, which makes the matrices' updates orthogonal (see `loop.optimizers`).
    mask_ratio: share of frames hidden from the global branch; mask_probability: share of batches that hide any.
    rendered_share: share of a batch drawn from rendered pairs; residual_share: share of the simulated windows whose
    noise is what the landmark network did on a similar rendered pose. vertices: points of the surface in the loss.
    """

    motions: tuple[Path, ...] = ()
    rendered: tuple[Path, ...] = ()
    initial: Path | None = None
    steps: int = 50_000
    batch_size: int = 64
    learning_rate: float = 1e-4
    optimizer: Literal["adam", "muon"] = "adam"
    warmup: int = 500
    weight_decay: float = 0.0
    mask_ratio: float = 0.5
    mask_probability: float = 1.0
    robust_loss: bool = False
    vertices: int = 200
    rendered_share: float = 0.0
    residual_share: float = 0.0
    ema: float = 0.0
    bfloat16: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    model: GLoTConfig = field(default_factory=GLoTConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    augmentation: Augmentation = field(default_factory=Augmentation)
    viewing: Viewing = field(default_factory=Viewing)
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        if self.optimizer not in ("adam", "muon"):
            raise ValueError(f"optimizer must be 'adam' or 'muon', not {self.optimizer!r}")


def load_config(path: Path) -> TrainConfig:
    """Read a TOML configuration. Raises GlotError naming the key that is unknown or of the wrong type."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise GlotError(f"{path}: cannot read the configuration ({error}); give a TOML file") from error
    return _build(TrainConfig, table, str(path), path.parent)


def _build(cls: type[T], table: Mapping[str, Any], where: str, folder: Path) -> T:
    assert is_dataclass(cls)
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise GlotError(f"{where}: unknown key '{key}'; known are {', '.join(sorted(known))}")
        values[key] = _convert(hints[key], value, f"{where}: {key}", folder)
    try:
        return cls(**values)
    except ValueError as error:
        raise GlotError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str, folder: Path) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, where, folder)  # type: ignore[arg-type]
    if hint == tuple[Path, ...] and isinstance(value, list):
        return tuple(folder / Path(v).expanduser() for v in value)
    if hint == Path | None and isinstance(value, str):
        return folder / Path(value).expanduser()
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint == tuple[float, float] and isinstance(value, list) and len(value) == 2:
        return float(value[0]), float(value[1])
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    if hint not in (int, float, bool) and isinstance(value, str):  # a choice: the dataclass itself checks it
        return value
    raise GlotError(f"{where} = {value!r} has the wrong type; expected {getattr(hint, '__name__', hint)}")
