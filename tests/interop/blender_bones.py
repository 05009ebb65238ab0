"""Bones in Blender at every frame: python blender_bones.py FOLDER EXPECTED.json, with a Python that has bpy.

Opens the .glb of FOLDER, and the .bvh files and the .usdc if there are any, as docs/blender.md says, and the FBX that
its script makes of the first two; 1 where a bone is off by 0.01 mm.
"""

import json
import re
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import bpy
import numpy as np

FOLDER, ABOUT = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8"))
RATE = Fraction(ABOUT["fps"])
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "blender.md").read_text("utf-8")
GLB, BVH, FBX = (f"```py\n{part}" for part in ("import bpy  # GLB\n", "import bpy  # BVH\n", "import bpy  # FBX\n"))
worst = 0.0


def script(begin: str, **replaced: str) -> None:
    """Run the block of docs/blender.md that begins so, with its constants replaced."""
    code = begin.removeprefix("```py\n") + PAGE.split(begin)[1].split("```")[0]
    for name, value in replaced.items():
        code, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", code)
        assert count == 1, name
    exec(compile(code, "docs/blender.md", "exec"), {})


def compare(what: str, person: dict, armature: bpy.types.Object) -> None:
    """Hold the heads of an armature's bones to a person of the record, frame by frame.

    A BVH begins with its shot, and Blender has it a frame late. Its importer of FBX counts frames by the whole number
    next to the rate, though times in the file are right.
    """
    global worst
    scene, off, is_bvh = bpy.context.scene, 0.0, what.endswith("BVH")
    for time, joints in zip(person["shot_times" if is_bvh else "times"], person["joints"], strict=True):
        frame = time * float(RATE) + is_bvh
        if what.startswith("FBX"):
            frame *= round(RATE) / float(RATE)
        scene.frame_set(whole := int(frame + 1e-4), subframe=max(frame - whole, 0.0))
        bones = [armature.pose.bones[name].head for name in ABOUT["names"]]
        heads = np.array([armature.matrix_world @ head for head in bones])
        off = max(off, np.linalg.norm(heads - np.array(joints)[:, [0, 2, 1]] * [1, -1, 1], axis=1).max())  # z up
    print(f"Blender {bpy.app.version_string}, {what}, {person['name']}: bones within {1000 * off:.5f} mm")
    worst = max(worst, off)


def armatures() -> dict[str, bpy.types.Object]:
    """By name."""
    return {o.name: o for o in bpy.data.objects if o.type == "ARMATURE"}


def compare_camera() -> None:
    """Hold the camera to the record's: place, turn and angle."""
    view, camera = ABOUT["camera"], next(o for o in bpy.data.objects if o.type == "CAMERA")
    to_z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    # The importer of glTF keeps the vertical angle, that of USD the horizontal one.
    side, angle = ("height", "angle_y") if camera.data.sensor_fit == "VERTICAL" else ("width", "angle_x")
    off = abs(np.tan(getattr(camera.data, angle) / 2) - view[side] / 2 / view["focal_length"])
    for frame in {0, len(view["place"]) // 2, len(view["place"]) - 1}:
        bpy.context.scene.frame_set(frame)
        matrix = np.array(camera.matrix_world)
        off = max(off, np.abs(matrix[:3, :3] - to_z_up @ view["rotation"][frame]).max())
        off = max(off, np.abs(matrix[:3, 3] - to_z_up @ view["place"][frame]).max())
    print(f"Blender {bpy.app.version_string}, camera: within {off:.1e}")
    assert off < 1e-5


def through_fbx(what: str, folder: Path) -> None:
    """Write what is open as FBX, open that anew and compare."""
    names = list(armatures())
    script(FBX, FILE=repr(str(folder / "motion.fbx")))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = FPS
    bpy.ops.import_scene.fbx(filepath=str(folder / "motion.fbx"), anim_offset=0.0)
    found = armatures()
    for person in ABOUT["people"]:
        for name in names:
            if name.endswith(person["name"]):
                compare(f"FBX of {what}", person, found[name])


FPS = RATE.numerator if RATE.denominator == 1 else round(RATE), 1.0
if RATE.denominator != 1:
    FPS = (round(RATE), float(round(RATE) / RATE))
CONSTANTS = {"RATE": repr((RATE.numerator, RATE.denominator))}

with tempfile.TemporaryDirectory() as temporary:
    script(GLB, FILE=repr(str(next(FOLDER.glob("*.glb")))), **CONSTANTS)
    people = armatures()
    for entry in ABOUT["people"]:
        compare("GLB", entry, people[entry["name"]])
    compare_camera()
    through_fbx("GLB", Path(temporary))
    for number, entry in enumerate(ABOUT["people"] if list(FOLDER.glob("*.bvh")) else []):
        (path,) = FOLDER.glob(f"*_{entry['name']}.bvh")
        script(BVH, FILE=repr(str(path)), **CONSTANTS)
        compare("BVH", entry, armatures()[path.stem])
        if number == 0:
            through_fbx("BVH", Path(temporary))
    for path in FOLDER.glob("*.usdc"):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.wm.usd_import(filepath=str(path))
        for entry in ABOUT["people"]:
            compare("USD", entry, armatures()[f"{entry['name']}_skeleton"])
        compare_camera()
sys.exit(worst > 1e-5 or not ABOUT["people"])
