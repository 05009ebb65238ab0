"""A PyTorch module as an ONNX model without weights, to be kept beside them (see `glot_cli/inference.py`)."""

import base64
import io
import warnings
from collections.abc import Mapping

import onnx
import torch
from torch import Tensor, nn

from glot_cli.inference import GRAPH

OPSET = 17


class _Plain(nn.Module):
    """A module whose answer, a tuple or one with names, comes out as a plain tuple."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        answer = self.module(images)
        return (answer,) if isinstance(answer, Tensor) else tuple(answer)


def graph_metadata(
    module: nn.Module, weights: Mapping[str, Tensor], images: Tensor, names: list[str], moving: tuple[int, ...]
) -> dict[str, str]:
    """The entry of a weight file's metadata that holds the graph of a module.

    Args:
        module: in evaluation mode, its parameters in single precision.
        weights: those of the file; the module's own, or those of a module in it called `network`.
        images: of any size that it takes.
        names: of its outputs.
        moving: axes of the images that may have any length.
    """
    axes = {"images": {axis: f"images_{axis}" for axis in moving}} | {name: {0: "images_0"} for name in names}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns of shapes that it takes for constants; tests try others
        torch.onnx.export(
            _Plain(module),
            (images,),
            buffer,
            dynamo=False,
            input_names=["images"],
            output_names=names,
            dynamic_axes=axes,
            opset_version=OPSET,
        )
    model = onnx.load_from_string(buffer.getvalue())
    used = set()
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("module.").removeprefix("network.")
        if name not in weights:
            continue  # a constant of the graph's own
        used.add(name)
        _rename(model, tensor.name, name)
        if tuple(tensor.dims) != tuple(weights[name].shape):
            raise SystemExit(f"{name}: the graph has {tuple(tensor.dims)}, the file {tuple(weights[name].shape)}")
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
    if used != set(weights):
        raise SystemExit(f"not in the graph: {', '.join(sorted(set(weights) - used))}")
    return {GRAPH: base64.b64encode(model.SerializeToString()).decode()}


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Call an initialiser otherwise, wherever it is used."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
    for tensor in model.graph.initializer:
        if tensor.name == old:
            tensor.name = new
