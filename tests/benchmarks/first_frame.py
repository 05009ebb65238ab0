"""Seconds from the start of `glot run` until the first frame is decoded, alone or beside another checkout.

    python tests/benchmarks/first_frame.py VIDEO [--other CHECKOUT] [--times N]

Both are run in turn, so that a busy machine slows both; the ratio of the medians is what to quote.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CODE = """
import os, sys, time
begin = time.perf_counter()
from glot_cli import video
read = video.read_frames
def read_frames(*arguments, **keywords):
    for frame in read(*arguments, **keywords):
        print(time.perf_counter() - begin, flush=True)
        os._exit(0)
video.read_frames = read_frames
from glot_cli.cli import main
main(["run", sys.argv[1], "--out", sys.argv[2], "--quiet"])
"""


def seconds(checkout: Path, video: Path) -> float:
    """Of one run of the code in a checkout."""
    with tempfile.TemporaryDirectory() as out:
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        command = [sys.executable, "-c", CODE, str(video), out]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=out)
    return float(told.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--other", type=Path, help="another checkout of glot")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    checkouts = [ROOT, *([arguments.other.resolve()] if arguments.other else [])]
    found: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    for _ in range(arguments.times):
        for checkout in checkouts:
            found[checkout].append(seconds(checkout, arguments.video.resolve()))
    for checkout, times in found.items():
        print(f"{checkout}: median {statistics.median(times):.2f} s of {', '.join(f'{t:.2f}' for t in times)}")
    if arguments.other:
        ratio = statistics.median(found[ROOT]) / statistics.median(found[checkouts[1]])
        print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
