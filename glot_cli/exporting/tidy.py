"""A record as tables with one observation a row: joints, joint angles, events of the feet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.exporting.anatomy import ANGLES, joint_angles
from glot_cli.exporting.characters import Y_UP, Character, characters, sampled
from glot_cli.exporting.foot_events import foot_events
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.picture_points import to_picture


class TidyColumn(NamedTuple):
    """A column.

    Attributes:
        values: (N,) numbers, or texts as objects.
        decimals: that are told of it; None for whole numbers and texts.
    """

    values: NDArray[Any]
    decimals: int | None = None


Table = dict[str, TidyColumn]


def tables(cast: Cast, box: Outbox) -> Iterator[tuple[str, Table]]:
    """All tables by their names: "joints", "angles", "events". Draws the angles, where that is asked for.

    Rows are the record's own frames, or those at the rate that was asked for, at which somebody is seen.
    """
    shown = [_seen(cast, own) for own in cast.characters]
    yield "joints", _joints(cast, shown)
    angles = [joint_angles(character) for character in shown]
    if cast.plot:
        from glot_cli.exporting.angle_plots import draw_angles  # needs matplotlib

        for own, character, turned in zip(cast.characters, shown, angles, strict=True):
            if len(character.times):
                draw_angles(box, f"{cast.stem}_{cast.name_of(own)}_angles.png", character, turned)
    yield (
        "angles",
        _who(shown)
        | {f"{name}_deg": TidyColumn(np.concatenate([[], *(turned[name] for turned in angles)]), 3) for name in ANGLES},
    )
    yield "events", _events(cast)


def _seen(cast: Cast, own: Character) -> Character:
    """A character at the times of the tables."""
    return own if cast.fps is None else _only_seen(cast.evenly(own))


def _only_seen(character: Character) -> Character:
    return sampled(character, character.times[character.seen])


def _joined(parts: list[NDArray[Any]], kind: str) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *parts]).astype(kind)


def _who(shown: list[Character], each: int = 1) -> Table:
    """Frame, time, person and shot of every row, `each` rows a frame."""
    again = partial(np.repeat, repeats=each)
    return {
        "frame": TidyColumn(again(_joined([c.frames for c in shown], "int32"))),
        "time_s": TidyColumn(again(_joined([c.times for c in shown], "float64")), 6),
        "person": TidyColumn(again(_joined([np.full(len(c.times), c.person) for c in shown], "int32"))),
        "shot": TidyColumn(again(_joined([np.full(len(c.times), c.shot) for c in shown], "int32"))),
    }


def _joints(cast: Cast, shown: list[Character]) -> Table:
    result = cast.result
    before = shown if cast.space == "camera" else [
        sampled(own, character.times)
        for own, character in zip(characters(result, cast.body, "camera"), shown, strict=True)
    ]  # fmt: skip
    places = np.concatenate([np.zeros((0, 3), np.float32), *(c.joints.reshape(-1, 3) for c in shown)])
    seen = np.concatenate([np.zeros((0, len(cast.joint_names), 3), np.float32), *(c.joints for c in before)])
    pixels = to_picture(cast, seen @ Y_UP, _joined([c.times for c in before], "float64")).reshape(-1, 2)
    rows = _joined([c.rows for c in shown], "int64")
    names = np.array(cast.joint_names, object)
    table = _who(shown, len(names)) | {"joint": TidyColumn(np.tile(names, len(rows)))}
    table |= {f"{axis}_m": TidyColumn(places[:, i], 5) for i, axis in enumerate("xyz")}
    table |= {f"pixel_{axis}_px": TidyColumn(pixels[:, i], 2) for i, axis in enumerate("xy")}
    table["score"] = TidyColumn(np.repeat(result.score[rows], len(names)), 3)
    if "joint_error" in result.arrays:
        table["joint_error_m"] = TidyColumn(result.arrays["joint_error"][rows].reshape(-1), 4)
    return table


def _events(cast: Cast) -> Table:
    found = foot_events(cast.result)
    columns = list(zip(*found, strict=True)) if found else [()] * 6
    kinds = ("int32", "float64", "int32", "int32", "object", "object")
    names = ("frame", "time_s", "person", "shot", "side", "event")
    decimals = (None, 6, None, None, None, None)
    return {
        name: TidyColumn(np.array(values, kind), digits)
        for name, values, kind, digits in zip(names, columns, kinds, decimals, strict=True)
    }
