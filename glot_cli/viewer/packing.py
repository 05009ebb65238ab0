"""The record as the page reads it: a header of JSON, and blocks of little-endian numbers that `record.js` decodes.

Rotations are quaternions of int16 (one step is 3e-5), the rest surface is int16 of its own extent (0.03 mm), places of
joint 0 are float32: joints are within 0.5 mm of the record's. Each point of the surface follows the four joints that
move it most. Motion lies in chunks of about ten seconds, so that a page of a long video decodes what it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.body.model import Body
from glot_cli.clock import ascending
from glot_cli.errors import InputError
from glot_cli.exporting.characters import Y_UP, Character, characters, frames_looked_at
from glot_cli.exporting.surface import influences
from glot_cli.exporting.timeline import frame_times
from glot_cli.rendering.colours import person_colour
from glot_cli.results import Result
from glot_cli.smpl import SMPL_JOINTS, SMPL_PARENTS

CHUNK_S = 10.0
_CHUNK = 64, 4096  # least and greatest number of frames
INFLUENCES = 4  # joints that move a point of the surface
UNIT = 32767  # of numbers from -1 to 1
ERROR_UNIT = 1e-4  # metres
RESTING = 0.5  # probability from which a heel or toes count as resting on the floor
FILLED_IN = 16  # flag of a row that no detection stands behind; 1, 2, 4 and 8 are resting heels and toes

Block = tuple[str, bytes]


@dataclass(frozen=True)
class ShownFrames:
    """The frames that a page shows.

    Attributes:
        first: index of the first of them in the video.
        times: (F,) seconds, the first at 0, increasing.
    """

    first: int
    times: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)


def frames_of(result: Result) -> ShownFrames:
    """The frames that a record speaks of, with their times; where nobody is, times are evened out.

    Raises:
        InputError: there are more than a page can show, or people outside of the frames that were looked at.
    """
    meta = result.meta
    first, count = meta.start_frame, max(len(frames_looked_at(result)), 1)
    cameras = next(iter(result.cameras.values()), None)
    if cameras is not None and len(cameras) == 1:  # one file of frames/; which, one without people does not say
        first, count = (int(result.frame[0]) if len(result) else first), 1
    if len(result) and not first <= result.frame.min() <= result.frame.max() < first + count:
        raise InputError("the record has people in frames that were not looked at", path=meta.source)
    times = frame_times(result) if count == meta.frame_count else np.zeros(count)
    return ShownFrames(first, ascending(times - times[0], 1 / float(meta.frame_rate)))


@dataclass(frozen=True, eq=False)
class Pack:
    """A record made ready for a page.

    Attributes:
        result: the record.
        body: its body model.
        frames: what is shown.
        people: the characters, in the world of their shot or, without one, before the camera.
    """

    result: Result
    body: Body
    frames: ShownFrames
    people: list[Character]

    @classmethod
    def of(cls, result: Result, body: Body, frames: ShownFrames) -> Pack:
        """Take a record and the frames that are to be shown of it."""
        return cls(result, body, frames, characters(result, body, "floor" if result.has_world else "camera"))

    @property
    def chunk_frames(self) -> int:
        """How many frames a chunk of motion has."""
        return int(np.clip(round(CHUNK_S * float(self.result.meta.frame_rate)), *_CHUNK))

    @property
    def _errors(self) -> NDArray[Any] | None:
        return self.result.arrays.get("joint_error")

    def header(self) -> dict[str, Any]:
        """What is no long row of numbers: names, people, shots, the tree of joints. JSON can hold it."""
        meta, frames = self.result.meta, self.frames
        shapes: dict[bytes, int] = {}
        listed = []
        for index, one in enumerate(self.people):
            listed.append(
                {
                    "index": index,
                    "person": one.person,
                    "shot": one.shot,
                    "colour": person_colour(one.person),
                    "shape": shapes.setdefault(one.betas.tobytes(), len(shapes)),
                    "shape_scale": self._rest(one)[1],
                    "rest": np.round(one.rest.astype(float), 6).tolist(),
                    "runs": _runs(one.frames - frames.first),
                }
            )
        begins = meta.shots or [frames.first]
        many = len(begins) == len(meta.camera_motion)
        return {
            "name": meta.video,
            "width": meta.width,
            "height": meta.height,
            "fps": float(meta.frame_rate),
            "step": 1 / float(meta.frame_rate),
            "focal": meta.focal_length,
            "has_focals": self.result.camera_focal_length is not None,
            "start": frames.first,
            "count": len(frames),
            "world": self.result.has_world,
            "shots": [
                {
                    "first": min(max(begin - frames.first, 0), len(frames)),
                    "motion": meta.camera_motion[shot] if many else "",
                }
                for shot, begin in enumerate(begins)
            ],
            "joints": SMPL_JOINTS,
            "parents": SMPL_PARENTS,
            "people": [{"person": who, "colour": person_colour(who)} for who in self.result.people],
            "characters": listed,
            "vertices": self.body.num_vertices,
            "wide": self._wide,
            "chunk_frames": self.chunk_frames,
            "has_error": self._errors is not None,
        }

    def blocks(self) -> Iterator[Block]:
        """(name, bytes) of everything else, one at a time."""
        yield "times", self.frames.times.astype("<f8").tobytes()
        yield "cameras", self._cameras().astype("<f4").tobytes()
        if self.result.camera_focal_length is not None:
            yield "focals", self.result.camera_focal_length.astype("<f4").tobytes()
        yield "faces", self.body.faces.astype("<u4" if self._wide else "<u2").tobytes()
        joints, weights = influences(self.body, INFLUENCES)
        without = (0, 0), (0, INFLUENCES - joints.shape[1])
        yield "skin-index", np.pad(joints, without).astype(np.uint8).tobytes()
        yield "skin-weight", np.pad(np.round(weights * 65535), without).astype("<u2").tobytes()
        done: set[bytes] = set()
        for index, one in enumerate(self.people):
            if one.betas.tobytes() not in done:
                yield f"shape-{len(done)}", self._rest(one)[0].astype("<i2").tobytes()
                done.add(one.betas.tobytes())
            yield f"path-{index}", one.root.astype("<f4").tobytes()
        size = self.chunk_frames
        for chunk, begin in enumerate(range(0, len(self.frames), size)):
            first = self.frames.first + begin
            rows = (slice(*np.searchsorted(one.frames, (first, first + size))) for one in self.people)
            motion = (self._motion(one, part) for one, part in zip(self.people, rows, strict=True))
            yield f"motion-{chunk}", b"".join(motion)

    @property
    def _wide(self) -> bool:
        """Whether indices of vertices need 32 bits."""
        return self.body.num_vertices > 1 << 16

    def _rest(self, one: Character) -> tuple[NDArray[np.int16], float]:
        """The rest surface of a character, in parts of an extent, and that extent in metres."""
        betas = torch.from_numpy(one.betas)[None, : self.body.num_betas]
        planes = self.body.template_planes + (betas @ self.body.shape_planes).view(3, -1)
        places = planes.T.numpy()
        extent = float(np.abs(places).max())
        return np.round(places / extent * UNIT).astype(np.int16), extent

    def _cameras(self) -> NDArray[np.float32]:
        """(F, 7) of every frame: the rotation of the camera in the space, as x, y, z, w, and its place, metres.

        The camera's axes are those of graphics: y up, it looks along -z.
        """
        rotation, translation = self.result.camera_rotation, self.result.camera_translation
        if rotation is None or translation is None:
            return np.tile(np.array([0, 0, 0, 1, 0, 0, 0], np.float32), (len(self.frames), 1))
        turns = Rotation.from_matrix(rotation.swapaxes(1, 2) @ Y_UP).as_quat()
        return np.concatenate([turns, -np.einsum("fji,fj->fi", rotation, translation)], 1).astype(np.float32)

    def _motion(self, one: Character, part: slice) -> bytes:
        """Some rows of a character: quaternions, errors if the record tells them, flags, scores."""
        count, rows = part.stop - part.start, one.rows[part]
        if not count:
            return b""
        turns = Rotation.from_matrix(one.rotmat[part].reshape(-1, 3, 3)).as_quat()
        parts = [np.round(turns * UNIT).astype("<i2").tobytes()]
        if self._errors is not None:
            parts.append(np.round(self._errors[rows] / ERROR_UNIT).clip(0, 65535).astype("<u2").tobytes())
        flags = FILLED_IN * self.result.interpolated[rows].astype(np.uint8)
        if self.result.contact is not None:
            flags += np.packbits(self.result.contact[rows] > RESTING, axis=1, bitorder="little")[:, 0]
        parts.append(flags.astype(np.uint8).tobytes())
        parts.append(np.round(self.result.score[rows] * 255).clip(0, 255).astype(np.uint8).tobytes())
        return b"".join(parts)


def _runs(frames: NDArray[np.int32]) -> list[list[int]]:
    """[first, count] of the stretches without a gap in ascending frames."""
    edges = np.flatnonzero(np.diff(frames) != 1) + 1
    return [[int(run[0]), len(run)] for run in np.split(frames, edges) if len(run)]
