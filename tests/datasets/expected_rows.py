"""What a data set must hold, worked out joint by joint and frame by frame from what the official file holds."""

from __future__ import annotations

import numpy as np

from glot_cli.body.joints import SPIN_JOINTS
from glot_cli.datasets.dataset import Dataset
from glot_cli.datasets.layouts import LAYOUTS

Arrays = dict[str, np.ndarray]


def expected_joints2d(arrays: Arrays) -> np.ndarray:
    """Joint by joint and frame by frame, as the rule says it."""
    joints = arrays["joints2D"]
    names = next(n for n in LAYOUTS.values() if len(n) == joints.shape[1])
    found = np.zeros((len(joints), 49, 3))
    for n, frame in enumerate(joints):
        for k, (x, y, confidence) in enumerate(frame):
            if "bbox" in arrays:
                cx, cy, w, h = arrays["bbox"][n]
                left, top = cx - 1.2 * w / 2, cy - 1.2 * h / 2
                with np.errstate(divide="ignore", invalid="ignore"):
                    u, v = (x - left) / (1.2 * w) * 2 - 1, (y - top) / (1.2 * h) * 2 - 1
            else:
                u, v = 2 * x / 224 - 1, 2 * y / 224 - 1
            found[n, SPIN_JOINTS.index(names[k])] = u, v, confidence
    return found


def expected_joints3d(arrays: Arrays) -> np.ndarray:
    joints = arrays["joints3D"]
    names = next(n for n in LAYOUTS.values() if len(n) == joints.shape[1])
    found = np.zeros((len(joints), 49, 3))
    for k, name in enumerate(names):
        found[:, SPIN_JOINTS.index(name)] = joints[:, k]
    return found


def check(dataset: Dataset, arrays: Arrays) -> None:
    """Everything in the store against what the file holds, whose rows are in order."""
    n = len(arrays["features"])
    np.testing.assert_array_equal(dataset.features, arrays["features"])
    np.testing.assert_allclose(dataset.joints2d, expected_joints2d(arrays), atol=1e-5)
    assert dataset.has_joints3d == ("joints3D" in arrays)
    if dataset.joints3d is not None:
        np.testing.assert_allclose(dataset.joints3d, expected_joints3d(arrays), atol=1e-6)
    assert dataset.has_smpl == (bool(arrays["pose"].any()) if "pose" in arrays else False)
    if dataset.pose is not None and dataset.betas is not None:
        np.testing.assert_allclose(dataset.pose, arrays["pose"])
        np.testing.assert_allclose(dataset.betas, arrays["shape"])
    np.testing.assert_array_equal(dataset.valid, arrays.get("valid", np.ones(n)) != 0)
    if "valid_i" in arrays:
        assert dataset.scored is not None
        np.testing.assert_array_equal(dataset.scored, arrays["valid_i"].reshape(n, -1)[:, 0] != 0)
    else:
        assert dataset.scored is None
    if "bbox" in arrays:
        assert dataset.bbox is not None
        np.testing.assert_allclose(dataset.bbox, arrays["bbox"], rtol=1e-6)
    else:
        assert dataset.bbox is None
    videos = [dataset.videos[v] for v in dataset.video]
    assert videos == [v.decode() if isinstance(v, bytes) else v for v in arrays["vid_name"].tolist()]
    if "img_name" in arrays:
        assert dataset.image is not None
        assert [name.decode() for name in dataset.image] == arrays["img_name"].tolist()
    else:
        assert dataset.image is None
