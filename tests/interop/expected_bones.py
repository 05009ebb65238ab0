"""What a record's people do, as JSON for checks in other programs: python expected_bones.py RECORD FILE [--hide].

Everything is taken from the record by the body model's own kinematics; the writers of formats are not asked.
"""

import json
import sys
from pathlib import Path

import numpy as np

from glot_cli import weights
from glot_cli.body.model import Body
from glot_cli.exporting.characters import Y_UP, characters
from glot_cli.results import load_result
from glot_cli.smpl import SMPL_JOINTS


def main() -> None:
    """Write the file."""
    result = load_result(sys.argv[1])
    assert result.meta.body_model in weights.manifest(), "the record's body has to be one that comes with glot"
    body = Body.load(weights.locate(result.meta.body_model))
    space = "floor" if result.has_world else "camera"
    everybody = characters(result, body, space)
    start = {own.shot: min(other.times[0] for other in everybody if other.shot == own.shot) for own in everybody}
    people = [
        {
            "name": f"person{own.person}" + (f"_shot{own.shot}" if len(np.unique(result.shot)) > 1 else ""),
            "frames": (own.frames - result.meta.start_frame).tolist(),
            "times": (own.times - result.time.min()).tolist(),
            "shot_times": (own.times - start[own.shot]).tolist(),
            "joints": own.joints.astype(float).tolist(),
        }
        for own in everybody
    ]
    rotation, place = np.eye(3)[None], np.zeros((1, 3))
    if result.has_world:
        to_camera = result.cameras["camera_rotation"].astype(float)
        rotation = to_camera.swapaxes(1, 2) @ Y_UP
        place = -np.einsum("fji,fj->fi", to_camera, result.cameras["camera_translation"])
    meta = result.meta
    camera = {"rotation": rotation.tolist(), "place": place.tolist()}
    camera |= {"width": meta.width, "height": meta.height, "focal_length": meta.focal_length}
    about = {"fps": str(meta.frame_rate), "names": SMPL_JOINTS, "people": people, "camera": camera}
    Path(sys.argv[2]).write_text(json.dumps(about), "utf-8")


main()
