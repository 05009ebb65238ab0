"""Single pictures of a video that is whole, without reading what lies between them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from PIL import Image

from glot_cli.errors import InputError

ROUNDED = 5e-4  # seconds by which stamps are off after a container has put them into its own unit


def stills(path: Path, times: Sequence[float], width: int) -> list[bytes]:
    """JPEGs of the first pictures at or after some times.

    Args:
        path: a video file that glot wrote.
        times: seconds from its first picture, ascending; after its end the last picture stands.
        width: of the JPEGs, pixels; narrower pictures keep their own.

    Raises:
        InputError: it cannot be read.
    """
    found = []
    try:
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            for time in times:
                container.seek(int(time / stream.time_base), stream=stream)  # to the key frame before it
                picture = None
                frame: Any
                for frame in container.decode(stream):
                    picture = frame
                    if frame.pts is not None and float(frame.pts * stream.time_base) >= time - ROUNDED:
                        break
                if picture is not None:
                    found.append(_jpeg(picture.to_image(), width))
    except (FFmpegError, OSError) as error:
        raise InputError("cannot be read", path=path, remedy="draw it again") from error
    return found


def _jpeg(image: Image.Image, width: int) -> bytes:
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
