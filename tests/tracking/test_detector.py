"""The detector against what is on a picture and against ultralytics' own predictor; files that are none; no reach."""

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
from safetensors import safe_open
from safetensors.torch import load_file

from glot_cli.errors import WeightsError
from glot_cli.tracking import ultralytics_adapter
from glot_cli.tracking.detector import PersonDetector
from glot_cli.tracking.ultralytics_adapter import build_network, import_ultralytics

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "person_detector.safetensors"
# The people of ultralytics' own bus.jpg: x1, y1, x2, y2 as read off the picture. A fourth is half out of it.
BUS_PEOPLE = np.array([[50, 398, 246, 904], [222, 405, 345, 862], [668, 390, 810, 880]])


@pytest.fixture(scope="module")
def bus() -> np.ndarray:
    """(1080,810,3) uint8 RGB"""
    path = Path(import_ultralytics().__file__).parent / "assets" / "bus.jpg"
    if not path.is_file():
        pytest.skip("this ultralytics comes without its example pictures")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


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
def checkpoint(tmp_path_factory):
    """Writes the bundled network as an ultralytics .pt file with other class names; gives its path."""
    with safe_open(WEIGHTS, framework="pt") as file:
        architecture = json.loads(file.metadata()["architecture"])
    network = build_network(architecture, 2)
    network.load_state_dict(load_file(WEIGHTS))
    network.half()
    folder = tmp_path_factory.mktemp("models")

    def write(names: dict[int, str]) -> str:
        network.names = names
        path = folder / f"{names[0]}.pt"
        torch.save({"model": network, "ema": None, "train_args": {}}, path)
        return str(path)

    return write


def test_finds_the_people_on_the_bus_picture(detector, bus):
    (boxes,) = detector([bus])
    assert boxes.dtype == np.float32 and boxes.shape[1] == 5
    assert overlaps(BUS_PEOPLE, boxes).max(axis=1).min() > 0.65
    assert (np.diff(boxes[:, 4]) <= 0).all() and (boxes[:, 4] >= 0.1).all()
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:4] <= [810, 1080]).all()
    sure = boxes[boxes[:, 4] > 0.4]
    assert len(sure) == 3  # nothing else is taken for a person


def test_answers_equal_ultralytics_own_predictor(detector, bus, checkpoint):
    """Colour order, letterbox and the way back, against the library's own loop, which takes BGR."""
    from ultralytics import YOLO

    reference = (
        YOLO(checkpoint({0: "up", 1: "down"}))
        .predict(bus[..., ::-1], conf=0.1, iou=0.6, agnostic_nms=True, verbose=False, device="cpu")[0]
        .boxes.data
    )
    np.testing.assert_allclose(detector([bus])[0], reference[:, :5], atol=0.05)


def test_suppression_is_torchvisions_whether_or_not_it_is_imported(detector, bus, monkeypatch):
    """Ultralytics would else fall back to a loop of its own."""
    import torchvision
    from ultralytics.utils import nms

    (expected,) = detector([bus])
    monkeypatch.setattr(torchvision.ops, "nms", None)  # nobody may call this now
    monkeypatch.delitem(sys.modules, "torchvision")
    np.testing.assert_array_equal(detector([bus])[0], expected)
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
    (boxes,) = PersonDetector(None, WEIGHTS, confidence=0.01, image_size=320)([bus])
    assert len(boxes) > 4
    shared = overlaps(boxes, boxes) - np.eye(len(boxes))
    assert shared.max() <= 0.65  # 0.6 before boxes are cut at the edges of the frame


def test_batches_of_several_sizes_keep_their_order(bus):
    detector = PersonDetector(None, WEIGHTS, image_size=320)
    wide = np.full((900, 1600, 3), 114, np.uint8)  # the picture moved by (700, 100) and cut below
    wide[100:, 700:1510] = bus[:800]
    blank = np.full((480, 640, 3), 90, np.uint8)
    wide_found, found, none, again, third = detector([wide, bus, blank, bus, bus])
    for other in (again, third):
        np.testing.assert_allclose(other, found, atol=0.5)
    assert overlaps(BUS_PEOPLE, found).max(axis=1).min() > 0.5
    assert overlaps(BUS_PEOPLE.clip(max=800) + np.array([700, 100, 700, 100]), wide_found).max(axis=1).min() > 0.5
    assert none.shape == (0, 5)
    assert detector([]) == []


@pytest.mark.parametrize(
    ("names", "least", "most"),
    [
        ({0: "Person", 1: "dog"}, 3, 10),  # the upright
        ({0: "dog", 1: "person"}, 0, 2),  # the fallen: nobody on the picture
    ],
)
def test_other_model_gives_its_person_class(bus, checkpoint, names, least, most):
    found = PersonDetector(checkpoint(names), WEIGHTS, image_size=320)([bus])[0]
    assert least <= len(found) <= most


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
    for path in (damaged, tmp_path / "missing.safetensors", WEIGHTS.with_name("blazepose_full.safetensors")):
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
    environment["YOLO_CONFIG_DIR"] = str(tmp_path)
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
    assert result.stdout.strip().splitlines()[-1] == "quiet"
    if order == "first":
        assert result.stdout.strip() == "quiet" and "ultralytics" not in result.stderr.lower(), result.stderr
