"""TRC, the marker files of Motion Analysis, in the layout that OpenSim reads: y up, metres, one person a file.

OpenSim's reader takes what lies between two tabs for a cell and none after the last tab of a line, so every cell is
followed by one: a line whose last cells are empty keeps its length.
"""

from __future__ import annotations

import numpy as np

from glot_cli.errors import printable
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.markers import has_markers, points_of
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.text_rows import TextColumn, write_rows

_KEYS = (
    "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames",
)  # fmt: skip


def write(cast: Cast, box: Outbox) -> None:
    """Write one file a person and shot, at a constant rate; cells are empty where the person is not seen."""
    if not has_markers(cast):
        box.note("trc: joints only, for places of surface markers are known of the open body alone")
    for character in cast.evenly_seen(box, "trc"):
        points = points_of(cast, character)
        rate, count = f"{float(cast.rate):.6g}", len(character.times)
        # Frame f is at (f - OrigDataStartFrame) / DataRate seconds.
        frames = np.rint(character.times * float(cast.rate)).astype(np.int64) + 1
        values = [rate, rate, str(count), str(len(points.names)), "m", rate, "1", str(count)]
        name = f"{cast.stem}_{cast.name_of(character)}.trc"
        with box.path(name).open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"PathFileType\t4\t(X/Y/Z)\t{printable(name)}\n")
            file.write("\t".join(_KEYS) + "\n" + "\t".join(values) + "\n")
            file.write("Frame#\tTime\t" + "".join(f"{point}\t\t\t" for point in points.names) + "\n")
            numbered = range(1, len(points.names) + 1)
            file.write("\t\t" + "".join(f"X{n}\tY{n}\tZ{n}\t" for n in numbered) + "\n\n")
            places = TextColumn(points.places.reshape(count, -1), "%.5f")
            write_rows(
                file, [TextColumn(frames, "%d"), TextColumn(character.times, "%.6f"), places], "\t", trailing=True
            )
