"""What is asked of clips, and what each of them draws where nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from glot_cli.errors import UsageError

MOST_PEOPLE = 3
WIDEST_PAN = 60.0  # degrees; the empty room is drawn on one plane, which a wider turn would stretch without end


@dataclass(frozen=True)
class Wishes:
    """What holds for all clips of a set; None: each clip draws its own.

    size: width and height in pixels, both even. takes: names, one a person; none: drawn. bounce: play takes that are
    too short to and fro. loose: clothes stand off the skin. focal in pixels, height (of the camera above the floor)
    and distance (to the first person) in metres, pan in degrees that the camera turns through the clip, crf of x264.
    phone, shake, obstacle: shares of the clips, 0 to 1, with a cheap camera's picture, an unsteady hand, a thing in
    front of somebody. Raises UsageError for what cannot be.
    """

    seconds: float = 6.0
    fps: Fraction = Fraction(30)
    size: tuple[int, int] = (1280, 720)
    people: int | None = None
    takes: tuple[str, ...] = ()
    bounce: bool = False
    loose: bool = True
    focal: float | None = None
    height: float | None = None
    distance: float | None = None
    pan: float | None = None
    crf: int | None = None
    phone: float = 0.5
    shake: float = 0.3
    obstacle: float = 0.2

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.frames < 2:
            raise UsageError(f"--seconds {self.seconds:g} at --fps {self.fps}: less than two frames; ask for more")
        if self.takes and self.people not in (None, len(self.takes)):
            raise UsageError(f"--takes: {len(self.takes)} takes for {self.people} people; name one a person")
        if len(self.takes) > MOST_PEOPLE:
            raise UsageError(f"--takes: {len(self.takes)} takes; there is room for {MOST_PEOPLE} people at most")
        if self.pan is not None and abs(self.pan) > WIDEST_PAN:
            raise UsageError(f"--pan {self.pan:g}: more than {WIDEST_PAN:g} degrees; ask for a smaller turn")

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


@dataclass(frozen=True)
class Shot:
    """What one clip came to. pan: degrees through the clip; shake: standard deviation in degrees."""

    people: int
    pan: float
    shake: float
    phone: bool
    obstacle: bool
    crf: int


def settle(wishes: Wishes, rng: np.random.Generator) -> Shot:
    """Draw what is not asked for. Everything is drawn every time, so that one wish does not change the rest."""
    people = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    turns, pan = rng.random() < 0.35, rng.choice([-1, 1]) * rng.uniform(8, 30)
    shake = rng.uniform(0.15, 0.6)
    shaken, phone, obstacle = rng.random(3) < (wishes.shake, wishes.phone, wishes.obstacle)
    coarse = int(rng.integers(23, 34))  # what a phone's encoder leaves
    if wishes.takes:
        people = len(wishes.takes)
    elif wishes.people is not None:
        people = wishes.people
    if wishes.pan is not None:
        turns, pan = True, wishes.pan
    crf = wishes.crf if wishes.crf is not None else coarse if phone else 23
    return Shot(people, float(pan * turns), float(shake * shaken), bool(phone), bool(obstacle), crf)
