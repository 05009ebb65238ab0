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
from glot_cli.lifting.yielding import Figure
from glot_cli.smpl import SMPL_JOINTS
from glot_cli.tracking.tracks import Track
from glot_cli.world.gravity import OFTEN, Direction, Vote, common_level, find_up, level_of, straight_up, world_axes
from glot_cli.world.grounding import STANDING, Gait, Grounding, at_times, resampled, stillness
from glot_cli.world.soles import Soles, soles_of
from glot_cli.world.standing import Footing, Sight, seen_at, stand
from glot_cli.world.travel import camera_places
from glot_cli.world.verticals import vertical_lines

LEAST_DOUBT = 5.0  # degrees that up may be off by what people say, where lines are asked
UNSEEN = 0.5  # share that a foot which is not seen keeps of what is said of it
CAMERA_HEIGHT = 1.4  # metres above the floor, where nobody is seen
LOWEST_CAMERA = 0.4  # metres above a floor, from which on it tells the sizes of those who stand on it
SIZES = 0.25  # of the logarithm of a person's size, by which what was taken for it may be off
HEAD, FEET = SMPL_JOINTS.index("head"), [SMPL_JOINTS.index(f"{side}_foot") for side in ("left", "right")]
ADULTS = 1.3, 1.9  # metres from foot to head joint, those of adults of 1.45 and 2.1 m; nobody is made smaller or larger
GIVING = 0.02  # how little components of shape that hardly change the bones are used for it
LONGEST_STEP = 1.0  # seconds between frames; those that lie farther apart are taken to lie so
CHUNK = 256  # frames whose soles are posed at once


@dataclass(frozen=True)
class Filming:
    """How the camera moved through a shot of F frames.

    Attributes:
        first: number of the shot's first frame, as tracks count them.
        turns: (F, 3, 3) from the axes of the shot's first camera to those of each frame's.
        travels: whether it changes its place.
        path: (F, 3) its places in the axes of the first camera, in any unit; zeros where nothing tells it.
        metric: whether these are metres.
        ticks: (F,) where the frames stand in time.
        fps: ticks per second.
        focal: focal length, pixels, of the lines.
        centre: (2,) principal point, pixels.
        size: (width, height) of the picture, pixels.
        lines: (n, 4) ends of straight lines of the background, pixels, by number of the look.
        looks: (L, 3, 3) rotations as above, of the frames in which the background was looked at.
        up: (3,) in the axes of the first camera, where the user knows it.
        zoom: (F,) focal length in each frame over `focal`; None where the lens does not zoom.
    """

    first: int
    turns: Tensor
    travels: bool
    path: NDArray[np.floating]
    metric: bool
    ticks: Tensor
    fps: float
    focal: float
    centre: Tensor
    size: tuple[int, int]
    lines: Mapping[int, NDArray[np.floating]]
    looks: NDArray[np.float64]
    up: Tensor | None = None
    zoom: Tensor | None = None


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


class ShotWorld(NamedTuple):
    """The world of one shot of F frames.

    Attributes:
        people: in the order of the tracks.
        rotation: (F, 3, 3) from the world's axes to the camera's.
        translation: (F, 3) place of the world's origin in the camera's frame, metres.
        gravity_spread: how far off up may be, radians.
        floor: (4,) plane in the frame of the first camera: n X + d = 0, n points up.
        shown: up as people and lines show it, whatever the user says.
    """

    people: list[InWorld]
    rotation: Tensor
    translation: Tensor
    gravity_spread: float
    floor: Tensor
    shown: Direction


class Worldmaker:
    """Makes worlds for one body model.

    Args:
        network: that reads up and contacts off motions.
        body: whose soles stand.
        moves: whether people give way for feet to stand; if not, they are put into the world as they were lifted.
    """

    def __init__(self, network: Grounding, body: Body, moves: bool = True) -> None:
        self._network, self._body, self._moves = network, body, moves
        self._soles = soles_of(body)

    @torch.inference_mode()
    def __call__(self, tracks: Sequence[Track], lifted: Sequence[Lifted], filming: Filming) -> ShotWorld:
        """The world of a shot.

        Args:
            tracks: everybody in it.
            lifted: their bodies in the camera's frame.
            filming: how the camera moved.
        """
        people = [_Subject(track, body, filming, self._soles) for track, body in zip(tracks, lifted, strict=True)]
        shown = self._find_up(people, filming)
        up = shown if filming.up is None else Direction(F.normalize(filming.up, dim=0), 0.0)
        axes = world_axes(up.vector)
        for person in people:
            person.contact = person.asked(lambda walk: self._network.contacts(walk.turned(axes)))
        turns = filming.turns @ axes.mT  # from the world's axes to each camera's
        centre = torch.zeros(len(turns), 3)
        feet = [person.walk.soles @ axes.mT for person in people]
        if filming.travels:
            contacts = [p.contact * (UNSEEN + (1 - UNSEEN) * p.seen) for p in people]
            path = filming.path @ axes.mT.double().numpy()
            if filming.metric:
                centre = torch.from_numpy(path).float()
            else:
                centre = camera_places([p.rows for p in people], feet, contacts, path, filming.ticks, filming.fps)
        levels = [
            level_of(
                soles + centre[p.rows][:, None],
                p.contact * p.seen * (UNSEEN + (1 - UNSEEN) * p.seen),
                p.spans,
                p.weight,
            )
            for p, soles in zip(people, feet, strict=True)
        ]
        floor = common_level(levels)
        if floor is None:  # nobody stands: the lowest that is seen of anybody
            floor = min((p.lowest(axes[1], centre[p.rows, 1]) for p in people), default=-CAMERA_HEIGHT)
        centre = centre - torch.tensor([0.0, floor, 0.0])
        placed = []
        for person, level in zip(people, levels, strict=True):
            person.guess_contact(axes, centre)
            own = 0.0 if level is None else level[0] - floor
            grown = size_on_floor(own, float(centre[0, 1]), person.height(self._body)) if self._moves else 1.0
            if grown != 1.0:
                person.grow(self._body, grown)
                own = 0.0
            start = person.in_world(self._body, axes, centre)
            if self._moves:
                placed.append(person.stood(self._body, start, axes, turns, centre, filming, self._soles, own))
            else:
                placed.append(InWorld(person.lifted, start.transl, start.rotmat[:, 0], person.contact))
        translation = -(turns @ centre.unsqueeze(-1)).squeeze(-1)
        return ShotWorld(placed, turns, translation, up.spread, torch.cat([up.vector, torch.tensor([-floor])]), shown)

    def _find_up(self, people: Sequence[_Subject], filming: Filming) -> Direction:
        right = filming.turns[:, 0]  # the x axis of each camera, in the axes of the first
        told = [person.asked(lambda walk: torch.cat(self._network.up(walk), 1)) for person in people]
        votes = [
            Vote(F.normalize(t[:, :3], dim=-1), t[:, 3], p.walk.soles, torch.zeros_like(p.seen), 1.0, p.straight)
            for t, p in zip(told, people, strict=True)
        ]
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
        every = OFTEN * filming.fps
        votes = [vote._replace(contact=c, every=every) for vote, c in zip(votes, contacts, strict=True)]
        return find_up(votes, right, lines)


def size_on_floor(level: float, height: float, person: float) -> float:
    """By what factor somebody must be larger, and as much further off, to stand on the floor; 1 where none will do.

    The picture stays the same. One camera does not tell sizes, but those who stand on one floor tell each other's. Who
    would become smaller or larger than adults are stands on something else.

    Args:
        level: how high the person stands above the floor as seen so far, metres.
        height: of the camera above the floor, metres.
        person: how tall the person's skeleton was taken to be, metres; see `ADULTS`.
    """
    if height < LOWEST_CAMERA or height - level < LOWEST_CAMERA:
        return 1.0
    factor = height / (height - level)
    least, most = ADULTS
    grown = person * factor
    human = grown >= min(least, person) if factor < 1 else grown <= max(most, person)
    return factor if human and abs(math.log(factor)) < SIZES else 1.0


def grown_by(body: Body, betas: Tensor, factor: float) -> Tensor:
    """The change of shape (S,) that makes a body's bones longer by a factor, as far as its components can.

    Args:
        body: whose components they are.
        betas: (S,) its shape.
        factor: by which.
    """
    basis = body.joint_shapedirs.T  # (72, S)
    joints = body.rest_joints(betas[None])[0]
    wanted = ((factor - 1) * (joints - joints[:1])).flatten()
    basis = basis - basis.view(24, 3, -1)[:1].expand(24, -1, -1).reshape(basis.shape)
    ridge = GIVING * basis.square().sum(0).max() * torch.eye(basis.shape[1])
    change: Tensor = torch.linalg.solve(basis.T @ basis + ridge, basis.T @ wanted)
    return change


class _Subject:
    """One person of a shot, with the camera's turning taken out.

    Attributes:
        rows: (N,) frames of the shot.
        lifted: as it came.
        walk: in the axes of the first camera; frames as they are.
        straight: up as it is known from standing straight, if the person ever does.
        seen: (N, 4) how far the points of the soles are seen, 0 to 1.
        spans: (N,) seconds that frames stand for.
        contact: (N, 4) once it is known.
    """

    contact: Tensor

    def __init__(self, track: Track, lifted: Lifted, filming: Filming, soles: Soles) -> None:
        self._track, self.lifted = track, lifted
        self._betas, self._grown = lifted.betas, 1.0
        self.weight = float(track.crops[:, 2].mean()) ** 2  # who is large in the picture tells more
        self.rows = torch.from_numpy(track.frames.astype("int64")) - filming.first
        self._segment = torch.from_numpy(track.segment)
        self._ticks = torch.from_numpy(track.ticks)
        # What was filmed more slowly than that moves too much between frames to be asked about what lies between.
        steps = (self._ticks.diff() / filming.fps).clamp_max(LONGEST_STEP)
        self._seconds = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        alone = steps.new_full((1,), min(1 / filming.fps, LONGEST_STEP))
        first, last = (steps[:1], steps[-1:]) if len(steps) else (alone, alone)
        self.spans = torch.minimum(torch.cat([first, steps]), torch.cat([steps, last])).float()
        self._back = back = filming.turns[self.rows].mT
        feet = torch.cat(
            [
                soles.points(soles.body(part, lifted.betas.expand(len(part), -1)))
                for part in torch.split(lifted.rotmat, CHUNK)
            ]
        )
        self.straight = straight_up(lifted.joints @ back.mT, self.spans)
        pelvis = lifted.joints[:, 0] + lifted.transl
        self.walk = Gait(
            turn_root(back, lifted.rotmat),
            (back @ pelvis.unsqueeze(-1)).squeeze(-1),
            (feet + lifted.transl[:, None]) @ back.mT,
            F.normalize((back @ pelvis.unsqueeze(-1)).squeeze(-1), dim=-1),
        )
        self.seen = lifted.feet_seen

    def asked(self, question: Callable[[Gait], Tensor], walk: Gait | None = None) -> Tensor:
        """Answers (N, C) to a question that is put to each gap-free stretch of a walk at the networks' rate."""
        counts = torch.unique_consecutive(self._segment, return_counts=True)[1].tolist()
        stretches = zip(*(torch.split(values, counts) for values in (*(walk or self.walk), self._seconds)), strict=True)
        answers = []
        for *values, seconds in stretches:
            piece, times = resampled(Gait(*values), seconds)
            answers.append(at_times(question(piece), times, seconds))
        return torch.cat(answers)

    def guess_contact(self, axes: Tensor, centre: Tensor) -> None:
        """Say of feet that are not seen that they rest while the body does: legs that are guessed kick.

        While it moves they are left what is said of them: guessed legs walk with the body, and both feet that are held
        hold the body.
        """
        moving = self.walk.turned(axes)
        moving = moving._replace(pelvis=moving.pelvis + centre[self.rows])
        still = self.asked(lambda walk: stillness(walk.pelvis), moving)
        said = self.contact * (UNSEEN + (1 - UNSEEN) * self.seen)
        self.contact = said + (1 - self.seen.square()) * still * (STANDING - said)

    def lowest(self, up: Tensor, height: Tensor) -> float:
        """How low any joint or sole comes: along up (3,), with the camera at a height (N,), metres."""
        joints = (self.lifted.joints + self.lifted.transl[:, None]) @ self._back.mT
        return float((torch.cat([joints, self.walk.soles], 1) @ up + height[:, None]).amin())

    def height(self, body: Body) -> float:
        """From the middle of the foot joints to the head's in the rest pose, metres."""
        rest = body.rest_joints(self._betas[None])[0, :, 1]
        return float(rest[HEAD] - rest[FEET].mean())

    def grow(self, body: Body, factor: float) -> None:
        """Make the person larger, and as much further off."""
        lifted = self.lifted
        self._betas = lifted.betas + grown_by(body, lifted.betas, factor)
        self._grown = factor

    def in_world(self, body: Body, axes: Tensor, centre: Tensor) -> Figure:
        """The person in the world's axes, where the camera saw it."""
        rest = body.rest_joints(self._betas[None])[0, 0]
        place = self.walk.pelvis @ axes.mT * self._grown + centre[self.rows]
        return Figure(turn_root(axes, self.walk.rotmat), place - rest, self._betas)

    def stood(
        self,
        body: Body,
        start: Figure,
        axes: Tensor,
        turns: Tensor,
        centre: Tensor,
        filming: Filming,
        soles: Soles,
        level: float,
    ) -> InWorld:
        """The person standing in the world, and as the camera sees that."""
        lifted, turns, centre = self.lifted, turns[self.rows], centre[self.rows]
        sight = Sight(turns, centre)
        old, rest = (body.rest_joints(betas[None])[0, 0] for betas in (lifted.betas, self._betas))
        as_seen = Figure(start.rotmat, self.walk.pelvis @ axes.mT + centre - old, lifted.betas)
        wanted = seen_at(as_seen, sight, soles)
        shown = torch.cat([lifted.seen, lifted.feet_seen], 1).square()
        footing = Footing(wanted, shown, self.contact, self._segment, self._ticks, filming.fps, level)
        figure = stand(start, sight, footing, soles)
        rotmat = turn_root(turns, figure.rotmat)
        transl = (turns @ (figure.transl + rest - centre).unsqueeze(-1)).squeeze(-1) - rest
        joints = joints_of(rotmat, self._betas, body)
        crops = torch.from_numpy(self._track.crops)
        focal = filming.focal if filming.zoom is None else filming.focal * filming.zoom[self.rows]
        camera = camera_from_translation(transl, crops, joints[:, 0], focal, filming.centre)
        seen = replace(lifted, betas=self._betas, rotmat=rotmat, transl=transl, joints=joints, camera=camera)
        return InWorld(seen, figure.transl, figure.rotmat[:, 0], self.contact)
