"""Frames to the people in them, with the bundled YOLO11n-pose or any other ultralytics detector."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from glot_cli.errors import WeightsError, first_line
from glot_cli.files.opening import expanded
from glot_cli.inference import CompiledNetwork
from glot_cli.tracking import ultralytics_adapter
from glot_cli.tracking.users_detector import Run, as_images, on_device, open_detector, ready

_OVERLAP = 0.6  # boxes that share more than this part of their union are one person
_SUREST = 1.001  # scores end at 1, but for rounding
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
        trusted: whether `model` may be a program (TorchScript), or an ONNX model of any kind and size.

    Attributes:
        any_shape: whether the network takes pictures of any shape.

    Raises:
        WeightsError: the model is missing, damaged, no detector, or a program that is not trusted; later, what it
            answers is no boxes.
    """

    def __init__(
        self,
        model: str | None,
        weights_path: Path,
        device: str = "cpu",
        confidence: float = 0.1,
        image_size: int = 640,
        *,
        trusted: bool = False,
    ) -> None:
        ultralytics_adapter.import_ultralytics()
        self.device = torch.device(device)
        self.confidence = confidence
        self._image_size: int | tuple[int, int] = image_size
        self.any_shape = True  # frames keep their shape; formats with fixed shapes need the full square
        self._end_to_end = False
        self._keypoints: tuple[int, int] | None = _COCO_SHAPE
        self._network: Run
        self._path = None if model is None else expanded(model)
        if model is not None:
            names = self._open(model, trusted)
        elif self.device.type == "cpu":
            names = _description(weights_path)[1]
            compiled = CompiledNetwork(weights_path)
            self._network = lambda pictures: torch.from_numpy(compiled(as_images(pictures))[0])
        else:
            architecture, names = _description(weights_path)
            self._network = on_device(_bundled(weights_path, architecture, names), self.device)
        persons = [index for index, name in names.items() if name.lower() == "person"]
        self._class_count = len(names)
        # With classes merged, two boxes of one person in two classes suppress each other.
        self._classes = persons or None
        if model is not None:  # what is wrong with it comes out before the video is read
            self([np.full((480, 640, 3), 114, np.uint8)])

    def _open(self, model: str, trusted: bool) -> dict[int, str]:
        """Take a model of the user's; gives the names of its classes."""
        self._network, told = open_detector(model, self.device, trusted=trusted)
        self.any_shape = told.size is None and told.stride <= ultralytics_adapter.STRIDE
        self._image_size = told.size or self._image_size
        self._end_to_end = told.end_to_end
        self._keypoints = told.keypoints if told.keypoints == _COCO_SHAPE else None
        return told.names

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
            self._check(rows)
            keypoints = None
            if self._keypoints is not None:
                keypoints = rows[:, 6:].reshape(-1, *_COCO_SHAPE)
                inside = ((keypoints[..., :2] > 0) & (keypoints[..., :2] < (width, height))).all(-1)
                keypoints[..., 2] *= inside
            found.append(Detections(rows[:, :5], keypoints))
        return found

    def _check(self, rows: NDArray[np.float32]) -> None:
        """Raise for boxes that are none, as a user's model may answer."""
        if not (
            np.isfinite(rows).all()
            and (rows[:, 4] <= _SUREST).all()
            and (rows[:, :2] <= rows[:, 2:4]).all()
            and (self._keypoints is None or (rows[:, 8::3] <= _SUREST).all())
        ):
            raise WeightsError(
                "answers with boxes that are none (no numbers, turned inside out, or scored above 1)",
                path=self._path,
                remedy="give another model",
            )


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
        network = ready(network)
        network.load_state_dict(load_file(path))
    except Exception as error:  # ultralytics, PyTorch: each has its own kinds, all mean a bad file
        raise _unreadable(path, error) from error
    return network


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"not a readable person detector ({first_line(error)})", path=path, remedy="install glot again")
