"""Open body, first step: adults of the package `anny`, and each of them in SMPL's T-pose."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import anny
import numpy as np
import scipy.sparse
import torch
from anny.shape_distribution import SimpleShapeDistribution

from glot_cli.smpl import SMPL_MIRROR, SMPL_PARENTS

# SMPL joint -> the game-engine bone whose head it is.
BONES = (
    "pelvis", "thigh_l", "thigh_r", "spine_01", "calf_l", "calf_r", "spine_02", "foot_l", "foot_r", "spine_03",
    "ball_l", "ball_r", "neck_01", "clavicle_l", "clavicle_r", "head", "upperarm_l", "upperarm_r", "lowerarm_l",
    "lowerarm_r", "hand_l", "hand_r", "middle_01_l", "middle_01_r",
)  # fmt: skip
PARENTS, MIRROR_JOINT = np.array(SMPL_PARENTS), np.array(SMPL_MIRROR)
L_HIP, L_KNEE, L_ANKLE, L_TOE, NECK, HEAD = 1, 4, 7, 10, 12, 15
L_SHOULDER, L_ELBOW, L_WRIST, L_HAND = 16, 18, 20, 22
# MakeHuman's shank begins above the knee: thigh to shank would be 0.88, and is 1.0 in people (0.245 and 0.246 of the
# stature, Drillis and Contini 1966) and 1.04 in a man measured by four cameras. So the knee lies this share of the
# shank lower.
KNEE_LOWERED = 0.06
# MakeHuman's arms and trunks are short: upper arm, forearm and trunk (hips to shoulders) are 0.152, 0.136 and 0.271 of
# its people's stature, and 0.160, 0.153 and 0.291 in de Leva (1996, J. Biomech. 29, 1223; mean of both sexes); the span
# of the arms is 1.00 of the stature instead of ANSUR II's 1.03. And its people hardly differ in them. So each body is
# stretched by factors of its own: their means lie between the two, and their deviations reach both.
UPPER_ARM, FOREARM, TRUNK = range(3)
STRETCH = np.array([1.035, 1.075, 1.04])
STRETCH_SD = np.array([0.025, 0.035, 0.03])
ARM_SHARED = 0.8  # correlation of the two parts of the arm
TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass
class Rest:
    """Rest (A-pose) geometry of S bodies, metres, y up."""

    vertices: np.ndarray  # (S,V,3)
    joints: np.ndarray  # (S,24,3)
    bones: dict[str, np.ndarray]  # heads (S,3) by name
    stretch: np.ndarray  # (S,3) factors of upper arms, forearms and trunk, taken in the T-pose


def smpl_joint_of(bone: str) -> int:
    """SMPL joint that moves what `bone` moves.

    Thumbs go to the wrist: they are rooted in the palm, so turning them about the middle knuckle (SMPL's hand joint)
    would tear them off; the four fingers go to the hand joint.
    """
    if bone == "Root":
        return 0
    if bone in BONES:
        return BONES.index(bone)
    stem, side = bone.rsplit("_", 1)
    side_index = 0 if side == "l" else 1
    return (L_WRIST if stem.startswith("thumb") else L_HAND) + side_index


def sample_people(
    model: anny.Anny, count: int, seed: int, gender: torch.distributions.Distribution | None = None
) -> dict[str, torch.Tensor]:
    """What `count` adults aged 18 to 80 are like, by anny's WHO-calibrated tables: each trait (count,), 0 to 1.

    Args:
        model: anny's.
        count: of people.
        seed: of the drawing.
        gender: of which MakeHuman's, 0 for men to 1 for women, is drawn; most people near one of the two by default.
    """
    if gender is None:  # most people are near one of the two ends, not half way between
        gender = torch.distributions.Beta(torch.tensor(0.3, dtype=model.dtype), 0.3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        low, high = (torch.tensor(a, dtype=model.dtype) for a in (18.0, 80.0))
        distribution = SimpleShapeDistribution(
            model,
            morphological_age_distribution=torch.distributions.Uniform(low, high),
            gender_distribution=gender,
        )
        _, phenotype = distribution.sample(count)
    people: dict[str, torch.Tensor] = phenotype
    return people


def coefficients_of(model: anny.Anny, people: dict[str, torch.Tensor]) -> torch.Tensor:
    """(S, n) blend-shape coefficients of people."""
    coefficients: torch.Tensor = model.get_phenotype_blendshape_coefficients(**people)
    return coefficients


def sample_stretch(count: int, seed: int) -> np.ndarray:
    """(count, 3) factors of upper arms, forearms and trunk, with STRETCH as their exact mean."""
    z = np.random.default_rng(seed).standard_normal((count, 3))
    z[:, FOREARM] = ARM_SHARED * z[:, UPPER_ARM] + np.sqrt(1 - ARM_SHARED**2) * z[:, FOREARM]
    return STRETCH + STRETCH_SD * (z - z.mean(0)).clip(-2, 2)


def rest_geometry(
    model: anny.Anny, coefficients: torch.Tensor, combination: scipy.sparse.csr_matrix, stretch: np.ndarray
) -> Rest:
    """Rest geometry of bodies.

    Args:
        model: anny's.
        coefficients: (S,n) of its blend shapes.
        combination: (V,N) weights that make the wanted vertices from those of the full mesh.
        stretch: (S,3) of the bodies, as in `Rest`.
    """
    shapes = np.stack([combination @ shape for shape in model.blendshapes.numpy()])
    vertices = np.tensordot(coefficients.numpy(), shapes, 1) + combination @ model.template_vertices.numpy()
    heads = torch.einsum("sn,nbk->sbk", coefficients, model.bone_heads_blendshapes) + model.template_bone_heads
    heads_np = heads.numpy() @ TO_Y_UP.T
    index = {name: i for i, name in enumerate(model.bone_labels)}
    joints = heads_np[:, [index[b] for b in BONES]]
    for side in (0, 1):
        joints[:, L_KNEE + side] += KNEE_LOWERED * (joints[:, L_ANKLE + side] - joints[:, L_KNEE + side])
    return Rest(
        vertices @ TO_Y_UP.T,
        joints,
        {name: heads_np[:, i] for name, i in index.items()},
        stretch,
    )


def skinning_weights(model: anny.Anny) -> np.ndarray:
    """(V,24) weights of the full mesh with bones folded into SMPL joints; rows sum to 1."""
    weights = np.zeros((len(model.template_vertices), 24))
    target = np.array([smpl_joint_of(b) for b in model.bone_labels])
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, target[model.vertex_bone_indices.numpy()]), model.vertex_bone_weights.numpy())
    return weights / weights.sum(1, keepdims=True)


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smallest rotations (S,3,3) that turn the directions a (S,3) into b (3,) (Rodrigues; never opposite here)."""
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = np.broadcast_to(b, a.shape)
    v = np.cross(a, b)
    c = (a * b).sum(-1)[:, None, None]
    k = np.zeros((len(a), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    k -= k.transpose(0, 2, 1)
    return np.eye(3) + k + k @ k / (1 + c)


def t_pose(rest: Rest, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rest bodies in the SMPL T-pose, pelvis at the origin.

    Inverse skinning: the T-posed surface is the one which linear blend skinning carries back to the artist's A-pose
    exactly, so that arms-down poses, the common ones, keep their volume.

    Args:
        rest: S bodies.
        weights: (V,24) of the skinning.

    Returns:
        Vertices (S,V,3) and joints (S,24,3), metres.
    """
    joints = rest.joints
    rotation = np.broadcast_to(np.eye(3), (*joints.shape[:2], 3, 3)).copy()
    down = np.array([0.0, -1, 0])
    for side in (0, 1):
        out = np.array([1.0 - 2 * side, 0, 0])
        # Every bone of a chain bends on from its parent, so hinges open in their own plane and nothing twists.
        for chain, target in (
            ((L_HIP, L_KNEE, L_ANKLE), down),
            ((L_SHOULDER, L_ELBOW, L_WRIST, L_HAND), out),
        ):
            carried = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
            for joint, child in itertools.pairwise(chain):
                bone = joints[:, child + side] - joints[:, joint + side]
                carried = rotation_between((carried @ bone[..., None])[..., 0], target) @ carried
                rotation[:, joint + side] = carried
        rotation[:, L_HAND + side] = carried
        # Feet keep the rest pose's own turn: they stand flat on the floor there (rotation stays the identity).

    posed = np.zeros_like(joints)
    for j in range(1, 24):
        p = PARENTS[j]
        posed[:, j] = posed[:, p] + (rotation[:, p] @ (joints[:, j] - joints[:, p])[..., None])[..., 0]

    inverse = rotation.transpose(0, 1, 3, 2)
    offset = joints - (inverse @ posed[..., None])[..., 0]
    vertices = np.empty_like(rest.vertices)
    for s in range(len(joints)):  # one body at a time bounds memory: V 3x3 systems each
        matrix = np.tensordot(weights, inverse[s], 1)
        vertices[s] = np.linalg.solve(matrix, (rest.vertices[s] - weights @ offset[s])[..., None])[..., 0]

    for side in (0, 1):
        sign = 1.0 - 2 * side
        suffix = "lr"[side]
        turn = rotation[:, L_WRIST + side]
        knuckles = rest.bones[f"index_01_{suffix}"] - rest.bones[f"pinky_01_{suffix}"]
        across = (turn @ knuckles[..., None])[..., 0]
        angle = np.arctan2(across[:, 1], across[:, 2])  # about +x, brings the knuckle row level: palm down
        elbow, wrist = posed[:, L_ELBOW + side], posed[:, L_WRIST + side]
        s = (vertices[..., 0] - elbow[:, None, 0]) / (wrist - elbow)[:, None, 0]
        s = np.clip(s, 0, 1) * (vertices[..., 0] * sign > 0)
        theta = angle[:, None] * s  # spread along the forearm, as pronation is, so that no wrist is wrung
        y, z = vertices[..., 1] - wrist[:, None, 1], vertices[..., 2] - wrist[:, None, 2]
        cos, sin = np.cos(theta), np.sin(theta)
        vertices[..., 1] = wrist[:, None, 1] + cos * y - sin * z
        vertices[..., 2] = wrist[:, None, 2] + sin * y + cos * z
    return stretched(vertices, posed, weights, rest.stretch)


def stretched(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, stretch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """T-posed bodies with longer arms and trunks, and the stature they had.

    Args:
        vertices: (S,V,3).
        joints: (S,24,3).
        weights: (V,24) of the skinning.
        stretch: (S,3) as in `Rest`.
    """
    every = np.concatenate([vertices, joints], 1)
    weights = np.concatenate([weights, np.eye(24)])
    hips, shoulders = (joints[:, [j, j + 1], 1].mean(1)[:, None] for j in (L_HIP, L_SHOULDER))
    longer = stretch[:, None] - 1
    up = longer[..., TRUNK] * (every[..., 1].clip(hips, shoulders) - hips)
    for side in (0, 1):
        arm = weights[:, [j + side for j in (L_SHOULDER, L_ELBOW, L_WRIST, L_HAND)]].sum(1)
        sign = 1.0 - 2 * side
        out = sign * every[..., 0]
        shoulder, elbow, wrist = (sign * joints[:, j + side, 0, None] for j in (L_SHOULDER, L_ELBOW, L_WRIST))
        further = longer[..., UPPER_ARM] * (out.clip(shoulder, elbow) - shoulder)
        further += longer[..., FOREARM] * (out.clip(elbow, wrist) - elbow)
        every[..., 0] += sign * arm * further
    every[..., 1] += up
    stature = np.ptp(every[:, : len(vertices[0]), 1], axis=1)
    every *= (np.ptp(vertices[..., 1], axis=1) / stature)[:, None, None]
    return every[:, : len(vertices[0])], every[:, len(vertices[0]) :]


def t_posed_bones(rest: Rest, model: anny.Anny, tails: np.ndarray) -> dict[str, np.ndarray]:
    """Heads and tails (`<bone>_tip`) of all bones of the one body in `rest`, T-posed.

    Each is carried as a vertex that follows the joint its bone was folded into.

    Args:
        rest: one body.
        model: anny's.
        tails: (bones,3) of the rest pose, y up.
    """
    names = list(model.bone_labels)
    points = np.concatenate([np.stack([rest.bones[n][0] for n in names]), tails])
    owner = np.array([smpl_joint_of(n) for n in names] * 2)
    carried, _ = t_pose(Rest(points[None], rest.joints, rest.bones, rest.stretch), np.eye(24)[owner])
    return dict(zip(names + [n + "_tip" for n in names], carried[0], strict=True))
