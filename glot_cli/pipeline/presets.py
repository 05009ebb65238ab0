"""What a preset is: which weights, and how a feature and a body are made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from glot_cli import weights
from glot_cli.errors import UsageError
from glot_cli.weights.known_weights import OFFICIAL

OFFICIAL_GLOT = "glot"  # stands for whichever official checkpoint was added
DEFAULT_CHECKPOINT = "glot-table1_3dpw_weights"  # where several were: the one of the paper's first table

BODIES = {"open": "open-body", "smpl": "smpl"}
GENDERS = ("neutral", "male", "female")


@dataclass(frozen=True)
class Preset:
    """Names of weight files (see `weights`), and what the pipeline must know of them.

    kind: what features are and how they are lifted: `landmarks` of BlazePose, bodies laid on the picture afterwards, or
    `image` features of SPIN, GLoT's numbers kept as they are.
    window_fps: frames per second that the temporal model was trained at; windows take every n-th frame of a faster
    video.
    shape_space: the body whose shape components the network speaks in.
    helpers: further files that must be there.
    """

    name: str
    kind: Literal["landmarks", "image"]
    detector: str
    features: str
    glot: str
    body: str
    shape_space: str
    window_fps: float
    helpers: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that a run needs."""
        return (self.detector, self.features, *self.lifting_files)

    @property
    def lifting_files(self) -> tuple[str, ...]:
        """Those that are needed where features are there already."""
        return (self.glot, *self.helpers, self.body)


PRESETS = {
    "open": Preset(
        name="open",
        kind="landmarks",
        detector="person-detector",
        features="blazepose-full",
        glot="glot-open",
        body="open-body",
        shape_space="open-body",
        window_fps=30.0,
    ),
    "paper": Preset(
        name="paper",
        kind="image",
        detector="person-detector",
        features="spin",
        glot=OFFICIAL_GLOT,
        body="smpl-neutral",
        shape_space="smpl",
        window_fps=30.0,
        helpers=("mean-params",),
    ),
}


def choose(
    name: str,
    *,
    body: str | None = None,
    gender: str | None = None,
    glot: str | None = None,
    pictures: bool = True,
) -> Preset:
    """A preset with parts exchanged, once all that it names is there.

    body: `open`, `smpl` or a file; gender of SMPL; glot: a checkpoint that was added, or a file; pictures: False where
    features are there already and nothing that looks at pictures is needed. Raises UsageError when they do not fit or a
    file is missing.
    """
    if name not in PRESETS:
        raise UsageError(f"--preset {name}: unknown; there is {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if body is not None:
        preset = replace(preset, body=BODIES.get(body, body))
    if gender is not None and gender not in GENDERS:
        raise UsageError(f"--gender {gender}: unknown; there is {', '.join(GENDERS)}")
    if preset.body in ("smpl", "smpl-neutral"):
        preset = replace(preset, body=f"smpl-{gender or 'neutral'}")
    elif gender is not None:
        raise UsageError(f"--gender {gender}: only SMPL has genders; use it with --body smpl")
    if glot is not None:
        named = f"{OFFICIAL_GLOT}-{glot}"
        preset = replace(preset, glot=named if named in checkpoints() else glot)
    _require(preset, name, preset.files if pictures else preset.lifting_files)
    return replace(preset, glot=official_checkpoint()) if preset.glot == OFFICIAL_GLOT else preset


def checkpoints() -> list[str]:
    """Names of the official GLoT checkpoints that were added."""
    return [name for name in weights.added() if name.startswith(f"{OFFICIAL_GLOT}-")]


def official_checkpoint() -> str:
    """The official checkpoint that is used where none is named. Raises UsageError where that is not clear."""
    there = checkpoints()
    if DEFAULT_CHECKPOINT in there:
        return DEFAULT_CHECKPOINT
    if len(there) == 1:
        return there[0]
    names = " or ".join(map(short_name, there))
    raise UsageError(f"several GLoT checkpoints were added; choose one with --glot {names}")


def short_name(checkpoint: str) -> str:
    """What a user calls an official checkpoint: the name of its file without endings."""
    return checkpoint.removeprefix(f"{OFFICIAL_GLOT}-")


def absent(files: tuple[str, ...]) -> list[str]:
    """Those of some weight files that nobody has brought yet."""
    there = {*weights.manifest(), *weights.added()}
    if checkpoints():
        there.add(OFFICIAL_GLOT)
    return [name for name in files if name not in there]


def still_wanted(preset: str) -> str:
    """Original names of the files that a preset still lacks, with commas; empty when it has all."""
    return ", ".join(OFFICIAL[name].originals[0] for name in absent(PRESETS[preset].files))


def _require(preset: Preset, name: str, files: tuple[str, ...]) -> None:
    missing = []
    for file in absent(files):
        if file in OFFICIAL:
            missing.append(f"{OFFICIAL[file].originals[0]} ({OFFICIAL[file].role})")
        elif not Path(file).expanduser().is_file():
            option = "--body" if file == preset.body else "--glot"
            known = "open, smpl" if option == "--body" else ", ".join(map(short_name, checkpoints())) or "none yet"
            raise UsageError(f"{option} {file}: no such file, and no such name; there is {known}")
    if missing:
        other = "" if name == "open" else "; without them, --preset open works at once"
        raise UsageError(
            f"--preset {name}: needs files that glot may not bring along: {', '.join(missing)}; 'glot weights list' "
            f"says where to get them, 'glot weights add FILE...' takes them in{other}"
        )
