"""`params.npz`: the one definition of the record from which everything else is made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import ticks_of
from glot_cli.errors import InputError, one_line
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz, write_npz
from glot_cli.record_checks import NewerError, array_fault, camera_fault, meta_of, order_fault, world_fault
from glot_cli.schema import CAMERA_FIELDS, FIELDS, FORMAT_VERSION, WORLD_ROWS, Meta

if TYPE_CHECKING:
    from glot_cli.body.model import Body

TYPICAL_ERROR = 0.1  # metres of a mean error that make a confidence of exp(-1)
POSED_AT_ONCE = 64  # rows; posing takes room on the way
_REMEDY = "give the params.npz of a finished 'glot run'"


@dataclass(frozen=True)
class Bodies:
    """Bodies in space and in the picture.

    Space is the camera's frame (x right, y down, z forward, the camera at the origin), or the world of each body's shot
    (y up, the floor at y = 0).

    Attributes:
        vertices: (M, V, 3) metres.
        joints: (M, 24, 3) SMPL joints, metres.
        pixels: (M, 24, 2) the joints in the picture, pixels.
        faces: (F, 3) indices of each triangle's vertices.
    """

    vertices: NDArray[np.float32]
    joints: NDArray[np.float32]
    pixels: NDArray[np.float32]
    faces: NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The record: M rows, one for each person in each frame, sorted by person, then frame.

    Attributes:
        arrays: the arrays of rows by their names in `params.npz`; see `schema.FIELDS`.
        meta: what the rows are about.
        cameras: the arrays of frames, one entry for each that was looked at; see `schema.CAMERA_FIELDS`. A record
            without a world has none.
    """

    arrays: dict[str, NDArray[Any]]
    meta: Meta
    cameras: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fault = array_fault(self.arrays, FIELDS, version=1)
        fault = fault or world_fault(self.arrays, self.cameras, self.meta)
        if fault:
            raise ValueError(fault)

    def __repr__(self) -> str:
        return f"Result({self.meta.video!r}, {len(self.people)} people, {len(self)} rows)"

    def __len__(self) -> int:
        return len(self.arrays["frame"])

    @property
    def frame(self) -> NDArray[np.int32]:
        """(M,) index of the video frame, from 0."""
        return self.arrays["frame"]

    @property
    def person(self) -> NDArray[np.int32]:
        """(M,) who it is: one number per person through the whole video, from 1."""
        return self.arrays["person"]

    @property
    def time(self) -> NDArray[np.float64]:
        """(M,) presentation time of the frame, seconds."""
        return self.arrays["time"]

    @property
    def pose(self) -> NDArray[np.float32]:
        """(M, 24, 3) axis-angle of each SMPL joint, radians; joint 0 turns the body into the camera frame."""
        return self.arrays["pose"]

    @property
    def betas(self) -> NDArray[np.float32]:
        """(M, 10) body shape, one for each person in each shot."""
        return self.arrays["betas"]

    @property
    def betas_frame(self) -> NDArray[np.float32]:
        """(M, 10) body shape as estimated from this frame alone."""
        return self.arrays["betas_frame"]

    @property
    def camera(self) -> NDArray[np.float32]:
        """(M, 3) weak-perspective camera s, tx, ty of the crop; 1/m, m, m."""
        return self.arrays["camera"]

    @property
    def camera_network(self) -> NDArray[np.float32]:
        """(M, 3) the network's own camera, before the body was laid on landmarks; 1/m, m, m."""
        return self.arrays["camera_network"]

    @property
    def box(self) -> NDArray[np.float32]:
        """(M, 3) crop: centre x, centre y and side, pixels."""
        return self.arrays["box"]

    @property
    def transl(self) -> NDArray[np.float32]:
        """(M, 3) translation of the body in the camera frame, metres."""
        return self.arrays["transl"]

    @property
    def joints3d(self) -> NDArray[np.float32]:
        """(M, 24, 3) SMPL joints in the axes of the camera frame, relative to the pelvis joint, metres."""
        return self.arrays["joints3d"]

    @property
    def joints2d(self) -> NDArray[np.float32]:
        """(M, 24, 2) SMPL joints in the picture, pixels."""
        return self.arrays["joints2d"]

    @property
    def score(self) -> NDArray[np.float32]:
        """(M,) confidence of the detection, 0 to 1."""
        return self.arrays["score"]

    @property
    def interpolated(self) -> NDArray[np.bool_]:
        """(M,) true where no detection lay near and the box was filled in."""
        return self.arrays["interpolated"]

    @property
    def global_orient_network(self) -> NDArray[np.float32] | None:
        """(M, 3) the network's own rotation of joint 0 in the frame of the crop, radians; None in format 1."""
        return self.arrays.get("global_orient_network")

    @property
    def joint_error(self) -> NDArray[np.float32] | None:
        """(M, 24) metres about each joint within which the true one lies with a probability of 80 %.

        Both are seen from the middle of the hips, in the camera's axes. None in older records and without landmarks.
        """
        return self.arrays.get("joint_error")

    @property
    def confidence(self) -> NDArray[np.float32] | None:
        """(M,) 0 to 1: exp(-(mean of `joint_error` over the joints) / 0.1 m); None where that is not known."""
        error = self.joint_error
        return None if error is None else np.exp(-error.mean(axis=1) / TYPICAL_ERROR)

    @property
    def shot(self) -> NDArray[np.int32]:
        """(M,) shot of the video, from 0; nothing is smoothed across a cut. All 0 in formats 1 and 2."""
        return self.arrays["shot"] if "shot" in self.arrays else np.zeros(len(self), np.int32)

    @property
    def ticks(self) -> NDArray[np.floating]:
        """(M,) where the frames stand in time, by their stamps: one tick a frame at a steady rate; see `clock`."""
        _, first, where = np.unique(self.frame, return_index=True, return_inverse=True)
        return ticks_of(self.time[first], float(self.meta.frame_rate))[where]

    @property
    def has_world(self) -> bool:
        """Whether the record knows of a world; those of older versions, and made-up ones, may not."""
        return bool(self.cameras)

    @property
    def transl_world(self) -> NDArray[np.float32] | None:
        """(M, 3) translation of the body in the world of its shot (y up, floor at y = 0), metres; None without one."""
        return self.arrays.get("transl_world")

    @property
    def global_orient_world(self) -> NDArray[np.float32] | None:
        """(M, 3) axis-angle of joint 0 that turns the body into the world, radians; None without one."""
        return self.arrays.get("global_orient_world")

    @property
    def contact(self) -> NDArray[np.float32] | None:
        """(M, 4) probability that left heel, left toes, right heel, right toes rest on the floor; None without one."""
        return self.arrays.get("contact")

    @property
    def camera_rotation(self) -> NDArray[np.float32] | None:
        """(F, 3, 3) from the axes of the world to those of the camera, of every frame looked at; None without one."""
        return self.cameras.get("camera_rotation")

    @property
    def camera_translation(self) -> NDArray[np.float32] | None:
        """(F, 3) place of the world's origin in the camera's frame, metres; None without one."""
        return self.cameras.get("camera_translation")

    @property
    def camera_focal_length(self) -> NDArray[np.float32] | None:
        """(F,) focal length of every frame looked at, pixels; None where that of `meta` holds in all of them."""
        return self.cameras.get("camera_focal_length")

    @property
    def people(self) -> list[int]:
        """Ids of the people, ascending."""
        return [int(p) for p in np.unique(self.arrays["person"])]

    def select(self, rows: NDArray[Any]) -> Result:
        """The record with only some rows: an index or boolean array."""
        return Result({name: values[rows] for name, values in self.arrays.items()}, self.meta, self.cameras)

    def of_person(self, person: int) -> Result:
        """The rows of one person."""
        return self.select(self.arrays["person"] == person)

    def by_frame(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """(frame, its rows) for every frame that anyone is in, in order."""
        order = np.argsort(self.arrays["frame"], kind="stable")
        frames, counts = np.unique(self.arrays["frame"], return_counts=True)
        last = counts.cumsum()  # not np.split: it makes one part even of no rows at all
        for frame, begin, end in zip(frames, last - counts, last, strict=True):
            yield int(frame), order[begin:end]

    def row_cameras(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The camera of every row: rotations (M, 3, 3), and translations (M, 3) in metres; see `schema.CAMERA_FIELDS`.

        Raises:
            InputError: the record has no world.
        """
        if not self.has_world:
            remedy = "run 'glot run' on the video again"
            raise InputError("the record of this video has no world", path=self.meta.source, remedy=remedy)
        at = self._camera_of(self.frame)
        return self.cameras["camera_rotation"][at], self.cameras["camera_translation"][at]

    def row_focal_lengths(self) -> NDArray[np.float32]:
        """(M,) focal length of the camera in the frame of every row, pixels; with a world or without."""
        lengths = self.camera_focal_length
        if lengths is None:
            return np.full(len(self), self.meta.focal_length, np.float32)
        of_rows: NDArray[np.float32] = lengths[self._camera_of(self.frame)]
        return of_rows

    def frame_focal_length(self, frame: int) -> float:
        """Focal length of the camera in a frame of the video that was looked at, pixels."""
        lengths, usual = self.camera_focal_length, self.meta.focal_length
        if lengths is None:
            return usual
        length = lengths[self._camera_of(np.array(frame))]
        return usual if length == np.float32(usual) else float(length)  # which is not rounded

    def _camera_of(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Which of the cameras frames of the video have: one file of `frames/` holds that of its frame alone."""
        many = len(self.cameras["camera_rotation"]) == self.meta.frame_count
        return frames - self.meta.start_frame if many else 0 * frames

    def bodies(self, body: str | Path | None = None, *, world: bool = False) -> Bodies:
        """Pose the body model of every row: surface and joints in space, joints in the picture.

        A row takes some 100 kB. Of a long record take the rows of one person or a stretch at a time:
        `result.of_person(1).bodies()`.

        Args:
            body: where the body model is now, if it was a file that was moved; None for where it was.
            world: whether in the world of each row's shot, and not in the camera's frame.

        Raises:
            WeightsError: the body model is not there, or is another one than the record was made with.
            InputError: the record has no world.
        """
        import torch

        from glot_cli.camera import project_pinhole
        from glot_cli.weights.bodies import recorded_body

        turns, moves = self.row_cameras() if world else (None, None)
        model = recorded_body(self.meta.body_model, self.meta.body_model_sha256, moved=body)
        vertices, joints = pose_bodies(model, self, world=world)
        seen = joints if turns is None or moves is None else joints @ turns.swapaxes(1, 2) + moves[:, None]
        centre = torch.tensor([self.meta.width / 2, self.meta.height / 2])
        focal = torch.from_numpy(self.row_focal_lengths())
        pixels = project_pinhole(torch.from_numpy(seen), focal, centre).numpy()
        return Bodies(vertices, joints, pixels, model.faces)

    def save(self, path: Path, first: Callable[[], None] | None = None) -> None:
        """Write the npz, complete or not at all.

        Args:
            path: the file.
            first: called when all of it is on the disk, before it gets its name.

        Raises:
            OutputError: the folder cannot be written.
        """
        write_npz(path, {**self.arrays, **self.cameras, "meta": np.array(json.dumps(asdict(self.meta)))}, first=first)

    def save_frames(self, folder: Path) -> None:
        """Write one npz for every frame of the video, 000000.npz on; a frame without people has no rows.

        Raises:
            OutputError: the folder cannot be written.
        """
        meta = np.array(json.dumps(asdict(self.meta)))
        rows_of = dict(self.by_frame())
        nobody = np.array([], dtype=np.intp)
        folder.mkdir(parents=True, exist_ok=True)
        first = self.meta.start_frame
        for frame in range(first, first + self.meta.frame_count):
            rows = rows_of.get(frame, nobody)
            arrays = {name: values[rows] for name, values in self.arrays.items()}
            arrays |= {name: values[frame - first, None] for name, values in self.cameras.items()}
            path = folder / f"{frame:06d}.npz"
            # To wait for the disk at every frame would take longer than the networks.
            write_npz(path, {**arrays, "meta": meta}, compress=False, durable=False)


def pose_bodies(body: Body, result: Result, *, world: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vertices (M, V, 3) and joints (M, 24, 3) of every row in the camera's frame, or the world of its shot, metres."""
    import torch

    from glot_cli.body.rotations import axis_angle_to_rotmat

    pose, place = result.pose, result.transl
    if world:
        pose, place = pose.copy(), result.arrays["transl_world"]
        pose[:, 0] = result.arrays["global_orient_world"]
    vertices = np.empty((len(result), body.num_vertices, 3), np.float32)
    joints = np.empty((len(result), 24, 3), np.float32)
    with torch.inference_mode():
        for start in range(0, len(result), POSED_AT_ONCE):
            part = slice(start, start + POSED_AT_ONCE)
            rotmat = axis_angle_to_rotmat(torch.from_numpy(pose[part]))
            posed = body(rotmat, torch.from_numpy(result.betas[part]))
            transl = torch.from_numpy(place[part])[:, None]
            assert posed.vertices is not None
            vertices[part], joints[part] = posed.vertices + transl, posed.joints + transl
    return vertices, joints


def empty_arrays(*, world: bool = False) -> dict[str, NDArray[Any]]:
    """The arrays of a record without rows, with those of a world or without."""
    wanted = {name: field for name, field in FIELDS.items() if world or name not in WORLD_ROWS}
    return {name: np.zeros((0, *field.row), field.dtype) for name, field in wanted.items()}


def load_result(path: str | Path) -> Result:
    """Read a record. Nothing in it is unpickled, and every value is one that a record can have.

    Args:
        path: `params.npz`, one file of `frames/`, or the folder that `glot run` wrote.

    Raises:
        InputError: it is not there, or no record; says what is wrong with it.
    """
    path = Path(path)
    if os.path.isdir(path):
        path = path / "params.npz"
    if not os.path.lexists(path):
        raise InputError("no such file", path=path, remedy=_REMEDY)
    try:
        arrays = load_npz(path)
        text = arrays.pop("meta")
        if text.shape or text.dtype.kind != "U":  # others may take for ever to be written out
            raise ValueError("what stands beside its arrays is no text")
        meta = meta_of(text.item(), Meta, FORMAT_VERSION)
    except FileFault as error:
        raise InputError(f"not a glot result ({error.reason})", path=path, remedy=_REMEDY) from error
    except KeyError as error:
        raise InputError("not a glot result (has no array 'meta')", path=path, remedy=_REMEDY) from error
    except NewerError as error:
        raise InputError(str(error), path=path, remedy="update glot") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a glot result ({one_line(error)})", path=path, remedy=_REMEDY) from error
    cameras = {name: arrays.pop(name) for name in CAMERA_FIELDS if name in arrays}
    fault = (
        array_fault(arrays, FIELDS, meta.format_version)
        or order_fault(arrays["frame"], arrays["person"])
        or world_fault(arrays, cameras, meta)
        or camera_fault(cameras)
    )
    if fault:
        raise InputError(fault, path=path, remedy="run 'glot run' on the video again")
    return Result(arrays, meta, cameras)
