"""Throughput of `glot batch` with two workers against two `glot run` processes side by side, on one thread each.

    python tests/cluster/side_by_side.py --clips 40 --rounds 2

Frames a second from the first clip of each worker to its last, so that neither Ray's start nor loading counts; the
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
    speeds: list[float] = []

    def run(number: int) -> None:
        command = [*GLOT, "run", *map(str, clips[number::2]), "--out", str(out), "--json", *OPTIONS]
        times, frames = [], []
        with subprocess.Popen(command, env=environment(OMP_NUM_THREADS="1"), stdout=subprocess.PIPE, text=True) as glot:
            assert glot.stdout is not None
            for line in glot.stdout:
                times.append(time.perf_counter())
                frames.append(json.loads(line)["frames"])
        speeds.append(sum(frames[1:]) / (times[-1] - times[0]))

    begin = time.perf_counter()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(speeds), time.perf_counter() - begin


def batch(clips: Path, out: Path) -> tuple[float, float]:
    """Likewise of `glot batch` with two workers."""
    from glot_cli.cluster.batch_table import read_table

    begin = time.perf_counter()
    command = [*GLOT, "batch", str(clips), "--out", str(out), "--workers", "2", *OPTIONS]
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    rows, _ = read_table(str(out / "batch.parquet"))
    rows.sort(key=lambda row: row.ended or 0.0)
    first, last = rows[1].ended, rows[-1].ended  # when each worker has done one
    assert first is not None and last is not None
    return sum(row.frames or 0 for row in rows[2:]) / (last - first), whole


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
