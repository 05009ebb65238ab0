"""The open body with its clothes on."""

from __future__ import annotations

import numpy as np

from glot_cli import weights
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.rendering.geometry import NormalMap
from glot_cli.synth.wardrobe import Outfit, Wardrobe

BODY = "open-body"


class Figures:
    """body: the open body, `num_vertices` V; wardrobe: its clothes; normals: of its surface."""

    def __init__(self) -> None:
        path = weights.locate(BODY)
        self.body = Body.load(path)
        parts = read_body_arrays(path)
        names = [str(name) for name in parts["region_names"]]
        regions = parts["vertex_region"].astype(int)
        self.wardrobe = Wardrobe(regions, names, parts["v_template"], self.body.faces)
        self.normals = NormalMap(self.body.faces, self.body.num_vertices)

    def clothed(self, skin: np.ndarray, outfit: Outfit) -> tuple[np.ndarray, np.ndarray]:
        """The outside (V, 3) of a body whose skin (V, 3) is known, and its unit normals (V, 3)."""
        outside = skin + self.normals(skin) * outfit.offset[:, None]
        return outside, self.normals(outside)
