"""Read COCO files of an export with COCO's own reader, and let its evaluation compare them with themselves.

    glot export result/clip --format coco --out out
    python tests/interop/check_coco.py out

Exit status 1 when something is wrong; without pycocotools nothing is looked at.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError:
    print("coco: skipped, for pycocotools is not installed")
    sys.exit(0)


def main() -> None:
    files, faults = sorted(Path(sys.argv[1]).glob("*_coco.json")), 0
    for path in files:
        truth = COCO(str(path))
        marked = json.loads(path.read_text("utf-8"))["annotations"]
        keys = ("image_id", "category_id", "keypoints", "score")
        evaluation = COCOeval(truth, truth.loadRes([{key: a[key] for key in keys} for a in marked]), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        if evaluation.stats[0] != 1.0:
            faults += 1
            print(f"{path.name}: average precision against itself is {evaluation.stats[0]}, not 1")
    print(f"coco: {len(files)} files, {faults} faults")
    sys.exit(bool(faults) or not files)


if __name__ == "__main__":
    main()
