"""Time, memory and size of the page of a made-up record: python -m tests.benchmarks.long_page OUT [MINUTES]."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from glot_cli.api import view
from tests.exporting.made_records import made_record


def main() -> None:
    folder, minutes, people = Path(sys.argv[1]), float([*sys.argv, "10"][2]), 3
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "params.npz").exists():
        made_record([(who, 0, range(round(minutes * 1800))) for who in range(1, people + 1)]).save(
            folder / "params.npz"
        )
        print("made; measure in a process of its own: run this again")
        return
    begin = time.perf_counter()
    path = view(folder, embed_video=False)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.perf_counter() - begin:.1f} s, {memory:.0f} MiB, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
