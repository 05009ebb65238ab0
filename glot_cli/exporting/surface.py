"""The surface of a body as files of animators hold it: a rest shape that hangs on the bones, or posed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from glot_cli.body.model import Body
from glot_cli.exporting.characters import Character
from glot_cli.results import POSED_AT_ONCE
from glot_cli.smpl import NUM_JOINTS

Floats = NDArray[np.floating]


class RestShape(NamedTuple):
    """A body in its rest pose.

    Attributes:
        vertices: (V, 3) metres.
        normals: (V, 3) unit vectors.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]


def rest_shape(body: Body, character: Character) -> RestShape:
    """The surface of a character's own shape, before its bones move."""
    identity = torch.eye(3).expand(1, NUM_JOINTS, 3, 3)
    with torch.inference_mode():
        posed = body(identity, torch.from_numpy(character.betas[None]))
    assert posed.vertices is not None
    vertices = posed.vertices[0].numpy()
    normals = trimesh.Trimesh(vertices, body.faces, process=False).vertex_normals.astype(np.float32)
    # A vertex of no face has no normal; files want one all the same.
    normals[np.abs(np.linalg.norm(normals, axis=1) - 1) > 1e-3] = (0, 1, 0)
    return RestShape(vertices, normals)


def influences(body: Body, most: int | None = None) -> tuple[NDArray[np.int64], Floats]:
    """Which joints move each vertex, and by how much: indices (V, K) and weights (V, K) that add up to 1.

    Args:
        body: the body model.
        most: how many joints a vertex may hang on, the strongest; by default as many as any has. Of the open body,
            which has up to six, four move single vertices by up to 5 mm.

    Returns:
        Both strongest first; a weight of zero has the index 0.
    """
    weights = body.weight_planes.numpy().T.astype(float)
    count = int((weights > 0).sum(1).max())
    joints = np.argsort(-weights, axis=1, kind="stable")[:, : min(count, most or count)]
    share = np.take_along_axis(weights, joints, 1)
    return np.where(share > 0, joints, 0), share / share.sum(1, keepdims=True)


def posed_surfaces(body: Body, character: Character) -> Iterator[NDArray[np.float32]]:
    """The vertices (V, 3) of a character at each of its times, metres; a few are in memory at once."""
    for _, vertices in surface_parts(body, character):
        yield from vertices


def surface_parts(body: Body, character: Character) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The same, some times after the other: which of the times, and the vertices (n, V, 3) at these.

    Args:
        body: the body model, or a `subset` of its vertices.
        character: who is posed.
    """
    betas, rotmat, transl = torch.from_numpy(character.betas), torch.from_numpy(character.rotmat), character.transl
    for start in range(0, len(rotmat), POSED_AT_ONCE):
        part = slice(start, start + POSED_AT_ONCE)
        with torch.inference_mode():
            vertices = body(rotmat[part], betas.expand(len(rotmat[part]), -1)).vertices
        assert vertices is not None
        yield part, vertices.numpy() + transl[part, None]


def rest_is_all(body: Body) -> bool:
    """Whether bones alone shape a body: those with pose blend shapes, as SMPL has, also bulge as joints bend."""
    return body.pose_planes is None
