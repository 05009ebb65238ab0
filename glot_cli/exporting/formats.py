"""The formats that records are exported to, and what every one of them is given.

A format is a file of this room that holds a function `write(cast, box)`, and a line in `catalogue.FORMATS`. It is
imported when it is asked for: what it needs beside glot may not be installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glot_cli.body.model import Body
from glot_cli.exporting.catalogue import FORMATS, Space
from glot_cli.exporting.characters import Character, characters, even_times, sampled
from glot_cli.exporting.naming import joint_names
from glot_cli.exporting.outbox import Outbox
from glot_cli.results import Result


@dataclass(frozen=True)
class Cast:
    """What is exported.

    Attributes:
        result: the record, with the rows of those who are wanted.
        body: its body model.
        space: whether on the floor of each shot's world, or before the camera.
        stem: what names of files begin with.
        fps: frames a second that were asked for; None: those of the record.
        names: what joints are called, one of `catalogue.NAMINGS`.
        video: the video of the record, where a format is to hold it.
        hide: whether people are to be invisible while the record does not have them, and not only to hold their pose.
        plot: whether a format that can is to draw its numbers over time.
    """

    result: Result
    body: Body
    space: Space
    stem: str
    fps: float | None = None
    names: str = "smpl"
    video: Path | None = None
    hide: bool = False
    plot: bool = False

    @cached_property
    def characters(self) -> list[Character]:
        """The people at the times of the record's own frames."""
        return characters(self.result, self.body, self.space)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Of the 24 joints, in SMPL's order."""
        return joint_names(self.names)

    @property
    def rate(self) -> Fraction:
        """Frames a second of formats that have a constant rate."""
        if self.fps is None:
            return self.result.meta.frame_rate
        return Fraction(self.fps).limit_denominator(1001) or Fraction(self.fps)  # below 1/2002 there is none nearer

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """(N,) the times of formats with a constant rate, one clock for all people, seconds on the video's clock."""
        return even_times(self.result, float(self.rate))

    def evenly(self, character: Character) -> Character:
        """A character at those of `times` that lie between its first and last frame."""
        return sampled(character, self.times_between(character.times[0], character.times[-1]))

    def evenly_seen(self, box: Outbox, name: str) -> Iterator[Character]:
        """Characters at a constant rate; a note of the format `name` says who is seen at none of its times."""
        for own in self.characters:
            character = self.evenly(own)
            if character.seen.any():
                yield character
            else:
                box.note(f"{name}: {self.name_of(own)} is not there at any frame of this rate")

    def times_between(self, first: float, last: float) -> NDArray[np.float64]:
        """Those of `times` that are nearer to something between two times, seconds, than to anything else."""
        slack = 0.5 / float(self.rate)
        begin, end = np.searchsorted(self.times, first - slack), np.searchsorted(self.times, last + slack, side="right")
        return self.times[begin:end]

    @property
    def gender(self) -> str:
        """Of the body model: neutral, male or female."""
        ending = self.result.meta.body_model.rpartition("-")[2]
        return ending if ending in ("male", "female") else "neutral"

    def name_of(self, character: Character) -> str:
        """What a character is called, in files and of files: "person1", "person1_shot2" where a video has cuts."""
        shot = f"_shot{character.shot}" if len(np.unique(self.result.shot)) > 1 else ""
        return f"person{character.person}{shot}"


def writers(names: Sequence[str], *, plot: bool = False) -> list[Callable[[Cast, Outbox], None]]:
    """What writes formats.

    Args:
        names: of `catalogue.FORMATS`.
        plot: whether those that can draw are to.

    Raises:
        UsageError: a package that one needs is not installed; nothing was written yet.
    """
    found = [importlib.import_module(f"glot_cli.exporting.{FORMATS[name].module}").write for name in names]
    if plot and any(FORMATS[name].plots for name in names):
        importlib.import_module("glot_cli.exporting.angle_plots")
    return found
