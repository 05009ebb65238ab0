"""The detector against what is on a picture and against ultralytics' own predictor; files that are none; no reach."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from glot_cli.errors import WeightsError
from glot_cli.inference import CompiledNetwork
from glot_cli.tracking import ultralytics_adapter
from glot_cli.tracking.detector import COCO_KEYPOINTS, PersonDetector, _bundled, _description
from glot_cli.tracking.ultralytics_adapter import build_network, fold
from glot_cli.tracking.users_detector import as_images, on_device

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "person_detector.safetensors"
# The people of ultralytics' own bus.jpg: x1, y1, x2, y2 as read off the picture. A fourth is half out of it.
BUS_PEOPLE = np.array([[50, 398, 246, 904], [222, 405, 345, 862], [668, 390, 810, 880]])
# Points of the first two of them, as read off the picture by eye.
BUS_POINTS = (
    {"nose": (142, 445), "left_eye": (147, 436), "right_eye": (133, 436), "left_shoulder": (172, 490),
     "right_shoulder": (83, 493), "right_knee": (93, 767), "left_ankle": (187, 857), "right_ankle": (75, 850)},
    {"nose": (292, 455), "left_eye": (303, 445), "right_eye": (283, 444), "left_shoulder": (327, 492),
     "right_shoulder": (248, 498), "left_elbow": (340, 552), "left_wrist": (287, 528), "left_ankle": (287, 795)},
)  # fmt: skip


@pytest.fixture(scope="module")
def detector() -> PersonDetector:
    return PersonDetector(None, WEIGHTS)


def overlaps(first, second):
    """Intersection over union of every pair: (N,4+), (M,4+) -> (N,M)."""
    a, b = first[:, None], second[None]
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:4], b[..., 2:4])
    shared = np.clip(high - low, 0, None).prod(-1)
    return shared / ((a[..., 2:4] - a[..., :2]).prod(-1) + (b[..., 2:4] - b[..., :2]).prod(-1) - shared)


@pytest.fixture(scope="module")
def unfolded():
    """The bundled network as it was before batch norms went into its convolutions: these do nothing now."""
    network = build_network(_description(WEIGHTS)[0], 1)
    state = {name.replace("conv.bias", "bn.bias"): value for name, value in load_file(WEIGHTS).items()}
    plain = {name for name, _ in network.named_parameters()}  # some convolutions never had a norm
    state = {name if name in plain else name.replace("bn.bias", "conv.bias"): v for name, v in state.items()}
    missing = network.load_state_dict(state, strict=False).missing_keys
    assert all(".bn." in name for name in missing)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0
    return network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, unfolded):
    """Writes the bundled network as an ultralytics .pt file with a second class that is never seen; gives its path."""
    network = copy.deepcopy(unfolded)
    head = network.model[-1]
    for branch in head.cv3:
        single = branch[-1]
        branch[-1] = torch.nn.Conv2d(single.in_channels, 2, 1)
        with torch.no_grad():
            branch[-1].weight.copy_(torch.cat([single.weight, torch.zeros_like(single.weight)]))
            branch[-1].bias.copy_(torch.cat([single.bias, torch.full((1,), -20.0)]))
    head.nc, head.no = 2, head.no + 1
    folder = tmp_path_factory.mktemp("models")

    def write(names: dict[int, str]) -> str:
        network.names = names
        path = folder / f"{names[0]}.pt"
        torch.save({"model": network, "ema": None, "train_args": {"task": "pose"}}, path)
        return str(path)

    return write


def test_finds_the_people_on_the_bus_picture(detector, bus):
    ((boxes, keypoints),) = detector([bus])
    assert boxes.dtype == np.float32 and boxes.shape[1] == 5
    assert keypoints.dtype == np.float32 and keypoints.shape == (len(boxes), 17, 3)
    assert overlaps(BUS_PEOPLE, boxes).max(axis=1).min() > 0.65
    assert (np.diff(boxes[:, 4]) <= 0).all() and (boxes[:, 4] >= 0.1).all()
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:4] <= [810, 1080]).all()
    sure = boxes[boxes[:, 4] > 0.5]
    assert len(sure) == 3  # nothing else is taken for a person


def test_keypoints_lie_where_an_eye_puts_them(detector, bus):
    """Within 15 pixels, on people of 460 to 500; left is the person's left."""
    ((boxes, keypoints),) = detector([bus])
    for person, points in zip(overlaps(BUS_PEOPLE, boxes).argmax(axis=1), BUS_POINTS, strict=False):
        for name, place in points.items():
            x, y, confidence = keypoints[person, COCO_KEYPOINTS.index(name)]
            assert np.hypot(x - place[0], y - place[1]) < 15 and confidence > 0.9, name


def test_keypoints_beyond_the_frame_are_not_known(detector, bus):
    """Cut below the knees and through the right shoulder of the second person."""
    cut = np.ascontiguousarray(bus[:760, 255:])
    ((boxes, keypoints),) = detector([cut])
    assert ((keypoints[..., 2] >= 0) & (keypoints[..., 2] <= 1)).all()
    at_edge = ((keypoints[..., :2] <= 0) | (keypoints[..., :2] >= [cut.shape[1], cut.shape[0]])).any(-1)
    assert at_edge.any() and (keypoints[at_edge][:, 2] == 0).all()
    person = overlaps(BUS_PEOPLE[1:2] - [255, 0, 255, 0], boxes).argmax()
    told = dict(zip(COCO_KEYPOINTS, keypoints[person, :, 2], strict=True))
    assert told["right_shoulder"] == told["left_ankle"] == told["right_ankle"] == 0
    assert min(told["left_shoulder"], told["nose"], told["left_hip"]) > 0.9


def test_answers_equal_ultralytics_own_predictor(detector, bus, checkpoint):
    """Colour order, letterbox and the way back, against the library's own loop, which takes BGR."""
    from ultralytics import YOLO

    reference = YOLO(checkpoint({0: "up", 1: "down"})).predict(
        bus[..., ::-1], conf=0.1, iou=0.6, agnostic_nms=True, verbose=False, device="cpu"
    )[0]
    same = PersonDetector(checkpoint({0: "person", 1: "down"}), WEIGHTS)([bus])[0]
    boxes, keypoints = detector([bus])[0]
    np.testing.assert_allclose(same.boxes, boxes, atol=0.05)
    np.testing.assert_allclose(same.keypoints, keypoints, atol=0.05)
    np.testing.assert_allclose(boxes, reference.boxes.data[:, :5], atol=0.05)
    np.testing.assert_allclose(keypoints[..., :2], reference.keypoints.xy, atol=0.05)
    known = keypoints[..., 2] > 0  # what lies beyond the frame is not
    np.testing.assert_allclose(keypoints[known, 2], reference.keypoints.conf[known], atol=1e-3)
    assert known[:3].mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 640, 480), (2, 384, 640), (3, 96, 160)])
def test_both_ways_of_computing_agree(bus, shape):
    """ONNX Runtime and PyTorch, at several sizes and numbers of pictures."""
    number, height, width = shape
    pictures = np.stack([cv2.resize(np.roll(bus, 40 * shift, 1), (width, height)) for shift in range(number)])
    compiled = CompiledNetwork(WEIGHTS)(as_images(pictures))[0]
    run = on_device(_bundled(WEIGHTS, *_description(WEIGHTS)), torch.device("cpu"))
    with torch.inference_mode():
        answer = run(pictures)
    plain = (answer[0] if isinstance(answer, tuple) else answer).numpy()
    assert compiled.shape == plain.shape == (number, 56, height * width * 21 // 1024)
    off = np.abs(compiled - plain)
    assert off[:, :4].max() < 0.02 and off[:, 4].max() < 1e-4  # pixels; probability
    points = off[:, 5:].reshape(number, 17, 3, -1)
    assert points[:, :, :2].max() < 0.02 and points[:, :, 2].max() < 1e-3
    assert compiled[:, 4].max() > 0.5 or min(height, width) < 100  # of pictures that show something


def _saved(network, path):
    network.names = {0: "person"}
    torch.save({"model": network, "ema": None, "train_args": {}}, path)
    return str(path)


def test_detectors_of_boxes_or_other_points_give_no_keypoints(bus, tmp_path, unfolded):
    architecture = _description(WEIGHTS)[0]
    *rest, (sources, count, _, _) = architecture["head"]
    boxes_alone = {k: v for k, v in architecture.items() if k != "kpt_shape"}
    boxes_alone["head"] = [*rest, [sources, count, "Detect", ["nc"]]]
    for network in (build_network(boxes_alone, 1), build_network(architecture | {"kpt_shape": [5, 3]}, 1)):
        known = network.state_dict()
        alike = {k: v for k, v in unfolded.state_dict().items() if k in known and known[k].shape == v.shape}
        network.load_state_dict(alike, strict=False)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
        ((boxes, keypoints),) = PersonDetector(_saved(network, tmp_path / "other.pt"), WEIGHTS)([bus])
        assert keypoints is None and overlaps(BUS_PEOPLE, boxes).max(axis=1).min() > 0.65


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="torch.jit.trace is not supported there")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("points", [17, 5])
def test_exported_models_tell_their_keypoints(bus, tmp_path, unfolded, points):
    """A TorchScript file of one size, as ultralytics writes them."""
    whole = (
        copy.deepcopy(unfolded) if points == 17 else build_network(_description(WEIGHTS)[0] | {"kpt_shape": [5, 3]}, 1)
    )
    network = fold(whole).eval()
    network.model[-1].export, network.model[-1].format = True, "torchscript"
    meta = {"stride": 32, "task": "pose", "batch": 1, "imgsz": [640, 640], "names": {0: "person"}, "channels": 3}
    path = tmp_path / "model.torchscript"
    with torch.inference_mode():
        traced = torch.jit.trace(network, torch.zeros(1, 3, 640, 640), strict=False, check_trace=False)
    traced.save(str(path), _extra_files={"config.txt": json.dumps(meta | {"kpt_shape": [points, 3]})})
    model = PersonDetector(str(path), WEIGHTS, trusted=True)
    if points == 5:
        assert model._keypoints is None
        return
    bundled = PersonDetector(None, WEIGHTS)
    bundled.any_shape = False  # grey bars to the full square, as a file of one size needs them
    ((boxes, keypoints),), ((expected, expected_points),) = model([bus]), bundled([bus])
    np.testing.assert_allclose(boxes, expected, atol=0.05)
    np.testing.assert_allclose(keypoints, expected_points, atol=0.05)


def test_suppression_is_torchvisions_whether_or_not_it_is_imported(detector, bus, monkeypatch):
    """Ultralytics would else fall back to a loop of its own."""
    import torchvision
    from ultralytics.utils import nms

    ((expected, _),) = detector([bus])
    monkeypatch.setattr(torchvision.ops, "nms", None)  # nobody may call this now
    monkeypatch.delitem(sys.modules, "torchvision")
    np.testing.assert_array_equal(detector([bus])[0].boxes, expected)
    assert nms.TorchNMS.nms is torch.ops.torchvision.nms


def test_torchvision_is_imported_where_its_operators_are_not_found(monkeypatch):
    imported = []
    nms = SimpleNamespace(TorchNMS=SimpleNamespace(nms="a loop"))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(torch, "ops", SimpleNamespace(torchvision=SimpleNamespace()))
    monkeypatch.setattr(ultralytics_adapter.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(ultralytics_adapter.importlib, "import_module", imported.append)
    ultralytics_adapter._use_compiled_suppression(nms)
    assert imported == ["torchvision"] and nms.TorchNMS.nms == "a loop"


def test_boxes_do_not_overlap_across_classes(bus):
    ((boxes, _),) = PersonDetector(None, WEIGHTS, confidence=0.01, image_size=320)([bus])
    assert len(boxes) > 4
    shared = overlaps(boxes, boxes) - np.eye(len(boxes))
    assert shared.max() <= 0.65  # 0.6 before boxes are cut at the edges of the frame


def test_batches_of_several_sizes_keep_their_order(bus):
    detector = PersonDetector(None, WEIGHTS, image_size=320)
    wide = np.full((900, 1600, 3), 114, np.uint8)  # the picture moved by (700, 100) and cut below
    wide[100:, 700:1510] = bus[:800]
    blank = np.full((480, 640, 3), 90, np.uint8)
    answers = detector([wide, bus, blank, bus, bus])
    assert [len(answer.boxes) for answer in answers] == [len(answer.keypoints) for answer in answers]
    wide_found, found, none, again, third = (answer.boxes for answer in answers)
    for other in (again, third):
        np.testing.assert_allclose(other, found, atol=0.5)
    assert overlaps(BUS_PEOPLE, found).max(axis=1).min() > 0.5
    assert overlaps(BUS_PEOPLE.clip(max=800) + np.array([700, 100, 700, 100]), wide_found).max(axis=1).min() > 0.5
    assert none.shape == (0, 5)
    assert detector([]) == []


@pytest.mark.parametrize(
    ("names", "least", "most"),
    [
        ({0: "Person", 1: "dog"}, 3, 10),
        ({0: "dog", 1: "person"}, 0, 0),  # a class that is never seen
    ],
)
def test_other_model_gives_its_person_class(bus, checkpoint, names, least, most):
    found = PersonDetector(checkpoint(names), WEIGHTS, image_size=320)([bus])[0].boxes
    assert least <= len(found) <= most


def test_a_model_that_boxes_nobody_is_refused(tmp_path):
    """Few checkpoints say what they are for; their layers do."""
    from ultralytics.nn.tasks import ClassificationModel

    with pytest.raises(WeightsError, match=r"classes\.pt: a model for the task 'classify' does not box people"):
        PersonDetector(_saved(ClassificationModel("yolo11n-cls.yaml", verbose=False), tmp_path / "classes.pt"), WEIGHTS)


def test_checkpoint_with_code_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    path = tmp_path / "attack.pt"
    torch.save({"model": Attack()}, path)
    with pytest.raises(WeightsError, match=r"attack\.pt.*onnx") as caught:
        PersonDetector(str(path), WEIGHTS)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["yolov8n.pt", "yolo11x", "no/such/file.onnx", "https://example.org/yolo.pt"])
def test_names_without_a_file_download_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="downloads nothing"):
        PersonDetector(name, WEIGHTS)
    assert not list(tmp_path.iterdir())


def test_unreadable_models_are_named(tmp_path):
    text = tmp_path / "model.txt"
    text.write_text("hello")
    empty = tmp_path / "empty.pt"
    empty.write_bytes(b"")
    script = tmp_path / "broken.torchscript"
    script.write_bytes(b"no archive")
    for path in (text, empty, script):
        with pytest.raises(WeightsError, match=path.name) as caught:
            PersonDetector(str(path), WEIGHTS)
        assert "\n" not in str(caught.value)


def test_damaged_weights_are_named(tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(WEIGHTS.read_bytes()[:5000])
    for path in (damaged, tmp_path / "missing.safetensors", WEIGHTS.with_name("blazepose_heavy.safetensors")):
        with pytest.raises(WeightsError, match=path.name):
            PersonDetector(None, path)


OFFLINE = """
import os, socket, subprocess, sys
tried = []
def refuse(name):
    def call(*arguments, **keywords):
        tried.append((name, arguments))
        raise OSError(f"{name} is blocked")
    return call
socket.socket.connect = refuse("connect")
socket.socket.connect_ex = refuse("connect_ex")
socket.getaddrinfo = refuse("getaddrinfo")
environment = dict(os.environ)
if "early" in sys.argv:
    import ultralytics  # the host program did so before glot
    import ultralytics.utils.checks
    tried.clear()
import numpy as np
from glot_cli.tracking.detector import PersonDetector
import cv2
cv2.setNumThreads(2)
packages = []
real = subprocess.run
def watch(command, *arguments, **keywords):
    if "pip" in str(command):
        packages.append(command)
    return real(command, *arguments, **keywords)
subprocess.run = watch
detector = PersonDetector(None, sys.argv[1])
detector([np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)])
assert "torchvision" not in sys.modules and "torch._dynamo" not in sys.modules  # seconds to import
from ultralytics.utils import checks
from ultralytics.utils.events import events
checks.check_requirements("no-such-package-of-glot")
checks.check_pip_update_available()
assert not tried, tried
assert not packages, packages
assert not events.enabled
assert cv2.getNumThreads() == 2
changed = {key for key in environment.keys() | os.environ.keys() if key.startswith("YOLO") and
           environment.get(key) != os.environ.get(key)}
assert not changed, changed
print("quiet")
"""


@pytest.mark.parametrize("order", ["first", "early"])
def test_reaches_for_nothing(order, tmp_path):
    """In a fresh process with the network cut: no connection, no name lookup, no pip, no output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("YOLO")}
    environment["YOLO_CONFIG_DIR"] = str(tmp_path / "yolo")
    environment["HOME"] = str(tmp_path / "home")  # into which ONNX Runtime would write what it means to report
    root = str(Path(__file__).resolve().parents[2])
    result = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(WEIGHTS), order],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.glob("home/**/*nnx*"))
    assert result.stdout.strip().splitlines()[-1] == "quiet"
    if order == "first":
        assert result.stdout.strip() == "quiet" and "ultralytics" not in result.stderr.lower(), result.stderr
