"""Whether `joint_error` of finished runs holds: the share of true joints within it, and how well it sorts.

    glot run val_clips/*.mp4 --out results/ --no-render
    python -m weights.studies.confidence results/ val_clips/

All rows count that are somebody's, also of people who are hardly to be seen. Errors are distances from the true joint,
both centred on the middle of the hips, in the camera's axes. Tables:

- by joint: the share of the true errors within the stated ones, which is to be 80 %; means of both, mm; and Spearman's
  correlation of both
- by tenth of the stated errors, from the least: what is stated, the error that 80 % of the true ones keep below, and
  the share within
- rows: Spearman's correlation of the means over the joints of a row, and the mean true error of the more confident half
  of the rows and of the other one

`--multiview clip.npz` takes the truth of `weights/studies/multiview.py` instead: its 12 limb joints, those of the hips
as their landmark network sees them.

    python -m weights.studies.confidence results/ --multiview clip.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from glot_cli.evaluation.pairing import load_pairs
from glot_cli.evaluation.records import match_rows
from glot_cli.lifting.joint_errors import HIPS, KIND, KINDS, QUANTILE
from glot_cli.results import Result, load_result
from glot_cli.smpl import SMPL_JOINTS
from weights.studies.multiview import HIPS as LIMB_HIPS
from weights.studies.multiview import OF_SMPL, match, seen_by_glot, views_of

Floats = NDArray[np.floating]
TENTHS = 10


class Stated(NamedTuple):
    """Errors of M rows, metres: stated (M, J) and true (M, J), and the kind of each joint (J,), an index of KINDS."""

    stated: Floats
    true: Floats
    kind: NDArray[np.intp]


def matched(mine: Result, truth: Result) -> tuple[NDArray[np.intp], Floats]:
    """Rows (R,) of a record that are somebody's, and the true errors (R, 24) of their joints, metres."""
    whose = match_rows(mine, truth)
    rows, true = whose[whose >= 0], truth.select(whose >= 0).joints3d
    apart = _from_hips(mine.joints3d[rows]) - _from_hips(true)
    return rows, np.linalg.norm(apart, axis=-1)


def _from_hips(joints: Floats) -> Floats:
    moved: Floats = joints - joints[:, HIPS].mean(1, keepdims=True)
    return moved


def of_pairs(pairs: list[tuple[Result, Result]]) -> Stated:
    """What records state and what is true of the rows that are somebody's."""
    stated, true = [], []
    for mine, truth in pairs:
        if mine.joint_error is None:
            raise SystemExit(f"{mine.meta.video}: its record states no errors; run it again")
        rows, apart = matched(mine, truth)
        stated.append(mine.joint_error[rows])
        true.append(apart)
    return Stated(np.concatenate(stated), np.concatenate(true), np.array(KIND))


def of_views(results: Path, path: Path) -> Stated:
    """Likewise of real footage, of the limb joints alone."""
    stated, true = [], []
    for view in views_of(path):
        seen, error = seen_by_glot(results, view), load_result(results / view.name).joint_error
        if error is None:
            raise SystemExit(f"{view.name}: its record states no errors; run it again")
        for joints, pixels in zip(view.joints, view.pixels, strict=True):
            rows = match(seen, pixels)
            found = np.flatnonzero((rows >= 0) & np.isfinite(joints).all((1, 2)))
            both = seen.joints[rows[found]], joints[found]
            mine, theirs = (x - x[:, LIMB_HIPS].mean(1, keepdims=True) for x in both)
            stated.append(error[rows[found]][:, OF_SMPL])
            true.append(np.linalg.norm(mine - theirs, axis=-1))
    return Stated(np.concatenate(stated), np.concatenate(true), np.array(KIND)[OF_SMPL])


def coverage(stated: Floats, true: Floats) -> float:
    """The share of the true errors within the stated ones."""
    return float((true <= stated).mean())


def by_tenth(stated: Floats, true: Floats) -> list[tuple[float, float, float]]:
    """Of each tenth of the stated errors: their mean, the error that QUANTILE of the true ones keep below, coverage."""
    order = np.argsort(stated, axis=None, kind="stable")
    parts = np.array_split(order, TENTHS)
    flat, real = stated.ravel(), true.ravel()
    return [(float(flat[p].mean()), float(np.quantile(real[p], QUANTILE)), coverage(flat[p], real[p])) for p in parts]


def halves(stated: Floats, true: Floats) -> tuple[float, float]:
    """Mean true error of the rows whose stated errors (M, J) are less than the median row's, and of the others."""
    row = stated.mean(1)
    sure = row <= np.median(row)
    return float(true[sure].mean()), float(true[~sure].mean())


def rank(stated: Floats, true: Floats) -> float:
    """Spearman's correlation of stated and true errors."""
    return float(spearmanr(stated, true, axis=None).statistic)


def show(found: Stated) -> None:
    """Print the tables."""
    stated, true, kind = found
    print(f"{len(stated)} rows; {100 * coverage(stated, true):.1f} % within, rank {rank(stated, true):.2f}\n")
    print(f"{'joint':12s}{'within %':>10s}{'stated':>9s}{'true':>9s}{'rank':>7s}")
    for number in np.unique(kind):
        name = SMPL_JOINTS[KINDS[number]].removeprefix("left_")
        s, t = stated[:, kind == number], true[:, kind == number]
        print(f"{name:12s}{100 * coverage(s, t):10.1f}{1000 * s.mean():9.0f}{1000 * t.mean():9.0f}{rank(s, t):7.2f}")
    print(f"\n{'tenth':12s}{'within %':>10s}{'stated':>9s}{'80 % of':>9s}")
    for number, (said, real, share) in enumerate(by_tenth(stated, true), 1):
        print(f"{number:<12d}{100 * share:10.1f}{1000 * said:9.0f}{1000 * real:9.0f}")
    low, high = halves(stated, true)
    print(
        f"\nrows: rank {rank(stated.mean(1), true.mean(1)):.2f}; the more confident half {1000 * low:.0f} mm off, "
        f"the other {1000 * high:.0f} mm"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("truth", type=Path, nargs="?", help="of drawn clips")
    parser.add_argument("--multiview", type=Path, help="truth of real footage")
    arguments = parser.parse_args()
    if arguments.multiview:
        show(of_views(arguments.results, arguments.multiview))
    elif arguments.truth:
        show(of_pairs(load_pairs(arguments.results, arguments.truth)))
    else:
        parser.error("give the truth")


if __name__ == "__main__":
    main()
