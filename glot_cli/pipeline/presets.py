"""What a preset is: which weights, and how a feature and a body are made of them.

Nothing heavy is imported here: what a preset lacks is said before PyTorch is loaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.util import find_spec

from glot_cli import weights
from glot_cli.errors import UsageError
from glot_cli.features import extractor
from glot_cli.files.opening import expanded
from glot_cli.weights.known_weights import OFFICIAL_WEIGHTS

OFFICIAL_GLOT = "glot"  # stands for whichever official checkpoint was added
DEFAULT_CHECKPOINT = "glot-table1_3dpw_weights"  # where several were: the one of the paper's first table

BODIES = {"open": "open-neutral", "smpl": "smpl-neutral"}
GENDERS = ("neutral", "male", "female")
OPEN_SHAPES = "open-body"  # the body in whose shape space networks speak of all open bodies


@dataclass(frozen=True)
class Preset:
    """Names of weight files (see `weights`), and what the pipeline must know of them.

    Attributes:
        name: of the preset.
        extractor: name of the feature extractor; see `features.extractor`.
        detector: finds people.
        features: weights of the extractor.
        glot: the temporal network.
        body: that is posed.
        shape_space: the body whose shape components the network speaks in.
        window_fps: frames per second that the temporal network was trained at; windows take every n-th frame of a
            faster video.
        helpers: further files that must be there.
    """

    name: str
    extractor: str
    detector: str
    features: str
    glot: str
    body: str
    shape_space: str
    window_fps: float
    helpers: tuple[str, ...] = ()

    @property
    def refines(self) -> bool:
        """Whether poses can be fitted to what the features show: to landmarks. Imports the extractor, loads nothing."""
        return issubclass(extractor.find(self.extractor), extractor.LandmarkExtractor)

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
        extractor="blazepose",
        detector="person-detector",
        features="blazepose-full",
        glot="glot-open",
        body="open-neutral",
        shape_space=OPEN_SHAPES,
        window_fps=30.0,
        helpers=("blazepose-heavy", "confidence"),
    ),
    "paper": Preset(
        name="paper",
        extractor="spin",
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

    Args:
        name: of the preset.
        body: `open`, `smpl` or a file; the preset's own when None.
        gender: of the open body, or SMPL's.
        glot: a checkpoint that was added, or a file; the preset's own when None.
        pictures: False where features are there already and nothing that looks at pictures is needed.

    Raises:
        UsageError: they do not fit, or a file or a package that they need is missing.
    """
    if name not in PRESETS:
        raise UsageError(f"'{name}' is unknown", option="preset", remedy=f"choose one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if body is not None:
        preset = replace(preset, body=BODIES.get(body, body))
    if gender is not None and gender not in GENDERS:
        raise UsageError(f"'{gender}' is unknown", option="gender", remedy=f"choose one of {', '.join(GENDERS)}")
    if gender is not None:
        if preset.body not in BODIES.values():
            reason = "only the open body and SMPL's have genders"
            raise UsageError(reason, option="gender", remedy="choose one of them or leave it out")
        preset = replace(preset, body=f"{preset.body.partition('-')[0]}-{gender}")
    if glot is not None:
        named = f"{OFFICIAL_GLOT}-{glot}"
        preset = replace(preset, glot=named if named in checkpoints() else glot)
    if preset.body.startswith("smpl-") and not _installed("smplx"):
        option = "body" if body is not None else "preset"
        raise UsageError("SMPL's body needs smplx, which is not installed", option=option, remedy="pip install smplx")
    _require(preset, pictures)
    return replace(preset, glot=official_checkpoint()) if preset.glot == OFFICIAL_GLOT else preset


def checkpoints() -> list[str]:
    """Names of the official GLoT checkpoints that were added."""
    return [name for name in weights.added() if name.startswith(f"{OFFICIAL_GLOT}-")]


def official_checkpoint() -> str:
    """The official checkpoint that is used where none is named.

    Raises:
        UsageError: several were added, and none of them is the paper's first.
    """
    there = checkpoints()
    if DEFAULT_CHECKPOINT in there:
        return DEFAULT_CHECKPOINT
    if len(there) == 1:
        return there[0]
    names = " or ".join(map(short_name, there))
    raise UsageError("several GLoT checkpoints were added", option="glot", remedy=f"choose {names}")


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
    return ", ".join(OFFICIAL_WEIGHTS[name].originals[0] for name in absent(PRESETS[preset].files))


def _require(preset: Preset, pictures: bool) -> None:
    """Raise UsageError, which names them, where files of a preset are missing."""
    missing = []
    for file in absent(preset.files if pictures else preset.lifting_files):
        if file in OFFICIAL_WEIGHTS:
            missing.append(f"{OFFICIAL_WEIGHTS[file].originals[0]} ({OFFICIAL_WEIGHTS[file].role})")
        elif not os.path.isfile(expanded(file)):
            option = "body" if file == preset.body else "glot"
            known = "open, smpl" if option == "body" else ", ".join(map(short_name, checkpoints())) or "none yet"
            raise UsageError(f"'{file}' is no file and no known name", option=option, remedy=f"choose one of: {known}")
    if missing:
        other = "; without them, preset open works at once" if pictures and preset.name != "open" else ""
        raise UsageError(
            f"'{preset.name}' needs files that glot may not bring along: {', '.join(missing)}",
            option="preset",
            remedy=f"'glot weights list' says where to get them, 'glot weights add FILE...' takes them in{other}",
        )


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False
