"""Files of joblib to read: honest ones, with arrays of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np


def data_like() -> dict[str, Any]:
    """Arrays of every type, order and shape that a data set may have."""
    rng = np.random.default_rng(0)
    return {
        "features": rng.standard_normal((60, 33)).astype(np.float32),
        "vid_name": np.array(["a", "b", "ccc"] * 20),
        "bytes": np.array([b"a", b"bb"]),
        "fortran": np.asfortranarray(rng.standard_normal((5, 4, 3))),
        "big_endian": rng.standard_normal(7).astype(">f8"),
        "slice": np.arange(24.0).reshape(4, 6)[::2, 1:4],
        "empty": np.zeros((0, 3)),
        "none": np.array(2.5),
        "flags": np.array([True, False]),
        "whole": np.arange(5, dtype=np.uint16),
        "half": rng.standard_normal(3).astype(np.float16),
    }


def write(path: Path, held: Any, **how: Any) -> Path:
    """A file of `joblib.dump`; how: compress, protocol."""
    joblib.dump(held, path, **how)
    return path


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """The same names, and the same numbers, types and shapes under each."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
