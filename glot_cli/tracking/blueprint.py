"""What a saved detector of ultralytics is: read out of its file, and checked before anything is built by it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from glot_cli.files.checkpoints import StoredTensor
from glot_cli.files.faults import Damaged, FileFault, Refused, Unsupported
from glot_cli.files.saved_modules import Made, modules, tensors

MAX_LAYERS = 500  # rows of a description; the longest of ultralytics' has 50
MAX_REPEATS = 100  # of one row
MAX_ARGUMENTS = 16
MAX_ARGUMENT = 8192  # channels, mostly
MAX_WIDTH = 8.0  # by which channels and repeats are multiplied
MAX_CLASSES = 10_000
MAX_POINTS = 1000
MAX_REACH = 64  # bins in which the distance of a box's edge is told; ultralytics has 16
MAX_NAME = 200  # letters of a class's name
SMALLER = "give a smaller one"  # the remedy where a detector takes too much

TASKS = {"DetectionModel": "detect", "YOLOv10DetectionModel": "detect", "SegmentationModel": "segment",
         "PoseModel": "pose"}  # fmt: skip
_OTHER_TASKS = {"ClassificationModel": "classify", "OBBModel": "obb", "SemanticSegmentationModel": "semantic",
                "DepthModel": "depth"}  # fmt: skip
_HEADS = {"Detect", "v10Detect", "Segment", "Segment26", "Pose", "Pose26"}
# Layers that consist of sums and products alone. Missing are those that load what is elsewhere (TorchVision), that need
# words (YOLO-World, YOLOE) and whose answers are read in another way (RT-DETR).
_LAYERS = _HEADS | {
    "Conv", "ConvTranspose", "DWConv", "DWConvTranspose2d", "GhostConv", "Focus", "Concat", "Silence",
    "Bottleneck", "BottleneckCSP", "GhostBottleneck", "SPP", "SPPF", "SPPELAN", "C1", "C2", "C2f", "C2fAttn", "C2fCIB",
    "C2fPSA", "C2PSA", "C3", "C3k2", "C3x", "C3TR", "C3Ghost", "RepC3", "RepNCSPELAN4", "ELAN1", "ADown", "AConv",
    "SCDown", "PSA", "A2C2f", "CBLinear", "CBFuse", "HGStem", "HGBlock", "ResNetLayer",
    "nn.Identity", "nn.Upsample", "nn.MaxPool2d", "nn.ZeroPad2d", "nn.ConvTranspose2d", "nn.BatchNorm2d",
}  # fmt: skip
_WORDS = {"nc", "kpt_shape", "None", "True", "False", "nearest", "bilinear", "bicubic"}  # among arguments
# ultralytics evaluates this: nothing but a class of torch.nn with a number.
_ACTIVATION = re.compile(
    r"(torch\.)?nn\.(SiLU|ReLU|ReLU6|LeakyReLU|ELU|GELU|Mish|Hardswish|Sigmoid|Identity)\((0\.\d{1,4}|inplace=True)?\)"
)
_RENAMED = {"Silence": "Identity"}


@dataclass(frozen=True)
class Blueprint:
    """A detector that may be built.

    Attributes:
        task: what it is for, as ultralytics calls it.
        architecture: ultralytics' description of the network (a model's yaml), of plain values within bounds.
        names: of its classes, by their numbers from 0.
        layers: the modules in the file by their paths.
        tensors: those of the file by their names, as yet without numbers.
        end_to_end: whether its answers need no reduction to one box for each thing.
    """

    task: str
    architecture: dict[str, Any]
    names: dict[int, str]
    layers: Mapping[str, Made]
    tensors: dict[str, StoredTensor]
    end_to_end: bool

    @property
    def keypoints(self) -> tuple[int, int] | None:
        """How many there are of each thing, and numbers of each."""
        return check_points(self.architecture.get("kpt_shape"))


def read_blueprint(held: Any) -> Blueprint:
    """The detector in a file. Raises FileFault where it holds none, or one that is out of bounds.

    Args:
        held: what PyTorch saved, as `read_network` gives it.
    """
    model = held.get("ema") or held.get("model") if isinstance(held, dict) else held
    if not isinstance(model, Made):
        raise Unsupported("is a checkpoint without a network in it", remedy="give a file that ultralytics has saved")
    kind = model.name.rpartition(".")[2]
    if kind in _OTHER_TASKS:
        raise Unsupported(f"a model for the task '{_OTHER_TASKS[kind]}' does not box people",
                          remedy="give one for detect, segment, pose")  # fmt: skip
    if kind not in TASKS:
        raise Unsupported(f"holds a network of the kind {kind[:MAX_NAME]}, which glot does not build")
    names = check_names(model.state.get("names"))
    architecture = _architecture(model.state.get("yaml"), len(names))
    if ("kpt_shape" in architecture) != (TASKS[kind] == "pose"):
        raise Refused("describes a network of another kind than it holds")
    found = modules(model)
    held_tensors = tensors(found)
    head = found.get(f"model.{len(architecture['backbone']) + len(architecture['head']) - 1}")
    end_to_end = head is not None and head.state.get("_end2end") is True
    return Blueprint(TASKS[kind], architecture, names, found, held_tensors, end_to_end)


def check_names(names: Any) -> dict[int, str]:
    """Names of classes as a file tells them, a dictionary or list, if there are some, numbered from 0."""
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not 1 <= len(names) <= MAX_CLASSES:
        raise Damaged("does not say which classes it knows")
    try:
        told = {int(index): name for index, name in names.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise Damaged("numbers its classes with something else than numbers") from error
    if sorted(told) != list(range(len(names))) or not all(
        isinstance(name, str) and len(name) <= MAX_NAME for name in told.values()
    ):
        raise Damaged("does not name its classes one by one")
    return told


def check_points(shape: Any) -> tuple[int, int] | None:
    """(keypoints of a thing, numbers of each) as a file tells them, None where it tells none."""
    if shape is None:
        return None
    if not isinstance(shape, list | tuple) or len(shape) != 2 or not all(type(n) is int for n in shape):
        raise Damaged("does not say how many keypoints it marks")
    count, numbers = shape
    if not (1 <= count <= MAX_POINTS and numbers in (2, 3)):
        raise Refused(f"marks {count} keypoints of {numbers} numbers, more than any detector")
    return count, numbers


def _architecture(told: Any, class_count: int) -> dict[str, Any]:
    """A copy of a description that holds nothing but what is known and within bounds."""
    if not isinstance(told, dict):
        raise Unsupported("does not say how its network is built")
    rows: list[Any] = [told.get("backbone"), told.get("head")]
    if not all(isinstance(part, list) and part for part in rows) or len(rows[0]) + len(rows[1]) > MAX_LAYERS:
        raise Refused(f"describes no network, or one of more than {MAX_LAYERS} layers")
    layers = [_row(row, number) for number, row in enumerate([*rows[0], *rows[1]])]
    first = len(rows[0])
    made: dict[str, Any] = {"nc": class_count, "backbone": layers[:first], "head": layers[first:]}
    if [row[2] in _HEADS for row in layers] != [False] * (len(layers) - 1) + [True] or type(layers[-1][0]) is not list:
        raise Refused("describes a network that does not end in one layer that finds")
    if told.get("channels", 3) != 3:
        raise Refused("describes a network of other pictures than coloured ones")
    points = check_points(told.get("kpt_shape"))
    if points is not None:
        made["kpt_shape"] = list(points)
    for name in ("depth_multiple", "width_multiple"):
        if name in told:
            made[name] = _multiple(told[name])
    if "scales" in told and told["scales"] is not None:
        made["scales"] = _scales(told["scales"])
        made["scale"] = told.get("scale") or next(iter(made["scales"]))
        if type(made["scale"]) is not str or made["scale"] not in made["scales"]:
            raise Refused("describes a network of a size that it does not know")
    activation = told.get("activation")
    if activation is not None:
        if type(activation) is not str or not _ACTIVATION.fullmatch(activation):
            raise Refused("describes a network with an activation that is not known")
        made["activation"] = activation
    if "reg_max" in told:
        made["reg_max"] = _whole(told["reg_max"], 1, MAX_REACH)
    if isinstance(told.get("end2end"), bool):
        made["end2end"] = told["end2end"]
    return made


def _row(row: Any, number: int) -> list[Any]:
    """One layer: [of which layers it takes the answers, how often it stands, its name, its arguments]."""
    if not isinstance(row, list | tuple) or len(row) != 4:
        raise Refused("describes a layer with something missing")
    source, repeats, name, arguments = row
    sources = source if isinstance(source, list | tuple) else [source]
    if not 1 <= len(sources) <= MAX_ARGUMENTS:
        raise Refused("describes a layer without input")
    sources = [_whole(one, -number or -1, number - 1) for one in sources]  # those before it
    if type(name) is not str or name not in _LAYERS:
        shown = name[:MAX_NAME] if type(name) is str else "without a name"
        raise Refused(f"asks for a layer {shown}, which is not among those that glot builds")
    if not isinstance(arguments, list | tuple) or len(arguments) > MAX_ARGUMENTS:
        raise Refused(f"describes a layer with more than {MAX_ARGUMENTS} settings")
    checked = [_argument(one) for one in arguments]
    return [sources if isinstance(source, list | tuple) else sources[0], _whole(repeats, 1, MAX_REPEATS), name, checked]


def _argument(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if len(value) > MAX_ARGUMENTS:
            raise Refused(f"describes a layer with more than {MAX_ARGUMENTS} settings")
        return [_whole(one, -MAX_ARGUMENT, MAX_ARGUMENT) for one in value]
    if value is None or isinstance(value, bool) or (type(value) is str and value in _WORDS):
        return value
    if type(value) is float and abs(value) <= MAX_ARGUMENT:
        return value
    return _whole(value, -MAX_ARGUMENT, MAX_ARGUMENT)


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Refused("describes a layer with a setting that is out of bounds")
    return value


def _multiple(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value <= MAX_WIDTH:
        raise Refused("describes a network of a size that is out of bounds")
    return float(value)


def _scales(told: Any) -> dict[str, list[float]]:
    if not isinstance(told, dict) or not 1 <= len(told) <= MAX_ARGUMENTS:
        raise Refused("describes a network of no size")
    made = {}
    for name, scale in told.items():
        if type(name) is not str or len(name) > MAX_NAME or not isinstance(scale, list | tuple) or len(scale) != 3:
            raise Refused("describes a network of no size")
        made[name] = [_multiple(scale[0]), _multiple(scale[1]), _whole(scale[2], 1, MAX_ARGUMENT)]
    return made


def check_layers(network: nn.Module, layers: Mapping[str, Made]) -> None:
    """Raise where a network that was built is not the one in the file, though its tensors have the same shapes.

    What may differ among networks of one description, the term by which norms avoid division by 0, is taken over.
    """
    for path, module in network.named_modules(remove_duplicate=False):  # many share an activation
        made = layers.get(path)
        if made is None or not path:
            continue
        kind = made.name.rpartition(".")[2]
        if _RENAMED.get(kind, kind) != type(module).__name__:
            raise FileFault(f"holds a {kind[:MAX_NAME]} where its description has a {type(module).__name__}")
        for name in getattr(module, "__constants__", ()):  # PyTorch's own: strides, paddings, modes
            if name not in made.state or name in ("inplace", "momentum", "name", "eps"):
                continue
            if made.state[name] != getattr(module, name):
                raise FileFault(f"holds a {kind} with another {name} than its description has")
        if isinstance(module, nn.BatchNorm2d):
            eps = made.state.get("eps")
            if type(eps) is not float or not 0 <= eps <= 1:
                raise Damaged("holds a norm that is none")
            module.eps = eps
