"""Clothes for drawn bodies: colours by the parts of their surface, patterns, and cloth that stands off the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from glot_cli import weights
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.rendering.geometry import NormalMap, unique_edges

BODY = "open-body"
THICKEST = 0.045  # metres, how far the loosest cloth stands off the skin on average
CREASE = 0.35  # standard deviation of that distance along one garment, as a share of it


@dataclass(frozen=True)
class Outfit:
    """How one body is dressed.

    Attributes:
        colours: (V, 4) float32 RGBA, 0 to 1, opaque.
        offset: (V,) how far its outside stands off the skin along the normals, metres.
    """

    colours: np.ndarray
    offset: np.ndarray


class Wardrobe:
    """Dresses bodies of one topology.

    Args:
        regions: (V,) index into `names` (`vertex_region` of the open body).
        names: of the parts of the surface (`region_names`).
        template: (V, 3) metres, the body at rest.
        faces: (F, 3) vertex indices.
    """

    def __init__(self, regions: np.ndarray, names: list[str], template: np.ndarray, faces: np.ndarray) -> None:
        self.regions, self.names = regions, names
        self.template = template
        edges = unique_edges(np.asarray(faces))
        both = np.concatenate([edges, edges[:, ::-1]])
        count = len(template)
        adjacent = sparse.csr_matrix((np.ones(len(both), np.float32), (both[:, 0], both[:, 1])), shape=(count, count))
        adjacent = adjacent + sparse.identity(count, dtype=np.float32, format="csr")
        self._mean = sparse.diags(1 / np.asarray(adjacent.sum(1)).ravel()) @ adjacent

    def dress(self, rng: np.random.Generator) -> Outfit:
        """A random outfit: skin, hair, and clothes that cover some of the limbs, tight or loose, plain or patterned."""
        skin = np.array([0.85, 0.62, 0.48]) * rng.uniform(0.25, 1.1) * (1 + rng.normal(size=3) * 0.04)
        hair = np.array([0.35, 0.25, 0.17]) * rng.uniform(0.15, 2.2)
        top, trousers, shoes = (_cloth(rng) for _ in range(3))
        sleeves, legs = rng.random(), rng.random()
        worn = {"torso": top, "pelvis_thigh": trousers, "foot": shoes}
        if sleeves < 0.85:
            worn["upper_arm"] = top
        if sleeves < 0.5:
            worn["forearm"] = top
        if legs < 0.7:
            worn["shin"] = trousers
        if rng.random() < 0.1:
            del worn["foot"]
        bare = {"hair": hair, "eye": np.full(3, 0.9), "iris": np.array([0.15, 0.1, 0.08]), "eyebrow": hair}
        bare["lips"] = skin * [1, 0.65, 0.65]
        table = np.array([worn.get(name, bare.get(name, skin)) for name in self.names])
        colours = np.clip(table, 0.01, 1.0)[self.regions]
        for parts in (("torso", "upper_arm", "forearm"), ("pelvis_thigh", "shin")):
            if rng.random() < 0.35:
                covered = self._covers([part for part in parts if part in worn])
                colours[covered] *= self._pattern(rng)[covered, None]
        colours = colours * (1 + 0.04 * rng.normal(size=(len(self.regions), 1)))
        opaque = np.concatenate([np.clip(colours, 0, 1), np.ones((len(self.regions), 1))], 1).astype(np.float32)
        return Outfit(opaque, self._thickness(worn, rng))

    def _covers(self, parts: list[str]) -> np.ndarray:
        return np.isin(self.regions, [self.names.index(part) for part in parts])

    def _pattern(self, rng: np.random.Generator) -> np.ndarray:
        """Brightness (V,) of stripes or checks across the body at rest."""
        stripes = np.sin(self.template[:, 1] * rng.uniform(25, 110) + rng.uniform(0, 6))
        if rng.random() < 0.4:
            stripes = stripes * np.sin(self.template[:, 0] * rng.uniform(25, 110))
        return 1 + rng.uniform(0.2, 0.7) * np.sign(stripes) * (1 if rng.random() < 0.5 else -1)

    def _thickness(self, worn: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """How far the outside stands off the body (V,): garments by a share of THICKEST each, creased; hair more."""
        noise = rng.normal(size=len(self.regions)).astype(np.float32)
        for _ in range(6):
            noise = self._mean @ noise
        creases = noise / max(float(noise.std()), 1e-6)
        offset = np.zeros(len(self.regions), np.float32)
        loose = rng.random(2) ** 2 * THICKEST
        for part in worn:
            thickness = 0.008 if part == "foot" else loose[0 if part in ("torso", "upper_arm", "forearm") else 1]
            covered = self._covers([part])
            offset[covered] = thickness * np.clip(1 + CREASE * creases[covered], 0.2, 2)
        offset[self._covers(["hair"])] = rng.uniform(0, 0.04) * rng.random()
        return np.asarray(self._mean @ (self._mean @ offset))  # a hem is no cliff


def _cloth(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.uniform(0.02, 0.9) * (1 + rng.normal(size=3) * rng.choice([0.05, 0.5])))


class Figures:
    """The open body with its clothes on.

    Attributes:
        body: the open body.
        wardrobe: its clothes.
        normals: of its surface.

    Raises:
        WeightsError: the body is not there, or damaged.
    """

    def __init__(self) -> None:
        path = weights.locate(BODY)
        self.body = Body.load(path)
        parts = read_body_arrays(path)
        names = [str(name) for name in parts["region_names"]]
        regions = parts["vertex_region"].astype(int)
        self.wardrobe = Wardrobe(regions, names, parts["v_template"], self.body.faces)
        self.normals = NormalMap(self.body.faces, self.body.num_vertices)

    def clothed(self, skin: np.ndarray, outfit: Outfit) -> tuple[np.ndarray, np.ndarray]:
        """The outside (V, 3) of a body whose skin (V, 3) is known, metres, and its unit normals (V, 3)."""
        outside = skin + self.normals(skin) * outfit.offset[:, None]
        return outside, self.normals(outside)
