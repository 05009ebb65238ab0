"""Many small motions between pictures, put together to one that runs through all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]
Pair = tuple[int, int]  # from which picture to which

LOOSE = 1e-3  # weight of "the camera did not move from one picture to the next" against what was seen
ROUNDS = 4
SPREAD = np.radians(0.2)  # of turns that add up; those that do not are believed the less


def chain_rotations(pairs: Sequence[Pair], turns: Floats, count: int) -> Floats:
    """Rotations from the first picture to every other.

    Pictures that nothing leads to stay as those beside them are, or halfway between them.

    Args:
        pairs: (E,) of pictures, the later one second.
        turns: (E, 3, 3) rotations from the axes of the first of each pair to those of the second.
        count: of all pictures, L.

    Returns:
        (L, 3, 3); the first is the identity.
    """
    rotations = np.repeat(np.eye(3)[None], count, 0)
    into = {second: (first, turn) for (first, second), turn in zip(pairs, turns, strict=True)}
    for number in range(1, count):
        first, turn = into.get(number, (number - 1, np.eye(3)))
        rotations[number] = turn @ rotations[first]
    ends = np.array(list(pairs), int).reshape(-1, 2)
    weights = np.ones(len(ends))
    for _ in range(ROUNDS if count > 1 else 0):
        gaps = _log(rotations[ends[:, 1]].transpose(0, 2, 1) @ turns @ rotations[ends[:, 0]])
        pauses = _log(rotations[1:].transpose(0, 2, 1) @ rotations[:-1])
        rotations = rotations @ Rotation.from_rotvec(_settle(ends, gaps, pauses, weights)).as_matrix()
        left = _log(rotations[ends[:, 1]].transpose(0, 2, 1) @ turns @ rotations[ends[:, 0]])
        weights = 1 / (1 + (np.linalg.norm(left, axis=1) / SPREAD) ** 2)
    return rotations


def chain_places(pairs: Sequence[Pair], steps: Floats, count: int) -> Floats:
    """Places (L, 3) of all pictures, the first at 0, of steps (E, 3) between pairs of them in common axes."""
    ends = np.array(list(pairs), int).reshape(-1, 2)
    if count < 2:
        return np.zeros((count, 3))
    return _settle(ends, steps, np.zeros((count - 1, 3)), np.ones(len(ends)))


def _settle(ends: NDArray[np.int_], steps: Floats, pauses: Floats, weights: Floats) -> Floats:
    """Values (L, 3), the first 0, whose differences are as near as can be to `steps` over pairs, `pauses` in a row."""
    count = len(pauses) + 1
    row = np.arange(count - 1)
    ends = np.concatenate([ends, np.stack([row, row + 1], 1)])
    weights = np.concatenate([weights, np.full(count - 1, LOOSE**2)])
    values = np.concatenate([steps, pauses]) * weights[:, None]
    index = np.arange(len(ends))
    signs = np.concatenate([-np.ones(len(ends)), np.ones(len(ends))])
    places = np.concatenate([index, index]), np.concatenate([ends[:, 0], ends[:, 1]])
    incidence = coo_matrix((signs, places), shape=(len(ends), count)).tocsc()[:, 1:]
    normal = (incidence.T @ incidence.multiply(weights[:, None])).tocsc()
    return np.concatenate([np.zeros((1, 3)), splu(normal).solve(incidence.T @ values)])


def _log(rotations: Floats) -> Floats:
    """Rotation vectors (n, 3) of rotations (n, 3, 3), radians."""
    return np.asarray(Rotation.from_matrix(rotations).as_rotvec())
