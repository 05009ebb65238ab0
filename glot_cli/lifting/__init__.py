"""From features to bodies before the camera."""

from typing import Literal

Edges = Literal["replicate", "official"]  # how windows at the ends of a track are filled; here, for it needs no torch
