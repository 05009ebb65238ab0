"""The process in which a user's ONNX model is read and run. Started by exported.py, never imported by the rest.

A model may crash ONNX Runtime and the library that reads it, keep one of its nodes busy for hours, which nothing can
interrupt, or fill the memory. No torch in here: it takes seconds to import.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from glot_cli.errors import one_line
from glot_cli.files.apart import answer_orders, bound_memory
from glot_cli.files.faults import Damaged, FileFault, Refused, TooMuch, Unsupported
from glot_cli.files.opening import read_bytes
from glot_cli.inference import import_onnxruntime

MAX_NODES = 20_000  # of an ONNX model; a large detector has 1,500
MAX_USES = 4
MAX_ANSWER = 1 << 24  # numbers; boxes of two pictures of 1280 x 1280 among 80 classes take a third
_MAX_NAME = 200  # letters
_KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_THREAD = 16 << 20  # bytes that are set aside for a thread
# What ultralytics' exports tell about themselves that is of use here.
_TOLD = ("task", "names", "stride", "imgsz", "kpt_shape", "end2end", "args")
MAX_TOLD = 1 << 19  # letters of one of them
# Nodes that repeat others as often as the model likes, or run what is not in it.
_UNBOUNDED = {"Loop", "Scan", "SequenceMap", "EPContext"}
_DOMAINS = {"", "ai.onnx", "com.microsoft"}
_NO_MEMORY = ("Available memory of", "bad_alloc", "bad allocation", "Failed to allocate memory", "MemoryError")


def main() -> None:
    """Open the model of the first order, and answer the pictures of the others."""
    networks: list[_Network] = []

    def answer(order: dict[str, Any], images: Any) -> tuple[dict[str, Any], Any]:
        if images is not None:
            return {}, networks[0](images)
        networks.append(_Network(**order))
        return {"told": networks[0].told, "takes": networks[0].takes}, None

    answer_orders(answer)


class _Network:
    """A model ready to run.

    Args:
        path: of the file.
        device: number of the CUDA device that it runs on; None: the CPU.
        threads: that work at it.
        room: bytes that it may take; None: as many as it likes, and be of any kind.

    Attributes:
        told: what it tells about itself.
        takes: how many pictures at a time, their height and width, pixels; None: any.
    """

    def __init__(self, path: str, device: int | None, threads: int, room: int | None) -> None:
        self._room = room
        if room is not None and device is None:
            bound_memory(room + threads * _THREAD)
        data = read_bytes(Path(path))
        try:
            self.told = _read(data, trusted=room is None)
            self._session = _session(data, device, threads, room)
            (asked,) = self._session.get_inputs()
            sides = [side if isinstance(side, int) else None for side in asked.shape]
            self._asked, self._kind = asked.name, _KINDS.get(asked.type)
            self._answer = self._session.get_outputs()[0].name
        except FileFault:
            raise
        except Exception as error:  # protobuf and ONNX Runtime have their own kinds
            raise self._fault(error, "is not a model that ONNX Runtime can run") from error
        if self._kind is None or len(sides) != 4 or sides[1] not in (None, 3):
            raise Unsupported("takes something else than coloured pictures of floating point numbers")
        self.takes = (sides[0], *sides[2:])

    def __call__(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The first answer to images (n,3,h,w) from 0 to 1."""
        try:
            (answer,) = self._session.run([self._answer], {self._asked: images.astype(self._kind, copy=False)})
        except Exception as error:
            raise self._fault(error, "fails on a picture") from error
        if not isinstance(answer, np.ndarray) or answer.dtype.kind != "f" or answer.size > MAX_ANSWER:
            shown = answer.shape if isinstance(answer, np.ndarray) else type(answer).__name__
            raise Unsupported(f"answers a picture with {str(shown)[:_MAX_NAME]}, which are no boxes")
        return answer

    def _fault(self, error: Exception, what: str) -> FileFault:
        if self._room is not None and any(words in f"{type(error).__name__}: {error}" for words in _NO_MEMORY):
            return TooMuch(f"takes more than {self._room >> 20} MB")
        return Damaged(f"{what} ({one_line(error) or type(error).__name__})")


def _read(data: bytes, *, trusted: bool) -> dict[str, str]:
    """What a model tells about itself, once it is seen to be no more than a detector unless it is trusted."""
    model = onnx.load_model_from_string(data)
    if not trusted:
        check_graph(model)
    told = {entry.key: entry.value for entry in model.metadata_props if entry.key in _TOLD}
    if any(len(value) > MAX_TOLD for value in told.values()):
        raise Refused("tells more about itself than any detector")
    return told


def _session(data: bytes, device: int | None, threads: int, room: int | None) -> Any:
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong comes as an error
    options.add_session_config_entry("session.load_model_format", "ONNX")  # as which it was looked through
    # Threads that wait must not take the cores from whatever else runs on them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    left_out = []
    if room is not None:
        # Where the system does not count memory, ONNX Runtime does: sessions take the allocator that is registered
        # while they are made, if they are told to.
        kinds = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
        arena = runtime.OrtArenaCfg({"max_mem": room, "arena_extend_strategy": 1})  # as much as is asked for
        runtime.create_and_register_allocator(runtime.OrtMemoryInfo("Cpu", *kinds), arena)
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.disable_prepacking", "1")  # a copy of the numbers for every node
        left_out = ["ConstantFolding"]  # it keeps whatever constant nodes make
    providers: list[Any] = ["CPUExecutionProvider"]
    if device is not None and "CUDAExecutionProvider" in runtime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device}))
    return runtime.InferenceSession(
        data, options, providers=providers, disabled_optimizers=left_out, enable_fallback=False
    )


def check_graph(model: Any) -> None:
    """Raise for an ONNX model that asks for what is not in it, or repeats itself without a bound."""
    if model.functions or model.training_info:
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
                raise Refused(f"asks for {node.op_type[:_MAX_NAME]}, which no detector needs")
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
