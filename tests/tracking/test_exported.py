"""Exported detectors: what they tell is checked, ONNX models are bounded, TorchScript is run where it is trusted."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from glot_cli.errors import WeightsError
from glot_cli.tracking import exported
from glot_cli.tracking.detector import PersonDetector
from tests.tracking.small_detectors import WEIGHTS

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

BOXES = np.tile(np.array([[160.0, 120, 40, 80, 0.9]], np.float32).T, (1, 1, 1))  # (1,5,1): x, y, width, height, score
TOLD = {"task": "detect", "stride": "32", "batch": "1", "imgsz": "[240, 320]", "names": "{0: 'person'}"}
FRAME = np.zeros((240, 320, 3), np.uint8)


def model(
    path, nodes=(), inputs=(1, 3, 240, 320), boxes=BOXES, told=TOLD, kind=TensorProto.FLOAT, alter=None, **constants
):
    """Write an ONNX model that answers with boxes, after nodes that may be anything; gives the path."""
    constants = {"boxes": boxes} | constants
    nodes = [*nodes, helper.make_node("Identity", ["boxes"], ["answer"])]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", kind, inputs)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    for key, value in told.items():
        made.metadata_props.add(key=key, value=value)
    if alter:
        alter(made)
    path.write_bytes(made.SerializeToString())
    return str(path)


def refused(path, match, **how):
    with pytest.raises(WeightsError, match=match) as caught:
        PersonDetector(path, WEIGHTS, **how)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and "ERROR" not in line and len(line) < 600
    return line


def test_a_model_gives_its_boxes(tmp_path):
    ((boxes, keypoints),) = PersonDetector(model(tmp_path / "good.onnx"), WEIGHTS)([FRAME])
    np.testing.assert_allclose(boxes, [[140, 80, 180, 160, 0.9]], rtol=1e-6)
    assert keypoints is None


@pytest.mark.parametrize(("inputs", "count"), [((2, 3, 240, 320), 2), (("n", 3, "h", "w"), 3), ((1, 3, 240, 320), 1)])
def test_models_take_as_many_pictures_at_a_time_as_they_say(inputs, count, tmp_path):
    """The score tells how bright a picture is."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["bright"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["bright", "column"], ["score"]),
        helper.make_node("Shape", ["bright"], ["count"]),
        helper.make_node("Concat", ["count", "rest"], ["shape"], axis=0),
        helper.make_node("Expand", ["places", "shape"], ["all"]),
        helper.make_node("Concat", ["all", "score"], ["both"], axis=1),
        helper.make_node("Identity", ["both"], ["answer"]),
    ]
    constants = {"column": np.array([-1, 1, 1]), "rest": np.array([4, 1]), "places": BOXES[:, :4]}

    def alter(made):
        del made.graph.node[-1]

    told = TOLD if isinstance(inputs[0], int) else TOLD | {"args": "{'dynamic': True}"}
    path = model(tmp_path / "bright.onnx", nodes, inputs, told=told, alter=alter, **constants)
    detector = PersonDetector(path, WEIGHTS)
    frames = [np.full_like(FRAME, value) for value in (255, 51, 102, 153, 204)]
    found = detector._network(np.stack(frames))
    np.testing.assert_allclose(found[:, 4, 0], [1, 0.2, 0.4, 0.6, 0.8], rtol=1e-3)
    assert detector.any_shape == isinstance(inputs[0], str)


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs, outputs, **attributes)


def endless():
    body = helper.make_graph(
        [node("Identity", ["going"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, [])],
    )
    return [node("Loop", ["", "true"], [], body=body)]


def hidden(inner):
    """A node that is run within another."""
    graph = helper.make_graph(inner, "inner", [], [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)])
    return [node("If", ["true"], ["o"], then_branch=graph, else_branch=graph)]


SPARSE = helper.make_sparse_tensor(
    helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]),
    helper.make_tensor("i", TensorProto.INT64, [1], [3]),
    [1 << 40],
)


def elsewhere(made):
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def functions(made):
    made.functions.append(
        helper.make_function(
            "own", "twice", ["x"], ["y"], [node("Add", ["x", "x"], ["y"])], [helper.make_opsetid("", 17)]
        )
    )


def sparse(made):
    made.graph.sparse_initializer.append(SPARSE)


TRUE = {"true": np.array(True)}
UNWANTED = {
    "a loop": ({"nodes": endless(), **TRUE}, "asks for Loop"),
    "a hidden loop": ({"nodes": hidden(endless()), **TRUE}, "asks for Loop"),
    "an own operator": ({"nodes": [node("Do", ["images"], ["o"], domain="my.own")]}, "asks for Do"),
    "functions": ({"alter": functions}, "functions of its own"),
    "another file": ({"alter": elsewhere}, "in another file"),
    "sparse": ({"alter": sparse}, "sparse"),
    "a sparse constant": ({"nodes": [node("Constant", [], ["o"], sparse_value=SPARSE)]}, "sparse"),
    "nodes": ({"nodes": [node("Identity", ["images"], [f"o{i}"]) for i in range(20_001)]}, "20,000 nodes"),
    "memory": (
        {"nodes": [node("ConstantOfShape", ["n"], ["o"]), node("ReduceSum", ["o"], ["p"])], "n": np.array([1 << 30])},
        "takes more than 512 MB for one picture; give a smaller one, or say that you trust it",
    ),
    "unknown": ({"nodes": [node("Wonder", ["images"], ["o"])]}, "can run"),
    "no names": ({"told": {"task": "detect"}}, "does not tell what it finds"),
    "empty names": ({"told": TOLD | {"names": "{}"}}, "which classes"),
    "code": ({"told": TOLD | {"names": "__import__('os').getcwd()"}}, "which classes"),
    "brackets": ({"told": TOLD | {"names": "[" * 100_000}}, "which classes"),
    "digits": ({"told": TOLD | {"names": "{" + "9" * 100_000 + ": 'x'}"}}, "which classes|one by one"),
    "text": ({"told": TOLD | {"names": "'" + "x" * (1 << 20) + "'"}}, "tells more"),
    "less than nothing": ({"told": TOLD | {"imgsz": "[-1, 5]"}}, "takes pictures of 5 x -1"),
    "one side": ({"told": TOLD | {"imgsz": "640"}}, "which pictures"),
    "large": ({"inputs": (1, 3, 100_000, 100_000)}, "takes pictures of 100000 x 100000"),
    "small": ({"inputs": (1, 3, 2, 2)}, "takes pictures of 2 x 2"),
    "many": ({"inputs": (10_000, 3, 640, 640)}, "takes 10000 pictures"),
    "stride": ({"told": TOLD | {"stride": "1000000"}}, "which pictures"),
    "points": ({"told": TOLD | {"task": "pose", "kpt_shape": "[1000000, 3]"}}, "keypoints"),
    "task": ({"told": TOLD | {"task": "classify"}}, "does not box people"),
    "bytes": ({"kind": TensorProto.UINT8}, "something else than coloured"),
    "colours": ({"inputs": (1, 7, 240, 320)}, "something else than coloured"),
    "shape": ({"boxes": np.zeros((1, 7, 3), np.float32)}, r"answers a picture with \(1, 7, 3\)"),
    "no numbers": ({"boxes": BOXES * np.array([[[np.nan], [1], [1], [1], [1]]], np.float32)}, "boxes that are none"),
    "over and over": (
        {"nodes": [node("Transpose", ["large"], [f"o{i}"]) for i in range(9)], "large": np.zeros((99, 99))},
        "more than 4 times over",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNWANTED)
def test_models_that_are_no_detectors_are_refused(kind, tmp_path):
    how, match = UNWANTED[kind]
    refused(model(tmp_path / "odd.onnx", **how), match)


def test_what_takes_too_long_is_stopped(tmp_path, monkeypatch):
    """Also within one of its nodes, which nothing can interrupt."""
    monkeypatch.setattr(exported, "PATIENCE", 1.0)
    large = [node("ConstantOfShape", ["sides"], ["o"]), node("MatMul", ["o", "o"], ["p"])]
    few = [node("ReduceMax", ["p"], ["q"], keepdims=0), node("Mul", ["q", "boxes"], ["answer"])]

    def alter(made):
        del made.graph.node[-1]

    path = model(tmp_path / "slow.onnx", large + few, alter=alter, sides=np.array([6000, 6000]))
    refused(path, r"more than [01](\.\d+)? s here for one picture; give a smaller one, or say that you trust it")


def test_a_model_that_bides_its_time_is_stopped_too(tmp_path, monkeypatch):
    """It is quick until a picture is bright."""
    monkeypatch.setattr(exported, "LATER_PATIENCE", 0.5)
    large = [node("ConstantOfShape", ["sides"], ["o"]), node("MatMul", ["o", "o"], ["p"])]
    large += [node("ReduceMax", ["p"], ["q"], keepdims=0), node("Mul", ["q", "boxes"], ["slow"])]
    quick = [node("Identity", ["boxes"], ["quick"])]
    branches = [
        helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
        for nodes, name in ((large, "slow"), (quick, "quick"))
    ]
    nodes = [
        node("ReduceMax", ["images"], ["bright"], keepdims=0),
        node("Greater", ["bright", "limit"], ["which"]),
        node("If", ["which"], ["answer"], then_branch=branches[0], else_branch=branches[1]),
    ]

    def alter(made):
        del made.graph.node[-1]

    limit = np.array(0.9, np.float32)
    path = model(tmp_path / "sly.onnx", nodes, alter=alter, sides=np.array([6000, 6000]), limit=limit)
    detector = PersonDetector(path, WEIGHTS)
    assert len(detector([FRAME])[0].boxes) == 1
    with pytest.raises(WeightsError, match=r"sly\.onnx: takes more than 0\.5 s here"):
        detector([np.full_like(FRAME, 255)])


def test_what_is_no_model(tmp_path):
    for name, data in {"empty": b"", "text": b"hello" * 100, "page": b"<html>", "cut": None}.items():
        path = tmp_path / f"{name}.onnx"
        if data is None:
            data = Path(model(path)).read_bytes()[:-60]
        path.write_bytes(data)
        refused(str(path), "empty|can run|web page|damaged|tell")


def test_a_damaged_model_says_its_one_line_alone(tmp_path, capfd):
    """ONNX Runtime would else write some of its own, and try again."""
    path = Path(model(tmp_path / "letters.onnx"))
    path.write_bytes(path.read_bytes().replace(b"images", b"\xddmages"))
    refused(str(path), "can run")
    assert capfd.readouterr() == ("", "")


def test_what_is_trusted_is_not_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(exported, "PATIENCE", 1e-9)
    nodes = [node("Identity", ["images"], [f"o{i}"]) for i in range(20_001)]
    path = model(tmp_path / "large.onnx", nodes)
    refused(path, "more than")
    assert len(PersonDetector(path, WEIGHTS, trusted=True)([FRAME])[0].boxes) == 1


class Answer(torch.nn.Module):
    """A network without parameters."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("answer", answer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.answer + 0 * images.mean()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="torch.jit.trace is not supported there")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("boxes", "told", "match"),
    [
        (BOXES, {"imgsz": [240, 320], "names": {0: "person"}}, None),
        (BOXES, {"imgsz": [-1, 5], "names": {0: "person"}}, "takes pictures of"),
        (BOXES, {"imgsz": [240, 320], "names": {}}, "which classes"),
        (BOXES, [1], "does not tell what it finds"),
        (np.zeros((1, 3, 20, 20), np.float32), {"imgsz": [240, 320], "names": {0: "person"}}, "answers a picture with"),
        (np.full((1, 5, 20), np.nan, np.float32) * 0 + 0.9, {"imgsz": [240, 320], "names": {0: "x"}}, None),
    ],
    ids=["good", "size", "names", "list", "shape", "nan"],
)
def test_a_program_is_run_where_it_is_trusted_alone(boxes, told, match, tmp_path):
    network = Answer(torch.from_numpy(boxes))
    traced = torch.jit.trace(network, torch.zeros(1, 3, 240, 320), check_trace=False)
    for name in ("script.torchscript", "script.pt"):
        path = str(tmp_path / name)
        traced.save(path, _extra_files={"config.txt": json.dumps(told)})
        assert any(member.endswith("/constants.pkl") for member in zipfile.ZipFile(path).namelist())
        refused(path, "TorchScript, a program.*nothing in it was run")
        if match is not None:
            assert "nothing in it was run" not in refused(path, match, trusted=True)
        elif np.isfinite(boxes).all():
            assert len(PersonDetector(path, WEIGHTS, trusted=True)([FRAME])[0].boxes) == 1
