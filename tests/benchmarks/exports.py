"""Time, memory and size of exports of a made-up record of two people: python -m tests.benchmarks.exports [MINUTES]

Each format is written in a process of its own, MINUTES (10) of it at 30 frames a second; `obj` and `ply`, whose files
would take gigabytes, a tenth of that. Memory is what a process takes beyond what it took with PyTorch imported.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from glot_cli.exporting.catalogue import FORMATS
from tests.exporting.made_records import made_record


def measure(record: Path, name: str, out: Path) -> None:
    """Write one format, and a row of the table."""
    import torch  # noqa: F401  it is part of what is there before

    from glot_cli.api import export

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    files = export(record, [name], out)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # kB on Linux
    size = sum(file.stat().st_size for file in files) / 1e6
    print(f"| `{name}` | {cpu:.1f} | {wall:.1f} | {memory:.0f} | {len(files)} | {size:.1f} |", flush=True)
    print(f"{before / 1024:.0f} MiB with PyTorch alone", file=sys.stderr)


def main() -> None:
    minutes = float([*sys.argv, "10"][1])
    print("| format | CPU seconds | seconds | MiB | files | MB |\n|---|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for many, names in ((1.0, set(FORMATS) - {"obj", "ply"}), (0.1, {"obj", "ply"})):
            record = Path(folder) / f"{many}" / "long" / "params.npz"
            record.parent.mkdir(parents=True)
            made_record([(who, 0, range(round(many * minutes * 1800))) for who in (1, 2)]).save(record)
            for name in (name for name in FORMATS if name in names):
                words = [sys.executable, "-m", "tests.benchmarks.exports", "--one", str(record), name, f"{folder}/out"]
                subprocess.run(words, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        main()
