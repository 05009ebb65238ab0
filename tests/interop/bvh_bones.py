"""Bones as parsers of BVH see them: python bvh_bones.py PARSER FOLDER EXPECTED.json; 1 where one is off by 0.01 mm.

PARSER is pymotion, bvhio or bvhsdk. The first hands out angles, the other two do the kinematics as well.
"""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np


def by_pymotion(path: Path, names: list[str]) -> np.ndarray:
    """(T, 24, 3) centimetres, from the angles that the parser finds and the matrices of the order that it finds."""
    from pymotion.io.bvh import BVH
    from pymotion.ops.skeleton import fk
    from pymotion.rotations import quat

    file = BVH()
    file.load(str(path))
    data = file.data
    angles = np.radians(data["rotations"])
    turns = quat.from_euler(angles, order=np.broadcast_to(data["rot_order"], angles.shape))
    parents = [int(parent) for parent in data["parents"]]
    places, _ = fk(turns, data["positions"][:, 0], data["offsets"], parents)
    index = [list(data["names"]).index(name) for name in names]
    return np.asarray(places)[:, index]


def by_bvhio(path: Path, names: list[str]) -> np.ndarray:
    """(T, 24, 3) centimetres."""
    import bvhio

    root = bvhio.readAsHierarchy(str(path))
    joints = {joint.Name: joint for joint, *_ in root.layout()}
    places = []
    for frame in range(len(bvhio.readAsBvh(str(path)).Root.Keyframes)):
        root.loadPose(frame)
        places.append([tuple(joints[name].PositionWorld) for name in names])
    return np.array(places)


def by_bvhsdk(path: Path, names: list[str]) -> np.ndarray:
    """(T, 24, 3) centimetres."""
    import bvhsdk

    motion = bvhsdk.ReadFile(str(path))
    joints = {joint.name: joint for joint in motion.getlistofjoints()}
    return np.array([[joints[name].getPosition(frame) for name in names] for frame in range(motion.frames)])


PARSERS: dict[str, Callable[[Path, list[str]], np.ndarray]] = {
    "pymotion": by_pymotion, "bvhio": by_bvhio, "bvhsdk": by_bvhsdk,
}  # fmt: skip
PARSER, FOLDER = sys.argv[1], Path(sys.argv[2])
ABOUT = json.loads(Path(sys.argv[3]).read_text("utf-8"))
worst = 0.0
for person in ABOUT["people"]:
    (path,) = FOLDER.glob(f"*_{person['name']}.bvh")
    places = PARSERS[PARSER](path, ABOUT["names"])
    frames = np.rint(np.array(person["shot_times"]) * float(Fraction(ABOUT["fps"]))).astype(int)
    worst = max(worst, np.linalg.norm(places[frames] / 100 - person["joints"], axis=-1).max())
print(f"{PARSER}: bones within {1000 * worst:.5f} mm")
sys.exit(worst > 1e-5 or not ABOUT["people"])
