"""Pictures in: video files, folders of images and single images, read as one kind of stream.

Video goes through PyAV (FFmpeg's libraries, no ffmpeg program), images go through Pillow.
Pictures are upright, of one size and of square pixels: what the source says of that is already applied.
Times are integer time stamps (`pts`) in a `time_base` of seconds, as the source has them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from glot_cli.errors import InputError, UsageError
from glot_cli.files.pixels import MAX_PIXELS, check_pixels
from glot_cli.video.exif import exif_focal
from glot_cli.video.fields import deinterlaced
from glot_cli.video.images import MILLISECONDS, Album, Picture, image_files
from glot_cli.video.media import (
    BACK,
    Warn,
    decode,
    duration_of,
    enter,
    has_duration,
    has_stamps,
    ignore,
    moving_pictures,
    nothing_decodes,
    open_media,
    sample_stamps,
    video_stream,
)
from glot_cli.video.planes import FrameConverter, Planes
from glot_cli.video.rates import meant_rate, usual_rate
from glot_cli.video.upright import orientation_of, square_size

ASSUMED_FPS = Fraction(30)
_TYPED = 2e-4  # how far a rate that somebody typed may be off: 29.97 is 30000/1001
_SLOWEST, _FASTEST = Fraction(1, 1000), 1_000_000  # frames per second; other stamps make no sense
_AHEAD = 1  # seconds before a stretch at which reading begins: pictures that lean on each other come right by then
_CLAIMED = 1000  # that a stream may say of itself; those cut out of others name the unit of lost stamps


@dataclass(frozen=True)
class VideoInfo:
    """What a source is, before it is read.

    Attributes:
        path: the source.
        width: of every picture that is read, pixels: upright, and square.
        height: likewise.
        fps: frames per second that are meant: one a median step of the time stamps, exact where they are; pauses and
            frames that are missing do not lower it.
        fps_from: who says so: the time stamps, the caller, the stream itself, or nobody (then it is 30).
        time_base: seconds per unit of a frame's `pts`.
        frames: the container's own count or an estimate from duration and rate; None where neither is known.
        frames_told: whether that is about right: not where recordings may lie one after the other (MPEG-TS).
        has_audio: whether there is sound.
        duration: seconds, None where the source does not say.
        focal: focal length in pixels that the first image's EXIF data give, None where none do.
        max_pixels: that a picture may have.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    fps_from: Literal["stamps", "caller", "stream", "nobody"]
    time_base: Fraction
    frames: int | None
    has_audio: bool
    duration: float | None
    focal: float | None = None
    frames_told: bool = True
    max_pixels: int = MAX_PIXELS


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


def probe(path: str | Path, fps: float | Fraction | None = None, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Look at a video file, a folder of images or one image; decodes no more than the first picture.

    Args:
        path: the source.
        fps: frames per second of a source that does not say, as a folder of images; others keep their own.
        max_pixels: that a picture may have; a larger one is not decoded.

    Raises:
        InputError: the source is missing, empty, unreadable, too large, has no picture, or its first picture cannot be
            decoded.
    """
    path = Path(path)
    given = None if fps is None else usual_rate(Fraction(fps), _TYPED)
    images = image_files(path)
    if images is not None:
        return _look_at_images(path, Album(images, max_pixels), given)

    stamps = sample_stamps(path, max_pixels)
    with open_media(path, max_pixels) as container:
        stream = video_stream(container, path, max_pixels)
        first = next(decode(container, stream, path, ignore), None)
        if first is None:
            raise nothing_decodes(path)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        width, height = orientation_of(first).size(*square_size(first.width, first.height, aspect))
        check_pixels(width, height, path, max_pixels)
        FrameConverter((width, height), path, aspect).rgb(first)  # raises where its colours cannot be read
        stamped = has_stamps(container)
        own = stream.codec_context.framerate or (stream.guessed_rate if stamped else None)
        rate = meant_rate(stamps, Fraction(stream.time_base)) if stamped else None
        rate = rate if rate and _SLOWEST <= rate <= _FASTEST else None
        own = own if own and _SLOWEST <= own <= _CLAIMED else None
        told: list[tuple[Any, Literal["stamps", "caller", "stream", "nobody"]]] = [
            (rate, "stamps"),
            (given, "caller"),
            (own, "stream"),
            (ASSUMED_FPS, "nobody"),
        ]
        value, source = next((Fraction(value), source) for value, source in told if value)
        duration = duration_of(container, stream)
        # Where there are pauses it counts too many, where frames come twice as often for a while too few.
        density = max(value, Fraction(stream.average_rate or 0)) if rate else value
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=value,
            fps_from=source,
            time_base=Fraction(stream.time_base) if rate else 1 / value,
            frames=stream.frames or (round(duration * density) if duration else None),
            has_audio=bool(container.streams.audio),
            duration=float(duration) if duration else None,
            frames_told=bool(stream.frames) or has_duration(container),
            max_pixels=max_pixels,
        )


def _look_at_images(path: Path, album: Album, given: Fraction | None) -> VideoInfo:
    height, width = next(album.pictures())().shape[:2]
    focal = exif_focal(album.files[0], width, height)
    rate = meant_rate(album.stamps, MILLISECONDS) if album.stamps else None
    fps = rate or given or ASSUMED_FPS
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        fps=fps,
        fps_from="stamps" if rate else "caller" if given else "nobody",
        time_base=MILLISECONDS if rate else 1 / fps,
        frames=len(album),
        has_audio=False,
        duration=float(album.stamps[-1] * MILLISECONDS if album.stamps else len(album) / fps),
        focal=focal,
        max_pixels=album.max_pixels,
    )


def read_frames(
    source: str | Path | VideoInfo,
    start: float | None = None,
    end: float | None = None,
    *,
    warn: Warn = ignore,
) -> Iterator[Frame]:
    """Yield the frames of a source in display order, one at a time; memory does not grow with its length.

    `Frame.index` counts the frames of the whole source, also when `start` leaves some out. Time stamps strictly
    increase; where the source lacks one or goes back, one frame's duration is added to the last. Damage is skipped.
    Interlaced pictures are made whole, and such as have another size than the first are scaled to it, between black
    bars where they have another shape.

    Args:
        source: its path, or what `probe` says of it.
        start: seconds from the first frame; frames with start <= time < end are given.
        end: likewise.
        warn: receives one line for every fault.

    Raises:
        InputError: as `probe`; also if no frame can be decoded, or the times ask for none. What is wrong with an image
            file is found when its picture is asked for.
        UsageError: `end` is not after `start`.
    """
    if start is not None and end is not None and end <= start:
        raise UsageError(f"{end:g} s is not after the start, {start:g} s", option="end", remedy="give a later end")
    info = source if isinstance(source, VideoInfo) else probe(source)
    images = image_files(info.path)
    frames = _video_frames(info, warn) if images is None else _image_frames(info, images, warn)
    yield from _between(frames, info.path, start, end)


def read_stretch(info: VideoInfo, start: float, end: float | None = None, *, warn: Warn = ignore) -> Iterator[Frame]:
    """Yield the frames of a stretch of a source without reading all that comes before, where its kind allows it.

    Frames, their stamps and their times are those that `read_frames` gives, but for damage close to the start. Only
    `Frame.index` counts from the stretch's first frame.

    Args:
        info: what `probe` says of the source.
        start: seconds from the source's first frame; frames with start <= time < end are given.
        end: likewise; None: up to the last.
        warn: receives one line for every fault of what is read.

    Raises:
        InputError: as `read_frames`.
    """
    images = image_files(info.path)
    if images is not None:
        frames, origin = _image_frames(info, images, warn), None
    else:
        frames, origin = _entered(info, start, warn)
    for number, frame in enumerate(_between(frames, info.path, start, end, origin)):
        yield replace(frame, index=number)


def _entered(info: VideoInfo, start: float, warn: Warn) -> tuple[Iterator[Frame], Fraction]:
    """Frames of a video from some time at `start` or before it on, and the time of its very first."""
    with contextlib.closing(_video_frames(info, ignore)) as frames:  # type: ignore[type-var]
        origin = next(frames).time
    ahead = _AHEAD
    while info.fps_from == "stamps" and start > ahead:
        frames = _video_frames(info, warn, origin + Fraction(start) - ahead)
        with contextlib.suppress(InputError):  # nothing can be decoded from there on
            first = next(frames)
            if first.time <= origin + Fraction(start):
                return _with_first(first, frames), origin
        ahead *= 8
    return _video_frames(info, warn), origin


def _with_first(first: Frame, frames: Iterator[Frame]) -> Iterator[Frame]:
    with contextlib.closing(frames):  # type: ignore[type-var]
        yield first
        yield from frames


def seconds_of(value: float) -> Fraction:
    """Seconds as frames are compared with them: 0.1 is a tenth here."""
    return Fraction(value).limit_denominator(1_000_000)


def _between(
    frames: Iterator[Frame], path: Path, start: float | None, end: float | None, origin: Fraction | None = None
) -> Iterator[Frame]:
    """Keep the frames of [start, end), counted from the first, or from `origin`."""
    first = None if start is None else seconds_of(start)
    stop = None if end is None else seconds_of(end)
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


def _video_frames(info: VideoInfo, warn: Warn, entry: Fraction | None = None) -> Iterator[Frame]:
    """Decode a video file, from its first frame or from about a time, see `enter`."""
    path = info.path
    with open_media(path, info.max_pixels) as container:
        stream = video_stream(container, path, info.max_pixels)
        if entry is not None:
            enter(container, stream, entry)
        if len(others := moving_pictures(container)) > 1:
            warn(f"{path}: holds {len(others)} videos; only stream {stream.index} is read, which players show")
        stamped = info.fps_from == "stamps"
        step = max(1, round(1 / (info.fps * info.time_base)))
        last: int | None = None
        shift = 0  # of the stamps, where another recording began
        told = stream.codec_context.sample_aspect_ratio  # of pixels; the container's word counts more, until it changes
        form: tuple[int, int, Fraction] | None = None
        forms: list[str] = []
        index = -1
        first = 0
        for index, frame in enumerate(deinterlaced(decode(container, stream, path, warn, entry is None))):
            pts = frame.pts + shift if stamped and frame.pts is not None else None
            if pts is not None and last is not None and (last - pts) * info.time_base > BACK:
                shift += last + step - pts
                pts = last + step
            if pts is None or (last is not None and pts <= last):
                pts = 0 if last is None else last + step
            first = pts if last is None else first
            last = pts
            now = stream.codec_context.sample_aspect_ratio
            aspect = Fraction((stream.sample_aspect_ratio if now == told else now) or 1)
            if form != (frame.width, frame.height, aspect):
                form = frame.width, frame.height, aspect
                converter = FrameConverter((info.width, info.height), path, aspect)
                forms.append("x".join(map(str, square_size(*form))))
                if len(forms) == 2:
                    place = (
                        f"{' to '.join(forms)} pixels at frame {index}, {float((pts - first) * info.time_base):.2f} s"
                    )
                    warn(f"{path}: the picture changes from {place}; such pictures are scaled to the first's size")
            yield Frame(index, pts, info.time_base, frame, converter)
        if index < 0:
            raise nothing_decodes(path)


def _image_frames(info: VideoInfo, files: list[Path], warn: Warn) -> Iterator[Frame]:
    """Images, or the pictures of one file. All must have the size of the first: a video has one size."""
    album = Album(files, info.max_pixels)
    converter = FrameConverter()
    for note in album.notes:
        warn(note)
    places = [*files] if len(files) > 1 else files * len(album)
    for index, (file, read) in enumerate(zip(places, album.pictures(), strict=True)):

        def picture(file: Path = file, read: Callable[[], Picture] = read) -> Picture:
            image = read()
            if image.shape[:2] != (info.height, info.width):
                sizes = f"{image.shape[1]}x{image.shape[0]} pixels, those before it {info.width}x{info.height}"
                raise InputError(f"is {sizes}", path=file, remedy="make all images one size")
            return image

        yield Frame(index, album.stamps[index] if album.stamps else index, info.time_base, picture, converter)
