"""A camera's motion that the user knows: read from a file, a record of glot's or anybody's arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError, counted
from glot_cli.files.faults import FileFault
from glot_cli.files.npz import load_npz
from glot_cli.world.camera_motion import CameraMotion

Array = NDArray[np.float64]

NAMES = ("camera_rotation", "camera_translation", "camera_focal_length", "focal_length", "up", "meta")
REMEDY = (
    "give 'static', 'moving' or an npz with camera_rotation (frames, 3, 3), and where known camera_translation "
    "(frames, 3), focal_length, up (3,)"
)
FARTHEST = 1e6  # metres, pixels


@dataclass(frozen=True)
class GivenCamera:
    """Of F frames: a point X of the file's axes is at rotation X + translation in the camera's frame (OpenCV's).

    Attributes:
        path: the file.
        rotation: (F, 3, 3).
        translation: (F, 3) metres; None where only turns are known.
        focal: (F,) focal length, pixels; None where it is not known.
        up: (3,) in the file's axes; None where it is not known.
        start: the video's frame that the first one is of; None where the file does not say.
        size: (width, height) of the pictures, pixels; None likewise.
    """

    path: Path
    rotation: Array
    translation: Array | None
    focal: Array | None
    up: Array | None
    start: int | None = None
    size: tuple[int, int] | None = None

    def of_frames(self, first: int, count: int, every: int | None) -> GivenCamera:
        """Those of the frames that were looked at.

        A record says which frames it is of; any other file is of just these frames, or of every frame of the video.

        Args:
            first: the first frame looked at, counted in the video.
            count: how many were looked at.
            every: frames of the video; None where it does not say.

        Raises:
            InputError: the file is of other frames.
        """
        held = len(self.rotation)
        if self.start is None and held == count:
            return self
        low = first - (self.start or 0)
        whole = self.start is not None or every in (None, held)
        if not (whole and 0 <= low <= low + count <= held):
            where = "" if self.start is None else f" from {self.start}"
            reason = f"has cameras of {counted(held, 'frame')}{where}, but {count} from {first} were looked at"
            raise InputError(reason, path=self.path, remedy="give one for each of them", option="camera")
        rows = slice(low, low + count)
        translation, focal = (None if held is None else held[rows] for held in (self.translation, self.focal))
        return replace(self, rotation=self.rotation[rows], translation=translation, focal=focal)

    def check_size(self, width: int, height: int) -> None:
        """Raise InputError where the file is of pictures of another size than these, in pixels."""
        if self.size not in (None, (width, height)):
            own = "{}x{}".format(*self.size or ())
            reason = f"is the record of a video of {own}, this one has {width}x{height}"
            raise InputError(reason, path=self.path, remedy="give that of this camera", option="camera")

    def motion(self, start: int, end: int, ticks: Array) -> CameraMotion:
        """The motion in the frames [start, end) of a shot, at ticks (end - start,)."""
        rotation = self.rotation[start:end]
        places = np.zeros((end - start, 3))
        if self.translation is not None:
            centre = -np.einsum("nji,nj->ni", rotation, self.translation[start:end])
            places = (centre - centre[0]) @ rotation[0].T
        return CameraMotion("given", 1.0, "as a file tells it", ticks, rotation @ rotation[0].T, places)

    def up_of(self, frame: int, first: tuple[float, float, float] | None = None) -> Array | None:
        """Up (3,) in the axes of a frame's camera, where it is known: by the file, unless `first` tells the first's."""
        up = self.up if first is None else self.rotation[0].T @ first
        return None if up is None else self.rotation[frame] @ up


def read_camera(path: Path) -> GivenCamera:
    """Read a camera's motion from an npz; the params.npz of a run that has a world is one.

    Raises:
        InputError: it is none.
    """
    path = path / "params.npz" if path.is_dir() else path
    try:
        arrays = load_npz(path, NAMES)
    except FileFault as error:
        raise error.about(path, InputError, remedy=REMEDY) from error

    def refused(reason: str) -> InputError:
        return InputError(reason, path=path, remedy=REMEDY, option="camera")

    def numbers(name: str, *shape: int | None) -> Array | None:
        if name not in arrays:
            return None
        held = arrays[name]
        fits = held.ndim == len(shape) and all(
            want in (None, size) for want, size in zip(shape, held.shape, strict=True)
        )
        if not fits or held.dtype.kind not in "fiu" or not (np.abs(held.astype(float)) <= FARTHEST).all():
            wanted = "x".join("frames" if n is None else str(n) for n in shape) or "a number"
            raise refused(f"has '{name}' of {held.dtype} {held.shape}, expected numbers up to {FARTHEST:g}, {wanted}")
        return held.astype(float)

    rotation = numbers("camera_rotation", None, 3, 3)
    if rotation is None or not len(rotation):
        raise refused(
            "has no frames in 'camera_rotation'" if "camera_rotation" in arrays else "has no 'camera_rotation'"
        )
    if np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() > 1e-2 or (np.linalg.det(rotation) < 0).any():
        raise refused("has a 'camera_rotation' that is no rotation")
    translation = numbers("camera_translation", len(rotation), 3)
    up, start, size = numbers("up", 3), None, None
    focal: Array | None = None
    if up is not None and not np.linalg.norm(up) > 1e-6:
        raise refused("has an 'up' without a direction")
    if "focal_length" in arrays:
        lengths = numbers("focal_length", *([None] * arrays["focal_length"].ndim))
        assert lengths is not None
        if lengths.size not in (1, len(rotation)) or lengths.min() < 1:
            raise refused(f"has {counted(lengths.size, 'focal length')} from {lengths.min(initial=FARTHEST):g} pixels")
        focal = np.broadcast_to(lengths.ravel(), len(rotation))
    if "meta" in arrays and up is None:  # a record of glot's, whose world is y up
        try:
            meta = json.loads(str(arrays["meta"]))
            usual, start = float(meta["focal_length"]), int(meta["start_frame"])
            size = int(meta["width"]), int(meta["height"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise refused("is a record that does not say of which pictures it is") from error
        lengths = numbers("camera_focal_length", len(rotation))
        if lengths is None or (lengths == np.float32(usual)).all():  # which is not rounded
            lengths = np.full(len(rotation), usual)
        if not (lengths >= 1).all() or not (lengths <= FARTHEST).all():  # NaN is in no range
            raise refused(f"is a record with a focal length of {lengths.min():g} pixels")
        focal = lengths
        up = np.array([0.0, 1.0, 0.0])
    u, _, v = np.linalg.svd(rotation)
    return GivenCamera(path, u @ v, translation, focal, up, start, size)
