"""Measure where BlazePose's landmarks sit on the body, on crops of drawn people; prints the table of landmarks.py.

    python weights/recipes/fit_landmarks.py crops/*.npz

For each landmark the offset from its joint is solved that lays it best on what BlazePose marked, over all frames in
which it was seen, the right side mirrored onto the left. Landmarks that stray are weighed down (Geman-McClure).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from glot_cli.body.landmarks import LANDMARK_NAMES, LEFT, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.features.landmark_vector import unpack
from glot_cli.training.training_crops import Crops
from glot_cli.weights import shipped_folder

OUTLIER = 0.04  # half crop sides
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path, nargs="+")
    parser.add_argument("--body", type=Path, default=shipped_folder() / "open_body.npz")
    arguments = parser.parse_args()
    body = Body.load(arguments.body).subset([0])
    model = LandmarkModel()
    crops = Crops.load(arguments.crops, body, model)
    got = unpack(crops.features)
    metres = crops.pelvis[:, 2] * crops.box[:, 2] / 2  # in half a crop side, at the pelvis' depth
    turned = body(crops.rotmat, crops.betas, vertices=False).bones

    def fit(names: tuple[str, ...]) -> tuple[torch.Tensor, float]:
        """Offset (3,) on the left side that suits the landmarks `names`, one or a left and a right one."""
        bones, targets = [], []
        for name in names:
            index = LANDMARK_NAMES.index(name)
            side = MIRROR if name.startswith("right") or name.endswith("right") else torch.ones(3)
            bone = turned[:, model.joint[index], :2]  # (N, 2, 3)
            residual = got.landmarks2d[:, index] - crops.exact.image[:, index]  # half crop sides
            seen = (got.presence[:, index] > 0.6) & (crops.exact.image[:, index].abs().amax(-1) < 1)
            bones.append((bone * side / metres[:, None, None])[seen])
            targets.append((residual + bone @ model.offset[index] / metres[:, None])[seen])
        a, b = torch.cat(bones), torch.cat(targets)
        offset, error = model.offset[LANDMARK_NAMES.index(names[0])], torch.zeros(())
        for _ in range(10):
            error = (b - a @ offset).norm(dim=-1)
            w = 1 / (1 + (error / OUTLIER).square()).square()
            left = torch.einsum("n,nki,nkj->ij", w, a, a)
            offset = torch.linalg.solve(left, torch.einsum("n,nki,nk->i", w, a, b))
        return offset, float(error.median())

    print("joint, offset in metres; median error in half crop sides")
    for name, joint in {"nose": 15, **{name: joint for name, (joint, _) in LEFT.items()}}.items():
        both = ("nose",) if name == "nose" else tuple(
            f"mouth_{side}" if name == "mouth" else f"{side}_{name}" for side in ("left", "right")
        )  # fmt: skip
        offset, error = fit(both)
        x, y, z = (round(v, 3) + 0.0 for v in offset.tolist())
        print(f'"{name}": ({joint}, ({x}, {y}, {z})),  # {error:.3f}')


if __name__ == "__main__":
    main()
