"""What this machine can do for glot: each check tries the thing itself and says in one line what came of it."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from glot_cli import weights
from glot_cli._version import __version__
from glot_cli.errors import GlotError
from glot_cli.pipeline import presets
from glot_cli.rendering import Renderer
from glot_cli.video import VideoWriter, read_frames
from glot_cli.video.planes import planes_shape, split_planes

PACKAGES = (
    *("torch", "torchvision", "onnxruntime", "ultralytics", "opencv-python", "av", "pyrender", "trimesh", "numpy"),
    *("scipy", "safetensors"),
)
# What is missed only by those who use it.
OPTIONAL = {
    "smplx": "needed only to pose SMPL files of preset paper",
    "matplotlib": "needed only to plot evaluations and joint angles: pip install 'glot-cli[eval]'",
    "usd-core": "needed only to export USD: pip install 'glot-cli[usd]'",
    "ezc3d": "needed only to export C3D: pip install 'glot-cli[c3d]'",
    "pyarrow": "needed only to export Parquet: pip install 'glot-cli[parquet]'",
    "ray": "needed only for glot batch on several workers: pip install 'glot-cli[cluster]'",
}
DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores")
SIZE, FOCAL = 64, 64.0  # of the test pictures, pixels


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what is looked at.
        ok: None where there is nothing to be right or wrong.
        says: what came of it.
        needed: preset open cannot do without it.
    """

    name: str
    ok: bool | None
    says: str
    needed: bool = False

    @property
    def stops_us(self) -> bool:
        """Whether preset open cannot run here."""
        return self.needed and self.ok is False


def examine() -> Iterator[Check]:
    """All checks, in the order in which a run would meet what they look at."""
    yield Check("glot", None, f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield Check("packages", *_packages())
    yield from _devices()
    yield Check("video codecs", *_codecs(), needed=True)
    yield Check("OpenGL", *_drawing(), needed=True)
    yield Check("weights: open", *_open_weights(), needed=True)
    yield Check("weights: paper", *_paper_weights())


def _packages() -> tuple[bool, str]:
    """Whether all that is needed is installed; the versions, and what is not there."""
    found, missing, spared = [], [], []
    for name in (*PACKAGES, *OPTIONAL):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            if name in OPTIONAL:
                spared.append(f"no {name} ({OPTIONAL[name]})")
            else:
                missing.append(f"{name} is missing: install glot-cli again")
    return not missing, ", ".join([*found, *spared, *missing])


def _devices() -> Iterator[Check]:
    yield Check("CPU", True, f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            yield Check(name.upper(), None, "not on this machine; networks run on the CPU")
            continue
        called = torch.cuda.get_device_name() if name == "cuda" else "Apple GPU"
        try:
            right = bool((torch.ones(8, 8, device=name) @ torch.ones(8, 8, device=name)).cpu().eq(8).all())
            yield Check(name.upper(), right, called if right else f"{called} computes wrongly; use the CPU")
        except RuntimeError as error:
            yield Check(name.upper(), False, f"{called} does not compute ({_line(error)}); use the CPU")


def _codecs() -> tuple[bool, str]:
    """Write a few frames as `glot run` does and read them back; then which other codecs can be read."""
    import av

    pictures = [np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in (0, 90, 180)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trial.mp4"
            with VideoWriter(path, SIZE, SIZE, time_base=Fraction(1, 25), fps=Fraction(25)) as writer:
                for number, picture in enumerate(pictures):
                    writer.write(picture, number)
            seen = [float(frame.image.mean()) for frame in read_frames(path)]
    except GlotError as error:
        return False, _line(error)
    if len(seen) != len(pictures) or max(abs(a - b.mean()) for a, b in zip(seen, pictures, strict=True)) > 4:
        return False, "frames that were written come back changed; install PyAV again (the package av)"
    readable = [name for name in DECODERS if name in av.codecs_available]
    return True, f"writes H.264 and reads it back; reads {', '.join(readable)} (FFmpeg in PyAV {av.__version__})"


def _drawing() -> tuple[bool, str]:
    """Draw one triangle, and see that it covers what it should and nothing else."""
    bright = np.full(planes_shape(SIZE, SIZE), 235, np.uint8)
    corners = np.array([[[-0.5, 0.45, 2.0], [0.5, 0.45, 2.0], [0.0, -0.45, 2.0]]], np.float32)
    try:
        with Renderer(np.array([[0, 1, 2], [0, 2, 1]]), SIZE, SIZE, FOCAL) as renderer:
            drawn = renderer.draw(bright, corners, np.array([1]))
            backend = renderer.backend
    except GlotError as error:
        return False, _line(error)
    changed = (np.abs(split_planes(drawn)[0].astype(int) - 235) > 8).nonzero()
    # The triangle projects to columns 16 to 48 and rows 17.6 to 46.4, and covers half of that.
    share = len(changed[0]) / SIZE**2
    inside = len(changed[0]) and changed[1].min() >= 14 and changed[1].max() <= 50 and changed[0].min() >= 15
    if not inside or not 0.07 < share < 0.16:
        return False, f"{backend} draws a triangle wrongly ({share:.0%} of the picture); run without drawing"
    return True, f"{backend} draws"


def _open_weights() -> tuple[bool, str]:
    try:
        for entry in weights.manifest().values():
            weights.locate(entry.name)
    except GlotError as error:
        return False, _line(error)
    return True, f"intact, in {weights.shipped_folder()}"


def _paper_weights() -> tuple[bool | None, str]:
    faults = [fault for e in weights.added().values() if (fault := weights.check(e, weights.user_folder() / e.file))]
    if faults:
        return False, f"{faults[0]}; add it again with 'glot weights add'"
    wanted = presets.still_wanted("paper")
    if wanted:
        return None, f"missing {wanted}; 'glot weights list' says where to get them"
    return True, f"intact, in {weights.user_folder()}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
