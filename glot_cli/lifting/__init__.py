"""From features of a track to a body in every frame: windows, placing, refinement, smoothing."""

from typing import Literal

Edges = Literal["replicate", "official"]  # how windows at the ends of a track are filled; here, for it needs no torch
