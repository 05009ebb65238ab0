"""The formulas once more, in NumPy alone and in double precision, joint by joint: what the fast ones are held to."""

from __future__ import annotations

import numpy as np

from tests.parity.standins import PARENTS


def rotations(pose6d: np.ndarray) -> np.ndarray:
    """6-D (..., 6) to matrices (..., 3, 3): Gram-Schmidt on the columns of (3, 2) (Zhou et al., 2019)."""
    columns = pose6d.reshape(*pose6d.shape[:-1], 3, 2)
    x = columns[..., 0] / np.linalg.norm(columns[..., 0], axis=-1, keepdims=True)
    y = columns[..., 1] - (x * columns[..., 1]).sum(-1, keepdims=True) * x
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], -1)


def skin(body: dict[str, np.ndarray], rotmat: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One body posed as the paper of SMPL says (Loper et al., 2015, equations 2 to 9): vertices (V, 3), joints (24, 3).

    rotmat (24, 3, 3), betas (10,).
    """
    shaped = body["v_template"] + body["shapedirs"][..., : len(betas)] @ betas
    joints = body["J_regressor"] @ shaped
    posed = shaped + body["posedirs"] @ (rotmat[1:] - np.eye(3)).reshape(-1)
    world = np.zeros((24, 4, 4))
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotmat[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world[joint] = world[parent] @ local if parent >= 0 else local
    moved = world[:, :3, 3].copy()
    for joint in range(24):  # away from the rest pose
        world[joint, :3, 3] -= world[joint, :3, :3] @ joints[joint]
    blended = np.einsum("vj,jab->vab", body["weights"], world[:, :3])
    return np.einsum("vab,vb->va", blended[..., :3], posed) + blended[..., 3], moved


def correct(state: dict[str, np.ndarray], token: np.ndarray, pose: np.ndarray, shape: np.ndarray,
            camera: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The hierarchical spatial correlation regressor for one token (256,), under the official names of its weights."""

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return state[f"regressor.{name}.weight"].astype(float) @ x + state[f"regressor.{name}.bias"]

    of_shape = layer("fc1", np.concatenate([token, shape]))
    of_pose = layer("fc2", np.concatenate([token, pose]))
    changes: list[np.ndarray] = []
    for joint in range(24):
        above, parent = [], PARENTS[joint]
        while parent >= 0:
            above.insert(0, changes[parent])
            parent = PARENTS[parent]
        seen = pose[joint : joint + 6]  # the released code moves on by one number, not six
        changes.append(layer(f"local_reg.joint_regs.{joint}", np.concatenate([of_pose, *above, seen])))
    return (
        pose + np.concatenate(changes),
        shape + layer("decshape", of_shape),
        camera + layer("deccam", np.concatenate([of_pose, of_shape, camera])),
    )
