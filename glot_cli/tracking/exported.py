"""Detectors that were exported: ONNX files, and TorchScript where the user trusts it.

ONNX is a list of sums and products, TorchScript a program. Neither is believed: how large an ONNX model may grow and
how long it may take is found out on one picture, what both tell about themselves is checked.
"""

from __future__ import annotations

import ast
import json
import math
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.errors import one_line
from glot_cli.files.faults import Damaged, FileFault, Refused, Unsupported
from glot_cli.files.opening import read_bytes
from glot_cli.inference import import_onnxruntime
from glot_cli.tracking.blueprint import MAX_NAME, SMALLER, check_names, check_points

MAX_TEXT = 1 << 20  # letters of what a model tells about itself
MAX_NODES = 20_000  # of an ONNX model; a large detector has 1,500
MAX_USES = 4
SIDES = (32, 4096)  # pixels of the pictures of a model that takes one size
MAX_STRIDE = 256
MAX_PIXELS = 1 << 23  # of the pictures that a model takes at a time
_ANY = (640, 640)  # (height, width) of a picture for models that take any, pixels
_KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_AT_ONCE = 2  # pictures; what they take is bounded
PATIENCE = 8.0  # seconds for one picture
ROOM = 512 << 20  # bytes that a model may take, besides four times its own
# Nodes that repeat others as often as the model likes, or run what is not in it.
_UNBOUNDED = {"Loop", "Scan", "SequenceMap", "EPContext"}
_DOMAINS = {"", "ai.onnx", "com.microsoft"}


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


class _Bounded:
    """An ONNX model whose time and memory are bounded unless it is trusted.

    Args:
        data: the file.
        device: where it runs, if ONNX Runtime can there.
        trusted: whether it may take as long and as much memory as it likes.
        as_it_is: whether it is left as it is: making it faster runs parts of it, for as long as they take.

    Attributes:
        count: of pictures that it takes at a time; None: any.
        size: (height, width) of the pictures that it takes, pixels; None: any.
    """

    def __init__(self, data: bytes, device: torch.device, *, trusted: bool, as_it_is: bool = False) -> None:
        self._runtime = runtime = import_onnxruntime()
        self._trusted = trusted
        self._room = ROOM + 4 * len(data)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what is wrong comes as an error
        # Threads that wait must not take the cores from whatever else runs on them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if as_it_is:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if not trusted:
            # Sessions take the allocator that is registered while they are made, if they are told to.
            place = runtime.OrtMemoryInfo(
                "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
            )
            room = {"max_mem": self._room, "arena_extend_strategy": 1}  # as much as is asked for
            runtime.create_and_register_allocator(place, runtime.OrtArenaCfg(room))
            options.add_session_config_entry("session.use_env_allocators", "1")
            options.add_session_config_entry("session.disable_prepacking", "1")  # a copy of the numbers for every node
        providers: list[Any] = ["CPUExecutionProvider"]
        if device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
        left_out = [] if trusted else ["ConstantFolding"]  # it keeps whatever constant nodes make
        self._session: Any = runtime.InferenceSession(
            data, options, providers=providers, disabled_optimizers=left_out, enable_fallback=False
        )
        (asked,) = self._session.get_inputs()
        if (
            asked.type not in _KINDS
            or len(asked.shape) != 4
            or (isinstance(asked.shape[1], int) and asked.shape[1] != 3)
        ):
            raise Unsupported("takes something else than coloured pictures of floating point numbers")
        self._name, self._kind = asked.name, _KINDS[asked.type]
        count, _, height, width = (side if isinstance(side, int) else None for side in asked.shape)
        self.count = count
        self.size = None if height is None or width is None else _size((height, width))
        if count is not None and not 1 <= count * math.prod(self.size or _ANY) <= MAX_PIXELS:
            raise Refused(f"takes {count} pictures at a time", remedy="export it for one")

    def __call__(self, images: NDArray[np.float32]) -> Tensor:
        """The first answer to images (n,3,h,w) from 0 to 1."""
        if self.count is None and len(images) > _AT_ONCE:
            pieces = range(0, len(images), _AT_ONCE)
            return torch.cat([self(images[start : start + _AT_ONCE]) for start in pieces])
        how = self._runtime.RunOptions()
        late = threading.Timer(PATIENCE * len(images), setattr, (how, "terminate", True))
        if not self._trusted:
            late.start()
        try:
            (answer, *_) = self._session.run(None, {self._name: images.astype(self._kind, copy=False)}, how)
        except Exception as error:
            if how.terminate:
                raise Unsupported(f"takes more than {PATIENCE:g} s for one picture here", remedy=SMALLER) from error
            if "Available memory of" in str(error):  # ONNX Runtime's own words, where its room is used up
                raise Unsupported(f"takes more than {self._room >> 20} MB for a picture", remedy=SMALLER) from error
            raise
        finally:
            late.cancel()
        return torch.from_numpy(answer)


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
    import onnx

    data = read_bytes(path)
    try:
        model = onnx.load_model_from_string(data)
        if not trusted:
            _check_graph(model)
        told = _tells({entry.key: _literal(entry.value) for entry in model.metadata_props})
        del model
        if not trusted:
            tried = _Bounded(data, torch.device("cpu"), trusted=False, as_it_is=True)
            tried(np.full((tried.count or 1, 3, *(tried.size or _ANY)), 0.5, np.float32))
        network = _Bounded(data, device, trusted=trusted)
    except FileFault:
        raise
    except Exception as error:  # protobuf and ONNX Runtime have their own kinds
        raise Damaged(f"is not a model that ONNX Runtime can run ({one_line(error)})") from error
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
    if len(text) > MAX_TEXT:
        raise Refused("tells more about itself than any detector")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _check_graph(model: Any) -> None:
    """Raise for an ONNX model that asks for what is not in it, or repeats itself without a bound."""
    if model.functions:
        raise Refused("has functions of its own, which no detector needs")
    nodes = 0
    used: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        nodes += len(graph.node)
        if nodes > MAX_NODES:
            raise Refused(f"has more than {MAX_NODES:,} nodes, more than any detector")
        tensors = list(graph.initializer)
        sizes |= {tensor.name: math.prod(tensor.dims) for tensor in tensors}
        sparse = bool(graph.sparse_initializer)
        for node in graph.node:
            if node.op_type in _UNBOUNDED or node.domain not in _DOMAINS:
                raise Refused(f"asks for {node.op_type[:MAX_NAME]}, which no detector needs")
            used.update(node.input)
            for attribute in node.attribute:
                if node.op_type == "Constant":
                    sizes |= {name: math.prod(attribute.t.dims) for name in node.output}
                tensors += [attribute.t, *attribute.tensors]
                waiting += [attribute.g, *attribute.graphs]
                sparse = sparse or attribute.HasField("sparse_tensor") or bool(attribute.sparse_tensors)
        if sparse:
            raise Refused("holds sparse tensors, which no detector has")
        if any(tensor.data_location or tensor.external_data for tensor in tensors):
            raise Refused("keeps its numbers in another file", remedy="export it into one file")
    # What makes a model fast may copy them for every node that takes them.
    if sum(sizes.get(name, 0) * count for name, count in used.items()) > MAX_USES * sum(sizes.values()):
        raise Refused(f"takes its numbers more than {MAX_USES} times over, which no detector does")
