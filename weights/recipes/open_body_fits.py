"""Open body, third step: its shape space, and the joints as weighted means of its vertices."""

from __future__ import annotations

import numpy as np
import scipy.optimize
from open_body_people import HEAD, MIRROR_JOINT, NECK, PARENTS


def shape_components(samples: np.ndarray, area: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area-weighted PCA.

    Args:
        samples: (S,V,3) surfaces.
        area: (V,) that each vertex stands for.
        count: components wanted.

    Returns:
        Mean (V,3), components (V,3,count) of unit-variance coefficients, and the share of the variance that each of all
        components explains.
    """
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


def shape_scores(samples: np.ndarray, mean: np.ndarray, components: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Coefficients (S,K) of surfaces (S,V,3) in a shape space.

    Args:
        samples: the surfaces.
        mean: (V,3) of the space.
        components: (V,3,K) of the space, orthogonal where vertices are weighted by their area.
        area: (V,) that each vertex stands for.
    """
    weighted = (components * area[:, None, None]).reshape(-1, components.shape[-1])
    scores = (samples - mean).reshape(len(samples), -1) @ weighted
    return scores / (weighted * components.reshape(len(weighted), -1)).sum(0)


def fit_joint_regressor(
    samples: np.ndarray, joints: np.ndarray, mirror: np.ndarray, allowed: np.ndarray, close: int = 300, wide: int = 2400
) -> np.ndarray:
    """(24,V) sparse non-negative rows summing to 1 with `row @ samples[s] ~ joints[s]` (NNLS), mirror symmetric.

    MakeHuman moves some joints unlike the skin next to them, so beside the `close` nearest vertices every third of the
    next `wide` is offered: with near ones alone, knees and upper spine are 11 mm off instead of 8 to 10.

    Args:
        samples: (S,V,3) surfaces.
        joints: (S,24,3) of them.
        mirror: (V,) index of each vertex' mirror image.
        allowed: (24,V) bool: vertices that may carry each joint.
        close: nearest vertices offered.
        wide: further ones, of which every third is.
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

    `regressor` serves the rest pose alone; a hip that hangs on an elbow would move with the arm.

    Args:
        mean: (V,3) surface.
        components: (V,3,K) of the shape space.
        regressor: (24,V) of the rest pose.
        weights: (V,24) of the skinning.
        mirror: (V,) index of each vertex' mirror image.
        solid: (V,) bool: vertices that may carry joints.
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
    """(9,V) stand-in for SPIN's J_regressor_extra on this body, rows summing to 1.

    Placed by meaning: right hip, left hip, neck base (LSP); top of head (LSP); pelvis and thorax (MPII); spine, jaw,
    head (Human3.6M).

    Args:
        regressor: (24,V) of `fit_posed_regressor`.
        vertices: (V,3) of the mean body in T-pose.
        area: (V,) that each vertex stands for.
        landmarks: vertices by name.
    """

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
