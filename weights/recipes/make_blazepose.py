"""Make `weights/blazepose_SIZE.safetensors` from MediaPipe's `pose_landmark_SIZE.tflite` (Apache-2.0).

    npm pack @mediapipe/pose@0.5.1675469404
    pip install tflite ai-edge-litert onnx
    python -m weights.recipes.make_blazepose mediapipe-pose-0.5.1675469404.tgz --size heavy

Run it in the root of a checkout, as a module, for it uses pictures of the tests. SIZE is full or heavy.

It walks the TFLite graph from the outputs, the heatmaps first, down to the picture, along the first input of every
operator before its second, takes the convolutions in the order in which that walk comes back, and gives them to the
convolutions of `BlazePose` in the order in which these run. Every shape must agree and none may be left over on either
side. The weights are stored as the file has them, in half precision, and with them, as metadata, the graph of what is
done with them (`graphs.py`).

It also writes `tests/features/data/blazepose_SIZE_reference.npz`: what the TFLite interpreter answers to the pictures
drawn by `tests/features/pictures.py`.
"""

import argparse
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tflite
import torch
from ai_edge_litert.interpreter import Interpreter
from safetensors.torch import save_file

from glot_cli.features.blazepose_net import INPUT_SIZE, SIZES, BlazePose, BlazePoseOutput
from tests.features.pictures import draw_pictures
from weights.recipes.graphs import graph_metadata

ROOT = Path(__file__).resolve().parents[2]
MEMBER = "package/pose_landmark_{size}.tflite"
LANDMARKS = {"Identity": "landmarks", "Identity_4": "world", "Identity_1": "presence"}
HEATMAPS = {"Identity_3": "heatmaps"}
SPARSE = 4  # every fourth row and column of the heatmaps is kept for the test


def tensor_values(model: tflite.Model, index: int) -> np.ndarray:
    """The constant stored for one tensor of the graph."""
    tensor = model.Subgraphs(0).Tensors(index)
    kinds = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    return np.frombuffer(data.tobytes(), kinds[tensor.Type()]).reshape(tensor.ShapeAsNumpy())


def steps_towards(model: tflite.Model, outputs: Iterable[str]) -> list[int]:
    """The operators that the named outputs depend on, each after those that it depends on, first inputs first."""
    graph = model.Subgraphs(0)
    makers = {int(graph.Operators(step).Outputs(0)): step for step in range(graph.OperatorsLength())}
    names = {graph.Tensors(index).Name().decode(): int(index) for index in graph.OutputsAsNumpy()}
    steps: dict[int, None] = {}

    def walk(tensor: int) -> None:
        step = makers.get(tensor)
        if step is None or step in steps:
            return
        for index in graph.Operators(step).InputsAsNumpy():
            walk(int(index))
        steps[step] = None

    for output in outputs:
        walk(names[output])
    return list(steps)


def convolutions(model: tflite.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in / groups, kh, kw) and bias of each convolution: first those of HEATMAPS, then of LANDMARKS."""
    graph = model.Subgraphs(0)
    steps = steps_towards(model, [*HEATMAPS, *LANDMARKS])
    stored: dict[int, int] = {}  # tensor made by DEQUANTIZE -> the half-precision tensor behind it
    layers = []
    for operator in (graph.Operators(step) for step in steps):
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code == tflite.BuiltinOperator.DEQUANTIZE:
            stored[operator.Outputs(0)] = operator.Inputs(0)
        elif code in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            weight, bias = (tensor_values(model, stored.get(i, i)) for i in operator.InputsAsNumpy()[1:])
            # TFLite: (out, kh, kw, in), depthwise (1, kh, kw, channels)
            order = (0, 3, 1, 2) if code == tflite.BuiltinOperator.CONV_2D else (3, 0, 1, 2)
            layers.append((weight.transpose(order), bias))
    return layers


def run_tflite(content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the interpreter says of images (N,256,256,3), float RGB in [0,1].

    Returns landmarks (N,39,5), world (N,39,3), presence (N,) and, in every SPARSE-th cell, heatmaps (N,39,16,16).
    """
    names = {**LANDMARKS, **HEATMAPS}
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    exits = {names[d["name"]]: d["index"] for d in interpreter.get_output_details() if d["name"] in names}
    answers: dict[str, list[np.ndarray]] = {name: [] for name in exits}
    for image in images:
        interpreter.set_tensor(entry, image[None])
        interpreter.invoke()
        for name, index in exits.items():
            answers[name].append(interpreter.get_tensor(index)[0])
    found = {name: np.stack(values) for name, values in answers.items()}
    count = len(images)
    return {
        "landmarks": found["landmarks"].reshape(count, 39, 5),
        "world": found["world"].reshape(count, 39, 3),
        "presence": found["presence"].reshape(count),
        "heatmaps": found["heatmaps"][:, ::SPARSE, ::SPARSE].transpose(0, 3, 1, 2),
    }


def running_order(network: BlazePose) -> list[tuple[str, torch.nn.Conv2d]]:
    """The convolutions of the network, named, in the order in which they run."""
    ran: list[tuple[str, torch.nn.Conv2d]] = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_pre_hook(lambda module, _, name=name: ran.append((name, module)))
    network(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE))
    return ran


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="npm package @mediapipe/pose, or pose_landmark_SIZE.tflite itself")
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--out", type=Path, help="in place of weights/blazepose_SIZE.safetensors")
    parser.add_argument("--reference", type=Path, help="in place of tests/features/data/blazepose_SIZE_reference.npz")
    arguments = parser.parse_args()
    size = arguments.size
    out = arguments.out or ROOT / "weights" / f"blazepose_{size}.safetensors"
    reference = arguments.reference or ROOT / "tests" / "features" / "data" / f"blazepose_{size}_reference.npz"
    member_name = MEMBER.format(size=size)
    if arguments.archive.suffix == ".tflite":
        content = arguments.archive.read_bytes()
    else:
        with tarfile.open(arguments.archive) as archive:
            member = archive.extractfile(member_name)
            if member is None:
                raise SystemExit(f"{arguments.archive}: no {member_name} inside")
            content = member.read()

    state = {}
    layers = convolutions(tflite.Model.GetRootAs(content, 0))
    for (name, module), (weight, bias) in zip(running_order(BlazePose(SIZES[size])), layers, strict=True):
        if tuple(module.weight.shape) != weight.shape:
            raise SystemExit(f"{name}: the network has {tuple(module.weight.shape)}, the file {weight.shape}")
        state[f"{name}.weight"] = torch.from_numpy(weight.copy())
        state[f"{name}.bias"] = torch.from_numpy(bias.copy())
    network = BlazePose(SIZES[size])
    network.load_state_dict(state)
    images = torch.zeros(2, 3, INPUT_SIZE, INPUT_SIZE)
    graph = graph_metadata(network.eval(), state, images, list(BlazePoseOutput._fields), (0,))
    source = f"@mediapipe/pose 0.5.1675469404 pose_landmark_{size}.tflite"
    save_file(state, out, metadata={"source": source, "licence": "Apache-2.0", **graph})
    out.chmod(0o644)
    print(f"{out}: {len(layers)} convolutions, {sum(v.numel() for v in state.values()):,} parameters")

    reference.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(reference, **run_tflite(content, draw_pictures()))
    print(f"{reference}: {reference.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
