"""BVH, the text format of motion capture: a skeleton and its motion for each person and shot, at a constant rate.

Centimetres, as most programs take a BVH's numbers, y up. Rotations are written in the order ZXY, which is close to no
gimbal lock in a body that stands, and counted on beyond a whole turn, so that no step from frame to frame is large. The
first frame is that of the shot's first row: people of one shot stay together, and who comes later holds a pose.
"""

from __future__ import annotations

from typing import IO

import numpy as np
from numpy.typing import NDArray

from glot_cli.exporting.characters import Character, sampled
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.smpl import NUM_JOINTS, SMPL_PARENTS

Floats = NDArray[np.floating]

_CM = 100.0  # in a metre
_END = 0.5  # of the bone before it, which is how far a hand, a foot and the head reach
_ROWS = 1000  # of numbers as text in memory


def write(cast: Cast, box: Outbox) -> None:
    """Write one file a person and shot."""
    if not cast.characters:
        box.note("bvh: nobody is in the record, there is no file")
        return
    if cast.hide:
        box.note("bvh: the format cannot hide anybody, who is not seen holds a pose")
    begins: dict[int, float] = {}
    for own in cast.characters:
        begins[own.shot] = min(float(own.times[0]), begins.get(own.shot, np.inf))
    for own in cast.characters:
        character = sampled(own, cast.times_between(begins[own.shot], own.times[-1]))
        with box.path(f"{cast.stem}_{cast.name_of(own)}.bvh").open("w", encoding="ascii", newline="\n") as file:
            file.write("HIERARCHY\n")
            for line in _skeleton(character, cast.joint_names, 0):
                file.write(f"{line}\n")
            file.write(f"MOTION\nFrames: {len(character.times)}\nFrame Time: {1 / float(cast.rate):.10f}\n")
            _write_rows(file, character)


def _skeleton(character: Character, names: tuple[str, ...], joint: int, depth: int = 0) -> list[str]:
    """Lines of a joint and of all below it."""
    pad, parent = "\t" * depth, SMPL_PARENTS[joint]
    # The root's place is in its channels alone: programs do not agree on whether its offset is added to them.
    offset = _CM * (character.rest[joint] - character.rest[max(parent, 0)])
    channels = "Zrotation Xrotation Yrotation"
    lines = [f"{pad}{'JOINT' if depth else 'ROOT'} {names[joint]}", f"{pad}{{", f"{pad}\tOFFSET {_spaced(offset)}"]
    lines += [f"{pad}\tCHANNELS {3 if depth else 6} {'' if depth else 'Xposition Yposition Zposition '}{channels}"]
    below = [child for child in range(NUM_JOINTS) if SMPL_PARENTS[child] == joint]
    for child in below:
        lines += _skeleton(character, names, child, depth + 1)
    if not below:
        lines += [f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {_spaced(_END * offset)}", f"{pad}\t}}"]
    return [*lines, f"{pad}}}"]


def _spaced(values: Floats) -> str:
    return " ".join(f"{value:.6f}" for value in values.tolist())


def _write_rows(file: IO[str], character: Character) -> None:
    """A line of numbers for each frame: the root's place, then angles of every joint as the hierarchy has them."""
    # One joint after the other: what is worked out on the way takes ten times the room of what is kept.
    angles = [np.degrees(zxy_angles(character.rotmat[:, joint].astype(float))) for joint in _in_depth(0)]
    values = np.concatenate([_CM * character.root.astype(float), *angles], 1)
    # A hundred-thousandth of a degree moves nothing by more than 1e-4 mm. One template a line beats np.savetxt by far.
    template = " ".join(["%.4f"] * 3 + ["%.5f"] * 3 * NUM_JOINTS) + "\n"
    for start in range(0, len(values), _ROWS):
        file.writelines(template % tuple(row) for row in values[start : start + _ROWS].tolist())


def _in_depth(joint: int) -> list[int]:
    """A joint and those below it, each before the ones below it, as in the hierarchy."""
    below = (child for child in range(NUM_JOINTS) if SMPL_PARENTS[child] == joint)
    return [joint, *(deeper for child in below for deeper in _in_depth(child))]


def zxy_angles(rotmat: Floats) -> Floats:
    """Angles z, x, y (T, ..., 3) in radians of rotations (T, ..., 3, 3) over time: R = Rz(z) Rx(x) Ry(y).

    Every rotation has two such triples, (z, x, y) and (z + pi, pi - x, y + pi), and each of the angles whole turns to
    spare: what is nearest to the frame before is taken. The formulas are those of the matrix written out; y and x are
    read off what z leaves, which keeps the product exact where x is a right angle and z could be anything.
    """
    z = np.arctan2(-rotmat[..., 0, 1], rotmat[..., 1, 1])
    sure = np.hypot(rotmat[..., 0, 1], rotmat[..., 1, 1]) > 1e-4
    frame = np.arange(len(z)).reshape(-1, *(1,) * (z.ndim - 1))
    last = np.maximum.accumulate(np.where(sure, frame, 0), 0)  # in gimbal lock z stays what it was
    z = np.take_along_axis(z, last, 0)
    cos, sin = np.cos(z), np.sin(z)
    row_x = cos[..., None] * rotmat[..., 0, :] + sin[..., None] * rotmat[..., 1, :]  # of Rz(-z) R
    row_y = cos[..., None] * rotmat[..., 1, :] - sin[..., None] * rotmat[..., 0, :]
    y = np.arctan2(row_x[..., 2], row_x[..., 0])
    x = np.arctan2(rotmat[..., 2, 1], row_y[..., 1])
    angles = np.stack([z, x, y], -1)
    other = np.stack([z + np.pi, np.pi - x, y + np.pi], -1)
    # From one kind of triple to the same kind is as far for either kind, and so is the way from one to the other.
    same, across = (np.abs(_turn(kind[1:] - angles[:-1])).sum(-1) for kind in (angles, other))
    crossed = np.cumsum(across < same, 0) % 2 == 1
    crossed = np.concatenate([np.zeros_like(sure[:1]), crossed])
    unwrapped: Floats = np.unwrap(np.where(crossed[..., None], other, angles), axis=0)
    return unwrapped


def _turn(angles: Floats) -> Floats:
    """The same angles from -pi to pi."""
    small: Floats = (angles + np.pi) % (2 * np.pi) - np.pi
    return small
