"""One file adds a feature extractor: it is found by its name, and nothing else has to know it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from glot_cli import features as folder
from glot_cli import weights
from glot_cli.errors import UsageError, WeightsError
from glot_cli.features import extractor
from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.lifting.lifters import CameraLifter, LandmarkLifter, VideoCamera
from glot_cli.models.glot import GLoT, initialise
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.pipeline.models import load_models
from glot_cli.pipeline.presets import PRESETS, Preset
from glot_cli.tracking.boxes import square_crops
from glot_cli.tracking.tracks import Track

COUNT = 20  # frames
FILE = '''
import torch
from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.features.crops import extract_crops
from glot_cli.features.extractor import {base}, PictureLandmarks, register

@register
class Colours({base}):
    """The mean colour of a crop's left and right half."""

    name = "{name}"
    feature_dim, input_dim = 6, 7
    crop_size, crop_scale = 16, 1.1
    extract = staticmethod(extract_crops)

    @classmethod
    def load(cls, files, device, *, half=False):
        return cls()

    def __call__(self, crops, lean=None):
        halves = torch.as_tensor(crops).float().unflatten(2, (2, -1)) / 255
        return halves.mean((1, 3)).flatten(1)

    def network_input(self, features):
        return torch.cat([features, features.mean(1, keepdim=True)], 1)

    def landmarks(self, features):
        points = features[:, None, :2].expand(-1, len(LANDMARK_NAMES), -1)
        known = torch.ones_like(points[..., 0])
        return PictureLandmarks(points, known, known, known)

    def mirror(self, features):
        return features.roll(3, 1)
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Preset:
    """A preset whose extractor is a file that lies in a further folder of the package, and weights for its network."""
    name, base = request.param
    (tmp_path / "extractors").mkdir()
    (tmp_path / "extractors" / f"{name}.py").write_text(FILE.format(name=name, base=base))
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "extractors")])
    monkeypatch.setattr(extractor, "_registered", dict(extractor._registered))
    monkeypatch.delitem(sys.modules, f"{folder.__name__}.{name}", raising=False)
    config = GLoTConfig(feature_dim=7, global_dim=32, decoder_dim=32, local_dim=32, regressor_dim=32, heads=4)
    torch.manual_seed(0)
    network = GLoT(config)
    initialise(
        network, torch.cat([torch.eye(3)[:, :2].flatten().repeat(24), torch.zeros(10), torch.tensor([1.0, 0, 0])])
    )
    weights.save_glot(network.state_dict(), config, tmp_path / "glot.safetensors")
    return replace(PRESETS["open"], name="mine", extractor=name, glot=str(tmp_path / "glot.safetensors"))


def track() -> Track:
    boxes = np.tile([60.0, 20.0, 100.0, 110.0], (COUNT, 1)) + np.linspace(0, 20, COUNT)[:, None] * [1, 0, 1, 0]
    crops = square_crops(boxes, 1.1).astype(np.float32)
    whole = np.zeros(COUNT, np.int32)
    return Track(
        1,
        np.arange(COUNT, dtype=np.int32),
        boxes.astype(np.float32),
        crops,
        np.ones(COUNT, np.float32),
        whole > 0,
        whole,
        np.ones((COUNT, 17, 3), np.float32),
        np.zeros(COUNT, np.float32),
        ticks=np.arange(float(COUNT)),
    )


@pytest.mark.parametrize("added", [("colours", "FeatureExtractor"), ("marks", "LandmarkExtractor")], indirect=True)
def test_a_file_is_all_that_an_extractor_needs(added: Preset) -> None:
    """From frames to bodies, by what its features allow."""
    models = load_models(added, "cpu")
    seen = models.features
    assert type(seen).__module__ == f"glot_cli.features.{added.extractor}"
    assert added.refines == (added.extractor == "marks")
    assert isinstance(models.lifter, LandmarkLifter if added.refines else CameraLifter)
    person, frames = track(), np.random.default_rng(0).integers(0, 255, (COUNT, 120, 160, 3), np.uint8)
    crops = [seen.extract(f, box[None], seen.crop_size) for f, box in zip(frames, person.crops, strict=True)]
    features = seen(np.concatenate(crops))
    assert features.shape == (COUNT, seen.feature_dim)
    cleaned, mended = models.lifter.clean([person], [features.numpy()], 30.0)
    assert mended == ({"landmarks_replaced": 0} if added.refines else {})
    camera = VideoCamera(30.0, 200.0, torch.tensor([80.0, 60.0]))
    lifted = models.lifter.lift(person, torch.from_numpy(cleaned[0]), camera, step=1, edges="replicate")
    assert lifted.rotmat.shape == (COUNT, 24, 3, 3) and torch.isfinite(lifted.transl).all()
    assert (lifted.transl[:, 2] > 0).all()


@pytest.mark.parametrize("added", [("colours", "FeatureExtractor")], indirect=True)
def test_a_network_made_for_other_features_is_refused(added: Preset) -> None:
    with pytest.raises(WeightsError, match=r"glot\.safetensors: made for 7 numbers a frame.* gives \d+; train it anew"):
        load_models(replace(added, extractor="blazepose"), "cpu")


def test_names() -> None:
    assert extractor.find("blazepose") is BlazePoseFeatures
    with pytest.raises(UsageError, match="no feature extractor 'nothing'"):
        extractor.find("nothing")
    with pytest.raises(UsageError, match="no feature extractor 'crops'"):  # a file of the folder that holds none
        extractor.find("crops")
    with pytest.raises(ValueError, match="two feature extractors are called 'blazepose'"):

        @extractor.register
        class Other(BlazePoseFeatures):
            pass


def test_presets_name_extractors_that_are_there() -> None:
    assert {name: preset.refines for name, preset in PRESETS.items()} == {"open": True, "paper": False}


def test_only_what_a_preset_uses_is_imported() -> None:
    """In a process of its own: presets need nothing heavy, `open` neither SPIN nor torchvision nor smplx."""
    code = """if True:
        import json, sys
        from glot_cli.pipeline import presets
        first = list(sys.modules)
        from glot_cli.features import extractor
        extractor.find("blazepose")
        import glot_cli.lifting.lifters, glot_cli.body.model
        print(json.dumps([first, list(sys.modules)]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    first, then = map(set, json.loads(done.stdout))
    assert not first & {"numpy", "torch", "cv2", "scipy", "glot_cli.features.blazepose"}
    assert "glot_cli.features.blazepose" in then
    assert not then & {"torchvision", "smplx", "glot_cli.features.spin", "glot_cli.features.spin_net"}
