"""Read C3D files of an export with a reader of others, and hold them to the TRC files beside them.

    glot export result/clip --format trc,c3d --out out
    python tests/interop/check_c3d.py out

Exit status 1 when something is wrong; without the package c3d nothing is looked at.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

try:
    import c3d
except ImportError:
    print("c3d: skipped, for the package c3d is not installed")
    sys.exit(0)


def trc(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, frames and places (T, K, 3), metres, NaN for empty cells."""
    lines = path.read_text("utf-8").split("\n")
    names = [cell for cell in lines[3].split("\t") if cell][2:]
    rows = [[float(cell or "nan") for cell in line.split("\t")[:-1]] for line in lines[6:-1]]
    values = np.array(rows)
    return names, values[:, 0], values[:, 2:].reshape(len(rows), -1, 3)


def fault(path: Path) -> str | None:
    """What is wrong with a file."""
    names, frames, places = trc(path.with_suffix(".trc"))
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no analog data
        reader = c3d.Reader(file)
        points = np.array([points for _, points, _ in reader.read_frames()])
    if [label.strip() for label in reader.point_labels] != names:
        return "other names"
    if len(points) != len(frames):
        return f"{len(points)} frames, not {len(frames)}"
    missing = points[..., 3] < 0
    if (missing != np.isnan(places).any(-1)).any():
        return "points are missing elsewhere"
    z_up = places[..., [0, 2, 1]] * [1000, -1000, 1000]
    off = np.abs(points[..., :3] - z_up)[~missing].max(initial=0)
    return f"up to {off:.3f} mm off" if off > 0.02 else None


def main() -> None:
    files = sorted(Path(sys.argv[1]).glob("*.c3d"))
    faults = {path.name: said for path in files if (said := fault(path))}
    print(
        "\n".join(f"{name}: {said}" for name, said in faults.items()) or f"c3d: {len(files)} files, all as TRC has it"
    )
    sys.exit(bool(faults) or not files)


if __name__ == "__main__":
    main()
