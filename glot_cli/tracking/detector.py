"""Frames to the boxes of the people in them, with the bundled YOLOv8s or any other ultralytics detector."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from glot_cli.errors import WeightsError
from glot_cli.tracking import ultralytics_adapter

_OVERLAP = 0.6  # boxes that share more than this part of their union are one person
_TASKS = ("detect", "segment", "pose")
_SUFFIXES = (".pt", ".onnx", ".torchscript")
_CPU_BATCH = 2  # frames at once; more gain nothing on a CPU and cost memory


class PersonDetector:
    """People in frames. Nothing is ever downloaded.

    Args:
        model: None for the bundled detector in `weights_path`, else the path of an ultralytics model (.pt, .onnx,
            .torchscript). A model with a class named "person" gives that class, any other model all its classes.
        weights_path: the bundled detector.
        device: where the network runs, as torch calls it.
        confidence: boxes scored below it are dropped; the tracker makes use of low ones.
        image_size: the longer side that the network sees, pixels.

    Raises:
        WeightsError: the model is missing, damaged or no detector.
    """

    def __init__(
        self, model: str | None, weights_path: Path, device: str = "cpu", confidence: float = 0.1, image_size: int = 640
    ) -> None:
        ultralytics_adapter.import_ultralytics()
        self.device = torch.device(device)
        self.confidence = confidence
        self._image_size: int | tuple[int, int] = image_size
        self._rectangular = True  # frames keep their shape; formats with fixed shapes need the full square
        if model is None:
            network, names = _bundled(weights_path)
            network = _ready(network, self.device)
        else:
            network, names = self._external(_local_file(model))
        persons = [index for index, name in names.items() if name.lower() == "person"]
        self._class_count = len(names)
        # With classes merged, two boxes of one person in two classes suppress each other.
        self._classes = persons or None
        self._network: Callable[[Tensor], Any] = network

    def _external(self, path: Path) -> tuple[nn.Module, dict[int, str]]:
        """A network of the user's, and the names of its classes."""
        if path.suffix == ".pt":
            network, names = _checkpoint(path)
            return _ready(network, self.device), names
        network = _exported(path, self.device)
        if not getattr(network, "dynamic", False):
            self._rectangular = False
            height, width = network.imgsz
            self._image_size = (int(height), int(width))
        return network, {int(index): str(name) for index, name in network.names.items()}

    @torch.inference_mode()
    def __call__(self, frames: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Find people.

        Args:
            frames: (H,W,3) uint8 RGB, of any sizes.

        Returns:
            One array (N,5) float32 for each frame: x1, y1, x2, y2 in pixels of the frame (its corner is (0, 0), its far
            corner (W, H)) and the score in [0,1]; rows fall in score.
        """
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            alike[frame.shape].append(index)
        boxes: list[NDArray[np.float32]] = [np.zeros((0, 5), np.float32)] * len(frames)
        for indices in alike.values():
            size = _CPU_BATCH if self.device.type == "cpu" else len(indices)
            for start in range(0, len(indices), size):
                part = indices[start : start + size]
                for index, found in zip(part, self._detect([frames[i] for i in part]), strict=True):
                    boxes[index] = found
        return boxes

    def _detect(self, frames: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """One batch of frames of one size."""
        pictures = ultralytics_adapter.letterbox(frames, self._image_size, rectangular=self._rectangular)
        # (n,h,w,3) permuted is channels-last memory already
        images = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float() / 255
        found = ultralytics_adapter.select_boxes(
            self._network,
            self._network(images),
            confidence=self.confidence,
            overlap=_OVERLAP,
            classes=self._classes,
            class_count=self._class_count,
            seen=(pictures.shape[1], pictures.shape[2]),
            original=(frames[0].shape[0], frames[0].shape[1]),
        )
        return [rows[:, :5].cpu().numpy() for rows in found]


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    """Batch norm folded, channels last, for inference."""
    folded = cast(Any, network.float()).fuse(verbose=False).eval().requires_grad_(False)
    ready: nn.Module = folded.to(device).to(memory_format=torch.channels_last)
    return ready


def _bundled(path: Path) -> tuple[nn.Module, dict[int, str]]:
    """glot's own detector, and the names of its classes."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        names = {int(index): name for index, name in json.loads(metadata["names"]).items()}
        network = ultralytics_adapter.build_network(json.loads(metadata["architecture"]), len(names))
        network.load_state_dict(state)
    except Exception as error:  # safetensors, json, ultralytics: each has its own kinds, all mean a bad file
        raise WeightsError(
            f"not a readable person detector ({error})", path=path, remedy="install glot again"
        ) from error
    return network, names


def _local_file(model: str) -> Path:
    """The path of the user's model, if there is such a file and it may be one."""
    path = Path(model).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"{model}: no such detector file",
            remedy="glot downloads nothing, so give the path of an ultralytics model on this machine "
            "(.pt, .onnx or .torchscript)",
        )
    if path.suffix not in _SUFFIXES:
        raise WeightsError("not a detector glot can read", path=path, remedy="give a .pt, .onnx or .torchscript file")
    return path


def _checkpoint(path: Path) -> tuple[nn.Module, dict[int, str]]:
    """A .pt file, read without running anything it may contain."""
    export = f"export it where you trust it (yolo export model={path.name} format=onnx) and give the .onnx file"
    if not ultralytics_adapter.reads_checkpoints_safely():
        raise WeightsError(
            "this version of ultralytics or torch cannot read .pt files safely",
            path=path,
            remedy=f"upgrade both, or {export}",
        )
    if "'" in str(path) or str(path) != str(path).strip():
        # ultralytics drops these characters, misses the file and searches for a download
        raise WeightsError("ultralytics cannot read a path with quotes or outer spaces", path=path, remedy="rename it")
    try:
        network = ultralytics_adapter.load_checkpoint(path)
        names = {int(index): str(name) for index, name in dict(network.names).items()}
        task = getattr(network, "task", "detect")
    except Exception as error:
        raise WeightsError(
            f"not an ultralytics checkpoint that can be read safely ({_first_line(error)})", path=path, remedy=export
        ) from error
    _require_boxes(path, task)
    return network, names


def _exported(path: Path, device: torch.device) -> Any:
    """An .onnx or .torchscript file."""
    try:
        network = ultralytics_adapter.open_exported(path, device)
    except ImportError as error:
        raise WeightsError(
            f"{error.name or error} is not installed",
            path=path,
            remedy="pip install onnx onnxruntime, or give a .pt file",
        ) from error
    except Exception as error:
        raise WeightsError(
            f"not a model ultralytics can run ({_first_line(error)})", path=path, remedy="export it again"
        ) from error
    _require_boxes(path, getattr(network, "task", "detect"))
    return network


def _require_boxes(path: Path, task: str) -> None:
    """Raise for a model whose answers are no boxes."""
    if task not in _TASKS:
        raise WeightsError(
            f"a model for the task '{task}' does not box people", path=path, remedy=f"give one for {', '.join(_TASKS)}"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
