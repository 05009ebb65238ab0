"""What there is to choose from in an export; imports nothing, for the command line's help."""

from __future__ import annotations

from typing import Literal, NamedTuple

Space = Literal["floor", "camera"]
SPACES: tuple[Space, ...] = ("floor", "camera")
NAMINGS = ("smpl", "mixamo", "unreal")
FASTEST = 1000.0  # frames a second that can be asked for


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        module: of this room, which writes it.
        meaning: what it is, for help.
    """

    module: str
    meaning: str


FORMATS = {
    "amass": Format("amass", "poses in AMASS's layout, .npz"),
}
