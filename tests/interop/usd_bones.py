"""Bones as UsdSkel evaluates them: python usd_bones.py FILE EXPECTED.json; 1 where one is off by 0.01 mm."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from pxr import Usd, UsdGeom, UsdSkel, UsdValidation

ABOUT = json.loads(Path(sys.argv[2]).read_text("utf-8"))
RATE = float(Fraction(ABOUT["fps"]))
stage = Usd.Stage.Open(sys.argv[1])
assert UsdGeom.GetStageMetersPerUnit(stage) == 1 and UsdGeom.GetStageUpAxis(stage) == "Y"
worst = 0.0
for person in ABOUT["people"]:
    cache = UsdSkel.Cache()
    root = UsdSkel.Root(stage.GetPrimAtPath(f"/World/{person['name']}"))
    cache.Populate(root, Usd.PrimAllPrimsPredicate)
    skeleton = UsdSkel.Skeleton(stage.GetPrimAtPath(f"{root.GetPath()}/{person['name']}_skeleton"))
    query = cache.GetSkelQuery(skeleton)
    assert len(query.GetAnimQuery().GetJointTransformTimeSamples()) == len(person["times"])
    for time, joints in zip(person["times"], person["joints"], strict=True):
        matrices = np.array(query.ComputeJointSkelTransforms(Usd.TimeCode(time * RATE)))
        worst = max(worst, np.linalg.norm(matrices[:, 3, :3] - joints, axis=1).max())
view = ABOUT["camera"]
camera = UsdGeom.Camera(stage.GetPrimAtPath("/World/camera"))
focal = camera.GetFocalLengthAttr().Get() / camera.GetHorizontalApertureAttr().Get()
off = abs(focal - view["focal_length"] / view["width"])
for frame, (turn, place) in enumerate(zip(view["rotation"], view["place"], strict=True)):
    matrix = np.array(camera.ComputeLocalToWorldTransform(frame))
    off = max(off, np.abs(matrix[:3, :3].T - turn).max(), np.abs(matrix[3, :3] - place).max())
validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
faults = [error.GetErrorAsString() for error in UsdValidation.ValidationContext(validators).Validate(stage)]
print(f"USD {Usd.GetVersion()}: bones within {1000 * worst:.5f} mm, camera within {off:.1e}, {len(faults)} faults")
print("\n".join(faults), end="")
sys.exit(worst > 1e-5 or off > 1e-5 or bool(faults) or not ABOUT["people"])
