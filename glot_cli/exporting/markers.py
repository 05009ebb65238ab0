"""Surface markers: the places on the open body's skin at which a gait laboratory would stick them.

Names are those of the full-body model of Rajagopal et al. (2016), so that OpenSim finds its own. Each is the vertex
nearest to where the anatomy has it: bony landmarks by their distance from the joint centres and by shares of stature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.exporting.characters import Character
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.surface import surface_parts
from glot_cli.weights.bodies import is_open

# Vertex of the open bodies; of a pair the left and the right one.
_MIDDLE = {"C7": 47, "T10": 60, "CLAV": 51, "STRN": 57, "SACR": 92, "HEAD": 33, "FHEAD": 7}
_PAIRS = {
    "HEAD": (2709, 6123), "ACR": (744, 4158), "LEL": (1509, 4923), "MEL": (1559, 4973), "FAradius": (1746, 5160),
    "FAulna": (1644, 5058), "ASI": (2091, 5505), "PSI": (1993, 5407), "LFC": (2300, 5714), "MFC": (2319, 5733),
    "LMAL": (3285, 6699), "MMAL": (3259, 6673), "CAL": (2995, 6409), "TOE": (3140, 6554), "MT5": (3136, 6550),
}  # fmt: skip
MARKERS = _MIDDLE | {
    f"{letter}{name}": pair[side] for side, letter in ((1, "R"), (0, "L")) for name, pair in _PAIRS.items()
}


class MarkerPoints(NamedTuple):
    """What formats of points write.

    Attributes:
        names: of K points.
        places: (T, K, 3) metres; NaN where the person is not seen.
    """

    names: tuple[str, ...]
    places: NDArray[np.float32]


def has_markers(cast: Cast) -> bool:
    """Whether the record's body is one whose markers are known: all open ones, which have the same vertices."""
    return is_open(cast.result.meta.body_model)


def points_of(cast: Cast, character: Character) -> MarkerPoints:
    """Surface markers, where the body has them, and the 24 joints of a character."""
    places, names = character.joints, cast.joint_names
    if has_markers(cast):
        skin = cast.body.subset(np.array(list(MARKERS.values())))
        marked = [part for _, part in surface_parts(skin, character)]
        places = np.concatenate([np.concatenate(marked), places], 1)
        names = (*MARKERS, *names)
    places = places.copy()
    places[~character.seen] = np.nan
    return MarkerPoints(names, places)
