"""Pictures in: video files, folders of images and single images, read as one kind of stream.

Everything goes through PyAV (FFmpeg's libraries, no ffmpeg program); still images go through OpenCV.
Pictures are upright: the rotation a phone stores beside its pictures is already applied.
Times are integer time stamps (`pts`) in a `time_base` of seconds, as the source has them.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError, UsageError
from glot_cli.video.exif import exif_focal
from glot_cli.video.planes import FrameConverter, Planes, matrix_of, rotation

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
DEFAULT_IMAGE_FPS = Fraction(30)

_DECODING_THREADS = 4  # at most: each holds a frame or two, and two decode 4K far faster than anyone asks for it
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: the cover of a song is no video

Warn = Callable[[str], None]
Picture = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class VideoInfo:
    """What a source is, before it is read.

    Attributes:
        path: the source.
        width: of a picture, pixels, after rotation.
        height: likewise.
        fps: average frames per second.
        time_base: seconds per unit of a frame's `pts`.
        frames: the container's own count or an estimate from duration and rate; None where neither is known.
        rotation: the counter-clockwise turn in degrees (0, 90, 180, 270) that makes the stored picture upright.
        has_audio: whether there is sound.
        duration: seconds, None where the source does not say.
        sample_aspect_ratio: width of a pixel over its height.
        focal: focal length in pixels that the first image's EXIF data give, None where none do.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    time_base: Fraction
    frames: int | None
    rotation: int
    has_audio: bool
    duration: float | None
    sample_aspect_ratio: Fraction
    focal: float | None = None


@dataclass(frozen=True)
class Frame:
    """One picture, upright, in the form that is asked for: nothing is read or converted before.

    Attributes:
        index: its number in the source, from 0.
        pts: time stamp in units of `time_base` seconds.
        time_base: seconds.
        source: PyAV's frame, a picture (H, W, 3) uint8 RGB, or a function that reads one.
        converter: of all frames of the source.
    """

    index: int
    pts: int
    time_base: Fraction
    source: Any
    converter: FrameConverter

    @property
    def time(self) -> Fraction:
        """Time stamp in seconds, on the source's clock."""
        return self.pts * self.time_base

    @cached_property
    def image(self) -> Picture:
        """(H, W, 3) uint8 RGB. Raises an InputError for an image file that cannot be read or has another size."""
        return self.converter.rgb(self._decoded)

    @property
    def planes(self) -> Planes:
        """Its planes (planes.py), made anew each time."""
        return self.converter.planes(self._decoded)

    def thumbnail(self, side: int) -> Picture:
        """(h, w, 3) uint8 RGB, the longer side of about `side` pixels."""
        return self.converter.thumbnail(self._decoded, side)

    @cached_property
    def _decoded(self) -> Any:
        return self.source() if callable(self.source) else self.source


def ignore(message: str) -> None:
    """The warning receiver of callers who want none."""


def probe(path: str | Path, image_fps: Fraction | int = DEFAULT_IMAGE_FPS) -> VideoInfo:
    """Look at a video file, a folder of images or one image; decodes no more than the first picture.

    Args:
        path: the source.
        image_fps: the frame rate (frames per second) that images are given.

    Raises:
        InputError: the source is missing, empty, unreadable, has no picture, or its first picture cannot be decoded.
    """
    path = Path(path)
    images = image_files(path)
    if images is not None:
        height, width = _read_image(images[0]).shape[:2]
        fps = Fraction(image_fps)
        duration = float(len(images) / fps)
        focal = exif_focal(images[0], width, height)
        return VideoInfo(path, width, height, fps, 1 / fps, len(images), 0, False, duration, Fraction(1), focal)

    with open_media(path) as container:
        stream = _video_stream(container, path)
        first = next(_decode(container, stream, path, ignore), None)
        if first is None:
            raise _nothing_decodes(path)
        turn = rotation(first)
        width, height = first.width, first.height
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if turn % 180:
            width, height, aspect = height, width, 1 / aspect
        fps = _frame_rate(stream)
        duration_or_none = _duration(container, stream)
        frames = stream.frames or (round(duration_or_none * fps) if duration_or_none else None)
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=fps,
            time_base=Fraction(stream.time_base or 1 / fps),
            frames=frames,
            rotation=turn,
            has_audio=bool(container.streams.audio),
            duration=float(duration_or_none) if duration_or_none else None,
            sample_aspect_ratio=aspect,
        )


def read_frames(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    *,
    image_fps: Fraction | int = DEFAULT_IMAGE_FPS,
    warn: Warn | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a source in display order, one at a time; memory does not grow with its length.

    `Frame.index` counts the frames of the whole source, also when `start` leaves some out. Time stamps strictly
    increase; where the source lacks one or goes back, one frame's duration is added to the last. Damage is skipped.

    Args:
        path: the source.
        start: seconds from the first frame; frames with start <= time < end are given.
        end: likewise.
        image_fps: the frame rate (frames per second) that images are given.
        warn: receives one line for every fault.

    Raises:
        InputError: as `probe`; also if no frame can be decoded, or the times ask for none. What is wrong with an image
            file is found when its picture is asked for.
        UsageError: `end` is not after `start`.
    """
    path = Path(path)
    if start is not None and end is not None and end <= start:
        raise UsageError(f"{end:g} s is not after the start, {start:g} s", option="end", remedy="give a later end")
    images = image_files(path)
    frames = _image_frames(images, Fraction(image_fps)) if images is not None else _video_frames(path, warn or ignore)
    yield from _between(frames, path, start, end)


def _between(frames: Iterator[Frame], path: Path, start: float | None, end: float | None) -> Iterator[Frame]:
    """Keep the frames of [start, end)."""
    first = None if start is None else Fraction(start).limit_denominator(1_000_000)  # 0.1 is a tenth here
    stop = None if end is None else Fraction(end).limit_denominator(1_000_000)
    origin: Fraction | None = None
    found = False
    seconds = Fraction(0)
    with contextlib.closing(frames):  # type: ignore[type-var]  # the iterators here are generators
        for frame in frames:
            origin = frame.time if origin is None else origin
            seconds = frame.time - origin
            if stop is not None and seconds >= stop:
                break
            if first is None or seconds >= first:
                found = True
                yield frame
    if not found:
        reason = f"no frame from {start or 0:g} s on, it ends at {float(seconds):.2f} s"
        raise InputError(reason, path=path, option="start", remedy="start earlier")


def _video_frames(path: Path, warn: Warn) -> Iterator[Frame]:
    """Decode a video file."""
    converter = FrameConverter()
    with open_media(path) as container:
        stream = _video_stream(container, path)
        time_base = Fraction(stream.time_base or 1 / _frame_rate(stream))
        step = max(1, round(1 / (_frame_rate(stream) * time_base)))
        last: int | None = None
        size: tuple[int, int] | None = None
        other_sizes = False
        index = -1
        for index, frame in enumerate(_decode(container, stream, path, warn)):
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                if not other_sizes:
                    warn(f"{path}: pictures from frame {index} on have another size; they are scaled to the first's")
                other_sizes = True
                matrix = matrix_of(frame)  # of an untagged frame its own size tells it
                frame = frame.reformat(*size, interpolation="BILINEAR")
                frame.colorspace = matrix
            pts = frame.pts
            if pts is None or (last is not None and pts <= last):
                pts = 0 if last is None else last + step
            last = pts
            yield Frame(index, pts, time_base, frame, converter)
        if index < 0:
            raise _nothing_decodes(path)


def _decode(container: Any, stream: Any, path: Path, warn: Warn) -> Iterator[Any]:
    """Decoded frames of one stream. Damaged packets are skipped; what is missing at the end is told to `warn`."""
    import av

    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min((os.cpu_count() or 1) + 1, _DECODING_THREADS)
    packets = container.demux(stream)
    n_packets = damaged = 0
    cut = False
    finished = False
    last_time = 0.0
    while not finished:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError) as error:
            # A demuxer that fails gives no flush packet: ask the decoder for what it still holds.
            cut = not isinstance(error, StopIteration)
            finished, packet = True, None
        if packet is not None and packet.size:
            n_packets += 1
            if packet.pts is not None and packet.time_base:
                last_time = max(last_time, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        try:
            yield from stream.codec_context.decode(packet)
        except EOFError:  # the decoder was flushed already by the demuxer's own last packet
            pass
        except av.FFmpegError:
            damaged += 1

    if n_packets < (stream.frames or 0):
        warn(f"{path}: truncated or damaged: {n_packets} of {stream.frames} frames are there; the rest is left out")
    elif cut:
        warn(f"{path}: truncated or damaged: reading stopped after {n_packets} frames; the rest is left out")
    elif not stream.frames and _ends_early(container, last_time):
        warn(f"{path}: truncated: ends after {last_time:.1f} s of {container.duration / 1e6:.1f} s")
    if damaged:
        warn(f"{path}: {damaged} damaged packets could not be decoded; the frames in them are left out")


def _ends_early(container: Any, last_time: float) -> bool:
    """Whether the last picture comes more than a second before the end the header promises (both in seconds).

    Sound may honestly outlast the picture, so this only judges files without sound.
    """
    if not container.duration or container.streams.audio:
        return False
    return bool(last_time - (container.start_time or 0) / 1e6 < container.duration / 1e6 - 1.0)


def open_media(path: Path) -> Any:
    """Open a media file for reading, as a PyAV container, or raise an InputError that says why not."""
    import av

    _check_file(path)
    try:
        # Only local files: a playlist disguised as a video must not make us fetch from the network.
        return av.open(os.path.abspath(path), metadata_errors="ignore", options={"protocol_whitelist": "file"})
    except PermissionError:
        raise InputError("not allowed to read it", path=path, remedy="change its permissions") from None
    except (av.FFmpegError, OSError, ValueError):
        raise InputError(
            "not a video that can be read (another kind of file, or cut off before its index)",
            path=path,
            remedy="play it elsewhere, then copy or export it again",
        ) from None


def _check_file(path: Path) -> None:
    """Raise an InputError for what is no readable, non-empty file."""
    try:
        size = path.stat().st_size
    except OSError:
        raise InputError("no such file or folder", path=path, remedy="check the name") from None
    if path.is_file() and size == 0:
        raise InputError("the file is empty", path=path, remedy="copy it again")


def _video_stream(container: Any, path: Path) -> Any:
    """The first stream that is a moving picture."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition.value & _ATTACHED_PICTURE:
            return stream
    if container.streams.audio:
        raise InputError("holds sound but no video", path=path, remedy="give a file with a picture")
    remedy = "give a video file, an image or a folder of images"
    raise InputError("holds no video that can be decoded", path=path, remedy=remedy)


def _nothing_decodes(path: Path) -> InputError:
    reason = "not one frame can be decoded, the file is damaged or truncated"
    return InputError(reason, path=path, remedy="copy or export it again")


def _frame_rate(stream: Any) -> Fraction:
    """Average frames per second; 30 where the container does not know."""
    return Fraction(stream.average_rate or stream.guessed_rate or 30)


def _duration(container: Any, stream: Any) -> Fraction | None:
    """Seconds of picture as the header states them."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, 1_000_000) if container.duration else None


def image_files(path: Path) -> list[Path] | None:
    """The images of a folder in natural order (2 before 10), [path] for one image, None for any other file."""
    if path.is_dir():
        files = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
        if not files:
            remedy = f"give a video or a folder of {', '.join(sorted(IMAGE_SUFFIXES))} files"
            raise InputError("a folder without images", path=path, remedy=remedy)
        return sorted(files, key=_natural_key)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        _check_file(path)
        return [path]
    return None


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that compares runs of digits as numbers; the name itself decides between 1 and 01."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts] + [(2, 0, path.name)]


def _read_image(path: Path) -> Picture:
    """(H, W, 3) uint8 RGB of an image file, turned as its EXIF orientation says."""
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)  # cv2.imread fails on non-ASCII paths on Windows
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise InputError("not an image that can be read", path=path, remedy="export it again or remove it")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _image_frames(files: list[Path], fps: Fraction) -> Iterator[Frame]:
    """Images as frames of a constant rate. All must have the size of the first: a video has one size."""
    size: tuple[int, ...] | None = None
    converter = FrameConverter()

    for index, file in enumerate(files):

        def picture(file: Path = file) -> Picture:
            nonlocal size
            image = _read_image(file)
            size = size or image.shape
            if image.shape != size:
                sizes = f"{image.shape[1]}x{image.shape[0]} pixels, those before it {size[1]}x{size[0]}"
                raise InputError(f"is {sizes}", path=file, remedy="make all images one size")
            return image

        yield Frame(index, index, 1 / fps, picture, converter)
