"""Detectors that were exported: ONNX files, and TorchScript where the user trusts it.

ONNX is a list of sums and products, TorchScript a program. Neither is believed: an ONNX model is read and run in a
process of its own, in bounds of time and memory; what both tell about themselves is checked.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.files.apart import Reader
from glot_cli.files.faults import Damaged, Refused, TooMuch, Unsupported
from glot_cli.tracking.blueprint import SMALLER, check_names, check_points

MAX_TEXT = 1 << 20  # letters of what a program tells about itself
SIDES = (32, 4096)  # pixels of the pictures of a model that takes one size
MAX_STRIDE = 256
MAX_PIXELS = 1 << 23  # of the pictures that a model takes at a time
_ANY = (640, 640)  # (height, width) of a picture for models that take any, pixels
_AT_ONCE = 2  # pictures; what they take is bounded
PATIENCE = 7.0  # seconds for an ONNX model to be read and to look at its first picture
LATER_PATIENCE = 30.0  # seconds for each picture of a video, when the machine may have more to do
_LEAST_PATIENCE = 1.0  # seconds
ROOM = 512 << 20  # bytes that an ONNX model may take, besides so many times its own:
COPIES = 6


class Told(NamedTuple):
    """What an exported model says about itself.

    Attributes:
        task: what it does, as ultralytics calls it.
        names: of its classes, by their numbers from 0.
        keypoints: how many there are of each thing, and numbers of each.
        end_to_end: whether its answers need no reduction to one box for each thing.
        size: (height, width) of the pictures that it takes, pixels; None: any.
        stride: of which the sides of its pictures are multiples, pixels.
        pictures: how many it takes at a time; None: any number.
    """

    task: str
    names: dict[int, str]
    keypoints: tuple[int, int] | None
    end_to_end: bool
    size: tuple[int, int] | None
    stride: int
    pictures: int | None


Exported = tuple[Callable[[NDArray[np.float32]], Any], Told]


class _OnnxProcess:
    """An ONNX model, which is read and run in a process of its own (onnx_process.py).

    Args:
        path: of the file.
        device: where it runs, if ONNX Runtime can there.
        trusted: whether it may be of any kind, and take as long and as much memory as it likes.

    Attributes:
        told: what it tells about itself, as text.
        count: of pictures that it takes at a time; None: any.
        size: (height, width) of the pictures that it takes, pixels; None: any.

    Raises:
        FileFault: it is damaged, or more than a detector.
    """

    def __init__(self, path: Path, device: torch.device, *, trusted: bool) -> None:
        order = {
            "path": str(path.absolute()),
            "device": (device.index or 0) if device.type == "cuda" else None,
            "threads": torch.get_num_threads(),
            "room": None if trusted else ROOM + COPIES * path.stat().st_size,
        }
        self._trusted = trusted
        self._reader = Reader("glot_cli.tracking.onnx_process")
        begin = time.monotonic()
        held = self._ask(order, None, PATIENCE)
        # For all that comes before the video is read there is no more time than this.
        self._patience = max(PATIENCE - (time.monotonic() - begin), _LEAST_PATIENCE)
        self.told: dict[str, str] = held["told"]
        count, height, width = held["takes"]
        self.count: int | None = count
        self.size = None if height is None or width is None else _size((height, width))
        if count is not None and not 1 <= count * math.prod(self.size or _ANY) <= MAX_PIXELS:
            raise Refused(f"takes {count} pictures at a time", remedy="export it for one")

    def __call__(self, images: NDArray[np.float32]) -> Tensor:
        """The first answer to images (n,3,h,w) from 0 to 1."""
        if self.count is None and len(images) > _AT_ONCE:
            pieces = range(0, len(images), _AT_ONCE)
            return torch.cat([self(images[start : start + _AT_ONCE]) for start in pieces])
        answer = self._ask({}, images, self._patience * len(images))
        self._patience = LATER_PATIENCE
        return torch.from_numpy(answer["array"])

    def try_out(self) -> None:
        """See what it takes for one picture, and end it."""
        self(np.full((self.count or 1, 3, *(self.size or _ANY)), 0.5, np.float32))
        self._reader.stop()

    def _ask(self, order: dict[str, Any], payload: NDArray[np.float32] | None, seconds: float) -> dict[str, Any]:
        try:
            reply, array = self._reader.ask(order, payload, seconds=math.inf if self._trusted else seconds)
        except TooMuch as fault:
            remedy = f"{SMALLER}, or say that you trust it"
            raise TooMuch(f"{fault.reason} for one picture", remedy=remedy, option="trust_detector") from fault
        return reply | {"array": array}


def open_onnx(path: Path, device: torch.device, *, trusted: bool) -> Exported:
    """An ONNX model that ultralytics exported: what takes images (n,3,h,w) from 0 to 1, and what it tells.

    Args:
        path: of the file.
        device: where it runs, if ONNX Runtime can there.
        trusted: whether it may do what no detector needs, and take as long and as much memory as it likes.

    Raises:
        FileFault: it is damaged, none of ultralytics', or more than a detector.
        ImportError: what it is read with is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise ModuleNotFoundError("onnx is missing", name="onnx")
    if not trusted and device.type == "cuda":  # whose memory nobody bounds
        _OnnxProcess(path, torch.device("cpu"), trusted=False).try_out()
    network = _OnnxProcess(path, device, trusted=trusted)
    told = _tells({key: _literal(value) for key, value in network.told.items()})
    return network, told._replace(size=network.size, pictures=network.count)


def open_script(path: Path, device: torch.device) -> Exported:
    """A TorchScript model that ultralytics exported and the user trusts, as `open_onnx` gives them."""
    import torchvision  # noqa: F401  (its operators may be among those asked for)

    extra = {"config.txt": b""}
    network: Any = torch.jit.load(  # type: ignore[no-untyped-call]
        str(path), map_location=device, _extra_files=extra
    )
    network.float()
    try:
        told = _tells(json.loads(extra["config.txt"][:MAX_TEXT]))
    except (ValueError, RecursionError) as error:
        raise Unsupported("does not tell what it finds, as models do that ultralytics exports") from error
    return lambda images: network(torch.from_numpy(images).to(device)), told


def _tells(told: Any) -> Told:
    """What a model tells, checked."""
    if not isinstance(told, dict) or "names" not in told:
        raise Unsupported("does not tell what it finds, as models do that ultralytics exports")
    settings = told.get("args")
    settings = settings if isinstance(settings, dict) else {}
    stride, task = told.get("stride", 32), told.get("task", "detect")
    if type(stride) is not int or not 1 <= stride <= MAX_STRIDE or type(task) is not str:
        raise Damaged("does not tell which pictures it takes")
    return Told(
        task=task,
        names=check_names(told["names"]),
        keypoints=check_points(told.get("kpt_shape")),
        end_to_end=bool(told.get("end2end") or settings.get("nms")),
        size=None if settings.get("dynamic") is True else _size(told.get("imgsz")),
        stride=stride,
        pictures=None,
    )


def _size(told: Any) -> tuple[int, int]:
    if not isinstance(told, list | tuple) or len(told) != 2 or not all(type(side) is int for side in told):
        raise Damaged("does not tell which pictures it takes")
    if not all(SIDES[0] <= side <= SIDES[1] for side in told) or math.prod(told) > MAX_PIXELS:
        raise Refused(f"takes pictures of {told[1]:.6g} x {told[0]:.6g} pixels, which no detector does")
    return told[0], told[1]


def _literal(text: str) -> Any:
    """A value that ultralytics wrote as Python does; text where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
