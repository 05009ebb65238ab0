"""The page on biomechanics says what the code does."""

from __future__ import annotations

import re

from glot_cli.exporting import foot_events, opensim_motion
from glot_cli.exporting.anatomy import ANGLES, LOCKED
from glot_cli.exporting.catalogue import FORMATS
from glot_cli.exporting.foot_events import EVENTS
from glot_cli.exporting.markers import MARKERS
from tests.documents import PAGES, section, tables

PAGE = "docs/biomechanics.md"


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_markers_stand_there_with_their_vertices() -> None:
    (rows,) = tables(section(PAGE, "Markers"))
    listed = {
        name: int(vertex)
        for cell, vertices, *_ in rows
        for name, vertex in zip(names(cell), vertices.split(", "), strict=True)
    }
    assert listed == MARKERS


def test_angles_stand_there_and_which_of_them_opensim_gets() -> None:
    (rows,) = tables(section(PAGE, "Joint angles"))
    listed = [name for cell, *_ in rows for name in names(cell)]
    assert listed == list(dict.fromkeys(re.sub(r"_[rl]$", "", angle) for angle in ANGLES))
    told = {"": 0, "yes": 3, "the first": 1, "the first two": 2, "in the model's order tilt, list, rotation": 0}
    in_mot = {name for cell, _, mot in rows for name in names(cell)[: told[mot]]}
    assert in_mot == {re.sub(r"_[rl]$", "", name) for name in opensim_motion.COORDINATES}
    assert f"Within {LOCKED:.0f} degrees of" in section(PAGE, "Joint angles")


def test_events_and_their_bounds_stand_there() -> None:
    text = section(PAGE, "Events")
    assert set(names(text)) == {"contact", *(event for pair in EVENTS.values() for event in pair)}
    assert f"probability of {foot_events.ON}" in text and f"until one of {foot_events.OFF}" in text


def test_formats_stand_there() -> None:
    rows = tables(PAGES[PAGE].split("\n## ")[0])[0]
    formats = [name for cell, *_ in rows for name in names(cell)]
    assert formats == [name for name in FORMATS if name in formats] and len(formats) == 8
