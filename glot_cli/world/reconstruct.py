"""From bodies before a camera to people in a world: gravity, a floor, one path of the camera, feet that stand still."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.body.model import Body
from glot_cli.body.rotations import turn_root
from glot_cli.camera import camera_from_translation
from glot_cli.lifting.placing import Lifted, joints_of
from glot_cli.lifting.refine import Figure
from glot_cli.tracking.tracks import Track
from glot_cli.world.gravity import Direction, Vote, find_up, floor_height, world_axes
from glot_cli.world.grounding import Grounding, Walk, at_times, resampled
from glot_cli.world.soles import Soles, soles_of
from glot_cli.world.standing import Sight, stand
from glot_cli.world.travel import camera_places
from glot_cli.world.verticals import vertical_lines

LEAST_DOUBT = 5.0  # degrees that up may be off by what people say, where lines are asked
CHUNK = 256  # frames whose soles are posed at once


@dataclass(frozen=True)
class Filming:
    """How the camera moved through a shot of F frames.

    Attributes:
        first: number of the shot's first frame, as tracks count them.
        turns: (F, 3, 3) from the axes of the shot's first camera to those of each frame's.
        travels: whether it changes its place.
        ticks: (F,) where the frames stand in time.
        fps: ticks per second.
        focal: focal length, pixels.
        centre: (2,) principal point, pixels.
        size: (width, height) of the picture, pixels.
        lines: (n, 4) ends of straight lines of the background, pixels, by number of the look.
        looks: (L, 3, 3) rotations as above, of the frames in which the background was looked at.
        up: (3,) in the axes of the first camera, where the user knows it.
    """

    first: int
    turns: Tensor
    travels: bool
    ticks: Tensor
    fps: float
    focal: float
    centre: Tensor
    size: tuple[int, int]
    lines: Mapping[int, NDArray[np.floating]]
    looks: NDArray[np.floating]
    up: Tensor | None = None


class InWorld(NamedTuple):
    """One person in the world, N frames.

    Attributes:
        lifted: in the camera's frame, as the world has it.
        transl: (N, 3) translation of the body model in the world, metres.
        root: (N, 3, 3) rotation of the pelvis in the world.
        contact: (N, 4) probability that each of `soles.SOLES` rests on the floor.
    """

    lifted: Lifted
    transl: Tensor
    root: Tensor
    contact: Tensor


class World(NamedTuple):
    """The world of one shot of F frames.

    Attributes:
        people: in the order of the tracks.
        rotation: (F, 3, 3) from the world's axes to the camera's.
        translation: (F, 3) place of the world's origin in the camera's frame, metres.
        gravity_spread: how far off up may be, radians.
        floor: (4,) plane in the frame of the first camera: n X + d = 0, n points up.
    """

    people: list[InWorld]
    rotation: Tensor
    translation: Tensor
    gravity_spread: float
    floor: Tensor


class Worldmaker:
    """Makes worlds for one body model.

    Args:
        network: that reads up and contacts off motions.
        body: whose soles stand.
    """

    def __init__(self, network: Grounding, body: Body) -> None:
        self._network, self._body = network, body
        self._soles = soles_of(body)

    @torch.inference_mode()
    def __call__(self, tracks: Sequence[Track], lifted: Sequence[Lifted], filming: Filming) -> World:
        """The world of a shot.

        Args:
            tracks: everybody in it.
            lifted: their bodies in the camera's frame.
            filming: how the camera moved.
        """
        people = [_Person(track, body, filming, self._soles) for track, body in zip(tracks, lifted, strict=True)]
        up = self._find_up(people, filming)
        axes = world_axes(up.vector)
        for person in people:
            person.contact = person.asked(lambda walk: self._network.contacts(walk.turned(axes))) * person.seen
        turns = filming.turns @ axes.mT  # from the world's axes to each camera's
        centre = torch.zeros(len(turns), 3)
        if filming.travels:
            feet = [person.walk.soles @ axes.mT for person in people]
            contacts = [person.contact for person in people]
            centre = camera_places([p.rows for p in people], feet, contacts, filming.ticks, filming.fps)
        feet = [p.walk.soles @ axes.mT + centre[p.rows][:, None] for p in people]
        height = floor_height(feet, [p.contact for p in people])
        if height is None:
            height = min((float(points[..., 1].amin()) for points in feet), default=-1.5)
        centre = centre - torch.tensor([0.0, height, 0.0])
        placed = [person.placed(self._body, axes, turns, centre, filming, self._soles) for person in people]
        translation = -(turns @ centre.unsqueeze(-1)).squeeze(-1)
        return World(placed, turns, translation, up.spread, torch.cat([up.vector, torch.tensor([-height])]))

    def _find_up(self, people: Sequence[_Person], filming: Filming) -> Direction:
        right = filming.turns[:, 0]  # the x axis of each camera, in the axes of the first
        told = [
            person.asked(lambda walk: torch.cat([(said := self._network.up(walk))[0], said[1][:, None]], 1))
            for person in people
        ]
        votes = [
            Vote(F.normalize(t[:, :3], dim=-1), t[:, 3], p.walk.soles, torch.zeros_like(p.seen), 1.0)
            for t, p in zip(told, people, strict=True)
        ]
        if filming.up is not None:
            return Direction(F.normalize(filming.up, dim=0), 0.0)
        first = find_up(votes, right)
        lines = vertical_lines(
            filming.lines,
            filming.looks,
            filming.focal,
            filming.size,
            first.vector.numpy(),
            max(math.degrees(first.spread), LEAST_DOUBT),
        )
        second = find_up(votes, right, lines)
        if filming.travels:
            return second
        axes = world_axes(second.vector)
        contacts = [p.asked(lambda walk: self._network.contacts(walk.turned(axes))) * p.seen for p in people]
        every = 0.5 * filming.fps
        votes = [vote._replace(contact=c, every=every) for vote, c in zip(votes, contacts, strict=True)]
        return find_up(votes, right, lines)


class _Person:
    """One person of a shot, with the camera's turning taken out.

    Attributes:
        rows: (N,) frames of the shot.
        walk: in the axes of the first camera; frames as they are.
        seen: (N, 4) how far the points of the soles are seen, 0 to 1.
        contact: (N, 4) once it is known.
    """

    contact: Tensor

    def __init__(self, track: Track, lifted: Lifted, filming: Filming, soles: Soles) -> None:
        self._track, self._lifted = track, lifted
        self.rows = torch.from_numpy(track.frames.astype("int64")) - filming.first
        self._segment = torch.from_numpy(track.segment)
        self._ticks = torch.from_numpy(track.ticks)
        self._seconds = self._ticks / filming.fps
        back = filming.turns[self.rows].mT
        feet = torch.cat(
            [
                soles.points(soles.body(part, lifted.betas.expand(len(part), -1)))
                for part in torch.split(lifted.rotmat, CHUNK)
            ]
        )
        pelvis = lifted.joints[:, 0] + lifted.transl
        self.walk = Walk(
            turn_root(back, lifted.rotmat),
            (back @ pelvis.unsqueeze(-1)).squeeze(-1),
            (feet + lifted.transl[:, None]) @ back.mT,
            F.normalize((back @ pelvis.unsqueeze(-1)).squeeze(-1), dim=-1),
        )
        self.seen = lifted.feet_seen

    def asked(self, question: Callable[[Walk], Tensor]) -> Tensor:
        """Answers (N, C) to a question that is put to each gap-free stretch at the networks' rate."""
        answers = []
        for number in torch.unique_consecutive(self._segment):
            rows = (self._segment == number).nonzero()[:, 0]
            seconds = self._seconds[rows]
            walk, times = resampled(Walk(*(values[rows] for values in self.walk)), seconds)
            answers.append(at_times(question(walk), times, seconds))
        return torch.cat(answers)

    def placed(self, body: Body, axes: Tensor, turns: Tensor, centre: Tensor, filming: Filming, soles: Soles) -> InWorld:
        """The person standing in the world, and as the camera sees that."""
        lifted, turns, centre = self._lifted, turns[self.rows], centre[self.rows]
        rest = body.rest_joints(lifted.betas[None])[0, 0]
        start = Figure(turn_root(axes, self.walk.rotmat), self.walk.pelvis @ axes.mT + centre - rest, lifted.betas)
        figure = stand(start, Sight(turns, centre), self.contact, self._segment, self._ticks, filming.fps, soles)
        rotmat = turn_root(turns, figure.rotmat)
        transl = (turns @ (figure.transl + rest - centre).unsqueeze(-1)).squeeze(-1) - rest
        joints = joints_of(rotmat, lifted.betas, body)
        crops = torch.from_numpy(self._track.crops)
        camera = camera_from_translation(transl, crops, joints[:, 0], filming.focal, filming.centre)
        seen = replace(lifted, rotmat=rotmat, transl=transl, joints=joints, camera=camera)
        return InWorld(seen, figure.transl, figure.rotmat[:, 0], self.contact)
