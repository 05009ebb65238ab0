"""Frames to the boxes of the people in them, with the bundled YOLOv8s or any other ultralytics detector."""

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

from glot_cli.errors import GlotError
from glot_cli.tracking.ultralytics_adapter import import_ultralytics

Frame = NDArray[np.uint8]
Boxes = NDArray[np.float32]

_OVERLAP = 0.6  # boxes that share more than this part of their union are one person
_TASKS = ("detect", "segment", "pose")
_CPU_BATCH = 2  # frames at once; more gain nothing on a CPU and cost memory


class PersonDetector:
    """People in frames.

    model: None for the bundled detector in `weights_path`, else the path of an ultralytics model (.pt, .onnx,
    .torchscript). A model with a class named "person" gives that class, any other model all its classes.
    confidence: boxes scored below it are dropped; the tracker makes use of low ones. image_size: the longer side the
    network sees, pixels.

    Raises GlotError when the model is missing, damaged or no detector. Nothing is ever downloaded.
    """

    def __init__(
        self, model: str | None, weights_path: Path, device: str = "cpu", confidence: float = 0.1, image_size: int = 640
    ) -> None:
        import_ultralytics()
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
    def __call__(self, frames: list[Frame]) -> list[Boxes]:
        """Frames (H,W,3) uint8 RGB, of any sizes, to one array (N,5) float32 each.

        Columns are x1, y1, x2, y2 in pixels of the frame (its corner is (0, 0), its far corner (W, H)) and the score
        in [0,1]; rows fall in score.
        """
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            alike[frame.shape].append(index)
        boxes: list[Boxes] = [np.zeros((0, 5), np.float32)] * len(frames)
        for indices in alike.values():
            size = _CPU_BATCH if self.device.type == "cpu" else len(indices)
            for start in range(0, len(indices), size):
                part = indices[start : start + size]
                for index, found in zip(part, self._detect([frames[i] for i in part]), strict=True):
                    boxes[index] = found
        return boxes

    def _detect(self, frames: list[Frame]) -> list[Boxes]:
        """One batch of frames of one size."""
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import scale_boxes

        fit = LetterBox(self._image_size, auto=self._rectangular, stride=32)
        pictures = np.stack([np.asarray(fit(image=frame)) for frame in frames])
        # (n,h,w,3) permuted is channels-last memory already
        images = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float() / 255
        found: list[Tensor] = non_max_suppression(
            self._network(images),
            self.confidence,
            _OVERLAP,
            classes=self._classes,
            agnostic=True,
            nc=self._class_count,
            max_time_img=10.0,
            end2end=bool(getattr(self._network, "end2end", False)),
        )
        shape, original = tuple(pictures.shape[1:3]), frames[0].shape[:2]
        for rows in found:
            scale_boxes(shape, rows, original)  # in place; also cuts boxes at the edges of the frame
        return [rows[:, :5].cpu().numpy() for rows in found]


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    """Batch norm folded, channels last, for inference."""
    network = cast(Any, network.float()).fuse(verbose=False).eval().requires_grad_(False)
    return network.to(device).to(memory_format=torch.channels_last)


def _bundled(path: Path) -> tuple[nn.Module, dict[int, str]]:
    from ultralytics.nn.tasks import DetectionModel

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        names = {int(index): name for index, name in json.loads(metadata["names"]).items()}
        network = DetectionModel(json.loads(metadata["architecture"]), ch=3, nc=len(names), verbose=False)
        network.load_state_dict(state)
    except Exception as error:  # safetensors, json, ultralytics: each has its own kinds, all mean a bad file
        raise GlotError(f"{path}: not a readable person detector ({error}); install glot again") from error
    return network, names


def _local_file(model: str) -> Path:
    path = Path(model).expanduser()
    if not path.is_file():
        raise GlotError(
            f"{model}: no such detector file; glot downloads nothing, so give the path of an ultralytics "
            "model on this machine (.pt, .onnx or .torchscript)"
        )
    if path.suffix not in (".pt", ".onnx", ".torchscript"):
        raise GlotError(f"{model}: not a detector glot can read; give a .pt, .onnx or .torchscript file")
    return path


def _checkpoint(path: Path) -> tuple[nn.Module, dict[int, str]]:
    """A .pt file, read without running anything it may contain."""
    from ultralytics.nn import tasks

    export = f"export it where you trust it (yolo export model={path.name} format=onnx) and give the .onnx file"
    # `safe_only` of older releases lets builtins through, and with older torch it is silently ignored.
    if not getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False):
        raise GlotError(
            f"{path}: this version of ultralytics or torch cannot read .pt files safely; upgrade both, or {export}"
        )
    if "'" in str(path) or str(path) != str(path).strip():
        # ultralytics drops these characters, misses the file and goes looking for a download
        raise GlotError(f"{path}: ultralytics cannot read a path with quotes or outer spaces; rename it")
    try:
        checkpoint, _ = tasks.torch_safe_load(str(path), safe_only=True)
        network = checkpoint.get("ema") or checkpoint["model"]
        names = {int(index): str(name) for index, name in dict(network.names).items()}
        task = getattr(network, "task", "detect")
    except Exception as error:
        raise GlotError(
            f"{path}: not an ultralytics checkpoint that can be read safely ({_first_line(error)}); {export}"
        ) from error
    _require_boxes(path, task)
    for layer in network.modules():
        if isinstance(layer, nn.Upsample) and not hasattr(layer, "recompute_scale_factor"):
            layer.recompute_scale_factor = None  # checkpoints older than torch 1.11 lack it
    return network, names


def _exported(path: Path, device: torch.device) -> Any:
    """An .onnx or .torchscript file behind ultralytics' own runner."""
    from ultralytics.nn.autobackend import AutoBackend

    try:
        network = AutoBackend(str(path), device=device)
    except ImportError as error:
        raise GlotError(
            f"{path}: {error.name or error} is not installed; pip install onnx onnxruntime, or give a .pt file"
        ) from error
    except Exception as error:
        raise GlotError(f"{path}: not a model ultralytics can run ({_first_line(error)}); export it again") from error
    _require_boxes(path, getattr(network, "task", "detect"))
    return network


def _require_boxes(path: Path, task: str) -> None:
    if task not in _TASKS:
        raise GlotError(f"{path}: a model for the task '{task}' does not box people; give one for {', '.join(_TASKS)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
