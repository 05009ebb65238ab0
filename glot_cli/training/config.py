"""What a training run is: one TOML file, checked against typed fields; unknown keys are errors."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from glot_cli.errors import InputError, UsageError, one_line
from glot_cli.files.faults import FileFault, damage
from glot_cli.files.opening import expanded, read_bytes
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.motion.sampling import Augmentation
from glot_cli.motion.viewing import Viewing
from glot_cli.training.losses import LossConfig
from glot_cli.training.simulate import Noise

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

CONFIGS = Path(__file__).parent / "configs"
MAX_TEXT = 1 << 16  # bytes of a configuration
MOST_DOTS = 1000  # in one of its lines; the parser takes for ever over a key of very many parts
LARGEST_BATCH = 1 << 16  # windows
MOST_VERTICES = 100_000  # of a surface
_WHOLE = 1 << 31  # beyond this lies no whole number of one
_LARGEST = 1e12  # nor any other beyond this


@dataclass(frozen=True)
class LandmarkData:
    """Training on landmarks, simulated and of drawn people: the `open` preset's.

    Paths are relative to the configuration.

    Attributes:
        motions: files or folders of motions to train on (see `motion.motions`).
        crops: files, or folders of them, that `glot synth crops` made.
        val_motions: motions that validation uses; each file or folder is reported by its name.
        val_crops: crops that validation uses; likewise.
        rendered_share: share of a batch drawn from the crops.
        residual_share: share of the simulated windows whose noise is what the landmark network did on a similar crop.
        vertices: points of the surface in the loss.
        augmentation: how motions are varied.
        viewing: the random cameras and crops.
        noise: errors of the imitated landmark network.
    """

    motions: tuple[Path, ...] = ()
    crops: tuple[Path, ...] = ()
    val_motions: tuple[Path, ...] = ()
    val_crops: tuple[Path, ...] = ()
    rendered_share: float = 0.0
    residual_share: float = 0.0
    vertices: int = 200
    augmentation: Augmentation = field(default_factory=Augmentation)
    viewing: Viewing = field(default_factory=Viewing)
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        if not (0 <= self.rendered_share <= 1 and 0 <= self.residual_share <= 1):
            raise ValueError("rendered_share and residual_share must lie between 0 and 1")
        if not 1 <= self.vertices <= MOST_VERTICES:
            raise ValueError(f"vertices must be a number from 1 to {MOST_VERTICES:,}")


@dataclass(frozen=True)
class DatasetData:
    """Training on features of videos: the paper's. Data sets are names of what `glot data add` took in.

    Attributes:
        with_2d: data sets of which the 2-D joints alone are used (paper: InstaVariety).
        with_3d: those with 3-D joints, and SMPL parameters where they have them (paper, table 1: 3DPW, MPI-INF-3DHP,
            Human3.6M).
        share_2d: share of a batch drawn from `with_2d` (paper: 0.6).
        overlap: share of a window that the next one of the same video repeats (paper: 0).
        without_smpl: data sets whose SMPL parameters are left aside.
        validation: data set that the best weights are chosen by, "" for none.
        body: SMPL of `glot weights add` (paper: neutral).
    """

    with_2d: tuple[str, ...] = ()
    with_3d: tuple[str, ...] = ()
    share_2d: float = 0.6
    overlap: float = 0.0
    without_smpl: tuple[str, ...] = ()
    validation: str = ""
    body: str = "smpl-neutral"

    def __post_init__(self) -> None:
        if not 0 <= self.share_2d <= 1 or not 0 <= self.overlap < 1:
            raise ValueError("share_2d must lie between 0 and 1, overlap between 0 and less than 1")


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The paper's values are those of table 1 on 3DPW.

    Attributes:
        epochs: of training (paper: 50).
        iterations: updates in an epoch (paper: 1000).
        batch_size: windows in an update (paper: 64).
        parts: a batch is drawn and computed in so many parts, whose gradients are added up; with several processes each
            takes its share of them; 0: one a process. The same parts give the same training however many processes
            share them.
        learning_rate: the largest, reached after `warmup` epochs from a tenth of it, falling back to that tenth by
            cosine (paper: 1e-4).
        optimizer: `adam` (the paper's) or `muon`, which makes the matrices' updates orthogonal (see `optim`).
        warmup: epochs (paper: 5).
        weight_decay: of the optimizer (paper: 0; 1e-5 in other tables).
        clip: largest norm of the gradient, 0 for any (the paper's).
        mask_ratio: share of frames hidden from the global branch (paper: 0.5).
        mask_probability: share of parts that hide any (paper: 1).
        regressor: where the global regressor starts: `spin`, SPIN's own as added with `glot weights add` (the paper's),
            or `random`.
        initial: GLoT weights to start from instead.
        validate_from: first epoch, counted from 1, after which the validation data are looked at.
        ema: decay, per update, of the running mean of the weights that is kept; 0 keeps the weights themselves (the
            paper's).
        bfloat16: mixed precision.
        seed: of everything random.
        model: sizes of the network.
        loss: weights of the loss terms.
        landmarks: training on landmarks; this or `datasets`, not both.
        datasets: training on data sets.
    """

    epochs: int = 50
    iterations: int = 1000
    batch_size: int = 64
    parts: int = 0
    learning_rate: float = 1e-4
    optimizer: Literal["adam", "muon"] = "adam"
    warmup: float = 5.0
    weight_decay: float = 0.0
    clip: float = 0.0
    mask_ratio: float = 0.5
    mask_probability: float = 1.0
    regressor: Literal["spin", "random"] = "random"
    initial: Path | None = None
    validate_from: int = 1
    ema: float = 0.0
    bfloat16: bool = False
    seed: int = 0
    model: GLoTConfig = field(default_factory=GLoTConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    landmarks: LandmarkData | None = None
    datasets: DatasetData | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in ("adam", "muon"):
            raise ValueError(f"optimizer must be 'adam' or 'muon', not {self.optimizer!r}")
        if self.regressor not in ("spin", "random"):
            raise ValueError(f"regressor must be 'spin' or 'random', not {self.regressor!r}")
        if (self.landmarks is None) == (self.datasets is None):
            raise ValueError("say what to train on: either [landmarks] or [datasets]")
        if min(self.epochs, self.iterations, self.batch_size, self.validate_from) < 1:
            raise ValueError("epochs, iterations, batch_size and validate_from must be 1 or more")
        if self.batch_size > LARGEST_BATCH:
            raise ValueError(f"batch_size must be {LARGEST_BATCH:,} or less")
        if not (0 <= self.mask_ratio < 1 and 0 <= self.ema < 1):
            raise ValueError("mask_ratio and ema must be 0 or more, and less than 1")
        if not 0 <= self.mask_probability <= 1:
            raise ValueError("mask_probability must lie between 0 and 1")
        if min(self.parts, self.warmup, self.weight_decay, self.clip, self.learning_rate, self.seed) < 0:
            raise ValueError("parts, warmup, weight_decay, clip, learning_rate and seed must be 0 or more")

    @property
    def updates(self) -> int:
        """Of the whole run."""
        return self.epochs * self.iterations


def find_config(name: str) -> Path:
    """The file of a configuration given by path, or by the name of one that comes with glot.

    Raises:
        UsageError: there is none of that name.
    """
    shipped = {path.stem: path for path in sorted(CONFIGS.glob("*.toml"))}
    path = Path(name)
    if os.path.isfile(path) or path.suffix == ".toml":
        return path
    if name not in shipped:
        remedy = f"give a TOML file, or choose one of {', '.join(shipped)}"
        raise UsageError("no such configuration", path=name, remedy=remedy)
    return shipped[name]


def load_config(path: Path, changes: tuple[str, ...] = ()) -> TrainConfig:
    """Read a TOML configuration.

    Args:
        path: the file.
        changes: lines `key = value` that overrule it, e.g. `model.nearby = 2`.

    Raises:
        InputError: the file cannot be read, or a key is unknown or its value cannot be.
        UsageError: a change is no line of TOML.
    """
    try:
        with damage("no configuration that can be read"):
            text = read_bytes(path, MAX_TEXT).decode("utf-8")
            if max(line.count(".") for line in text.splitlines()) > MOST_DOTS:
                raise ValueError(f"has a line with more than {MOST_DOTS:,} dots")
            table = tomllib.loads(text)
    except FileFault as error:
        raise error.about(path, InputError, remedy="give a TOML file") from error
    for change in changes:
        try:
            _merge(table, tomllib.loads(change[:MAX_TEXT]))
        except (ValueError, RecursionError) as error:
            reason = f"{change[:200]}: not a line of TOML ({one_line(error)})"
            raise UsageError(reason, option="changes", remedy="write key = value") from error
    return _build(TrainConfig, table, path)


def _merge(table: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put the changes into the table, into its tables where both have one."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = value


def _build(cls: type[T], table: Mapping[str, Any], path: Path, section: str = "") -> T:
    """An instance of a dataclass from a table of the file at `path`; section: "model: ", for what is wrong there."""
    assert is_dataclass(cls)
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            remedy = f"choose one of {', '.join(sorted(known))}"
            raise InputError(f"{section}unknown key '{key}'", path=path, remedy=remedy)
        values[key] = _convert(hints[key], value, path, f"{section}{key}")
    try:
        return cls(**values)
    except ValueError as error:
        raise InputError(f"{section}{one_line(error, 1000)}", path=path, remedy="correct the configuration") from error


def _convert(hint: Any, value: Any, path: Path, key: str) -> Any:
    """The value of a key as its type hint wants it; paths are made relative to the file."""
    if get_origin(hint) in (Union, types.UnionType):  # X | None: a file says X or says nothing
        (hint,) = (choice for choice in get_args(hint) if choice is not type(None))
    if is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, path, f"{key}: ")  # type: ignore[arg-type]
    if hint == tuple[Path, ...] and isinstance(value, list) and all(map(_is_name, value)):
        return tuple(_relative(v, path) for v in value)
    if hint == tuple[str, ...] and isinstance(value, list) and all(map(_is_name, value)):
        return tuple(value)
    if hint is Path and _is_name(value):
        return _relative(value, path)
    if hint is float and _is_number(value):
        return float(value)
    if hint == tuple[float, float] and isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        return float(value[0]), float(value[1])
    if hint is int and type(value) is int and abs(value) < _WHOLE:
        return value
    if hint in (bool, str) and type(value) is hint:
        return value
    if get_origin(hint) is Literal and isinstance(value, str):  # the dataclass itself checks which
        return value
    expected, given = getattr(hint, "__name__", hint), type(value).__name__ if isinstance(value, list | dict) else value
    if type(value) is int and abs(value) >= _LARGEST:  # Python writes no number of very many digits
        given = "a number so large"
    raise InputError(f"{key} = {str(given)[:100]} cannot be", path=path, remedy=f"give a value of type {expected}")


def _relative(name: str, path: Path) -> Path:
    """The path that a file at `path` names. Raises InputError where it is of somebody who is not there."""
    whole = expanded(name)
    if str(whole).startswith("~"):
        raise InputError(f"there is no home folder for '{name[:100]}'", path=path, remedy="write the whole path")
    return path.parent / whole


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can be."""
    return type(value) in (int, float) and abs(value) < _LARGEST
