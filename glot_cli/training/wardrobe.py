"""Clothes for drawn bodies: colours by the parts of their surface."""

from __future__ import annotations

import numpy as np


def dress(regions: np.ndarray, names: list[str], rng: np.random.Generator) -> np.ndarray:
    """Vertex colours (V, 4) float32, 0 to 1, opaque: skin, hair, and clothes that cover some of the limbs.

    regions (V,) indexes `names`, the parts of the surface (`vertex_region` and `region_names` of the open body).
    """
    skin = np.array([0.85, 0.62, 0.48]) * rng.uniform(0.25, 1.1) * (1 + rng.normal(size=3) * 0.04)
    hair = np.array([0.35, 0.25, 0.17]) * rng.uniform(0.15, 2.2)

    def cloth() -> np.ndarray:
        return rng.uniform(0.02, 0.9) * (1 + rng.normal(size=3) * rng.choice([0.05, 0.5]))

    top, trousers, shoes = cloth(), cloth(), cloth()
    of = {"skin": skin, "hair": hair, "torso": top, "hand": skin, "foot": shoes, "pelvis_thigh": trousers}
    of["eye"], of["iris"] = np.full(3, 0.9), np.array([0.15, 0.1, 0.08])
    of["lips"], of["eyebrow"] = skin * [1, 0.65, 0.65], hair
    sleeves, legs = rng.random(), rng.random()
    of["upper_arm"] = top if sleeves < 0.85 else skin
    of["forearm"] = top if sleeves < 0.5 else skin
    of["shin"] = trousers if legs < 0.7 else skin
    if rng.random() < 0.1:
        of["foot"] = skin
    table = np.array([of.get(name, skin) for name in names])
    colours = np.clip(table, 0.01, 1.0)[regions]
    colours = colours * (1 + 0.04 * rng.normal(size=(len(regions), 1)))
    return np.concatenate([np.clip(colours, 0, 1), np.ones((len(regions), 1))], 1).astype(np.float32)
