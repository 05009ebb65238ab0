"""Names and orders of joints: SMPL's 24, the vertex joints of smplx, SPIN's 49, and the 14 that benchmarks share."""

from __future__ import annotations

import torch
from torch import Tensor

from glot_cli.body.model import Body, BodyOutput
from glot_cli.body.smpl import SMPL_VERTICES
from glot_cli.errors import GlotError

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# The joint that a mirror in the sagittal plane puts in the place of each.
SMPL_MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

# Vertices of SMPL's own mesh that serve as joints, in the order in which smplx appends them to the 24.
SMPL_VERTEX_JOINTS = {
    "nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
    "left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673,
    "right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016, "right_pinky": 6133,
}  # fmt: skip

# The rows of J_regressor_extra.
EXTRA_JOINTS = (
    "right_hip_lsp", "left_hip_lsp", "neck_lsp", "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m",
    "jaw_h36m", "head_h36m",
)  # fmt: skip

# SPIN's 49: 25 in OpenPose's order, then 24 that data sets annotate.
SPIN_JOINTS = (
    "op_nose", "op_neck", "op_right_shoulder", "op_right_elbow", "op_right_wrist", "op_left_shoulder",
    "op_left_elbow", "op_left_wrist", "op_mid_hip", "op_right_hip", "op_right_knee", "op_right_ankle", "op_left_hip",
    "op_left_knee", "op_left_ankle", "op_right_eye", "op_left_eye", "op_right_ear", "op_left_ear", "op_left_big_toe",
    "op_left_small_toe", "op_left_heel", "op_right_big_toe", "op_right_small_toe", "op_right_heel",
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck_lsp", "head_top_lsp", "pelvis_mpii",
    "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m", "nose", "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip

# Where SPIN's joint comes from when the name alone does not say it. OpenPose's neck is the SMPL neck joint; its hips
# are SMPL's joints, while the data sets' hips are the regressed LSP ones.
_SPIN_SOURCE = {
    "op_mid_hip": "pelvis",
    "right_hip": "right_hip_lsp",
    "left_hip": "left_hip_lsp",
}
_ALL_JOINTS = (*SMPL_JOINTS, *SMPL_VERTEX_JOINTS, *EXTRA_JOINTS)  # 24 + 21 + 9 = 54


def _spin_source(name: str) -> int:
    return _ALL_JOINTS.index(_SPIN_SOURCE.get(name, name.removeprefix("op_")))


SPIN_MAP = tuple(_spin_source(name) for name in SPIN_JOINTS)

# The 14 joints that evaluations share are SPIN's 25 to 38, in this order.
COMMON_SLICE = slice(25, 39)
COMMON_JOINTS = SPIN_JOINTS[COMMON_SLICE]
COMMON_HIPS = (2, 3)  # of the 14

# Sources of the 14 among [24 SMPL joints, extra joints].
_COMMON_SOURCE = tuple(
    i if (i := SPIN_MAP[k]) < len(SMPL_JOINTS) else i - len(SMPL_VERTEX_JOINTS) for k in range(25, 39)
)


# The 14 common joints among the 17 that `extra_joints` makes with J_regressor_h36m (17,6890).
H36M_TO_COMMON = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)


def extra_joints(body: Body, vertices: Tensor, regressor: Tensor | None = None) -> Tensor:
    """(B,K,3) further joints regressed from vertices (B,V,3); regressor (K,V), by default the body's own."""
    regressor = body.extra_regressor if regressor is None else regressor
    if regressor is None:
        raise GlotError("this body has no J_regressor_extra; 'glot weights add' takes SPIN's J_regressor_extra.npy")
    return torch.einsum("kv,bvc->bkc", regressor, vertices)


def spin_joints(body: Body, output: BodyOutput, regressor_extra: Tensor | None = None) -> Tensor:
    """(B,49,3) joints in SPIN's order for a body with SMPL's own 6,890 vertices.

    output must hold vertices; regressor_extra (9,6890) is SPIN's J_regressor_extra, if the body does not carry one.
    """
    if output.vertices is None or output.vertices.shape[1] != SMPL_VERTICES:
        raise ValueError(f"spin_joints needs the {SMPL_VERTICES} vertices of an SMPL body")
    vertex = output.vertices[:, list(SMPL_VERTEX_JOINTS.values())]
    everything = torch.cat([output.joints, vertex, extra_joints(body, output.vertices, regressor_extra)], 1)
    return everything[:, list(SPIN_MAP)]


class SpinJoints(torch.nn.Module):
    """SPIN's 49 joints of an SMPL body without the rest of its surface: what `spin_joints` gives, far cheaper."""

    regressor: Tensor

    def __init__(self, body: Body) -> None:
        """Raises GlotError when the body has no J_regressor_extra or is not SMPL."""
        super().__init__()
        if body.extra_regressor is None or body.num_vertices != SMPL_VERTICES:
            raise GlotError("SPIN's joints need an SMPL body and J_regressor_extra.npy; see 'glot weights list'")
        support = body.extra_regressor.any(0).nonzero()[:, 0]
        self.vertex_joints = len(SMPL_VERTEX_JOINTS)
        self.body = body.subset([*SMPL_VERTEX_JOINTS.values(), *support.tolist()])
        self.register_buffer("regressor", body.extra_regressor[:, support])

    def forward(self, rotmat: Tensor, betas: Tensor) -> Tensor:
        """rotmat (B,24,3,3) local rotations, betas (B,num_betas) -> (B,49,3) metres."""
        output = self.body(rotmat, betas)
        vertex, support = output.vertices.split([self.vertex_joints, self.regressor.shape[1]], 1)
        extra = torch.einsum("kv,bvc->bkc", self.regressor, support)
        return torch.cat([output.joints, vertex, extra], 1)[:, list(SPIN_MAP)]


def common_joints(body: Body, output: BodyOutput, regressor_extra: Tensor | None = None) -> Tensor:
    """(B,14,3) common joints (`COMMON_JOINTS`: LSP order) of any body; output must hold vertices."""
    if output.vertices is None:
        raise ValueError("common_joints needs the vertices; call the body with vertices=True")
    everything = torch.cat([output.joints, extra_joints(body, output.vertices, regressor_extra)], 1)
    return everything[:, list(_COMMON_SOURCE)]


def mirror_rotmat(rotmat: Tensor) -> Tensor:
    """The same motion in a mirror (left and right exchanged): rotmat (..., 24, 3, 3), or its first columns alone."""
    sign = torch.tensor([-1.0, 1.0, 1.0], dtype=rotmat.dtype, device=rotmat.device)
    return rotmat[..., SMPL_MIRROR, :, :] * sign[:, None] * sign[: rotmat.shape[-1]]
