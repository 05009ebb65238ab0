"""A detector of the user's own: of which kind its file is, and the network in it. Nothing in a file is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glot_cli.device import upload
from glot_cli.errors import WeightsError, one_line
from glot_cli.files.faults import Damaged, FileFault, Refused, Unsupported
from glot_cli.files.opening import TORCH, ZIP, check_download, expanded, first_bytes
from glot_cli.files.saved_modules import MAX_MODULES, read_network
from glot_cli.files.zips import zip_names
from glot_cli.tracking import ultralytics_adapter
from glot_cli.tracking.blueprint import SMALLER, Blueprint, check_layers, read_blueprint
from glot_cli.tracking.exported import Told, open_onnx, open_script

_TASKS = ("detect", "segment", "pose")  # those whose answers are boxes
_SUFFIXES = (".pt", ".onnx", ".torchscript")
_MEASURED_AT = 640  # pixels a side
MAX_OPERATIONS = 600 * 10**9  # for one picture; the largest of ultralytics' take 350
MAX_KEPT = 1 << 26  # numbers kept for one picture; the largest of ultralytics' keep half
_UNFOLDED = 3  # at most so many times the numbers of a network whose norms are folded

Run = Callable[[NDArray[np.uint8]], Any]


class UsersDetector(NamedTuple):
    """A network that finds things.

    Attributes:
        run: what takes pictures (n,h,w,3) uint8 RGB.
        told: what it says about itself.
    """

    run: Run
    told: Told


def open_detector(model: str, device: torch.device, *, trusted: bool) -> UsersDetector:
    """A model that ultralytics saved or exported.

    Args:
        model: path of the file (.pt, .onnx, .torchscript). Nothing is ever downloaded.
        device: where it is to run.
        trusted: whether programs (TorchScript) are run, and ONNX models may be of any kind and size.

    Raises:
        WeightsError: it is missing, damaged, no detector or a program.
    """
    path = expanded(model)
    if not path.is_file():
        raise WeightsError(
            f"{one_line(Exception(model))}: no such detector file",
            remedy="glot downloads nothing, so give the path of an ultralytics model on this machine "
            "(.pt, .onnx or .torchscript)",
        )
    if path.suffix not in _SUFFIXES:
        raise WeightsError("not a detector glot can read", path=path, remedy="give a .pt, .onnx or .torchscript file")
    export = f"where you trust it, export it (yolo export model={path.name} format=onnx) and give the .onnx file"
    kind = "model"
    try:
        kind = _kind(path)
        if kind == "program" and not trusted:
            raise WeightsError(
                "is TorchScript, a program, which could do anything on this machine; nothing in it was run",
                path=path,
                remedy="give the .onnx or .pt file of the same model, or say that you trust it",
                option="trust_detector",
            )
        if kind == "checkpoint":
            opened = _of_checkpoint(path, device)
        else:
            call, told = open_script(path, device) if kind == "program" else open_onnx(path, device, trusted=trusted)
            opened = UsersDetector(_on_images(call, told.pictures), told)
    except FileFault as fault:
        if kind == "program":  # of which something was run
            fault = FileFault(fault.reason, remedy=fault.remedy)
        raise fault.about(path, WeightsError, remedy=export if kind == "checkpoint" else "export it again") from fault
    except ImportError as error:
        raise WeightsError(
            f"{error.name or error} is not installed",
            path=path,
            remedy="pip install onnx onnxruntime, or give a .pt file",
        ) from error
    except (WeightsError, OSError):
        raise
    except Exception as error:
        raise WeightsError(
            f"not a detector that can be used ({type(error).__name__}: {one_line(error)})", path=path, remedy=export
        ) from error
    if opened.told.task not in _TASKS:
        raise WeightsError(
            f"a model for the task '{opened.told.task}' does not box people",
            path=path,
            remedy=f"give one for {', '.join(_TASKS)}",
        )
    return opened._replace(run=_checked(opened.run, opened.told, path))


def on_device(network: nn.Module, device: torch.device) -> Run:
    """What runs a PyTorch network on pictures (n,h,w,3)."""
    ready = network.to(device)

    def run(pictures: NDArray[np.uint8]) -> Any:
        # Bytes travel, a quarter of the floats; (n,h,w,3) permuted is channels-last memory already
        return ready(upload(torch.from_numpy(pictures), device).permute(0, 3, 1, 2).float() / 255)

    return run


def as_images(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (n,h,w,3) as networks take them: (n,3,h,w), 0 to 1."""
    return np.asarray(cv2.dnn.blobFromImages(list(pictures), 1 / 255), np.float32)


def ready(network: nn.Module) -> nn.Module:
    """Batch norm folded, channels last, for inference."""
    folded = ultralytics_adapter.fold(network).eval().requires_grad_(False)
    made: nn.Module = folded.to(memory_format=torch.channels_last)
    return made


def read_checkpoint(path: Path) -> tuple[Any, Blueprint]:
    """The network of a .pt file, built from its description, with the file's numbers in it.

    Raises:
        FileFault: it is damaged, no detector, out of bounds, or its numbers belong to another network.
    """
    blueprint = read_blueprint(read_network(path))
    network: Any = _build(blueprint)
    network.end2end = blueprint.end_to_end
    here = {name for name, _ in network.named_buffers()} - network.state_dict().keys()  # those that are not saved
    held = {name: tensor for name, tensor in blueprint.tensors.items() if name not in here}
    if held.keys() != network.state_dict().keys():
        network = ultralytics_adapter.fold(network)  # as it may have been when it was saved
    check_layers(network, blueprint.layers)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in held.items()}:
        raise Unsupported("holds other weights than the network that it describes")
    state = {name: tensor.tensor() for name, tensor in held.items()}
    if not all(bool(numbers.isfinite().all()) for numbers in state.values()):
        raise Damaged("holds weights that are no numbers (NaN or infinite)")
    network.load_state_dict(state)
    return network, blueprint


def _build(blueprint: Blueprint) -> nn.Module:
    """The network, once it is sure that it is no larger than its file and than any detector."""
    parts = {part.key: part for part in (tensor.numbers for tensor in blueprint.tensors.values())}  # may be shared
    numbers = sum(len(part.memory) // part.dtype.itemsize for part in parts.values())
    try:
        effort = ultralytics_adapter.effort(blueprint.architecture, _MEASURED_AT, MAX_MODULES)
        if effort.numbers > _UNFOLDED * numbers:
            raise Refused("describes a larger network than it holds")
        if effort.operations > MAX_OPERATIONS or effort.kept > MAX_KEPT:
            raise Refused(
                f"describes a network that takes {effort.operations / 1e9:,.0f} billion operations and "
                f"{effort.kept * 4 / 2**20:,.0f} MB for a picture, more than any detector",
                remedy=SMALLER,
            )
        return ultralytics_adapter.build_network(blueprint.architecture, len(blueprint.names))
    except FileFault:
        raise
    except Exception as error:  # ultralytics, PyTorch: each has its own kinds, all mean a bad description
        reason = f"describes a network that cannot be built ({type(error).__name__}: {one_line(error)})"
        raise Unsupported(reason) from error


def _of_checkpoint(path: Path, device: torch.device) -> UsersDetector:
    network, blueprint = read_checkpoint(path)
    told = Told(
        task=blueprint.task,
        names=blueprint.names,
        keypoints=blueprint.keypoints,
        end_to_end=blueprint.end_to_end,
        size=None,
        stride=int(network.stride.max()),
        pictures=None,
    )
    return UsersDetector(on_device(ready(network), device), told)


def _on_images(network: Callable[[NDArray[np.float32]], Any], count: int | None) -> Run:
    """What runs an exported network, which takes `count` pictures at a time (None: any), on pictures (n,h,w,3)."""

    def run(pictures: NDArray[np.uint8]) -> Any:
        images = as_images(pictures)
        if count is None:
            return network(images)
        whole = np.concatenate([images, np.zeros((-len(images) % count, *images.shape[1:]), np.float32)])
        answers = [_first(network(whole[start : start + count])) for start in range(0, len(whole), count)]
        return torch.cat(answers)[: len(images)]

    return run


def _first(answer: Any) -> Any:
    """The boxes among what a network answers, which come first."""
    while isinstance(answer, list | tuple) and answer:
        answer = answer[0]
    return answer


def _checked(run: Run, told: Told, path: Path) -> Run:
    """What runs a network whose answers may be anything: those that are no boxes raise WeightsError."""
    points = 0 if told.keypoints is None else told.keypoints[0] * told.keypoints[1]
    least = points + (6 if told.end_to_end else 4 + len(told.names))

    def checked(pictures: NDArray[np.uint8]) -> Any:
        try:
            answer = _first(run(pictures))
        except FileFault as fault:
            raise fault.about(path, WeightsError, remedy=SMALLER) from fault
        except Exception as error:  # ONNX Runtime, PyTorch: each has its own kinds
            raise WeightsError(
                f"fails on a picture ({type(error).__name__}: {one_line(error)})", path=path, remedy="give another"
            ) from error
        good = isinstance(answer, Tensor) and answer.ndim == 3 and len(answer) == len(pictures)
        if good and answer.is_floating_point():
            numbers = answer.shape[2 if told.end_to_end else 1]
            if numbers == least or (told.task == "segment" and numbers > least):  # of masks, which are passed over
                return answer
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise WeightsError(
            f"answers a picture with {shape}, which are no boxes of {len(told.names)} classes"[:200],
            path=path,
            remedy="give a model that ultralytics saved or exported",
        )

    return checked


def _kind(path: Path) -> str:
    """Which kind of file it is by what is in it: "checkpoint", "program" or "model"."""
    start = first_bytes(path)
    if start.startswith(ZIP):
        with path.open("rb") as file:
            names = zip_names(file)
        return "program" if any(name.endswith("/constants.pkl") for name in names) else "checkpoint"
    check_download(start)
    if start.startswith(TORCH):
        return "checkpoint"  # as PyTorch wrote them before 1.6
    if path.suffix != ".onnx":
        raise Damaged("is no file that PyTorch wrote, or a damaged one")
    return "model"
