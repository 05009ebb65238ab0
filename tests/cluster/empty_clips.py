"""What the scheduling of clips costs: 100, 1,000 and 10,000 clips on two workers whose processes do nothing.

    python tests/cluster/empty_clips.py

Prints the seconds from the first clip to the last, milliseconds a clip, and the memory of the driver and of the
workers' processes before and after. Linux.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.cluster.two_nodes import descendants  # noqa: E402

COUNTS = (100, 1000, 10_000)


def megabytes(process: int | str = "self") -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def megabytes_of_workers() -> float:
    """Of Ray's workers and of their stubs."""
    return sum(map(megabytes, [*descendants("ray::Hand"), *descendants("stub_clips")]))


def measure(count: int) -> None:
    from glot_cli.cluster.batch import run_batch
    from glot_cli.cluster.ledger import Ledger
    from glot_cli.pipeline.options import Options
    from tests.cluster.stub_clips import STUB

    seen: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "list.txt"
        manifest.write_text("".join(f"clip{number:05d}.mp4\n" for number in range(count)))

        def tell(ledger: Ledger, at_work: int, began: float) -> None:
            done = count - ledger.left
            for mark in ("first", "last"):
                if mark not in seen and done >= (2 if mark == "first" else count):
                    seen[mark] = time.perf_counter()
                    seen[f"driver {mark}"] = megabytes()
                    seen[f"workers {mark}"] = megabytes_of_workers()

        begin = time.perf_counter()
        run_batch(manifest, f"{folder}/out", Options(device="cpu"), workers=2, program=STUB, tell=tell)
        whole = time.perf_counter() - begin
    seconds = seen["last"] - seen["first"]
    print(
        f"{count:>6} clips: {seconds:.1f} s, {1000 * seconds / count:.2f} ms a clip ({whole:.1f} s with Ray's start); "
        f"driver {seen['driver first']:.0f} to {seen['driver last']:.0f} MB, "
        f"workers {seen['workers first']:.0f} to {seen['workers last']:.0f} MB",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
        return
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    for count in COUNTS:
        command = [sys.executable, __file__, str(count)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=True)


if __name__ == "__main__":
    main()
