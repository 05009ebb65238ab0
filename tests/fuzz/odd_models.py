"""ONNX models that are no detectors, made by chance, for `detectors_and_data.py`."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from readers import changed_bytes

ODD = (
    0, 1, 2, 3, 5, 7, 16, 63, 64, 255, 4095, 8192, -1, -2, -8192, 2**31, 2**40, 10**400, 1.5, 0.0, -0.5, 1e30, math.nan,
    math.inf, None, True, False, "nc", "None", "nearest", "bilinear", "9**9**9", "x", "", b"x", "é" * 300, [], [1],
    [3, 3], [0, 0], [-1, 2], [8192, 8192], [1] * 17, [[1]], (), (2, 2), {}, {"a": 1}, {0: "person"}, {1}, 1j,
)  # fmt: skip
SIZES = ((), (0,), (1,), (3,), (1, 3), (2, 2), (1, 3, 4, 4), (1, 5, 1), (3, 1, 7), (64, 64))
NUMBERS = (0, 1, -1, 2, 3, 7, 64, 1000, 70_000, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, -(2**62))
BOXES = np.tile(np.array([[160.0, 120, 40, 80, 0.9]], np.float32).T, (1, 1, 1))
SCHEMAS = sorted(
    (schema for schema in onnx.defs.get_all_schemas() if schema.domain in ("", "ai.onnx.ml")),
    key=lambda schema: schema.name,
)


def a_model(chance: random.Random) -> bytes:
    """An ONNX model with some nodes that no detector has between its picture and its boxes."""
    constants: dict[str, np.ndarray] = {"boxes": BOXES, "zero": np.zeros((), np.float32)}
    nodes = []
    made = ["images"]
    for number in range(chance.choice((0, 1, 1, 2, 4))):
        nodes.append(a_node(number, made, constants, chance))
        made += nodes[-1].output
    number = made[-1]
    nodes += [
        helper.make_node("Cast", [number], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["number"], ["one"], keepdims=0),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Where", ["no", "nothing", "boxes"], ["answer"]),
    ]
    constants["no"] = np.array(False)
    sides = chance.choice(([1, 3, 96, 128], [1, 3, 96, 128], [1, 3, 96, 128], ["n", 3, "h", "w"], [2, 3, 4096, 64]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", chance.choice((17, 17, 21, 1, 9, 99)))])
    model.ir_version = chance.choice((8, 8, 8, 8, 3, 99))
    told: dict[str, Any] = {"task": "detect", "stride": 32, "imgsz": [96, 128], "names": {0: "person"}, "batch": 1}
    if chance.random() < 0.2:
        told[chance.choice((*told, "args", "kpt_shape", "end2end"))] = chance.choice(ODD)
    for key, value in told.items():
        model.metadata_props.add(key=key, value=str(value)[:1000])
    if chance.random() < 0.3:
        model_changed(model, chance)
    data = bytes(model.SerializeToString())
    return changed_bytes(data, chance) if chance.random() < 0.2 else data


def a_node(number: int, made: list[str], constants: dict[str, np.ndarray], chance: random.Random) -> Any:
    """A node of any kind, with inputs and settings of any kind."""
    schema = chance.choice(SCHEMAS)
    inputs = []
    for place in range(chance.randint(schema.min_input, max(schema.min_input, min(schema.max_input, 5)))):
        if chance.random() < 0.4:
            inputs.append(chance.choice(made))
            continue
        name = f"c{number}_{place}"
        size = chance.choice(SIZES)
        kind = chance.choice((np.float32, np.float32, np.int64, np.int64, np.int32, bool))
        with np.errstate(all="ignore"):
            values = np.array([chance.choice(NUMBERS) for _ in range(min(math.prod(size), 8))] or [1], np.float64)
            constants[name] = np.resize(values, size).clip(-(2**62), 2**62).astype(kind)
        inputs.append(name)
    node = helper.make_node(schema.name, inputs, [f"o{number}_{at}" for at in range(max(1, schema.min_output))])
    node.domain = schema.domain
    for name, attribute in schema.attributes.items():
        if not attribute.required and chance.random() < 0.6:
            continue
        kind = attribute.type.name
        few = [chance.choice(NUMBERS) for _ in range(chance.randrange(5))]
        value = {"INT": chance.choice(NUMBERS), "FLOAT": chance.choice((0.0, -1.0, 1e30, math.nan)), "INTS": few,
                 "FLOATS": [float(one) for one in few], "STRING": chance.choice(("", "x", "linear", "SAME_UPPER")),
                 "STRINGS": ["a", "b"]}.get(kind)  # fmt: skip
        if value or kind in ("INT", "FLOAT"):
            node.attribute.append(helper.make_attribute(name, value))
    return node


def model_changed(model: Any, chance: random.Random) -> None:
    """Names that go round in circles, tensors that lie about their size or lie elsewhere, other types."""
    graph = model.graph
    tensor = chance.choice(graph.initializer)
    node = chance.choice(graph.node)
    kind = chance.randrange(8)
    if kind == 0 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(["answer", "one", "nobody", ""])
    elif kind == 1:
        node.output[0] = chance.choice(["answer", "images", "one", ""])
    elif kind == 2:
        del tensor.dims[:]
        tensor.dims.extend(chance.choice(NUMBERS) for _ in range(chance.randrange(6)))
    elif kind == 3:
        tensor.data_type = chance.randrange(30)
    elif kind == 4:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=chance.choice(["../../etc/passwd", "/dev/zero", "x"]))
    elif kind == 5:
        graph.input[0].type.tensor_type.elem_type = chance.randrange(25)
    elif kind == 6:
        graph.node.extend(copy.deepcopy(list(graph.node)) * chance.choice((1, 100)))
    else:
        del graph.output[:]
