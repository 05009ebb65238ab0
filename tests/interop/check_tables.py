"""Read the tables of an export with pandas: CSV and Parquet say the same.

    glot export result/clip --format csv,parquet --out out
    python tests/interop/check_tables.py out

Exit status 1 when something is wrong; without pandas nothing is looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import pandas
except ImportError:
    print("tables: skipped, for pandas is not installed")
    sys.exit(0)


def main() -> None:
    files, faults = sorted(Path(sys.argv[1]).glob("*.csv")), 0
    for path in files:
        told, held = pandas.read_csv(path), pandas.read_parquet(path.with_suffix(".parquet"))
        try:
            pandas.testing.assert_frame_equal(told, held, check_dtype=False, atol=6e-3, rtol=1e-5)
        except AssertionError as error:
            faults += 1
            print(f"{path.name}: {error}")
    print(f"tables: {len(files)} files, {faults} faults")
    sys.exit(bool(faults) or not files)


if __name__ == "__main__":
    main()
