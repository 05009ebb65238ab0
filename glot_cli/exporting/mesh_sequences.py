"""Surfaces as they are, a file for each person and frame: `obj/person1/000031.obj`.

What bones alone cannot do, the bulges of SMPL's bent joints, is in them. The faces are the same in all.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import trimesh

from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.surface import posed_surfaces


def write_meshes(cast: Cast, box: Outbox, kind: Literal["obj", "ply"]) -> None:
    """Write meshes in metres, y up, numbered as the video's frames; at a rate that was asked for, from 0 on."""
    if not cast.characters:
        box.note(f"{kind}: nobody is in the record, there is no file")
    for own in cast.characters:
        character, numbers = own, own.frames
        if cast.fps is not None:
            character = cast.evenly(own)
            numbers = np.searchsorted(cast.times, character.times).astype(np.int32)
        if cast.hide:
            numbers = np.where(character.seen, numbers, -1)
        for number, vertices in zip(numbers.tolist(), posed_surfaces(cast.body, character), strict=True):
            if number >= 0:
                mesh = trimesh.Trimesh(vertices, cast.body.faces, process=False)
                with box.path(f"{kind}/{cast.name_of(own)}/{number:06d}.{kind}").open("wb") as file:
                    mesh.export(file, file_type=kind)
