"""Joint angles as OpenSim's motion files (.mot), in the coordinates of the model of Rajagopal et al. (2016)."""

from __future__ import annotations

import numpy as np

from glot_cli.exporting.anatomy import SIDES, joint_angles, opensim_pelvis, segments
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.text_rows import TextColumn, write_rows

_SIDED = ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle", "subtalar_angle")
_ARM = ("arm_flex", "arm_add", "arm_rot", "elbow_flex", "pro_sup")
COORDINATES = (
    *(f"{name}_{side}" for side in SIDES for name in _SIDED),
    "lumbar_extension", "lumbar_bending", "lumbar_rotation",
    *(f"{name}_{side}" for side in SIDES for name in _ARM),
)  # fmt: skip
PELVIS = ("pelvis_tilt", "pelvis_list", "pelvis_rotation", "pelvis_tx", "pelvis_ty", "pelvis_tz")
# Metres, forward and up: where the model has its pelvis's origin, seen from halfway between the hips.
ORIGIN = (0.0563, 0.0785, 0.0)


def write(cast: Cast, box: Outbox) -> None:
    """Write one file a person and shot, at a constant rate; where the person is not seen, the motion is bridged.

    Raises:
        UsageError: a plot is wanted, and matplotlib is not installed.
    """
    for character in cast.evenly_seen(box, "mot"):
        name = cast.name_of(character)
        if not character.seen.all():
            box.note(f"mot: {name} is not seen all the time; the motion in between is made up")
        angles = joint_angles(character)
        turn, hips = opensim_pelvis(character)
        place = hips + segments(character)["pelvis"] @ np.array(ORIGIN)
        names = ("time", *PELVIS, *COORDINATES)
        with box.path(f"{cast.stem}_{name}.mot").open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"Coordinates\nversion=1\nnRows={len(turn)}\nnColumns={len(names)}\ninDegrees=yes\n\n")
            file.write("Units are S.I. units (second, meters, Newtons, ...)\n")
            file.write("Angles are in degrees.\n\nendheader\n" + "\t".join(names) + "\n")
            turned = np.stack([angles[coordinate] for coordinate in COORDINATES], 1)
            columns = [TextColumn(character.times, "%.6f"), TextColumn(turn, "%.4f"), TextColumn(place, "%.5f")]
            write_rows(file, [*columns, TextColumn(turned, "%.4f")], "\t")
        if cast.plot:
            from glot_cli.exporting.angle_plots import draw_angles  # needs matplotlib

            draw_angles(box, f"{cast.stem}_{name}_angles.png", character, angles)
