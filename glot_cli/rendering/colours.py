"""Which colour a person wears: a pure function of the person id, so it never changes between runs or frames."""

from __future__ import annotations

import colorsys

# Okabe and Ito's set ("Color Universal Design", 2008), which people with colour-blindness tell apart, lightened
# a little so that shading stays visible on it. sRGB, 0 to 1.
_FIRST = (
    (0.42, 0.74, 0.93),  # sky blue
    (0.93, 0.68, 0.25),  # orange
    (0.25, 0.72, 0.58),  # bluish green
    (0.85, 0.58, 0.74),  # reddish purple
    (0.93, 0.88, 0.42),  # yellow
    (0.28, 0.54, 0.80),  # blue
    (0.88, 0.46, 0.28),  # vermilion
    (0.78, 0.78, 0.78),  # light grey
)
_GOLDEN_ANGLE = 0.38196601125  # of a turn: successive hues never come close to one another


def person_colour(person: int) -> tuple[float, float, float]:
    """sRGB colour (each 0 to 1) of a person id; ids beyond the first eight take golden-angle hues."""
    if 0 <= person < len(_FIRST):
        return _FIRST[person]
    hue = (person * _GOLDEN_ANGLE) % 1.0
    return colorsys.hsv_to_rgb(hue, 0.45 if person % 2 else 0.65, 0.9)
