"""What a video is, whatever it is called: how results know theirs."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from glot_cli.errors import InputError
from glot_cli.files.seal import fingerprint
from glot_cli.video import image_files


@dataclass(frozen=True)
class Source:
    """A video as a result remembers it.

    Attributes:
        name: what it is called.
        path: where it is, absolute and free of links.
        video_id: what it is: size and a hash of its content, the same under any name.
    """

    name: str
    path: Path
    video_id: str

    @classmethod
    def of(cls, video: Path) -> Source:
        """Identify a video file, an image or a folder of images that exists.

        Raises:
            InputError: it is not there, cannot be read, or is a folder without images.
        """
        path = Path(os.path.realpath(video))  # unlike Path.resolve, it takes links that go round
        try:
            return cls(video.name or path.name, path, _content_of(video))
        except FileNotFoundError as error:
            raise InputError("no such file or folder", path=video, remedy="check the name") from error
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise InputError(reason, path=video, remedy="check its name and permissions") from error

    def is_other(self, video: Path) -> bool:
        """Whether something else has come in the video's place. One that is gone was what it was."""
        try:
            return _content_of(video) != self.video_id
        except (OSError, InputError):
            return False


def _content_of(video: Path) -> str:
    """What a video is, whatever its name.

    Raises:
        OSError: it cannot be read.
    """
    if video.is_dir():
        images = image_files(video) or []
        listed = "\n".join(f"{image.name} {_of_image(image, _state(image))}" for image in images)
        return f"{len(images)}-{hashlib.sha256(listed.encode('utf-8', 'surrogateescape')).hexdigest()}"
    if not stat.S_ISREG(video.stat().st_mode):  # to read a pipe or a device may take for ever
        raise InputError("is no regular file", path=video, remedy="give a video file, an image or a folder of images")
    return fingerprint(video)


def _state(image: Path) -> tuple[int, ...]:
    status = image.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(1 << 17)
def _of_image(image: Path, state: tuple[int, ...]) -> str:
    """What an image is; read once in its state: a folder has thousands, and a run in pieces asks often."""
    return fingerprint(image)
