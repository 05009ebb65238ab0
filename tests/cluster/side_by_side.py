"""Throughput of `glot batch` with two workers against two `glot run` processes side by side, on one thread each.

    python tests/cluster/side_by_side.py --clips 40 --rounds 2

Frames a second from the second clip that is done to the last, so that neither Ray's start nor loading counts; the
whole times are printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
GLOT = [sys.executable, "-c", "from glot_cli.cli.main import main; main()"]
OPTIONS = ["--no-render", "--no-frames", "--quiet"]


def environment(**more: str) -> dict[str, str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": paths, **more}


def side_by_side(clips: list[Path], out: Path) -> tuple[float, float]:
    """Frames a second, and seconds in all, of two `glot run`."""
    ended: list[tuple[float, int]] = []

    def run(number: int) -> None:
        command = [*GLOT, "run", *map(str, clips[number::2]), "--out", str(out), "--json", *OPTIONS]
        with subprocess.Popen(command, env=environment(OMP_NUM_THREADS="1"), stdout=subprocess.PIPE, text=True) as glot:
            assert glot.stdout is not None
            for line in glot.stdout:
                ended.append((time.time(), json.loads(line)["frames"]))

    begin = time.perf_counter()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return speed(ended), time.perf_counter() - begin


def batch(clips: Path, out: Path) -> tuple[float, float]:
    """Likewise of `glot batch` with two workers."""
    from glot_cli.cluster.batch_table import read_table

    begin = time.perf_counter()
    command = [*GLOT, "batch", str(clips), "--out", str(out), "--workers", "2", *OPTIONS]
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    rows, _ = read_table(str(out / "batch.parquet"))
    return speed([(row.ended or 0.0, row.frames or 0) for row in rows]), whole


def speed(ended: list[tuple[float, int]]) -> float:
    """Frames a second from when two clips are done, one by each worker most likely, to the last, by time and frames."""
    ended.sort()
    return sum(frames for _, frames in ended[2:]) / (ended[-1][0] - ended[1][0])


def main() -> None:
    from tests.cluster.short_clips import make_clips

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clips = make_clips(work / "clips", arguments.clips)
        for number in range(arguments.rounds):
            ours, whole = batch(work / "clips", work / f"batch{number}")
            theirs, other_whole = side_by_side(clips, work / f"run{number}")
            print(
                f"batch {ours:.2f} frames/s ({whole:.0f} s in all), two runs {theirs:.2f} frames/s "
                f"({other_whole:.0f} s in all): {ours / theirs:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
