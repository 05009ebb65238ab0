"""What a run can be told."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import Any, get_args

from glot_cli.errors import UsageError
from glot_cli.files.pixels import MAX_PIXELS
from glot_cli.lifting import Edges
from glot_cli.pipeline.presets import GENDERS, PRESETS
from glot_cli.rendering.styles import STYLES, Style

# Change how, not what, a run computes, or whether it may.
SAME_RESULT = frozenset({"trust_detector", "device", "batch_size", "max_pixels", "quiet", "overwrite"})
SAME_RECORD = frozenset({"style", "render", "frames", "report"})  # change only what is made of the record

_CHOICES = {"preset": tuple(PRESETS), "gender": GENDERS, "edges": get_args(Edges), "style": tuple(STYLES)}
_COUNTS = ("batch_size", "min_frames", "max_people", "max_pixels")
LEAST_FPS, MOST_FPS = 0.01, 100_000
LONGEST_FOCAL = 1_000_000  # pixels
LONGEST_TIME = 10_000_000  # seconds, four months
LEAST_SPLIT = 10.0  # seconds of a piece of a video: shorter ones would be little else than overlap
MOST_DETECT_EVERY = 10  # frames: boxes between are interpolated, and nobody walks straight for longer
_SWITCHES = ("trust_detector", "half", "refine", "render", "frames", "report", "overwrite", "quiet")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Options:
    """What a run can be told; the options of `glot run`, one by one.

    Attributes:
        preset: "open", or "paper" for those who hold the research weights.
        detector: path of another ultralytics model that finds people; None for the preset's own.
        trust_detector: whether the detector may be a program (TorchScript), which is then run, or an ONNX model of any
            kind and size.
        glot: another GLoT checkpoint, by name or path; None for the preset's own.
        body: "open", "smpl" or a file in SMPL's format; None for the preset's own.
        gender: "neutral", "male" or "female" of SMPL; None for neutral.
        half: image features in half precision.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        batch_size: crops that the feature network takes at once.
        detect_every: people are looked for in every n-th frame; of more than 120 a second, as if there were 120.
        min_frames: people seen for fewer frames are dropped; None for 0.4 s of video.
        max_people: only so many are kept; None for all.
        focal: focal length of the camera in pixels; None for what a photograph's EXIF data say, else an estimate.
        camera: how it moves: "static", "moving", or the path of an npz that says so (`world.given`); None to find out.
        up: (x, y, z), the direction away from the ground in the first frame: x right, y down, z forward; None to find
            out.
        start: seconds from the first frame at which to begin; None for the first frame.
        end: seconds from the first frame before which to stop; None for the end.
        fps: frames per second of sources that do not say it, as folders of images; None for 30.
        max_pixels: pictures of more pixels are refused.
        edges: how windows at the ends of a track are filled: "replicate" or "official".
        refine: whether poses are drawn onto the landmarks; None for the preset's own way.
        style: of the picture: "overlay", "side", "plain", "wireframe" or "world".
        render: whether to draw at all.
        frames: whether to write one file a frame besides the record.
        report: whether to write a page that shows the result at a glance, `report.html`.
        overwrite: whether to replace an earlier result of the same video.
        quiet: no progress bars.

    Raises:
        UsageError: a value that cannot be. Nothing is loaded to find out. Whether a preset has what is asked of it and
            whether its files are there is for `presets.choose` to say.
    """

    preset: str = "open"
    detector: str | None = None
    trust_detector: bool = False
    glot: str | None = None
    body: str | None = None
    gender: str | None = None
    half: bool = False
    device: str = "auto"
    batch_size: int = 16
    detect_every: int = 3
    min_frames: int | None = None
    max_people: int | None = None
    focal: float | None = None
    camera: str | None = None
    up: tuple[float, float, float] | None = None
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    max_pixels: int = MAX_PIXELS
    edges: Edges = "replicate"
    refine: bool | None = None
    style: Style = "overlay"
    render: bool = True
    frames: bool = True
    report: bool = False
    overwrite: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = _plain(getattr(self, name))
            object.__setattr__(self, name, value)  # frozen: for everybody but this
            if value is None and getattr(type(self), name) is None:
                continue
            fault = _fault(name, value)
            if fault:
                raise UsageError(f"{fault}, not {value!r}", option=name)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UsageError(f"must be later than the start, {self.start:g} s", option="end")


def _fault(name: str, value: Any) -> str | None:
    """What a value of an option should be and is not, None where it may stand."""
    if name in _CHOICES:
        return (
            None
            if isinstance(value, str) and value in _CHOICES[name]
            else f"must be one of {', '.join(_CHOICES[name])}"
        )
    if name in _COUNTS:
        return None if _is_number(value, int) and value >= 1 else "must be a whole number, 1 or more"
    if name == "detect_every":
        right = _is_number(value, int) and 1 <= value <= MOST_DETECT_EVERY
        return None if right else f"must be a whole number from 1 to {MOST_DETECT_EVERY}"
    if name in _SWITCHES:
        return None if isinstance(value, bool) else "must be true or false"
    if name == "fps":
        right = _is_number(value) and LEAST_FPS <= value <= MOST_FPS
        return None if right else f"must be a number of frames per second from {LEAST_FPS:g} to {MOST_FPS:,}"
    if name == "focal":
        right = _is_number(value) and 1 <= value <= LONGEST_FOCAL
        return None if right else f"must be a number of pixels from 1 to {LONGEST_FOCAL:,}"
    if name == "up":
        right = isinstance(value, tuple) and len(value) == 3 and all(_is_number(n) and abs(n) <= 1e6 for n in value)
        return None if right and max(map(abs, value)) > 1e-6 else "must be three numbers, not all 0"
    if name in ("start", "end"):
        right = _is_number(value) and 0 <= value <= LONGEST_TIME
        return None if right else f"must be a number of seconds from 0 to {LONGEST_TIME:,}"
    if name == "device":
        right = isinstance(value, str) and _DEVICE.fullmatch(value)
        return None if right else "must be auto, cpu, cuda, cuda:1 (or another number) or mps"
    return None if isinstance(value, str) and value else "must be a name or a path"


def _plain(value: Any) -> Any:
    """A path as text, a number of NumPy's as one of Python's; other values as they are."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds or (int, float)) and not isinstance(value, bool)
