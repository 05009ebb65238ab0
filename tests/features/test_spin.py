"""SPIN's features: the crop as the released demos cut it, the network as torchvision has it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

from glot_cli.errors import GlotError
from glot_cli.features.crops import extract_crops_plain
from glot_cli.features.spin import DEVIATION, MEAN, SpinFeatures
from glot_cli.features.spin_net import SpinNetwork
from tests.parity import standins, table

DEVICES = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SpinNetwork:
    return table.spin_network(tmp_path_factory.mktemp("spin"))


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    picture = np.random.default_rng(2).integers(0, 255, (40, 50, 3), np.uint8)
    return cv2.resize(picture, (500, 400), interpolation=cv2.INTER_CUBIC)


BOXES = np.array([[250.0, 200.0, 180.0], [30.5, 380.25, 300.0], [480.0, 10.0, 640.0], [-900.0, 0.0, 50.0]])


def bilinear(frame: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """The demo's crop by its formula: crop pixel u shows image point c + (u - size/2) side/size, counted from pixel
    centres; outside the image all is black."""
    padded = np.pad(frame.astype(float), ((1, 1), (1, 1), (0, 0)))
    at = (np.arange(size) - size / 2) * box[2] / size
    x, y = np.clip(box[0] + at, -1, frame.shape[1]) + 1, np.clip(box[1] + at, -1, frame.shape[0]) + 1
    x0, y0 = np.minimum(x.astype(int), frame.shape[1]), np.minimum(y.astype(int), frame.shape[0])
    fx, fy = (x - x0)[None, :, None], (y - y0)[:, None, None]
    corner = [[padded[np.ix_(y0 + j, x0 + i)] for i in (0, 1)] for j in (0, 1)]
    upper = corner[0][0] * (1 - fx) + corner[0][1] * fx
    lower = corner[1][0] * (1 - fx) + corner[1][1] * fx
    return upper * (1 - fy) + lower * fy


@pytest.mark.parametrize("box", BOXES)
def test_a_crop_is_the_demos(frame: np.ndarray, box: np.ndarray) -> None:
    (crop,) = extract_crops_plain(frame, box[None], 224)
    error = np.abs(crop - bilinear(frame, box, 224))
    # OpenCV rounds places to 1/32 pixel
    assert error.mean() < 0.6 and np.quantile(error, 0.99) < 4


def test_features_are_those_of_plain_resnet50(network: SpinNetwork, frame: np.ndarray) -> None:
    """Batch norm unfolded, channels first, normalised as torchvision's transforms do."""
    plain = resnet50(weights=None)
    plain.fc = torch.nn.Identity()
    state = {key: torch.from_numpy(value) for key, value in standins.state("spin").items()}
    missing = plain.load_state_dict(state, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing)
    crops = extract_crops_plain(frame, BOXES, 224)
    pictures = torch.from_numpy(crops.astype(np.float32) / 255).permute(0, 3, 1, 2)
    pictures = (pictures - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.inference_mode():
        expected = plain.eval()(pictures)
    ours = SpinFeatures(network)(crops)
    assert ours.dtype == torch.float32 and ours.shape == (4, 2048)
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_feature_depends_on_its_own_crop_alone(network: SpinNetwork, frame: np.ndarray) -> None:
    crops = np.concatenate([extract_crops_plain(frame, BOXES, 224)] * 3)[:10]  # more than one batch
    features = SpinFeatures(network)
    many = features(crops)
    torch.testing.assert_close(many[8:], features(crops[8:]), atol=1e-5, rtol=1e-5)
    assert features(crops[:0]).shape == (0, 2048)


def test_half_precision_is_near(network: SpinNetwork, frame: np.ndarray) -> None:
    crops = extract_crops_plain(frame, BOXES, 224)
    exact, near = SpinFeatures(network)(crops), SpinFeatures(network, half=True)(crops)
    assert near.dtype == torch.float32
    apart = (near - exact).abs().max() / exact.abs().max()
    assert 1e-5 < apart < 2e-2, "it is half precision, and not far off"


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_agrees_with_the_cpu(device: str, tmp_path: Path, frame: np.ndarray) -> None:
    crops = extract_crops_plain(frame, BOXES, 224)
    exact = SpinFeatures(table.spin_network(tmp_path))(crops)
    ours = SpinFeatures(table.spin_network(tmp_path), device)(crops).cpu()
    assert (ours - exact).abs().max() < 1e-3 * exact.abs().max()


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"no")
    for name in ("a", "b", "missing"):
        with pytest.raises(GlotError, match=rf"{name}\.safetensors: not SPIN's weights.*weights add"):
            SpinNetwork.load(tmp_path / f"{name}.safetensors")
