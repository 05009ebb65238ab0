"""Make `weights/blazepose_full.safetensors` from MediaPipe's `pose_landmark_full.tflite` (Apache-2.0).

    npm pack @mediapipe/pose@0.5.1675469404
    pip install tflite ai-edge-litert
    python -m weights.recipes.make_blazepose mediapipe-pose-0.5.1675469404.tgz

Run it in the root of a checkout, as a module, for it uses pictures of the tests.

It walks the TFLite graph back from the landmark outputs, takes the convolutions on the way in order of execution
and gives them to the convolutions of `BlazePose` in the same order, and then likewise those that only the heatmaps
depend on; every shape must agree and none may be left over on either side. The weights are stored as the file has
them, in half precision.

It also writes `tests/features/data/blazepose_reference.npz`: what the TFLite interpreter answers to the pictures
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

from glot_cli.features.blazepose_net import BlazePose
from tests.features.pictures import draw_pictures

ROOT = Path(__file__).resolve().parents[2]
MEMBER = "package/pose_landmark_full.tflite"
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
    """The operators that the named outputs depend on, in order of execution."""
    graph = model.Subgraphs(0)
    wanted = {index for index in graph.OutputsAsNumpy() if graph.Tensors(index).Name().decode() in outputs}
    steps = []
    for step in reversed(range(graph.OperatorsLength())):
        if graph.Operators(step).Outputs(0) in wanted:
            wanted.update(graph.Operators(step).InputsAsNumpy())
            steps.append(step)
    return steps[::-1]


def convolutions(model: tflite.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in / groups, kh, kw) and bias of each convolution: first those of LANDMARKS, then of HEATMAPS."""
    graph = model.Subgraphs(0)
    steps = list(dict.fromkeys([*steps_towards(model, LANDMARKS), *steps_towards(model, HEATMAPS)]))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="npm package @mediapipe/pose, or pose_landmark_full.tflite itself")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "blazepose_full.safetensors")
    parser.add_argument(
        "--reference", type=Path, default=ROOT / "tests" / "features" / "data" / "blazepose_reference.npz"
    )
    arguments = parser.parse_args()
    if arguments.archive.suffix == ".tflite":
        content = arguments.archive.read_bytes()
    else:
        with tarfile.open(arguments.archive) as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise SystemExit(f"{arguments.archive}: no {MEMBER} inside")
            content = member.read()

    network = BlazePose()
    targets = [(name, module) for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)]
    layers = convolutions(tflite.Model.GetRootAs(content, 0))
    state = {}
    for (name, module), (weight, bias) in zip(targets, layers, strict=True):
        if tuple(module.weight.shape) != weight.shape:
            raise SystemExit(f"{name}: the network has {tuple(module.weight.shape)}, the file {weight.shape}")
        state[f"{name}.weight"] = torch.from_numpy(weight.copy())
        state[f"{name}.bias"] = torch.from_numpy(bias.copy())
    save_file(
        state,
        arguments.out,
        metadata={"source": "@mediapipe/pose 0.5.1675469404 pose_landmark_full.tflite", "licence": "Apache-2.0"},
    )
    arguments.out.chmod(0o644)
    print(f"{arguments.out}: {len(layers)} convolutions, {sum(v.numel() for v in state.values()):,} parameters")

    arguments.reference.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.reference, **run_tflite(content, draw_pictures()))
    print(f"{arguments.reference}: {arguments.reference.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
