"""Measure where BlazePose's landmarks sit on the body, from rendered pairs: prints the table of `body/landmarks.py`.

    python weights/recipes/fit_landmarks.py pairs/*.npz

For each landmark the offset from its joint is solved that lays it best on what BlazePose marked, over all frames in
which it was seen, the right side mirrored onto the left. Landmarks that stray are weighed down (Geman-McClure).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from glot_cli.body.landmarks import LEFT, LandmarkModel, global_rotations
from glot_cli.body.model import Body
from glot_cli.features.blazepose import LANDMARK_NAMES, unpack
from glot_cli.training.pairs import Pairs
from glot_cli.weights import shipped_folder

OUTLIER = 0.04  # half crop sides
MIRROR = torch.tensor([-1.0, 1.0, 1.0])
LATERAL = torch.tensor([-1.0, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--body", type=Path, default=shipped_folder() / "open_body.npz")
    arguments = parser.parse_args()
    body = Body.load(arguments.body).subset([0])
    model = LandmarkModel()
    pairs = Pairs.load(arguments.pairs, body, model)
    got = unpack(pairs.features)
    # The crop's own frame: the same turn that `measure` applied lies in `seen`, so compare increments there.
    hips = pairs.pelvis[:, 2] * pairs.box[:, 2] / 2  # metres to half crop sides, near enough
    turned = global_rotations(pairs.rotmat)

    def fit(name: str, joint: int) -> tuple[torch.Tensor, float]:
        rows, rights, weights = [], [], []
        for side in ("left", "right") if name != "nose" else ("",):
            full = "_".join([name.split("_")[0], side, *name.split("_")[1:]]) if name == "mouth" else f"{side}_{name}"
            full = {"": name}.get(side, f"mouth_{side}" if name == "mouth" else full)
            index = LANDMARK_NAMES.index(full)
            bone = turned[:, model.joint[index], :2]  # (N, 2, 3)
            residual = got.landmarks2d[:, index] - pairs.seen.image[:, index]
            target = residual * hips[:, None] + (bone @ model.offset[index])
            seen = (got.visibility[:, index] > 0.7) & (pairs.seen.image[:, index].abs().amax(-1) < 1)
            rows.append(bone[seen] * (MIRROR if side == "right" else 1))
            rights.append(target[seen])
            weights.append(residual[seen])
        a, b, r = torch.cat(rows), torch.cat(rights), torch.cat(weights)
        offset = torch.zeros(3)
        w = 1 / (1 + (r.norm(dim=-1) / OUTLIER).square()).square()
        scale = r.norm(dim=-1).median() / (b - (a @ (model.offset[index] * (MIRROR if side == "right" else 1)))).norm(dim=-1).median()
        for _ in range(10):
            left = torch.einsum("n,nki,nkj->ij", w, a, a) + 1e-3 * torch.eye(3) * w.sum()
            offset = torch.linalg.solve(left, torch.einsum("n,nki,nk->i", w, a, b))
            error = (b - a @ offset).norm(dim=-1) * scale
            w = 1 / (1 + (error / OUTLIER).square()).square()
        return offset, float(error.median())

    joints = {"nose": 15, **{name: joint for name, (joint, _) in LEFT.items()}}
    for name, joint in joints.items():
        offset, error = fit(name, joint)
        if name == "nose":
            offset = offset * torch.tensor([0.0, 1.0, 1.0])
        x, y, z = (round(v, 3) + 0.0 for v in offset.tolist())
        print(f'"{name}": ({joint}, ({x}, {y}, {z})),  # median error {error:.3f} of half a crop')


if __name__ == "__main__":
    main()
