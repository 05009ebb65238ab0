"""`glot info`: what a record holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from glot_cli.cli import options
from glot_cli.cli.stopping import loading
from glot_cli.cli.telling import tell_error
from glot_cli.errors import counted, printable

MOST_GAPS = 5  # told one by one


@click.command("info", short_help="Say what a result holds: people, times, gaps, shots, camera, keys.")
@click.argument("params", metavar="PARAMS...", nargs=-1, required=True, type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each record, with all there is to know.")
@options.debug
def command(params: tuple[Path, ...], as_json: bool, debug: bool) -> int:
    """Say what PARAMS (params.npz, the folder of a result, or one file of its frames/) hold, one or several."""
    with loading():
        from glot_cli.information import info

    status = 0
    for path in params:
        try:
            about = info(path)
        except Exception as error:
            status = tell_error(error, about=path, among=params)
            continue
        if as_json:
            print(json.dumps(about), flush=True)
        else:
            print("\n".join(map(printable, _lines(about))), flush=True)
    return status


def _lines(about: dict[str, Any]) -> Iterator[str]:
    video, made, camera = about["video"], about["made_by"], about["camera"]
    yield about["path"]
    last = video["first_frame"] + video["frames"] - 1
    seen = f"frames {video['first_frame']} to {last}" if video["frames"] else "no frames"
    yield f"  video    {video['name']}, {video['width']}x{video['height']}, {video['fps']} frames/s, {seen}"
    yield f"  made by  glot {made['program_version']}, preset {made['preset']}, body {made['body_model']}, " + (
        f"format {made['format_version']}"
    )
    least, most = camera["focal_lengths"]
    zooms = f", zooms from {least:.0f} to {most:.0f} px" if most > 1.01 * least else ""
    yield f"  camera   focal length {camera['focal_length']:.0f} px, {camera['field_of_view']:.0f} degrees wide{zooms}"
    shots = about["shots"]
    for number, shot in enumerate(shots):
        name = f"shot {number}" if len(shots) > 1 else "world"
        where = f"frames {shot['first_frame']} to {shot['last_frame']}, " if len(shots) > 1 else ""
        yield f"  {name:<8} {where}{_world(shot)}"
    people = about["people"]
    yield f"  people   {len(people)}, {counted(video['rows'], 'row')}"
    for person in people:
        yield f"    {person['person']:>3}    {_span(person)}"
    yield ""
    yield from _table([["key", "type", "shape", "unit", "frame of reference"]] + [_key(a) for a in about["arrays"]])


def _world(shot: dict[str, Any]) -> str:
    if "camera_motion" not in shot:
        return "none"
    known = shot["camera_motion"] != "given"
    how = f"{shot['camera_motion']} camera (sure {shot['camera_confidence']:.2f})" if known else "camera given"
    up = f"up within {shot['gravity_error']:.1f} degrees" if shot["gravity_error"] else "up given"
    return f"{how}, {up}"


def _span(person: dict[str, Any]) -> str:
    times = f"{person['first_time']:.2f} to {person['last_time']:.2f} s"
    line = f"{times}, frames {person['first_frame']} to {person['last_frame']}, {counted(person['frames'], 'row')}"
    line += f", score {person['mean_score']:.2f}"
    if gaps := person["gaps"]:
        told = ", ".join(f"{counted(g['frames'], 'frame')} after {g['after_frame']}" for g in gaps[:MOST_GAPS])
        line += f", {counted(len(gaps), 'gap')}: {told}{', ...' if len(gaps) > MOST_GAPS else ''}"
    return line


def _key(array: dict[str, Any]) -> list[str]:
    shape = ", ".join(map(str, array["shape"])) + ("," if len(array["shape"]) == 1 else "")
    return [array["name"], array["type"], f"({shape})", array["unit"], array["frame"]]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
