"""Frames to the people in them, with the bundled YOLO11n-pose or any other ultralytics detector."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from glot_cli.device import upload
from glot_cli.errors import WeightsError, first_line
from glot_cli.files.opening import expanded
from glot_cli.inference import CompiledNetwork
from glot_cli.tracking import ultralytics_adapter

_OVERLAP = 0.6  # boxes that share more than this part of their union are one person
_TASKS = ("detect", "segment", "pose")
_SUFFIXES = (".pt", ".onnx", ".torchscript")
_CPU_BATCH = 2  # frames at once; more gain nothing on a CPU and cost memory
COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_COCO_SHAPE = (len(COCO_KEYPOINTS), 3)


class Detections(NamedTuple):
    """People found in one frame.

    Attributes:
        boxes: (N,5) x1, y1, x2, y2 in pixels of the frame (its corner is (0, 0), its far corner (W, H)) and the score
            in [0,1]; rows fall in score.
        keypoints: (N,17,3) x, y in pixels and confidence in [0,1] of COCO_KEYPOINTS, 0 for those out of the frame;
            None where the detector knows none.
    """

    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32] | None


class PersonDetector:
    """People in frames. Nothing is ever downloaded.

    Args:
        model: None for the bundled detector in `weights_path`, else the path of an ultralytics model (.pt, .onnx,
            .torchscript). A model with a class named "person" gives that class, any other model all its classes.
        weights_path: the bundled detector.
        device: where the network runs, as torch calls it.
        confidence: boxes scored below it are dropped; the tracker makes use of low ones.
        image_size: the longer side that the network sees, pixels.

    Attributes:
        any_shape: whether the network takes pictures of any shape.

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
        self.any_shape = True  # frames keep their shape; formats with fixed shapes need the full square
        self._end_to_end = False
        self._keypoints: tuple[int, int] | None = _COCO_SHAPE
        self._network: Callable[[NDArray[np.uint8]], Any]
        if model is not None:
            network, names = self._external(_local_file(model))
            self._network = self._on_device(network)
        elif self.device.type == "cpu":
            names = _description(weights_path)[1]
            compiled = CompiledNetwork(weights_path)
            self._network = lambda pictures: torch.from_numpy(compiled(_as_images(pictures))[0])
        else:
            architecture, names = _description(weights_path)
            self._network = self._on_device(_bundled(weights_path, architecture, names))
        persons = [index for index, name in names.items() if name.lower() == "person"]
        self._class_count = len(names)
        # With classes merged, two boxes of one person in two classes suppress each other.
        self._classes = persons or None

    def _on_device(self, network: nn.Module) -> Callable[[NDArray[np.uint8]], Any]:
        """What runs a PyTorch network on pictures (n,h,w,3)."""
        ready = network.to(self.device)

        def run(pictures: NDArray[np.uint8]) -> Any:
            # Bytes travel, a quarter of the floats; (n,h,w,3) permuted is channels-last memory already
            return ready(upload(torch.from_numpy(pictures), self.device).permute(0, 3, 1, 2).float() / 255)

        return run

    def _external(self, path: Path) -> tuple[Any, dict[int, str]]:
        """A network of the user's, and the names of its classes."""
        if path.suffix == ".pt":
            network, names = _checkpoint(path)
            network = _ready(network)
        else:
            network = _exported(path, self.device)
            if not getattr(network, "dynamic", False):
                self.any_shape = False
                height, width = network.imgsz
                self._image_size = (int(height), int(width))
            names = {int(index): str(name) for index, name in network.names.items()}
        self._end_to_end = bool(getattr(network, "end2end", False))
        if tuple(getattr(network, "kpt_shape", ())) != _COCO_SHAPE:
            self._keypoints = None
        return network, names

    @torch.inference_mode()
    def __call__(self, frames: list[NDArray[np.uint8]], size: int | None = None) -> list[Detections]:
        """Find people.

        Args:
            frames: (H,W,3) uint8 RGB, of any sizes.
            size: longer side that the network sees here, pixels, where it takes any; None: `image_size`.

        Returns:
            What is found in each frame.
        """
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            alike[frame.shape].append(index)
        found: dict[int, Detections] = {}
        for indices in alike.values():
            batch = _CPU_BATCH if self.device.type == "cpu" else len(indices)
            for start in range(0, len(indices), batch):
                part = indices[start : start + batch]
                found |= zip(part, self._detect([frames[i] for i in part], size), strict=True)
        return [found[index] for index in range(len(frames))]

    def _detect(self, frames: list[NDArray[np.uint8]], size: int | None) -> list[Detections]:
        """One batch of frames of one size."""
        seen = size if size and self.any_shape else self._image_size
        pictures = ultralytics_adapter.letterbox(frames, seen, rectangular=self.any_shape)
        height, width = frames[0].shape[:2]
        selected = ultralytics_adapter.select_boxes(
            self._network(pictures),
            confidence=self.confidence,
            overlap=_OVERLAP,
            classes=self._classes,
            class_count=self._class_count,
            end_to_end=self._end_to_end,
            seen=(pictures.shape[1], pictures.shape[2]),
            original=(height, width),
            keypoints=self._keypoints,
        )
        found = []
        for rows in (tensor.float().cpu().numpy() for tensor in selected):
            keypoints = None
            if self._keypoints is not None:
                keypoints = rows[:, 6:].reshape(-1, *_COCO_SHAPE)
                inside = ((keypoints[..., :2] > 0) & (keypoints[..., :2] < (width, height))).all(-1)
                keypoints[..., 2] *= inside
            found.append(Detections(rows[:, :5], keypoints))
        return found


def _as_images(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (n,h,w,3) as networks take them: (n,3,h,w), 0 to 1."""
    return np.asarray(cv2.dnn.blobFromImages(list(pictures), 1 / 255), np.float32)


def _ready(network: nn.Module) -> nn.Module:
    """Batch norm folded, channels last, for inference."""
    folded = ultralytics_adapter.fold(network).eval().requires_grad_(False)
    ready: nn.Module = folded.to(memory_format=torch.channels_last)
    return ready


def _description(path: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """The architecture of glot's own detector, and the names of its classes."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
        return json.loads(metadata["architecture"]), {int(i): str(n) for i, n in json.loads(metadata["names"]).items()}
    except Exception as error:  # safetensors, json: each has its own kinds, all mean a bad file
        raise _unreadable(path, error) from error


def _bundled(path: Path, architecture: dict[str, Any], names: dict[int, str]) -> nn.Module:
    """glot's own detector in PyTorch."""
    try:
        network = ultralytics_adapter.build_network(architecture, len(names))
        network = _ready(network)
        network.load_state_dict(load_file(path))
    except Exception as error:  # ultralytics, PyTorch: each has its own kinds, all mean a bad file
        raise _unreadable(path, error) from error
    return network


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"not a readable person detector ({first_line(error)})", path=path, remedy="install glot again")


def _local_file(model: str) -> Path:
    """The path of the user's model, if there is such a file and it may be one."""
    path = expanded(model)
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
    except Exception as error:
        raise WeightsError(
            f"not an ultralytics checkpoint that can be read safely ({first_line(error)})", path=path, remedy=export
        ) from error
    _require_boxes(path, network.task)
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
            f"not a model ultralytics can run ({first_line(error)})", path=path, remedy="export it again"
        ) from error
    _require_boxes(path, getattr(network, "task", "detect"))
    return network


def _require_boxes(path: Path, task: str) -> None:
    """Raise for a model whose answers are no boxes."""
    if task not in _TASKS:
        raise WeightsError(
            f"a model for the task '{task}' does not box people", path=path, remedy=f"give one for {', '.join(_TASKS)}"
        )
