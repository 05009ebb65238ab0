"""What is asked of clips, and what each of them draws where nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from glot_cli.errors import OutputError, UsageError

MOST_PEOPLE = 3
CAMERAS = ("static", "pan", "handheld", "travel", "zoom")
ZOOMS = (1.25, 1.8)  # focal length at one end of a clip over that at the other, of a camera that zooms
WIDEST_PAN = 60.0  # degrees; the empty room is drawn on one plane, which a wider turn would stretch without end


@dataclass(frozen=True)
class ClipRequest:
    """What holds for all clips of a set; where it is None, each clip draws its own.

    Attributes:
        seconds: length of a clip.
        fps: frames a second.
        size: (width, height), pixels, both even.
        people: how many, 1 to MOST_PEOPLE.
        takes: names of what they play, one a person; none: drawn.
        bounce: play takes that are too short to and fro.
        loose: clothes stand off the skin.
        focal: focal length, pixels.
        height: of the camera above the floor, metres.
        distance: of the first person from the camera, metres.
        camera: of CAMERAS, of which each clip draws one; none: it stands, turns and shakes as `pan` and `shake` say.
        pan: turn of the camera through the clip, degrees.
        crf: of x264; lower is better.
        phone: share of the clips, 0 to 1, with a cheap camera's picture.
        shake: share of the clips from an unsteady hand, where `camera` does not say.
        obstacle: share of the clips with a thing in front of somebody.

    Raises:
        UsageError: it cannot be.
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
    camera: tuple[str, ...] = ()
    pan: float | None = None
    crf: int | None = None
    phone: float = 0.5
    shake: float = 0.3
    obstacle: float = 0.2

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.frames < 2:
            reason = f"{self.seconds:g} at {self.fps} frames a second: less than two frames"
            raise UsageError(reason, option="seconds", remedy="ask for more")
        if self.takes and self.people not in (None, len(self.takes)):
            reason = f"{len(self.takes)} takes for {self.people} people"
            raise UsageError(reason, option="takes", remedy="name one a person")
        if len(self.takes) > MOST_PEOPLE:
            reason = f"{len(self.takes)} takes; there is room for {MOST_PEOPLE} people at most"
            raise UsageError(reason, option="takes")
        if self.pan is not None and abs(self.pan) > WIDEST_PAN:
            reason = f"{self.pan:g} is more than {WIDEST_PAN:g} degrees"
            raise UsageError(reason, option="pan", remedy="ask for a smaller turn")
        if not set(self.camera) <= set(CAMERAS):
            reason = f"'{(set(self.camera) - set(CAMERAS)).pop()}' is no kind of camera"
            raise UsageError(reason, option="camera", remedy=f"choose of {', '.join(CAMERAS)}")
        if self.pan is not None and self.camera and not {"pan", "zoom"} & set(self.camera):
            reason = f"{self.pan:g} degrees for cameras that do not pan ({', '.join(self.camera)})"
            raise UsageError(reason, option="pan", remedy="ask for one that pans, or for no turn")

    @property
    def frames(self) -> int:
        """Of one clip."""
        return round(self.seconds * self.fps)


@dataclass(frozen=True)
class Shot:
    """What one clip came to.

    Attributes:
        people: how many.
        pan: turn of the camera through the clip, degrees.
        shake: standard deviation of the camera's angles, degrees.
        travel: the camera is carried through the room.
        zoom: focal length in the last frame over that in the first.
        phone: a cheap camera's picture.
        obstacle: a thing stands in front of somebody.
        crf: of x264.
    """

    people: int
    pan: float
    shake: float
    travel: bool
    zoom: float
    phone: bool
    obstacle: bool
    crf: int


def settle(request: ClipRequest, rng: np.random.Generator) -> Shot:
    """Draw what is not asked for. Everything is drawn every time, so that asking for one thing changes no other."""
    people = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    turns, pan = rng.random() < 0.35, rng.choice([-1, 1]) * rng.uniform(8, 30)
    shake = rng.uniform(0.15, 0.6)
    shaken, phone, obstacle = rng.random(3) < (request.shake, request.phone, request.obstacle)
    coarse = int(rng.integers(23, 34))  # what a phone's encoder leaves
    if request.takes:
        people = len(request.takes)
    elif request.people is not None:
        people = request.people
    if request.pan is not None:
        turns, pan = True, request.pan
    kind, zoom = None, 1.0
    if request.camera:  # from numbers of its own, which leave those to come as they are
        own = rng.spawn(1)[0]
        kind = str(own.choice(request.camera))
        turns, shaken = kind in ("pan", "zoom"), kind in ("handheld", "travel")
        if kind == "zoom":
            zoom = float(np.exp(own.choice([-1, 1]) * own.uniform(*np.log(ZOOMS))))
    crf = request.crf if request.crf is not None else coarse if phone else 23
    turned, shaking, travels = float(pan * turns), float(shake * shaken), kind == "travel"
    return Shot(people, turned, shaking, travels, zoom, bool(phone), bool(obstacle), crf)


def make_folder(path: Path) -> None:
    """Make the folder for what was asked for, if it is not there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot be made ({error.strerror})"
        raise OutputError(reason, path=path, remedy="choose another output folder", option="out") from error
