"""Stand-ins for the official files, written in the official formats: what `glot weights add` will meet."""

from __future__ import annotations

import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from tests.parity import standins

NEUTRAL, MALE = "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "basicmodel_m_lbs_10_207_0_v1.1.0.pkl"
SPIN, GLOT = "spin_model_checkpoint.pth.tar", "table1_3dpw_weights.pth.tar"
MEAN, EXTRA, H36M = "smpl_mean_params.npz", "J_regressor_extra.npy", "J_regressor_h36m.npy"


@contextmanager
def chumpy() -> Iterator[Any]:
    """Chumpy's module and array class while a file is written; afterwards nothing has its name."""

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x = x
            self._itr = None

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    module.Ch = Ch  # type: ignore[attr-defined]
    package.ch = module  # type: ignore[attr-defined]
    sys.modules |= {"chumpy": package, "chumpy.ch": module}
    try:
        yield Ch
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def write_smpl(path: Path, protocol: int = 2, components: int = 10, **changes: Any) -> Path:
    """An SMPL pickle as version 1.0.0 is: a chumpy array, sparse regressors, and text beside the arrays."""
    body = standins.smpl()
    if components > 10:
        more = standins.normal("more_shapedirs", (standins.VERTICES, 3, components - 10)) * 0.001
        body["shapedirs"] = np.concatenate([body["shapedirs"], more], -1)
    with chumpy() as array:
        held = {
            **body,
            "J_regressor": sparse.csc_matrix(body["J_regressor"]),
            "J_regressor_prior": sparse.csr_matrix(body["J_regressor"]),
            "shapedirs": array(body["shapedirs"]),
            "bs_style": "lbs",
            "bs_type": "lrotmin",
            "pose_training_info": {"gender": "neutral", "files": ["a", "b"]},
            **changes,
        }
        path.write_bytes(pickle.dumps(held, protocol))
    return path


def write_python2_smpl(path: Path) -> Path:
    """The same as Python 2 wrote it: names of old modules, texts that are bytes."""
    write_smpl(path, protocol=2)
    data = path.read_bytes()
    for new, old in (
        (b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"),
        (b"cscipy.sparse._csc\n", b"cscipy.sparse.csc\n"),
        (b"cscipy.sparse._csr\n", b"cscipy.sparse.csr\n"),
    ):
        data = data.replace(new, old)
    path.write_bytes(data)
    return path


def tensors(of: str) -> OrderedDict[str, torch.Tensor]:
    return OrderedDict((key, torch.from_numpy(value)) for key, value in standins.state(of).items())


def write_spin(path: Path, zipped: bool = False) -> Path:
    """SPIN's checkpoint: beside the learned tensors counters, the body's buffers and the mean parameters."""
    model = tensors("spin")
    for key in list(model):
        if key.endswith("running_var"):
            model[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    model["init_pose"] = torch.zeros(1, 144)
    model["smpl.betas"] = torch.zeros(64, 10)
    torch.save({"model": model, "epoch": 3, "total_step_count": 9}, path, _use_new_zipfile_serialization=zipped)
    return path


def write_glot(path: Path, zipped: bool = False) -> Path:
    """A GLoT checkpoint: beside the learned tensors SMPL's buffers, a score as NumPy has it, the optimizer's state."""
    state = tensors("glot")
    learned = dict(state)
    for key, shape in standins.shapes("glot_buffers").items():
        state[key] = torch.zeros(1).expand(shape)  # so that the file stays small
    moments = {i: {"step": 5, "exp_avg": torch.zeros_like(v)} for i, v in enumerate(list(learned.values())[:3])}
    held = {
        "epoch": 49,
        "gen_state_dict": state,
        "performance": np.float64(50.6),
        "gen_optimizer": {"state": moments, "param_groups": [{"lr": 1e-4, "params": [0, 1, 2]}]},
    }
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    return path


def write_all(folder: Path) -> dict[str, Path]:
    """Everything that the preset `paper` asks for, under official names."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / MEAN, **standins.mean_params())
    np.save(folder / EXTRA, standins.joints_extra())
    np.save(folder / H36M, standins.joints_h36m())
    write_python2_smpl(folder / NEUTRAL)
    write_spin(folder / SPIN)
    write_glot(folder / GLOT)
    return {name: folder / name for name in (NEUTRAL, SPIN, GLOT, MEAN, EXTRA, H36M)}


class Exploit:
    """Pickles to a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments
