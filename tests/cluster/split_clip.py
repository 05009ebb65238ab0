"""Long clips cut into pieces by `glot batch --split`, against the same clips run whole: how far apart, and how fast.

    python tests/cluster/split_clip.py VIDEO [VIDEO ...] --seconds 10

Both on two workers of one thread each, of which one has nothing to do where the clip is run whole. Drawn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PROGRAM = "from glot_cli.cli.main import main; main()"


def run(video: Path, out: Path, *options: str) -> float:
    """Run a batch of one clip; returns seconds from its start to its end, without those of Ray's."""
    from glot_cli.cluster.batch_table import read_table

    manifest = out.with_suffix(".txt")
    manifest.write_text(f"{video.absolute()}\n")
    command = [sys.executable, "-c", PROGRAM, "batch", str(manifest), "--out", str(out), "--workers", "2", "--quiet"]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run([*command, "--no-frames", *options], env=environment, check=True, stdout=subprocess.DEVNULL)
    rows, _ = read_table(str(out / "batch.parquet"))
    assert rows[0].state == "done", rows[0].error
    return float((rows[0].ended or 0.0) - (rows[0].began or 0.0))


def compare(whole: Path, cut: Path) -> str:
    """How far two records of one clip are apart, as cells of a table."""
    from glot_cli.results import load_result

    first, second = load_result(whole / "params.npz"), load_result(cut / "params.npz")
    same = all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)
    same &= all(np.array_equal(first.cameras[name], second.cameras[name]) for name in first.cameras)
    rows = {key: row for row, key in enumerate(zip(first.person.tolist(), first.frame.tolist(), strict=True))}
    pairs = [
        (rows[key], row)
        for row, key in enumerate(zip(second.person.tolist(), second.frame.tolist(), strict=True))
        if key in rows
    ]
    one, other = np.array(pairs).T
    cells = [f"{len(pairs)} of {len(first)} and {len(second)}", "yes" if same else "no"]
    poses = np.linalg.norm(first.joints3d[one] - second.joints3d[other], axis=-1)
    places = np.linalg.norm(first.transl[one] - second.transl[other], axis=-1)
    worlds = np.linalg.norm(first.arrays["transl_world"][one] - second.arrays["transl_world"][other], axis=-1)
    for apart in (poses, places, worlds):
        cells.append(" / ".join(f"{1000 * value:.1f}" for value in (np.median(apart), *np.quantile(apart, [0.99, 1]))))
    return " | ".join([*cells, ", ".join(dict.fromkeys(first.meta.camera_motion))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    print(
        "clip | s whole | s cut | rows of both | equal | poses: median / 99 % / max mm | place | in the world | camera"
    )
    for video in arguments.videos:
        with tempfile.TemporaryDirectory() as folder:
            whole, cut = Path(folder, "whole"), Path(folder, "cut")
            times = run(video, whole), run(video, cut, "--split", str(arguments.seconds))
            cells = compare(whole / video.stem, cut / video.stem)
        print(f"{video.name} | {times[0]:.1f} | {times[1]:.1f} | {cells}", flush=True)


if __name__ == "__main__":
    main()
