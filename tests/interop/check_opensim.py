"""Read TRC and MOT files of an export with OpenSim itself, where its Python package is (conda install opensim).

    glot export result/clip --format trc,mot --out out
    python tests/interop/check_opensim.py out

Exit status 1 when something is wrong; without the package opensim nothing is looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import opensim
except ImportError:
    print("opensim: skipped, for the package opensim is not installed")
    sys.exit(0)


def main() -> None:
    folder, faults = Path(sys.argv[1]), 0
    for path in sorted([*folder.glob("*.trc"), *folder.glob("*.mot")]):
        lines = path.read_text("utf-8").split("\n")
        kind = opensim.TimeSeriesTableVec3 if path.suffix == ".trc" else opensim.TimeSeriesTable
        wanted = len(lines) - 1 - (6 if path.suffix == ".trc" else lines.index("endheader") + 2)
        try:
            rows = kind(str(path)).getNumRows()
        except RuntimeError as error:
            rows = str(error)
        if rows != wanted:
            faults += 1
            print(f"{path.name}: {rows}, not {wanted} rows")
    print(f"opensim: {faults} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
