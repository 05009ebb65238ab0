"""Errors of the open preset's GLoT on motions it never saw: landmarks simulated, or of crops of drawn people.

    python weights/studies/evaluate_open.py --motions val.npz val2.npz --crops crops_val/ crops_val2/

Each file of motions and each folder of crops is told of by itself. Everything that `glot run` does once the landmarks
are there: lifting, drawing the body onto its landmarks, smoothing.

Protocol: 14 common joints, centred on the middle of the hips (MPVPE: on the pelvis), one body shape a track.
"""

import argparse
from pathlib import Path

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.evaluation.body_errors import MeanErrors
from glot_cli.models.fold import FoldedGLoT
from glot_cli.motion.motions import load_motions
from glot_cli.training.training_crops import Crops
from glot_cli.training.validation import FIGURES, evaluate_crops, evaluate_simulated


def show(title: str, errors: MeanErrors) -> None:
    """Print what `glot train` tells of a validation."""
    print(title)
    for name in FIGURES:
        value = getattr(errors, name)
        print(f"  {name:20s} {value:8.1f}" if isinstance(value, float) else f"  {name:20s} {value:8d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path, nargs="*", default=[])
    parser.add_argument("--crops", type=Path, nargs="*", default=[], help="folders of what glot synth crops made")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--views", type=int, default=4, help="cameras for each simulated clip")
    arguments = parser.parse_args()
    network = FoldedGLoT(weights.load_glot(arguments.weights or weights.locate("glot-open")))
    body = Body.load(weights.locate("open-body"))
    for path in arguments.motions:
        show(f"simulated, {path}", evaluate_simulated(network, load_motions([path]), body, views=arguments.views))
    for path in arguments.crops:
        crops = Crops.load(sorted(path.glob("*.npz")), body.subset([0]), LandmarkModel())
        show(f"crops of drawn people, {path}", evaluate_crops(network, crops, body))


if __name__ == "__main__":
    main()
