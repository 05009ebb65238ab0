"""Give glot's readers of detectors and data sets damaged and senseless files, as `readers.py` does with other kinds.

    python tests/fuzz/detectors_and_data.py --count 10000

Small networks of ultralytics, ONNX models and data sets (joblib, HDF5) are made anew for each try, with something in
them that is out of place: settings of layers, sources, names, modules, tensors, nodes, attributes, shapes, types; or
with damaged bytes. Detectors that are read look at a picture, data sets that are read are converted and opened.
"""

from __future__ import annotations

import copy
import gc
import io
import math
import os
import random
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from driver import drive  # noqa: E402
from odd_models import ODD, a_model  # noqa: E402
from readers import changed_bytes  # noqa: E402

from glot_cli.datasets.add_dataset import add_dataset  # noqa: E402
from glot_cli.datasets.dataset import Dataset  # noqa: E402
from glot_cli.tracking.blueprint import _LAYERS  # noqa: E402
from glot_cli.tracking.detector import PersonDetector  # noqa: E402
from tests.datasets.official_data import arrays_of  # noqa: E402
from tests.tracking.small_detectors import WEIGHTS, save, small  # noqa: E402

SETS = ("3dpw-train", "3dpw-test", "mpii3d-val-scale12", "insta-train")
PICTURE = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)


def look(path: Path) -> Any:
    """Find people in a picture, as a run does."""
    PersonDetector(str(path), WEIGHTS)([PICTURE])
    gc.collect()  # which ends the process of an ONNX model


def take_in(path: Path) -> Any:
    """Convert a data set, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GLOT_DATA"] = folder
        add_dataset(path, "x", quiet=True)
        held = Dataset.open("x")
        for name in ("features", "joints2d", "joints3d", "pose", "betas", "bbox"):
            array = getattr(held, name)
            assert array is None or np.isfinite(array).all()


LAYERS = (
    [[-1, 1, "C3k2", [16, False, 0.25]], [-1, 1, "SPPF", [16, 5]]],
    [
        [-1, 1, "Conv", [128, 1, 1]],
        [-1, 1, "C2PSA", [128]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 1], 1, "Concat", [1]],
    ],
    [[-1, 2, "C2f", [16, True]], [-1, 1, "nn.MaxPool2d", [3, 1, 1]]],
    [[-1, 1, "GhostConv", [16, 3]], [-1, 1, "ConvTranspose", [16, 2, 2, 0]], [-1, 1, "SCDown", [16, 3, 2]]],
    [],
)


def a_checkpoint(chance: random.Random) -> bytes:
    """A file of ultralytics with something wrong in it."""
    other = {"kpt_shape": [17, 3]} if chance.random() < 0.1 else {}
    network: Any = NETWORKS[len(other), chance.randrange(len(LAYERS))]
    network = copy.deepcopy(network)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        chance.choice((row_changed, row_changed, told_changed, module_changed, tensor_changed))(network, chance)
    kept: Any = {"epoch": -1, "model": network, "ema": None, "train_args": {"task": "detect"}}
    if chance.random() < 0.1:
        kept = chance.choice((network, network.state_dict(), {"model": chance.choice(ODD)}, [network], network.yaml))
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(kept, held, _use_new_zipfile_serialization=chance.random() < 0.7)
    data = held.getvalue()
    kind = chance.random()
    if kind < 0.15:
        return changed_bytes(data, chance)
    return repacked(data, chance) if kind < 0.35 and data.startswith(b"PK") else data


def row_changed(network: Any, chance: random.Random) -> None:
    """One row of the description: its source, how often, name, settings; or it is gone, or there often."""
    part = network.yaml[chance.choice(("backbone", "head"))]
    at = chance.randrange(len(part))
    row = part[at] = list(part[at])
    kind = chance.randrange(8)
    if kind < 3 and row[3]:
        row[3] = list(row[3])
        row[3][chance.randrange(len(row[3]))] = chance.choice(ODD)
    elif kind == 3:
        row[chance.randrange(4)] = chance.choice(ODD)
    elif kind == 4:
        names = (*sorted(_LAYERS), "TorchVision", "nn.Linear", "os.system", "RTDETRDecoder", "Index")
        row[2] = chance.choice(names)
    elif kind == 5:
        row[0] = chance.choice((-1, 0, at, at + 1, [-1, 0], [0] * 17, [at - 1, -1], -at - 2))
    elif kind == 6:
        part[at:at] = copy.deepcopy(part[at : at + 1]) * chance.choice((1, 3, 30, 499, 600))
    else:
        row[3] = [chance.choice(ODD) for _ in range(chance.randrange(6))]


def told_changed(network: Any, chance: random.Random) -> None:
    """What the network and its description say."""
    if chance.random() < 0.5:
        keys = ("nc", "names", "scales", "scale", "depth_multiple", "width_multiple", "activation", "reg_max", "ch",
                "channels", "kpt_shape", "end2end", "backbone", "head", "yaml_file")  # fmt: skip
        network.yaml[chance.choice(keys)] = chance.choice(
            (*ODD, "nn.SiLU()", "nn.ReLU6()", "torch.nn.LeakyReLU(0.1)", "__import__('os').abort()")
        )
    else:
        setattr(network, chance.choice(("names", "stride", "yaml", "args", "task", "save", "nc")), chance.choice(ODD))


def module_changed(network: Any, chance: random.Random) -> None:
    """A module's attributes, or which modules it holds."""
    modules = list(network.modules())
    module = chance.choice(modules)
    kind = chance.randrange(4)
    if kind < 2:
        names = [name for name in vars(module) if not name.startswith("_")] + ["_modules", "_buffers", "_parameters"]
        vars(module)[chance.choice(names)] = chance.choice(ODD)
    elif kind == 2:
        module._modules[chance.choice((*module._modules, "more"))] = chance.choice((*modules, None))
    else:
        other = chance.choice((nn.Tanh(), nn.Linear(3, 3), nn.Conv2d(8, 16, 3, 2), nn.Sequential(*modules[-2:])))
        module._modules[chance.choice((*module._modules, "more"))] = other


def tensor_changed(network: Any, chance: random.Random) -> None:
    """A parameter or buffer: its shape, type, strides or numbers."""
    module = chance.choice([module for module in network.modules() if module._parameters or module._buffers])
    table = chance.choice([table for table in (module._parameters, module._buffers) if table])
    name = chance.choice(list(table))
    old = table[name]
    if old is None:
        return
    size = chance.choice(((0,), (1,), (3, 3), (16, 8, 3, 3), tuple(old.shape[::-1]), (1,) * 40))
    new = chance.choice((
        lambda: torch.zeros(size), lambda: old.detach().half(), lambda: torch.zeros(old.shape, dtype=torch.int64),
        lambda: old.detach() * math.nan, lambda: old.detach() * 1e30, lambda: torch.zeros(1).expand(old.shape),
        lambda: torch.zeros(old.shape, dtype=torch.complex64), lambda: torch.zeros(1).expand(1 << 40),
    ))()  # fmt: skip
    table[name] = nn.Parameter(new) if new.is_floating_point() and table is module._parameters else new


def repacked(data: bytes, chance: random.Random) -> bytes:
    """A zip with one of its files changed, gone, twice there, under another name, or followed by a bomb."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    programs = [at for at, (name, _) in enumerate(members) if name.endswith("data.pkl")]
    at = chance.choice((programs[0], chance.randrange(len(members))))
    name, content = members[at]
    kind = chance.randrange(6)
    if kind < 3 and content:
        members[at] = name, changed_bytes(content, chance)
    elif kind == 3:
        del members[at]
    elif kind == 4:
        members.append((chance.choice((name, "archive/constants.pkl", "../x", "a" * 300)), content))
    else:
        members[at] = name, bytes(chance.choice((1 << 10, 60 << 20, 300 << 20)))
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # two members of one name are meant
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def a_data_set(chance: random.Random) -> dict[str, Any]:
    """The arrays of an official file, some of them as they should not be."""
    held = dict(DATA[chance.choice(SETS)])
    for _ in range(chance.choice((0, 1, 1, 2))):
        key = chance.choice(list(held))
        kind = chance.randrange(6)
        if kind == 0:
            del held[key]
        elif kind == 1:
            held[key] = chance.choice(ODD)
        elif kind == 2:
            held[chance.choice((*held, "x", "valid", "valid_i", "frame_id", "img_name"))] = held[key]
        else:
            held[key] = array_changed(np.asarray(held[key]), chance)
        if not held:
            break
    return held


def array_changed(array: np.ndarray, chance: random.Random) -> Any:
    kind = chance.randrange(8)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == 0:
            try:
                return array.astype(chance.choice(("<f8", ">f4", "<f2", "<i1", "<u8", "<c8", "?", "<U7", "S3", "f16")))
            except ValueError:  # words are no numbers
                return array
        if kind == 1:
            return array[: chance.randrange(len(array) + 1)] if array.ndim else array
        if kind == 2:
            return array.reshape(chance.choice(((-1,), (1, -1), (-1, 1), (1, *array.shape), (*array.shape, 1))))
        if kind == 3 and array.dtype.kind in "fiu" and array.size:
            array = array.copy()
            value = chance.choice((0, 1, 100) if array.dtype.kind != "f" else (np.nan, np.inf, -3e38, 1e20, 0))
            array.reshape(-1)[chance.randrange(array.size)] = value
            return array
        if kind == 4:
            return array.tolist()
        if kind == 5:
            return np.zeros((len(array) if array.ndim else 1, chance.choice((0, 1, 9000, 70_000))), np.float32)
        if kind == 6:
            return np.array(
                [chance.choice(("", "a" * 5000, "ü", "\0", "img_0001.jpg"))] * chance.choice((1, len(array)))
            )
        return np.asfortranarray(array)


def a_joblib_file(chance: random.Random) -> bytes:
    held = io.BytesIO()
    how: Any = {"protocol": chance.choice((2, 3, 4, 5))} | ({"compress": 3} if chance.random() < 0.03 else {})
    kept: Any = a_data_set(chance)
    if chance.random() < 0.05:
        kept = chance.choice((list(kept.values()), {1: kept}, next(iter(kept.values()), None), {**kept, "x": kept}))
    joblib.dump(kept, held, **how)
    data = held.getvalue()
    return changed_bytes(data, chance) if chance.random() < 0.5 else data


def an_h5_file(chance: random.Random) -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w", libver=chance.choice(("earliest", "latest"))) as file:
        for name, value in a_data_set(chance).items():
            try:
                fill(file, name, value, chance)
            except (TypeError, ValueError, OverflowError, AttributeError, UnicodeError):
                continue  # what HDF5 cannot hold
    data = held.getvalue()
    return changed_bytes(data, chance) if chance.random() < 0.5 else data


def fill(file: Any, name: str, value: Any, chance: random.Random) -> None:
    array = np.asarray(value)
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    kind = chance.randrange(12)
    if kind == 0 and array.ndim:
        chunks = tuple(max(1, side // 2) for side in array.shape)
        packed = chance.choice(("gzip", "lzf", None))
        file.create_dataset(name, data=array, chunks=chunks, compression=packed, shuffle=True, fletcher32=True)
    elif kind == 1:
        file.create_dataset(name, array.shape, array.dtype, maxshape=[None] * array.ndim, fillvalue=0)
    elif kind == 2 and array.dtype.kind == "S":
        file.create_dataset(name, data=array.tolist(), dtype=h5py.string_dtype())
    elif kind == 3:
        shape = chance.choice(((10**9, 2048), (10**7, 1), (10**6, 64, 3), (2, 10**8)))
        file.create_dataset(name, shape, "f4", chunks=tuple(min(side, 512) for side in shape), compression="gzip")
        file[name][:1, :1] = 1
    elif kind == 4:
        file[name] = chance.choice((h5py.SoftLink("/" + name), h5py.ExternalLink("/etc/passwd", "x")))
    else:
        file.create_dataset(name, data=array)


MAKERS: dict[str, tuple[str, Callable[[random.Random], bytes]]] = {
    "checkpoint": (".pt", a_checkpoint),
    "onnx": (".onnx", a_model),
    "joblib": ("_db.pt", a_joblib_file),
    "hdf5": ("_db.h5", an_h5_file),
}
READERS: dict[str, Callable[[Path], Any]] = {"checkpoint": look, "onnx": look, "joblib": take_in, "hdf5": take_in}
NETWORKS: dict[tuple[int, int], Any] = {}
DATA: dict[str, dict[str, Any]] = {}


def prepare(folder: Path) -> None:
    """Make what is changed in each try, and have all imported that the tries need."""
    for number, layers in enumerate(LAYERS):
        NETWORKS[0, number] = small(*copy.deepcopy(layers))
    pose = small(kpt_shape=[17, 3])
    NETWORKS.update({(1, number): pose for number in range(len(LAYERS))})
    for name in SETS:
        DATA[name] = arrays_of(name, videos=2, frames=12, feature_dim=16)
    look(Path(save(NETWORKS[0, 0], folder / "good.pt")))
    joblib.dump(DATA[SETS[0]], folder / "good_db.pt")
    take_in(folder / "good_db.pt")


def make(kind: str, folder: Path, number: int, chance: random.Random) -> Path:
    """A file for one try."""
    ending, maker = MAKERS[kind]
    path = folder / f"{number}{ending}"
    while True:
        try:
            path.write_bytes(maker(chance))
        except Exception:
            continue  # what PyTorch, ONNX or joblib do not write; another takes its place
        return path


if __name__ == "__main__":
    sys.exit(drive(__doc__ or "", READERS, prepare, make))
