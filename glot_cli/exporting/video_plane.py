"""A still of the video as a plane behind everybody that is as large as what the camera sees there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glot_cli.errors import InputError
from glot_cli.exporting.characters import Floats
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.timeline import frame_times, shots_of_frames
from glot_cli.files.pixels import MAX_PIXELS
from glot_cli.schema import Meta
from glot_cli.video import probe, read_frames

LONGEST = 1280  # pixels of the still's longer side
_QUALITY = 88
_REACH = 2.0  # metres from the pelvis behind which nothing of a body is
_NOBODY = 5.0  # metres to the plane where there are no people
_REMEDY = "give the video that the result was made from"


class Plane(NamedTuple):
    """What is behind everybody.

    Attributes:
        corners: (4, 3) top left, bottom left, bottom right, top right in the camera's axes (y up, it looks along -z),
            metres.
        jpeg: the picture on it.
    """

    corners: NDArray[np.float32]
    jpeg: bytes

    @property
    def distance(self) -> float:
        """Metres from the camera, along its axis."""
        return float(-self.corners[0, 2])


def video_plane(cast: Cast, video: Path, focal_length: float) -> Plane:
    """The first frame that was looked at, behind all the people at all times.

    Args:
        cast: what is exported.
        video: of the record.
        focal_length: of the camera, pixels.

    Raises:
        InputError: the video cannot be read, or is not of the record's size or length.
    """
    meta = cast.result.meta
    distance = farthest(cast) + _REACH
    right, up = distance * meta.width / 2 / focal_length, distance * meta.height / 2 / focal_length
    corners = np.array([[-right, up], [-right, -up], [right, -up], [right, up]], np.float32)
    return Plane(np.column_stack([corners, np.full(4, -distance, np.float32)]), _still(video, meta))


def farthest(cast: Cast) -> float:
    """How far before the camera anybody's pelvis ever is, metres; also where it leaves people who hold a pose."""
    result = cast.result
    if cast.space == "camera":
        return max((max(float(-own.root[:, 2].min()), 0.0) for own in cast.characters), default=_NOBODY)
    times, shots = frame_times(result), shots_of_frames(result)
    # One file of `frames/` holds one camera.
    axes = np.broadcast_to(result.cameras["camera_rotation"][:, 2], (len(times), 3))
    origins = np.broadcast_to(result.cameras["camera_translation"][:, 2], len(times))
    depths: list[Floats] = [] if cast.characters else [np.array([_NOBODY])]
    for own in cast.characters:
        here = shots == own.shot
        places = np.stack([np.interp(times[here], own.times, own.root[:, axis]) for axis in range(3)], 1)
        depths.append((axes[here] * places).sum(1) + origins[here])
    return max(float(depth.max(initial=0)) for depth in depths)


def _still(video: Path, meta: Meta) -> bytes:
    info = probe(video, meta.frame_rate, max(MAX_PIXELS, meta.width * meta.height))
    if (info.width, info.height) != (meta.width, meta.height):
        reason = f"is {info.width}x{info.height}, but the result was made from {meta.width}x{meta.height}"
        raise InputError(reason, path=video, remedy=_REMEDY, option="video")
    frame = next((frame for frame in read_frames(info) if frame.index == meta.start_frame), None)
    if frame is None:
        reason = f"ends before frame {meta.start_frame}, with which the result begins"
        raise InputError(reason, path=video, remedy=_REMEDY, option="video")
    picture = Image.fromarray(frame.image)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)  # smaller ones keep their size
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
