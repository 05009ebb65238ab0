"""C3D, the binary files of motion laboratories (c3d.org): z up, millimetres, one person a file."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np

from glot_cli.errors import UsageError
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.markers import has_markers, points_of
from glot_cli.exporting.outbox import LIBRARY, Outbox
from glot_cli.files.atomic import aside_name

try:
    import ezc3d
except ImportError as error:
    raise UsageError("c3d needs ezc3d", remedy="pip install 'glot-cli[c3d]'", option="format") from error

_BLOCK, _POINT = 512, 16  # bytes of the least header and parameters each, and of a point
LAST = 65535  # frame that the file's header can name


def write(cast: Cast, box: Outbox) -> None:
    """Write one file a person and shot, at a constant rate; residuals are -1 where the person is not seen."""
    if not has_markers(cast):
        box.note("c3d: joints only, for places of surface markers are known of the open body alone")
    for character in cast.evenly_seen(box, "c3d"):
        points = points_of(cast, character)
        first = int(np.searchsorted(cast.times, character.times[0]))
        if first + len(character.times) > LAST:
            box.note(f"c3d: {cast.name_of(character)} begins at frame 1, for frames above {LAST} cannot be named")
            first = 0
        places = points.places[..., [0, 2, 1]].transpose(2, 1, 0) * np.array([1000, -1000, 1000])[:, None, None]
        file = ezc3d.c3d()
        point = file["parameters"]["POINT"]
        point["UNITS"]["value"], point["RATE"]["value"] = ["mm"], [float(cast.rate)]
        point["LABELS"]["value"] = list(points.names)
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
        file["data"]["points"] = np.concatenate([places, np.ones((1, *places.shape[1:]))])
        residuals = np.where(np.isnan(places[:1]), -1.0, 0.0)
        file["data"]["meta_points"]["residuals"] = residuals
        file["header"]["points"]["first_frame"] = first
        file["header"]["points"]["last_frame"] = first + len(character.times) - 1
        name = f"{cast.stem}_{cast.name_of(character)}.c3d"
        aside, ending = box.path(name), aside_name(box.folder / name, LIBRARY)  # ezc3d would add it
        try:
            file.write(str(ending))
            _check_whole(ending, places.size // 3)
            ending.replace(aside)
        finally:
            ending.unlink(missing_ok=True)


def _check_whole(path: Path, points: int) -> None:
    """See that so many points are in a file: ezc3d says nothing of a disk that is full. Raises OSError."""
    size = path.stat().st_size
    if size < 2 * _BLOCK + points * _POINT:
        raise OSError(errno.ENOSPC, f"only {size:,} bytes of it could be written", str(path))
