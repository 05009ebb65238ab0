"""Convolutional networks on the CPU by ONNX Runtime, two to three times as fast there as by PyTorch.

A weight file (safetensors) holds a network's weights once, and in its metadata, as `graph`, what is done with them: an
ONNX model whose initialisers are named after the tensors and are empty. `weights/recipes/` makes both from one PyTorch
module, which stays what runs on GPUs; tests hold one to the other.
"""

from __future__ import annotations

import base64
import functools
import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from glot_cli.errors import WeightsError, first_line

GRAPH = "graph"  # key of the metadata
_SILENT = "ORT_DISABLE_TELEMETRY"  # ONNX Runtime reads it once, while it is imported


@functools.cache
def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime without its usage statistics, and return it.

    Left to itself it writes an id of the machine below the home folder and reports to its makers over the network.
    """
    before = os.environ.get(_SILENT)
    os.environ[_SILENT] = "1"
    try:
        runtime = importlib.import_module("onnxruntime")
    finally:
        if before is None:
            del os.environ[_SILENT]
        else:
            os.environ[_SILENT] = before
    runtime.disable_telemetry_events()  # the host program may have imported it before
    return runtime


class CompiledNetwork:
    """A network ready to run on the CPU, with as many threads as PyTorch uses.

    Args:
        path: a weight file with a graph.

    Raises:
        WeightsError: the file cannot be used.
    """

    def __init__(self, path: Path | str) -> None:
        import torch  # here: a process that has another use for ONNX Runtime starts without it

        onnxruntime = import_onnxruntime()
        try:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                if GRAPH not in metadata:
                    raise ValueError("it holds no graph: it is of another network, or of an earlier glot")
                graph = base64.b64decode(metadata[GRAPH])
                # Single precision: what CPUs compute in. The session reads these arrays where they lie, so keep them.
                self._weights = {
                    name: np.ascontiguousarray(file.get_tensor(name), np.float32)
                    for name in file.keys()  # noqa: SIM118  (not a dict)
                }
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 3  # errors alone
            # Threads that wait must not take the cores from whatever else runs on them.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            values = [
                onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, 1) for array in self._weights.values()
            ]
            options.add_external_initializers(list(self._weights), values)
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # safetensors, ONNX Runtime: each has its own kinds, all mean a bad file
            reason = f"not a readable weight file ({first_line(error)})"
            raise WeightsError(reason, path=path, remedy="install glot again") from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Images (N,3,H,W), RGB from 0 to 1, to the network's outputs."""
        answers: list[NDArray[np.float32]] = self._session.run(None, {self._input: images})
        return answers
