"""Stand-ins for the official files, drawn from their names alone, and what the official network makes of them.

`expected.npz` holds outputs of the official GLoT (float32, CPU) on these arrays; `keys_glot.json` the learned tensors
of an official checkpoint, name -> shape.
"""

import json
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
NEAR_ZERO_OUTPUTS = ("decpose", "decshape", "deccam", "joint_regs")


def expected() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "expected.npz") as file:
        return dict(file)


def normal(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return generator.standard_normal(shape, dtype=np.float32)


def glot_state() -> dict[str, np.ndarray]:
    """Learned tensors under their official names."""
    state = {}
    for key, size in json.loads((FOLDER / "keys_glot.json").read_text()).items():
        shape = tuple(size)
        values = normal(f"glot:{key}", shape)
        leaf = key.split(".")[-1]
        if leaf == "bias":
            values = 0.1 * values
        elif len(shape) == 1:
            values = 1.0 + 0.1 * values
        elif "embed" in leaf:
            values = 0.02 * values
        else:
            gain = 0.05 if any(part in key for part in NEAR_ZERO_OUTPUTS) else 1.0
            values = values * np.float32(gain / np.sqrt(np.prod(shape[1:])))
        state[key] = values
    return state


def mean_state() -> np.ndarray:
    """(157,) pose6d, shape, camera."""
    upright = np.tile(np.eye(3, dtype=np.float32)[:, :2].ravel(), 24)
    pose = upright + 0.05 * normal("mean_pose", (144,))
    return np.concatenate([pose, 0.2 * normal("mean_shape", (10,)), np.array([0.9, 0, 0], np.float32)])


def features(count: int = 4, frames: int = 16, dim: int = 2048) -> np.ndarray:
    """Like pooled ResNet activations: not negative, smooth in time."""
    still = normal("features", (count, 1, dim))
    drift = np.cumsum(normal("drift", (count, frames, dim)) * 0.05, axis=1)
    return np.maximum(0.45 + 0.4 * (still + drift), 0).astype(np.float32)
