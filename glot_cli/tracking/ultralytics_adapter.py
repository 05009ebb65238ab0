"""The one door to ultralytics: the inner parts of it that glot uses, without its reach.

No network, no pip, no usage statistics, no log lines. Nothing else imports ultralytics; what is called here may move in
a later release, so pyproject.toml bounds the version.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glot_cli.inference import import_onnxruntime

# Ultralytics reads these once, while it is imported.
_SETTINGS = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_STRIDE = 32  # pixels; sides that the networks see are multiples of it


@functools.cache
def import_ultralytics() -> ModuleType:
    """Import ultralytics with everything switched off that reaches outside this process, and return it.

    Call it before any `from ultralytics... import`. It also works when the host program imported ultralytics before,
    and leaves the environment and OpenCV's thread count, which ultralytics sets to one, as they were.
    """
    before = {name: os.environ.get(name) for name in _SETTINGS}
    threads = cv2.getNumThreads()
    os.environ.update(_SETTINGS)
    try:
        ultralytics = importlib.import_module("ultralytics")
        importlib.import_module("ultralytics.utils.checks")
        importlib.import_module("ultralytics.nn.tasks")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        cv2.setNumThreads(threads)
    # Modules keep copies of these switches; a copy made before our import may still say yes.
    for name, module in list(sys.modules.items()):
        if name.startswith("ultralytics.") and module is not None:
            for switch in ("ONLINE", "AUTOINSTALL"):
                if vars(module).get(switch) is True:
                    setattr(module, switch, False)
            events = vars(module).get("events")
            if events is not None and hasattr(events, "enabled"):
                events.enabled = False  # usage statistics
    logging.getLogger("ultralytics").setLevel(logging.ERROR)
    return ultralytics


def build_network(architecture: dict[str, Any], class_count: int) -> nn.Module:
    """A network of random weights from ultralytics' description of it (a model's yaml)."""
    import_ultralytics()
    from ultralytics.nn import tasks

    kind = cast(Any, tasks).PoseModel if "kpt_shape" in architecture else cast(Any, tasks).DetectionModel
    return cast(nn.Module, kind(architecture, ch=3, nc=class_count, verbose=False))


def fold(network: Any) -> Any:
    """A network in single precision with its batch norms folded into the convolutions."""
    return network.float().fuse(verbose=False)


def reads_checkpoints_safely() -> bool:
    """Whether `load_checkpoint` can: `safe_only` of older releases lets builtins through, or is silently ignored."""
    import_ultralytics()
    from ultralytics.nn import tasks

    return bool(getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False))


def load_checkpoint(path: Path) -> Any:
    """The network in a .pt file, read without running anything the file may hold.

    Only where `reads_checkpoints_safely`. Raises many kinds of errors for files that are something else.
    """
    import_ultralytics()
    from ultralytics.nn import tasks

    checkpoint, _ = cast(Any, tasks).torch_safe_load(str(path), safe_only=True)
    network = checkpoint.get("ema") or checkpoint["model"]
    network.task = getattr(network, "task", None) or cast(Any, tasks).guess_model_task(network)  # few files say it
    for layer in network.modules():
        if isinstance(layer, nn.Upsample) and not hasattr(layer, "recompute_scale_factor"):
            layer.recompute_scale_factor = None  # checkpoints older than torch 1.11 lack it
    return network


def open_exported(path: Path, device: torch.device) -> Any:
    """An .onnx or .torchscript file behind ultralytics' own runner.

    Raises ImportError when its runtime is not installed, many kinds of errors for files that are something else.
    """
    import_ultralytics()
    from ultralytics.nn.autobackend import AutoBackend

    if path.suffix == ".onnx":
        import_onnxruntime()  # before ultralytics does: without usage statistics
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)  # no fault of the user's
        return AutoBackend(str(path), device=device)


def letterbox(frames: list[NDArray[np.uint8]], size: int | tuple[int, int], *, rectangular: bool) -> NDArray[np.uint8]:
    """Frames (H,W,3) of one size as the network sees them: (N,h,w,3), scaled to fit, with grey bars.

    Args:
        frames: pictures of one size.
        size: the longer side, or (height, width), pixels.
        rectangular: whether bars are only as wide as the network's stride demands, instead of filling `size`.
    """
    import_ultralytics()
    from ultralytics.data.augment import LetterBox

    fit = LetterBox(cast(Any, size), auto=rectangular, stride=_STRIDE)
    return np.stack([np.asarray(fit(image=frame)) for frame in frames])


def select_boxes(
    prediction: Any,
    *,
    confidence: float,
    overlap: float,
    classes: list[int] | None,
    class_count: int,
    end_to_end: bool,
    seen: tuple[int, int],
    original: tuple[int, int],
    keypoints: tuple[int, int] | None,
) -> list[Tensor]:
    """What a network answered, reduced to one box for each thing, in pixels of the frame.

    Args:
        prediction: its answer to N pictures.
        confidence: boxes scored below it are dropped.
        overlap: of boxes that share more than this part of their union, the best scored stays.
        classes: those wanted, None for all; boxes of different classes suppress each other.
        class_count: how many classes the network knows.
        end_to_end: whether its answers need no reduction.
        seen: (height, width) of the pictures it saw, pixels.
        original: (height, width) of the frames, pixels.
        keypoints: how many there are of each thing, and numbers of each; None where there are none.

    Returns:
        N tensors (n, 6 + K): x1, y1, x2, y2 cut at the edges of the frame, score, class, then keypoints, those beyond
        the edges moved onto them; rows fall in score.
    """
    import_ultralytics()
    from ultralytics.utils import nms, ops

    _use_compiled_suppression(nms)
    found: list[Tensor] = nms.non_max_suppression(
        prediction,
        confidence,
        overlap,
        classes=classes,
        agnostic=True,
        nc=class_count,
        max_time_img=10.0,
        end2end=end_to_end,
    )
    for rows in found:
        ops.scale_boxes(seen, rows, original)  # in place
        if keypoints is not None:
            ops.scale_coords(seen, torch.unflatten(rows[:, 6:], 1, keypoints), original)  # in place
    return found


def _use_compiled_suppression(nms: Any) -> None:
    """Give ultralytics torchvision's compiled suppression without importing torchvision.

    Ultralytics takes it where torchvision is imported, which costs seconds (torchvision.ops imports torch._dynamo), and
    else a loop in Python, a hundred times slower and looser about ties.
    """
    if "torchvision" in sys.modules or nms.TorchNMS.nms is getattr(torch.ops.torchvision, "nms", None):
        return
    try:
        found = importlib.util.find_spec("torchvision")
        for folder in (found and found.submodule_search_locations) or ():
            for library in sorted(Path(folder).glob("_C*")):  # _C or _C_stable, by version
                cast(Any, torch.ops).load_library(str(library))
        nms.TorchNMS.nms = staticmethod(torch.ops.torchvision.nms)
    except (OSError, AttributeError):
        importlib.import_module("torchvision")  # finds its libraries itself, or says what is wrong


class ByteTrack:
    """ultralytics' ByteTrack (Zhang et al. 2022): says which detections of successive frames are one thing.

    Args:
        sure: score from which a detection may begin a track; those from 0.1 on may continue one.
        remembered: frames for which a lost track is looked for.
        match_limit: most cost of a match, 1 - IoU weighed by the score.
    """

    def __init__(self, *, sure: float, remembered: int, match_limit: float) -> None:
        import_ultralytics()
        from ultralytics.engine.results import Boxes
        from ultralytics.trackers import byte_tracker

        self._boxes = Boxes
        self._tracker = cast(Any, byte_tracker).BYTETracker(
            SimpleNamespace(
                track_high_thresh=sure,
                track_low_thresh=0.1,
                new_track_thresh=sure,
                track_buffer=remembered,
                match_thresh=match_limit,
                fuse_score=True,
            )
        )

    def update(self, boxes: NDArray[np.float32]) -> list[tuple[int, int]]:
        """Take the detections of the next frame: (N,5) x1, y1, x2, y2 in pixels, score.

        Returns (track, row) of those that belong to a track, new and unconfirmed ones included.
        """
        # The class column carries the row of the detection: it comes back with the match in every ultralytics version.
        rows = np.arange(len(boxes), dtype=np.float32)
        self._tracker.update(self._boxes(np.column_stack([boxes, rows]), (1, 1)))
        now = self._tracker.frame_id
        return [(int(t.track_id), int(t.cls)) for t in self._tracker.tracked_stracks if t.frame_id == now]
