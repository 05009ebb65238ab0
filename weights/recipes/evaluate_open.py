"""Errors of the open preset's GLoT on motions it never saw, landmarks simulated.

python weights/recipes/evaluate_open.py val.npz [--weights weights/glot_open.safetensors]
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.evaluation.simulated import evaluate_simulated
from glot_cli.models.fold import FoldedGLoT
from glot_cli.training.motions import load_motions

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("motions", type=Path, nargs="+")
parser.add_argument("--weights", type=Path)
parser.add_argument("--views", type=int, default=4)
arguments = parser.parse_args()
network = FoldedGLoT(weights.load_glot(arguments.weights or weights.locate("glot-open")))
errors = evaluate_simulated(
    network, load_motions(arguments.motions), Body.load(weights.locate("open-body")), views=arguments.views
)
for name, value in asdict(errors).items():
    print(f"{name:20s} {value:8.1f}" if isinstance(value, float) else f"{name:20s} {value:8d}")
