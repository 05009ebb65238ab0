"""AMASS's layout (Mahmood et al., 2019) of SMPL's poses: an .npz a person, z up, for whatever reads motions.

`trans` is what SMPL adds to a posed body: the place of the pelvis less where the rest pose has it. `poses` has the 156
numbers of SMPL-H, hands flat, and the last two of SMPL's 24 joints, the hands, are therefore left out.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox

POSES, SHAPES, HANDS = 156, 16, 22  # numbers of SMPL-H's pose and AMASS's shape; SMPL's joints before the hands
Z_UP = Rotation.from_euler("x", 90, degrees=True)


def write(cast: Cast, box: Outbox) -> None:
    """Write one file a person and shot, at a constant rate."""
    smpl = cast.result.meta.body_model.startswith("smpl-")
    if not smpl:
        box.note("amass: betas are zero, for the open body's shapes are not SMPL's; bones are as long as SMPL's mean")
    for own in cast.characters:
        character = cast.evenly(own)
        count = len(character.times)
        turns = Rotation.from_matrix(character.rotmat[:, :HANDS].reshape(-1, 3, 3)).as_rotvec()
        poses = np.zeros((count, POSES))
        poses[:, : 3 * HANDS] = turns.reshape(count, -1)
        poses[:, :3] = (Z_UP * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
        betas = np.zeros(SHAPES)
        if smpl:
            betas[: len(character.betas)] = character.betas
        # The rest pelvis is not turned with the body: it is added to `trans` as it is.
        trans = Z_UP.apply(character.root) - character.rest[0]
        with box.path(f"{cast.stem}_{cast.name_of(own)}_amass.npz").open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                poses=poses,
                trans=trans,
                betas=betas,
                gender=np.array(cast.gender),
                mocap_framerate=np.array(float(cast.rate)),
            )
