"""Files of detectors that are hostile, damaged or merely odd: one line each, and nothing of them is run."""

import copy
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from glot_cli.errors import WeightsError
from glot_cli.tracking import ultralytics_adapter
from glot_cli.tracking.detector import PersonDetector
from glot_cli.tracking.users_detector import read_checkpoint
from tests.tracking.small_detectors import WEIGHTS, architecture, save, small, zipped

PICTURE = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)


def refused(path: str, match: str, **how) -> str:
    """The line by which a file is refused, which names it."""
    with pytest.raises(WeightsError, match=match) as caught:
        PersonDetector(path, WEIGHTS, **how)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and "ERROR" not in line and len(line) < 600
    return line


@pytest.mark.parametrize("how", ["plain", "halves", "folded", "ema", "alone"])
def test_the_network_of_a_file_is_what_was_saved(tmp_path, how):
    """However it was saved: what it answers equals what the network itself does."""
    network = small([-1, 2, "C2f", [16, True]]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected = network(images)[0]
    kept = ultralytics_adapter.fold(copy.deepcopy(network)) if how == "folded" else copy.deepcopy(network)
    path = tmp_path / "saved.pt"
    if how == "alone":
        torch.save(kept, path)
    elif how == "ema":
        save(small(seed=1), path, ema=kept.half())
    else:
        save(kept.half() if how == "halves" else kept, path)
    read, blueprint = read_checkpoint(path)
    with torch.inference_mode():
        torch.testing.assert_close(
            read.eval()(images)[0], expected, atol=0.5 if how in ("halves", "ema") else 1e-3, rtol=1e-3
        )
    assert blueprint.names == {0: "person"} and blueprint.task == "detect"


def test_heads_that_need_no_reduction_stay_so(tmp_path):
    network = small(end2end=True)
    network.end2end = True
    detector = PersonDetector(save(network, tmp_path / "ended.pt"), WEIGHTS)
    answer = detector._network(np.zeros((2, 64, 64, 3), np.uint8))
    assert detector._end_to_end and answer.shape[0] == 2 and answer.shape[2] == 6


OUT_OF_BOUNDS = {
    "the network": ({"backbone": [[-1, 1, "TorchVision", [64, "resnet18", "DEFAULT"]]]}, "a layer TorchVision"),
    "another layer": ({"backbone": [[-1, 1, "nn.Linear", [64, 64]]]}, "a layer nn.Linear"),
    "a function": ({"backbone": [[-1, 1, "yaml_model_load", ["x"]]]}, "a layer yaml_model_load"),
    "no name": ({"backbone": [[-1, 1, ["Conv"], [64]]]}, "a layer without a name"),
    "repeats": ({"backbone": [[-1, 10**9, "Conv", [8, 3, 2]]]}, "out of bounds"),
    "channels": ({"backbone": [[-1, 1, "Conv", [2**40, 3, 2]]]}, "out of bounds"),
    "no number": ({"backbone": [[-1, 1, "Conv", [math.nan, 3, 2]]]}, "out of bounds"),
    "words": ({"backbone": [[-1, 1, "Conv", ["9**9**9", 3, 2]]]}, "out of bounds"),
    "settings": ({"backbone": [[-1, 1, "Conv", [8] * 1000]]}, "settings"),
    "lists": ({"backbone": [[-1, 1, "SPP", [8, [5] * 1000]]]}, "settings"),
    "of nothing": ({"backbone": [[[], 1, "Concat", [1]]]}, "without input"),
    "of later": ({"backbone": [[7, 1, "Conv", [8, 3, 2]]]}, "out of bounds"),
    "layers": ({"backbone": [[-1, 1, "nn.Identity", []]] * 600}, "more than 500 layers"),
    "short": ({"backbone": [[-1, 1, "Conv"]]}, "something missing"),
    "none": ({"backbone": None}, "no network"),
    "no end": ({"head": [[-1, 1, "Conv", [8, 3, 2]]]}, "does not end"),
    "two ends": ({"head": [[[2], 1, "Detect", ["nc"]], [[2], 1, "Detect", ["nc"]]]}, "does not end"),
    "code": ({"activation": "__import__('os').mkdir('ran')"}, "an activation"),
    "hidden code": ({"activation": "nn.SiLU().__class__.__init__.__globals__()"}, "an activation"),
    "width": ({"width_multiple": 1e30}, "size that is out of bounds"),
    "no depth": ({"depth_multiple": math.nan}, "size that is out of bounds"),
    "scales": ({"scales": {"n": [1, 1, 2**60]}, "scale": "n"}, "out of bounds"),
    "no scale": ({"scales": {"n": [1, 1, 64]}, "scale": "x"}, "does not know"),
    "reach": ({"reg_max": 2**40}, "out of bounds"),
    "points": ({"kpt_shape": [10**9, 3]}, "keypoints"),
    "colours": ({"channels": 7}, "coloured"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OUT_OF_BOUNDS)
def test_descriptions_out_of_bounds_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes, match = OUT_OF_BOUNDS[kind]
    network = small()
    network.yaml = network.yaml | changes
    line = refused(save(network, tmp_path / "odd.pt"), match)
    assert "onnx" in line and [path.name for path in tmp_path.iterdir()] == ["odd.pt"]


TOO_MUCH = {
    "larger than the file": ([-1, 1, "Conv", [8192, 64, 1]], False, "larger network than it holds"),
    "operations": ([-1, 1, "Conv", [4096, 9, 1]], False, "larger network than it holds"),
    "memory": ([-1, 1, "nn.Upsample", [None, 64, "nearest"]], True, "MB for a picture.*give a smaller"),
    "comparisons": ([-1, 1, "nn.MaxPool2d", [4095, 1, 2047]], True, "operations.*give a smaller"),
    "not to be built": ([-1, 1, "Conv", [8, 0, 0]], False, "cannot be built"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_networks_that_take_too_much_are_not_built(kind, tmp_path, monkeypatch):
    """Nothing of the size that is asked for is ever made."""
    layer, fits, match = TOO_MUCH[kind]
    network = small(layer) if fits and kind != "memory" and kind != "comparisons" else small()
    network.yaml = network.yaml | architecture(layer)
    path = save(network, tmp_path / "large.pt")
    monkeypatch.setattr(ultralytics_adapter, "build_network", lambda *_: pytest.fail("it was built"))
    refused(path, match)


def test_a_slow_network_that_holds_all_its_numbers_is_refused(tmp_path):
    """Convolutions at the picture's full size."""
    wide = {"backbone": [[-1, 1, "Conv", [256, 3, 1]], [-1, 1, "Conv", [256, 3, 1]], [-1, 1, "Conv", [16, 3, 8]]],
            "head": [[[2], 1, "Detect", ["nc"]]]}  # fmt: skip
    network = ultralytics_adapter.build_network({"nc": 1, **wide}, 1)
    network.names = {0: "person"}
    refused(save(network, tmp_path / "slow.pt"), r"takes 5\d\d billion|takes \d,?\d\d\d billion|MB for a picture")


def test_what_building_changes_for_all_is_put_back(tmp_path):
    from ultralytics.nn.modules import Conv

    before = Conv.default_act
    network = small()
    network.yaml = network.yaml | {"activation": "nn.ReLU()"} | architecture([-1, 1, "Conv", [8, 0, 0]])
    refused(save(network, tmp_path / "odd.pt"), "cannot be built")
    assert Conv.default_act is before
    assert not torch.nn.modules.module._global_module_registration_hooks


def test_networks_within_themselves(tmp_path):
    network = small()
    network.model[0].add_module("again", network)
    refused(save(network, tmp_path / "loop.pt"), "nested more than")
    many: nn.Module = nn.Identity()
    for _ in range(28):
        many = nn.Sequential(many, many)  # 2^28 of them, in 28 places
    network = small()
    network.model[0].add_module("many", many)
    refused(save(network, tmp_path / "many.pt"), "more than 10,000 layers")


def _other_numbers(network):
    network.model[0].conv.weight.data[0, 0, 0, 0] = math.nan


def _fewer_numbers(network):
    network.model[0].__dict__["_buffers"] = None


def _another_shape(network):
    network.model[1].conv.weight = nn.Parameter(torch.zeros(16, 8, 1, 1))


def _another_name(network):
    network.model[1].conv.register_buffer("more", torch.zeros(3))


def _another_layer(network):
    network.model[1].act = nn.Tanh()


def _another_stride(network):
    network.model[1].conv.stride = (1, 1)


def _one_number_for_all(network):
    network.model[1].conv.weight.data = torch.zeros(1).expand(16, 8, 3, 3)


def _no_norm(network):
    network.model[1].bn.eps = math.nan


NOT_WHAT_IT_SAYS = {
    _other_numbers: "weights that are no numbers",
    _fewer_numbers: "no module",
    _another_shape: "other weights than",
    _another_name: "other weights than",
    _another_layer: "holds a Tanh where its description has a SiLU",
    _another_stride: "another stride",
    _one_number_for_all: r"of shape \(16, 8, 3, 3\) with 1 numbers",
    _no_norm: "a norm that is none",
}


@pytest.mark.parametrize("change", NOT_WHAT_IT_SAYS, ids=lambda change: change.__name__)
def test_files_whose_network_is_not_the_one_described_are_refused(change, tmp_path):
    network = small()
    change(network)
    refused(save(network, tmp_path / "other.pt"), NOT_WHAT_IT_SAYS[change])


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (None, "which classes"),
        ({}, "which classes"),
        ({i: "x" for i in range(10_001)}, "which classes"),
        ({1: "person"}, "one by one"),
        ({0: "x" * 1000}, "one by one"),
        ({0: ["person"]}, "one by one"),
        ({"a": "person"}, "something else than numbers"),
        ({0: "person", 1: "dog"}, "another out_channels"),
    ],
    ids=["none", "empty", "many", "from 1", "long", "lists", "letters", "others"],
)
def test_names_of_classes_that_cannot_be(names, match, tmp_path):
    network = small()
    network.names = names
    refused(save(network, tmp_path / "names.pt"), match)


def test_what_is_no_detector_is_told_in_glots_words(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    refused(str(tmp_path / "empty.pt"), "without a network in it; give a file that ultralytics has saved")
    refused(save(nn.Linear(3, 3), tmp_path / "linear.pt"), "a network of the kind Linear")
    refused(save(small().state_dict(), tmp_path / "state.pt"), "without a network in it")
    from ultralytics.nn.tasks import RTDETRDetectionModel

    other = RTDETRDetectionModel.__new__(RTDETRDetectionModel)
    nn.Module.__init__(other)
    refused(save(other, tmp_path / "detr.pt"), "RTDETRDetectionModel, which glot does not build")
    torch.save({"model": None}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refused(str(tmp_path / "old.pt"), "without a network in it")
    (tmp_path / "page.pt").write_text("<!doctype html><p>log in")
    refused(str(tmp_path / "page.pt"), "a web page")
    (tmp_path / "cut.pt").write_bytes(Path(save(small(), tmp_path / "good.pt")).read_bytes()[:9000])
    refused(str(tmp_path / "cut.pt"), "damaged or cut off")


def test_a_program_is_refused_by_whatever_name(tmp_path):
    for name in ("script.torchscript", "script.pt", "script.onnx"):
        line = refused(zipped(b"\x80\x02N.", tmp_path / name, **{"constants.pkl": b"\x80\x02)."}), "a program")
        assert "nothing in it was run" in line and "export" not in line.replace(name, "")


def answering(monkeypatch, answer):
    """A detector's file whose network answers something else."""
    monkeypatch.setattr("glot_cli.tracking.users_detector.on_device", lambda *_: lambda pictures: answer(len(pictures)))


WRONG = {
    "few numbers": (lambda n: torch.zeros(n, 4, 20), r"answers a picture with \(1, 4, 20\)"),
    "flat": (lambda n: torch.zeros(n, 5), "no boxes of 1 classes"),
    "other pictures": (lambda n: torch.zeros(n + 1, 5, 20), "no boxes"),
    "whole numbers": (lambda n: torch.zeros(n, 5, 20, dtype=torch.int64), "no boxes"),
    "nothing": (lambda n: None, "with NoneType"),
    "an empty list": (lambda n: [], "with list"),
    "text": (lambda n: "boxes", "with str"),
    "a fault": (lambda n: 1 / 0, r"fails on a picture \(ZeroDivisionError"),
    "no place": (lambda n: torch.full((n, 5, 20), math.nan).index_fill(1, torch.tensor([4]), 0.9), "that are none"),
    "inside out": (lambda n: torch.tensor([320.0, 320, -50, -50, 0.9]).expand(n, 20, 5).mT, "boxes that are none"),
    "too sure": (lambda n: torch.tensor([320.0, 320, 50, 50, 90]).expand(n, 20, 5).mT, "boxes that are none"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_answers_that_are_no_boxes_name_the_file(kind, tmp_path, monkeypatch):
    answer, match = WRONG[kind]
    path = save(small(), tmp_path / "answers.pt")
    answering(monkeypatch, answer)
    refused(path, match)


def test_a_network_that_sees_nothing_in_a_picture_is_none_the_worse(tmp_path):
    ((boxes, keypoints),) = PersonDetector(save(small(), tmp_path / "small.pt"), WEIGHTS)([PICTURE])
    assert boxes.shape[1] == 5 and keypoints is None


def test_networks_of_a_coarser_stride_see_the_full_square(tmp_path):
    """Their sides have to be multiples of 64."""
    deep = [[-1, 1, "Conv", [16, 3, 2]]] * 3
    detector = PersonDetector(save(small(*deep), tmp_path / "deep.pt"), WEIGHTS)
    assert not detector.any_shape and len(detector([PICTURE])) == 1


AT_HOME = """
import numpy as np, sys
from pathlib import Path
from glot_cli.tracking.detector import PersonDetector
from glot_cli.tracking.ultralytics_adapter import ByteTrack
boxes = PersonDetector(None, Path(sys.argv[1]))([np.zeros((64, 64, 3), np.uint8)])[0].boxes
PersonDetector(sys.argv[2], Path(sys.argv[1]))
ByteTrack(sure=0.5, remembered=30, match_limit=0.8).update(boxes)
import os
assert "YOLO_CONFIG_DIR" not in os.environ
"""


def test_nothing_is_written_at_home(tmp_path):
    """ultralytics keeps settings there, with an id of the machine."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    path = save(small(), tmp_path / "small.pt")
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "YOLO_", "MPL"))}
    surroundings |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "TMPDIR": str(scratch),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", AT_HOME, str(WEIGHTS), path], cwd=tmp_path, env=surroundings,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [*home.rglob("*")] == [] and [*scratch.rglob("*")] == []
    assert done.stdout == "" and "ltralytics" not in done.stderr
