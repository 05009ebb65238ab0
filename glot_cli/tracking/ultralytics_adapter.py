"""The one door to ultralytics: the inner parts of it that glot uses, without its reach.

No network, no pip, no usage statistics, no log lines, no files. Nothing else imports ultralytics; what is called here
may move in a later release, so pyproject.toml bounds the version.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
import itertools
import logging
import math
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

# Ultralytics reads these once, while it is imported.
_SETTINGS = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_HOME = "YOLO_CONFIG_DIR"  # where it writes its settings, with an id of the machine, while it is imported
STRIDE = 32  # pixels; sides that the networks see are multiples of it


@functools.cache
def import_ultralytics() -> ModuleType:
    """Import ultralytics with everything switched off that reaches outside this process, and return it.

    Call it before any `from ultralytics... import`. It also works when the host program imported ultralytics before,
    and leaves the environment and OpenCV's thread count, which ultralytics sets to one, as they were.
    """
    before = {name: os.environ.get(name) for name in (*_SETTINGS, _HOME)}
    threads = cv2.getNumThreads()
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(_SETTINGS | {_HOME: folder})
            ultralytics = importlib.import_module("ultralytics")
            importlib.import_module("ultralytics.utils.checks")
            importlib.import_module("ultralytics.nn.tasks")
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
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


def _tasks() -> Any:
    """ultralytics' networks."""
    import_ultralytics()
    from ultralytics.nn import tasks

    return tasks


def build_network(architecture: dict[str, Any], class_count: int) -> nn.Module:
    """A network of random weights from ultralytics' description of it (a model's yaml)."""
    kind = _tasks().PoseModel if "kpt_shape" in architecture else _tasks().DetectionModel
    return cast(nn.Module, kind(copy.deepcopy(architecture), ch=3, nc=class_count, verbose=False))


def fold(network: Any) -> Any:
    """A network in single precision with its batch norms folded into the convolutions."""
    return network.float().fuse(verbose=False)


class Effort(NamedTuple):
    """What a network takes.

    Attributes:
        numbers: in its parameters and buffers.
        operations: for one picture, multiplications and additions.
        kept: numbers in memory at once for one picture, besides those of the network.
    """

    numbers: int
    operations: int
    kept: int


def effort(architecture: dict[str, Any], size: int, most_layers: int) -> Effort:
    """What the network of a description would take, told without making any number of it.

    Args:
        architecture: ultralytics' description.
        size: of the square pictures, pixels.
        most_layers: an OverflowError comes where there are more.
    """
    count = itertools.count(1)

    def counted(*_: Any) -> None:
        if next(count) > most_layers:
            raise OverflowError(f"more than {most_layers:,} layers")

    convolution = _tasks().Conv
    activation = convolution.default_act  # which a description that is broken off leaves changed for all others
    hook = register_module_module_registration_hook(counted)
    try:
        with torch.device("meta"):  # shapes alone
            layers, saved = _tasks().parse_model(copy.deepcopy(architecture), ch=3, verbose=False)
    finally:
        hook.remove()
        convolution.default_act = activation
    layers.eval()
    layers[-1].training = True  # its answers as they are, without the grid that belongs to them
    kept = 0
    answers: list[Any] = []
    answer: Any = torch.zeros(1, 3, size, size, device="meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter, _Watch() as watch:
        for number, layer in enumerate(layers):
            source = layer.f
            taken = [answer if one == -1 else answers[one] for one in ([source] if isinstance(source, int) else source)]
            answer = layer(taken[0] if isinstance(source, int) else taken)
            answers.append(answer if number in saved else None)
            kept += answer.numel() if number in saved and isinstance(answer, Tensor) else 0
    numbers = sum(tensor.numel() for tensor in layers.state_dict().values())
    return Effort(numbers, counter.get_total_flops() + watch.pooled, kept + 2 * watch.largest)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at what operations make.

    Attributes:
        largest: numbers of the largest tensor.
        pooled: comparisons of poolings, which PyTorch's counter leaves out.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0
        self.pooled = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        first = made[0] if isinstance(made, tuple) and made else made
        if isinstance(first, Tensor):
            self.largest = max(self.largest, first.numel())
            if "pool2d" in str(func) and isinstance(args[1], list):
                self.pooled += first.numel() * math.prod(args[1])
        return made


def letterbox(frames: list[NDArray[np.uint8]], size: int | tuple[int, int], *, rectangular: bool) -> NDArray[np.uint8]:
    """Frames (H,W,3) of one size as the network sees them: (N,h,w,3), scaled to fit, with grey bars.

    Args:
        frames: pictures of one size.
        size: the longer side, or (height, width), pixels.
        rectangular: whether bars are only as wide as the network's stride demands, instead of filling `size`.
    """
    import_ultralytics()
    from ultralytics.data.augment import LetterBox

    fit = LetterBox(cast(Any, size), auto=rectangular, stride=STRIDE)
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
        self._remembered = remembered
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

    def update(self, boxes: NDArray[np.float32], missing: int = 0) -> list[tuple[int, int]]:
        """Take the detections of the next frame.

        Args:
            boxes: (N,5) x1, y1, x2, y2 in pixels, score.
            missing: how many frames there would have been since the last one; lost tracks grow old meanwhile.

        Returns:
            (track, row) of those that belong to a track, new and unconfirmed ones included.
        """
        self._tracker.frame_id += missing
        oldest = self._tracker.frame_id - self._remembered
        self._tracker.lost_stracks = [track for track in self._tracker.lost_stracks if track.end_frame >= oldest]
        # The class column carries the row of the detection: it comes back with the match in every ultralytics version.
        rows = np.arange(len(boxes), dtype=np.float32)
        self._tracker.update(self._boxes(np.column_stack([boxes, rows]), (1, 1)))
        now = self._tracker.frame_id
        return [(int(t.track_id), int(t.cls)) for t in self._tracker.tracked_stracks if t.frame_id == now]
