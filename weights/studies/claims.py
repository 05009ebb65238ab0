"""The paper's claims tried on open data: one training for each part taken away, and one table.

    python weights/studies/claims.py --motions train.npz --crops crops/ --val-motions val.npz --val-crops crops_val/ \
        --out runs/claims

Every variant is the configuration `open` made short (SHORT), with one thing changed, from the same seed on the same
batches; the first is trained with two more seeds, whose spread says which differences mean something. Run again, it
goes on after the last finished one. Prints a Markdown table of errors of the whole lifting after the landmarks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from glot_cli.training.config import find_config, load_config
from glot_cli.training.landmark_task import LandmarkTask
from glot_cli.training.loop import LAST
from glot_cli.training.start import first_model, start
from glot_cli.weights import load_glot

SHORT = ("epochs=2", "iterations=250", "batch_size=64", "mask_probability=1.0", "validate_from=99", "ema=0.98")
VARIANTS: dict[str, tuple[str, ...]] = {
    "as published": (),
    "as published, another seed": ("seed=1",),
    "as published, a third seed": ("seed=2",),
    "global branch only": ("model.branches='global'",),
    "local branch only": ("model.branches='local'",),
    "nothing hidden": ("mask_ratio=0.0",),
    "a quarter hidden": ("mask_ratio=0.25",),
    "three quarters hidden": ("mask_ratio=0.75",),
    "learned mask token": ("model.mask_token='learned'",),
    "no mask token": ("model.mask_token='none'",),
    "plain regressor instead of HSCR": ("model.correction='plain'",),
    "windows of 8 frames": ("model.frames=8", "model.nearby=3"),
    "windows of 24 frames": ("model.frames=24",),
    "2 frames nearby": ("model.nearby=2",),
    "7 frames nearby": ("model.nearby=7",),
    "half as wide": ("model.global_dim=128", "model.decoder_dim=128", "model.local_dim=128", "model.regressor_dim=256"),
    "the paper's sizes": ("model.global_dim=512", "model.global_layers=2", "model.regressor_dim=1024"),
}
COLUMNS = {"pa_mpjpe": "PA-MPJPE", "mpjpe": "MPJPE", "mpvpe": "MPVPE", "acceleration_error": "accel error"}


def measure(name: str, changes: tuple[str, ...], arguments: argparse.Namespace) -> dict[str, float]:
    """Train one variant, unless it is there already, and validate it; the figures are kept beside the weights."""
    out = arguments.out / name.replace(" ", "-").replace("'", "")
    figures = out / "figures.json"
    if figures.exists():
        return dict(json.loads(figures.read_text()))
    paths = {f"landmarks.{key}": getattr(arguments, key) for key in ("motions", "crops", "val_motions", "val_crops")}
    lines = [f"{key}={json.dumps([str(Path(p).resolve()) for p in value])}" for key, value in paths.items()]
    config = load_config(find_config("open"), (*SHORT, *lines, *changes))
    start(config, out)
    assert config.landmarks is not None
    task = LandmarkTask(config, config.landmarks, torch.device("cpu"))
    model = load_glot(out / LAST)
    parameters = sum(p.numel() for p in first_model(config, task).parameters())
    found = {**task.validate(model), "parameters": float(parameters)}
    figures.write_text(json.dumps(found, indent=2) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--motions", "--crops", "--val-motions", "--val-crops"):
        parser.add_argument(name, type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    rows = {name: measure(name, VARIANTS[name], arguments) for name in arguments.only}
    keys = [key for found in rows.values() for key in found if key.count(".") > 1]
    kinds = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    heads = [f"{of}: {column}" for of in kinds for column in COLUMNS.values()]
    print(f"| variant | parameters | {' | '.join(heads)} |")
    print("|---|---:|" + "---:|" * len(heads))
    for name, found in rows.items():
        cells = [found.get(f"{of}.{c}", float("nan")) for of in kinds for c in COLUMNS]
        print(f"| {name} | {found['parameters'] / 1e6:.1f} M | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
