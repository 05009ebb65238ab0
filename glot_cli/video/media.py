"""Media files: which are opened, and the pictures in them, decoded. FFmpeg's libraries do it, through PyAV."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from glot_cli.errors import InputError
from glot_cli.files.pixels import MAX_PIXELS, check_pixels

_SUFFIXES = (
    "264 265 3g2 3gp asf avi dav dv f4v flv gif h264 h265 hevc ivf m1v m2t m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe "
    "mpeg mpg mts mxf nut obu ogm ogv qt rm rmvb ts vob webm wmv wtv y4m"
)
VIDEO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())

BACK = 1  # seconds by which time stamps go back where another recording begins

# FFmpeg's demuxers of films; those of sound are here so that sound is told from rubbish. All others stay shut:
# playlists (hls, dash, concat, imf) lead to other files and may never end, devices and lavfi are no files, and text
# (tty), single images and raw bytes pass for films by their name alone.
_DEMUXERS = (
    "3dostr,4xm,amv,asf,asf_o,av1,avi,avs2,avs3,bink,cavsvideo,cine,dhav,dirac,dnxhd,dv,evc,flic,flv,gif,gxf,h261,h263,"
    "h264,hevc,ipmovie,ivf,kux,live_flv,lvf,lxf,m4v,matroska,mjpeg,mlv,mov,mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,"
    "ogg,pva,r3d,rm,smk,swf,ty,vc1,vivo,vvc,wtv,yuv4mpegpipe,"
    "aac,ac3,aiff,amr,ape,au,caf,dts,eac3,flac,mp3,tta,w64,wav,wv"
)
_PROBED = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
_STILL_BRANDS = frozenset({"avif", "heic", "heim", "heis", "heix", "mif1"})  # of ISO/IEC 23008-12
_THREADS = 4  # at most: each holds a frame or two, and two decode 4K far faster than anyone asks for it
_LARGE = 1 << 25  # pixels of a picture, from which on one at a time is enough to hold
_MAIN = 0x1  # AV_DISPOSITION_DEFAULT: of several streams the one that players show
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: the cover of a song is no video
_NO_TIME_STAMPS = 0x80  # AVFMT_NOTIMESTAMPS: a bare stream, whose stamps FFmpeg makes up
_MAY_BEGIN_ANEW = 0x200  # AVFMT_TS_DISCONT: its stamps may, so that the last less the first is no duration
_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # forms whose stamps are the same from wherever one reads on
_STAMPS, _STAMPED_BYTES = 600, 32 << 20  # how much of a video is looked through for its frame rate: so many frames
_LEAST_STAMPS = 60  # of large frames
_FEW = 8  # packets that may give no picture though nothing is wrong: those before a key frame, and empty ones

Warn = Callable[[str], None]


def ignore(message: str) -> None:
    """The warning receiver of callers who want none."""


def check_file(path: Path) -> None:
    """Raise an InputError for what is no readable, non-empty file; a pipe or a device is not opened to find out."""
    try:
        size = path.stat().st_size
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = "no such file or folder" if missing else f"cannot be read ({error.strerror})"
        raise InputError(reason, path=path, remedy="check the name") from None
    if not path.is_file():
        raise InputError("is no regular file", path=path, remedy="give a video file, an image or a folder of images")
    if size == 0:
        raise InputError("the file is empty", path=path, remedy="copy it again")


def open_media(path: Path, max_pixels: int = MAX_PIXELS) -> Any:
    """Open a media file for reading, as a PyAV container, or raise an InputError that says why not."""
    import av

    check_file(path)
    try:
        # FFmpeg decodes a little to see what a file holds: the limit has to be known by then.
        container = av.open(os.path.abspath(path), metadata_errors="ignore", options={**_PROBED, **_limit(max_pixels)})
    except PermissionError:
        raise InputError("not allowed to read it", path=path, remedy="change its permissions") from None
    except (av.FFmpegError, OSError, ValueError):
        raise InputError(
            "not a video that can be read (another kind of file, a playlist, or cut off before its index)",
            path=path,
            remedy="play it elsewhere, then copy or export it again",
        ) from None
    if container.metadata.get("major_brand") in _STILL_BRANDS:  # FFmpeg sees a film in each of its tiles
        container.close()
        raise InputError("a still image of a kind that is not read", path=path, remedy="export it as JPEG or PNG")
    return container


def moving_pictures(container: Any) -> list[Any]:
    """The streams of moving pictures that can be decoded, the one that players show before all others."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition.value & _ATTACHED_PICTURE
    ]
    return sorted(streams, key=lambda stream: not stream.disposition.value & _MAIN)


def video_stream(container: Any, path: Path, max_pixels: int) -> Any:
    """The stream that is read: the first of the moving pictures."""
    for stream in moving_pictures(container):
        check_pixels(stream.width, stream.height, path, max_pixels)
        stream.codec_context.options = _limit(max_pixels)
        return stream
    if container.streams.audio:
        raise InputError("holds sound but no video", path=path, remedy="give a file with a picture")
    remedy = "give a video file, an image or a folder of images"
    raise InputError("holds no video that can be decoded", path=path, remedy=remedy)


def _limit(max_pixels: int) -> dict[str, str]:
    """The option of FFmpeg's decoders, who count the bytes of a picture in 31 bits."""
    return {"max_pixels": str(min(max_pixels, 2**31 - 1))}


def has_stamps(container: Any) -> bool:
    """Whether the frames of a file have times: those of a bare stream have none."""
    return not container.format.flags & _NO_TIME_STAMPS


def has_duration(container: Any) -> bool:
    """Whether the duration of a file can be relied on: MPEG-TS may be several recordings, one after the other."""
    return not container.format.flags & _MAY_BEGIN_ANEW


def enter(container: Any, stream: Any, time: Fraction) -> None:
    """Go on reading at a picture that stands alone, about a time or before it; where that is not sure, at the first.

    Args:
        container: which nothing has been read from yet.
        stream: of it, that is read.
        time: seconds on the stream's clock.
    """
    import av

    if container.format.name in _INDEXED:
        with contextlib.suppress(av.FFmpegError, OverflowError):
            container.seek(int(time / stream.time_base), stream=stream)


def sample_stamps(path: Path, max_pixels: int) -> list[int]:
    """Time stamps of the first frames, in units of the stream's time base, unordered; nothing is decoded."""
    import av

    stamps: list[int] = []
    size = 0
    with open_media(path, max_pixels) as container:
        stream = video_stream(container, path, max_pixels)
        in_order = _comes_in_order(container)
        try:
            for packet in container.demux(stream):
                stamp = packet.dts if in_order or packet.pts is None else packet.pts
                if stamp is not None and packet.size:
                    stamps.append(stamp)
                size += packet.size
                if len(stamps) >= (_LEAST_STAMPS if size >= _STAMPED_BYTES else _STAMPS):
                    break
        except av.FFmpegError:  # damage; `decode` tells of it
            pass
    return stamps


def _comes_in_order(container: Any) -> bool:
    """Whether a packet's stamp says when some picture is shown, but not which: the n-th is that of the n-th shown."""
    return bool(container.format.name == "avi")


@dataclass
class _Tally:
    """What was read of a stream: packets, those cut away by whoever edited the file, frames, and faults.

    Attributes:
        from_start: reading began at the first picture.
        last_time: when the last picture ends, seconds.
    """

    from_start: bool
    packets: int = 0
    discarded: int = 0
    frames: int = 0
    failed: int = 0
    broken: int = 0
    cut: bool = False
    fields: bool = False
    last_time: float = 0.0

    def add(self, packet: Any) -> None:
        """Count a packet that is not empty."""
        self.packets += 1
        self.discarded += packet.is_discard
        if packet.pts is not None and packet.time_base:
            self.last_time = max(self.last_time, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def add_frame(self, frame: Any) -> None:
        """Count a picture."""
        self.frames += 1
        self.broken += frame.is_corrupt
        self.fields = self.fields or frame.interlaced_frame

    def tell(self, container: Any, stream: Any, path: Path, warn: Warn, ended: bool) -> None:
        """Say what is missing.

        Args:
            container: of the stream.
            stream: that was read.
            path: of the file.
            warn: receives the lines.
            ended: it was read to its end; else nothing is said of what never came.
        """
        short = ended and self._tell_end(container, stream, path, warn)
        missing = (self.packets - self.discarded) // (2 if self.fields else 1) - self.frames  # a packet may hold half
        if not ended or stream.codec_context.name == "vp8" or missing <= _FEW:  # VP8 has frames that are never shown
            missing = self.failed
        if missing and self.frames:
            damage = "damaged, or cut out of a longer video"
            warn(f"{path}: {damage}: {missing} of {self.frames + missing} frames cannot be decoded and are left out")
        if self.broken > short:  # half of the last one is no news then
            warn(f"{path}: damaged: {self.broken} of {self.frames} frames are right only in part, and read as they are")

    def _tell_end(self, container: Any, stream: Any, path: Path, warn: Warn) -> bool:
        """Say it where the end is missing; returns whether it is."""
        if self.from_start and self.packets < (stream.frames or 0):
            there = f"{self.packets} of {stream.frames} frames are there"
            warn(f"{path}: truncated or damaged: {there}; the rest is left out")
        elif self.cut:
            warn(f"{path}: truncated or damaged: reading stopped after {self.packets} frames; the rest is left out")
        elif self.from_start and not stream.frames and _ends_early(container, self.last_time):
            warn(f"{path}: truncated: ends after {self.last_time:.1f} s of {container.duration / 1e6:.1f} s")
        elif not self.from_start and self.last_time < (end := _end_of(stream)) - 1.0:
            warn(f"{path}: truncated or damaged: ends after {self.last_time:.1f} s of {end:.1f} s")
        else:
            return False
        return True


def decode(container: Any, stream: Any, path: Path, warn: Warn, from_start: bool = True) -> Iterator[Any]:
    """Decoded frames of one stream. Damaged packets are skipped; what is missing is told to `warn` at the end.

    Args:
        container: of the stream.
        stream: that is read.
        path: of the file.
        warn: receives one line for every fault; of a stream that is not read to its end, for those met so far.
        from_start: nothing was skipped, see `enter`.
    """
    import av

    stream.thread_type = "AUTO"
    many = stream.width * stream.height < _LARGE
    stream.codec_context.thread_count = min((os.cpu_count() or 1) + 1, _THREADS) if many else 1
    packets = container.demux(stream)
    tally = _Tally(from_start)
    ended = False
    in_order = _comes_in_order(container)
    stamps: deque[int] = deque()  # of the packets whose frames are to come, where those come in order
    try:
        while not ended:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError) as error:
                # A demuxer that fails gives no flush packet: ask the decoder for what it still holds.
                tally.cut = not isinstance(error, StopIteration)
                ended, packet = True, None
            if packet is not None and packet.size:
                tally.add(packet)
                if in_order and packet.dts is not None:
                    stamps.append(packet.dts)
            try:
                for frame in stream.codec_context.decode(packet):
                    if in_order:
                        frame.pts = stamps.popleft() if stamps else None
                    tally.add_frame(frame)
                    yield frame
            except EOFError:  # the decoder was flushed already by the demuxer's own last packet
                pass
            except av.FFmpegError:
                tally.failed += 1
                if stamps:
                    stamps.pop()
    except GeneratorExit:
        tally.tell(container, stream, path, warn, ended=False)
        raise
    tally.tell(container, stream, path, warn, ended=True)


def _end_of(stream: Any) -> float:
    """When a stream ends, as it says itself, seconds; 0 where it does not."""
    return float(((stream.start_time or 0) + (stream.duration or 0)) * stream.time_base) if stream.duration else 0.0


def _ends_early(container: Any, last_time: float) -> bool:
    """Whether the last picture comes more than a second before the end the header promises (both in seconds).

    Sound may honestly outlast the picture, so this only judges files without sound. Some headers count from the first
    picture, some from 0: what both take for too early is.
    """
    if not container.duration or container.streams.audio:
        return False
    return bool(last_time - min(0, container.start_time or 0) / 1e6 < container.duration / 1e6 - 1.0)


def duration_of(container: Any, stream: Any) -> Fraction | None:
    """Seconds of picture as the header states them."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, 1_000_000) if container.duration else None


def nothing_decodes(path: Path) -> InputError:
    """The error of a video that has no picture that can be decoded."""
    reason = "not one frame can be decoded, the file is damaged or truncated"
    return InputError(reason, path=path, remedy="copy or export it again")
