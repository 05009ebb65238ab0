"""Stand-ins for the official files, drawn from their names alone, and what the official code makes of them.

`expected.npz` holds outputs of the official GLoT and SPIN (float32, CPU) on these arrays. `keys_glot.json` and
`keys_spin.json` list the learned tensors of the official checkpoints, name -> shape; `keys_glot_buffers.json` what else
a GLoT checkpoint holds.
"""

import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
NEAR_ZERO_OUTPUTS = ("decpose", "decshape", "deccam", "joint_regs")
VERTICES, FACES, JOINTS = 6890, 13776, 24
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def expected() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "expected.npz") as file:
        return dict(file)


def normal(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return generator.standard_normal(shape, dtype=np.float32)


def shapes(of: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape from one of the lists: glot, spin, glot_buffers."""
    return {key: tuple(size) for key, size in json.loads((FOLDER / f"keys_{of}.json").read_text()).items()}


def state(of: str) -> dict[str, np.ndarray]:
    """Learned tensors and batch statistics of a network, `glot` or `spin`, under their official names."""
    return {key: values.copy() for key, values in _state(of).items()}


@cache  # drawing 27 million numbers takes ten times as long as copying them
def _state(of: str) -> dict[str, np.ndarray]:
    result = {}
    for key, shape in shapes(of).items():
        values = normal(f"{of}:{key}", shape)
        leaf = key.split(".")[-1]
        if leaf == "running_var":
            values = 1.0 + 0.1 * np.abs(values)
        elif leaf in ("bias", "running_mean"):
            values = 0.1 * values
        elif len(shape) == 1:
            values = 1.0 + 0.1 * values
        elif "embed" in leaf:
            values = 0.02 * values
        else:
            gain = 0.05 if any(part in key for part in NEAR_ZERO_OUTPUTS) else 1.0
            values = values * np.float32(gain / np.sqrt(np.prod(shape[1:])))
        result[key] = values
    return result


def mean_params() -> dict[str, np.ndarray]:
    """6-D pose (144,), shape (10,), weak-perspective camera (3,)."""
    upright = np.tile(np.eye(3, dtype=np.float32)[:, :2].ravel(), JOINTS)
    return {
        "pose": upright + 0.05 * normal("mean_pose", (144,)),
        "shape": 0.2 * normal("mean_shape", (10,)),
        "cam": np.array([0.9, 0, 0], np.float32),
    }


def mean_state() -> np.ndarray:
    """(157,) the three in one row."""
    return np.concatenate([mean_params()[name] for name in ("pose", "shape", "cam")])


def smpl() -> dict[str, np.ndarray]:
    """A random body in the arrays, shapes and types of an SMPL file of version 1.0.0."""
    return {key: values.copy() for key, values in _smpl().items()}


@cache
def _smpl() -> dict[str, np.ndarray]:
    generator = np.random.default_rng([1234, 0])
    regressor = generator.random((JOINTS, VERTICES)) ** 40
    weights = generator.random((VERTICES, JOINTS)) ** 12
    root = np.where(np.array(PARENTS) < 0, 2**32 - 1, PARENTS)
    return {
        "v_template": normal("v_template", (VERTICES, 3)).astype(float) * [0.25, 0.45, 0.12],
        "shapedirs": normal("shapedirs", (VERTICES, 3, 10)).astype(float) * 0.01,
        "posedirs": normal("posedirs", (VERTICES, 3, 207)).astype(float) * 0.001,
        "J_regressor": _rows(regressor),
        "weights": _rows(weights),
        "kintree_table": np.stack([root, np.arange(JOINTS)]).astype(np.uint32),
        "f": generator.integers(0, VERTICES, (FACES, 3)).astype(np.uint32),
    }


def _rows(values: np.ndarray) -> np.ndarray:
    return values / values.sum(1, keepdims=True)


def joints_extra() -> np.ndarray:
    """(9, 6890) stand-in for J_regressor_extra."""
    return _rows(np.random.default_rng([99, 0]).random((9, VERTICES)) ** 40).astype(np.float32)


def joints_h36m() -> np.ndarray:
    """(17, 6890) stand-in for J_regressor_h36m."""
    return _rows(np.random.default_rng([36, 0]).random((17, VERTICES)) ** 40).astype(np.float32)


def features(count: int = 4, frames: int = 16, dim: int = 2048) -> np.ndarray:
    """Like pooled ResNet activations: not negative, smooth in time."""
    still = normal("features", (count, 1, dim))
    drift = np.cumsum(normal("drift", (count, frames, dim)) * 0.05, axis=1)
    return np.maximum(0.45 + 0.4 * (still + drift), 0).astype(np.float32)


def crops() -> np.ndarray:
    """(2, 3, 224, 224) normalised crops."""
    return normal("crop", (2, 3, 224, 224))


def labels() -> dict[str, np.ndarray]:
    """Labels of four windows; the third has no 3D joints, the second no SMPL parameters."""
    confidence = (normal("gt_conf", (4, 16, 49, 1)) > 0).astype(np.float32)
    has_joints, has_smpl = np.ones((2, 4, 16), np.float32)
    has_joints[2], has_smpl[1] = 0, 0
    return {
        "image": np.concatenate([normal("gt_kp2d", (4, 16, 49, 2)) * 0.3, confidence], -1),
        "joints": normal("gt_kp3d", (4, 16, 49, 3)) * 0.3,
        "pose": normal("gt_pose", (4, 16, 72)) * 0.2,
        "betas": normal("gt_betas", (4, 16, 10)),
        "has_joints": has_joints,
        "has_smpl": has_smpl,
    }


def metric_joints() -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true joints (30, 14, 3), metres."""
    predicted = normal("pred_j", (30, 14, 3)) * 0.3
    return predicted, predicted + normal("gt_j", (30, 14, 3)) * 0.05
