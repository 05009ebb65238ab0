"""People and cameras in a world, beside the truth: clips are drawn, glot runs on them, and `glot eval` tells.

    python weights/studies/world.py val.npz val2.npz --out world/

Draws 8 clips of cameras that stand, 8 of cameras that turn (4 that pan, 4 in an unsteady hand) and 8 of cameras that
travel, into world/clips/, of motions that no network was trained on. Only takes are played in which people stay on one
floor: on ladders, stools and steps, which are not drawn, nobody could tell where it is. Run again, it goes on after the
last finished clip.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from glot_cli import run, weights
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.cli.main import main as glot
from glot_cli.synth.acting import TIPTOE, Take, Takes
from glot_cli.synth.films import film
from glot_cli.synth.painter import prepare
from glot_cli.synth.request import ClipRequest
from glot_cli.world.soles import soles_of

CLIPS = (("static", 8), ("pan", 4), ("handheld", 4), ("travel", 8))
SECONDS = 4.0  # errors are of pieces of 100 frames
LOW, MOSTLY = 0.08, 0.9  # metres that the lower foot may be above the floor, and share of a take in which it is lower


def stays_on_floor(take: Take, body: Body) -> bool:
    """Whether a foot is on the floor in most of a take."""
    soles = soles_of(body)
    with torch.inference_mode():
        rotmat = axis_angle_to_rotmat(torch.from_numpy(take.poses))
        posed = soles.body(rotmat, torch.zeros(len(rotmat), body.num_betas))
        lowest = (soles.points(posed) - posed.joints[:, :1])[..., 1].amin(1).numpy() + take.pelvis[:, 1]
    return bool((lowest - np.quantile(lowest, TIPTOE) < LOW).mean() >= MOSTLY)


def write_motions(paths: Sequence[Path], out: Path) -> None:
    """Write one motion file of all takes that stay on the floor."""
    body = Body.load(weights.locate("open-body"))
    kept: dict[str, Take] = {}
    for path in paths:
        kept |= {name: take for name, take in Takes.read(path).by_name.items() if stays_on_floor(take, body)}
    takes = list(kept.values())
    with np.load(paths[0], allow_pickle=False) as first:
        offsets = {"rest_offsets": first["rest_offsets"]} if "rest_offsets" in first else {}
    np.savez(
        out,
        poses=np.concatenate([take.poses for take in takes]),
        trans=np.concatenate([take.pelvis for take in takes]),
        clip_index=np.repeat(np.arange(len(takes)), [len(take.poses) for take in takes]),
        clip_names=np.array(list(kept)),
        **offsets,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", type=Path, nargs="+", help="files whose skeletons are of one size")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draw-only", action="store_true")
    arguments = parser.parse_args()
    prepare()
    clips, results = arguments.out / "clips", arguments.out / "results"
    arguments.out.mkdir(parents=True, exist_ok=True)
    motions = arguments.out / "motions.npz"
    write_motions(arguments.motions, motions)
    videos = []
    for seed, (camera, count) in enumerate(CLIPS):
        request = ClipRequest(seconds=SECONDS, camera=(camera,))
        videos += film(motions, clips, request, clips=count, seed=seed)
    if not arguments.draw_only:
        run(videos, results, render=False, frames=False)
        glot(["eval", str(results), "--against", str(clips)])


if __name__ == "__main__":
    main()
