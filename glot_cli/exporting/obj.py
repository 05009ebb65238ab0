"""Wavefront OBJ: text that every program reads, a file for each person and frame."""

from __future__ import annotations

from glot_cli.exporting.formats import Cast
from glot_cli.exporting.mesh_sequences import write_meshes
from glot_cli.exporting.outbox import Outbox


def write(cast: Cast, box: Outbox) -> None:
    """Write the surfaces of everybody."""
    write_meshes(cast, box, "obj")
