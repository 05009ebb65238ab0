"""H.264 written with the source's time stamps and sound, through PyAV (FFmpeg's libraries, no ffmpeg program).

Frames are (H, W, 3) uint8 RGB or planes (planes.py). Times are integer time stamps (`pts`) in a `time_base` of seconds.
"""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from glot_cli.errors import OutputError
from glot_cli.files.atomic import abandoned, aside_name, not_written
from glot_cli.files.seal import publish, seal_file
from glot_cli.video.images import Picture
from glot_cli.video.media import Warn, ignore
from glot_cli.video.planes import BT709, LIMITED_RANGE, FrameConverter, Planes, even, planes_shape, to_frame
from glot_cli.video.sound import SoundCopier

if TYPE_CHECKING:
    import av
    import av.container

# x264's "superfast" with what it saves too much on: the look ahead that gives still parts their share of bits, and the
# search for motion of "veryfast". No frame waits for a later one, which halves the time and the memory of "veryfast" at
# its quality; files are up to a fifth larger.
_FAST = {"preset": "superfast", "x264-params": "mbtree=1:me=hex:subme=2:bframes=0"}
# Frames of look ahead, each of which takes twice a picture's memory; in large pictures there is less to gain by it.
_LOOKAHEAD, _LOOKAHEAD_LARGE = 10, 5
_LARGE = 2560 * 1440  # pixels that are not large yet


class VideoWriter:
    """An H.264 (yuv420p, BT.709) MP4 that plays in browsers, with the source's time stamps and sound.

    Frames go to a hidden file beside `path`, renamed to `path` by `close`; leaving the `with` block on an exception
    (Ctrl-C included) removes it, and `path` stays as it was. Odd sizes are padded to even by repeating the last row
    or column. The first frame written becomes time 0, and the sound is shifted and cut along.

    Args:
        path: the file to make; its folder must exist.
        width: of a frame, pixels.
        height: of it.
        time_base: seconds per unit of `pts`.
        fps: nominal frames per second; sets the duration of the last frame and steers the rate control.
        audio_from: a media file whose sound is copied (encoded anew where a browser could not play it), or None.
        crf: x264 quality, 0 (lossless) to 51; 20 is hard to tell from the source.
        preset: of x264, which sets its speed; None: a choice of our own for pictures that are drawn once and looked at.
        keyframe_every: most frames from one that stands alone to the next; None: x264's choice.
        warn: receives one line for every fault in the sound, which never stops the picture.

    Raises:
        OutputError: the file cannot be made or written (folder missing, no permission, disk full), or no frame came.
        InputError: `audio_from` cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        *,
        time_base: Fraction,
        fps: Fraction,
        audio_from: str | Path | None = None,
        crf: int = 20,
        preset: str | None = None,
        keyframe_every: int | None = None,
        warn: Warn = ignore,
    ) -> None:
        import av

        self.path = Path(path)
        self.size = (even(width), even(height))  # encoded (width, height), pixels
        self._frame_shape = (height, width, 3)
        self._time_base = Fraction(time_base)
        self._step = max(1, round(1 / (Fraction(fps) * self._time_base)))
        self._first: int | None = None
        self._last: int | None = None
        self._converter = FrameConverter()
        self._audio: SoundCopier | None = None
        self._partial = aside_name(self.path)
        self._container: av.container.OutputContainer | None = None
        for path, name in abandoned(self.path.parent):
            if name == self.path.name:  # of a process that was killed
                with contextlib.suppress(OSError):
                    path.unlink()
        try:
            self._partial.touch()  # PyAV opens it only with the first frame, too late to say that it cannot be made
            self._container = av.open(
                os.path.abspath(self._partial), "w", format="mp4", options={"movflags": "+faststart"}
            )
        except (av.FFmpegError, OSError) as error:
            self.abort()
            raise not_written(self.path, error) from None
        try:
            self._stream = self._add_stream(fps, crf, preset)
            if keyframe_every is not None:
                self._stream.codec_context.gop_size = keyframe_every
            if audio_from is not None:
                self._audio = SoundCopier(Path(audio_from), self._container, warn)
        except BaseException:
            self.abort()
            raise

    def _add_stream(self, fps: Fraction, crf: int, preset: str | None) -> Any:
        """The picture's stream in the open container."""
        assert self._container is not None
        stream: Any = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1_000_000))
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = Fraction(1)
        context.color_range = LIMITED_RANGE
        context.colorspace = context.color_primaries = context.color_trc = BT709
        if preset is None:
            frames = _LOOKAHEAD_LARGE if self.size[0] * self.size[1] > _LARGE else _LOOKAHEAD
            context.options = {"crf": str(crf), **_FAST, "rc-lookahead": str(frames)}
        else:
            context.options = {"crf": str(crf), "preset": preset}
        return stream

    def write(self, image: Picture, pts: int) -> None:
        """Encode one frame.

        Args:
            image: (height, width, 3) uint8 RGB.
            pts: when it is shown, in units of `time_base`; must increase from frame to frame.

        Raises:
            ValueError: another shape or type, a time stamp that does not increase, or the writer is closed.
            OutputError: it cannot be written.
        """
        if image.shape != self._frame_shape or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._frame_shape}, got {image.dtype} {image.shape}")
        self.write_planes(self._converter.planes_of_rgb(image), pts)

    def write_planes(self, planes: Planes, pts: int) -> None:
        """Encode one frame that is there as planes.

        Args:
            planes: (3 height / 2, width) uint8, both even (planes.py).
            pts: as for `write`, and so the errors.
        """
        shape = planes_shape(*self.size)
        if planes.shape != shape or planes.dtype != np.uint8:
            raise ValueError(f"expected uint8 {shape}, got {planes.dtype} {planes.shape}")
        if self._last is not None and pts <= self._last:
            raise ValueError(f"time stamps must increase: {pts} after {self._last}")
        if self._container is None:
            raise ValueError(f"{self.path}: the writer is closed")
        self._first = pts if self._first is None else self._first
        self._last = pts
        frame = to_frame(planes)  # the encoder copies it before `_mux` returns
        frame.pts, frame.time_base = pts - self._first, self._time_base
        self._mux(frame)
        if self._audio is not None:
            self._audio.copy_until(self._first * self._time_base, pts * self._time_base)

    def _mux(self, frame: Any) -> None:
        """Encode a frame, or what the encoder still holds if that is None."""
        import av

        assert self._container is not None
        try:
            for packet in self._stream.encode(frame):
                # The muxer knows a frame's duration from the next one; the last frame has none.
                packet.duration = packet.duration or self._step
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise not_written(self.path, error) from None

    def close(self) -> None:
        """Finish the file and give it its name. A second call does nothing. Raises OutputError."""
        import av

        if self._container is None:
            return
        try:
            if self._first is None or self._last is None:
                reason = "not written, there was no frame to put in it"
                raise OutputError(reason, path=self.path, remedy="check the input")
            self._mux(None)
            if self._audio is not None:
                origin = self._first * self._time_base
                self._audio.copy_until(origin, (self._last + self._step) * self._time_base)
                self._audio.close()
            container, self._container = self._container, None
            container.close()
            seal_file(self._partial)
            publish(self._partial, self.path)
        except (av.FFmpegError, OSError) as error:
            self.abort()
            raise not_written(self.path, error) from None
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Throw away what was written. Does nothing after `close`."""
        import av

        if self._audio is not None:
            self._audio.abort()
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                container.close()
        with contextlib.suppress(OSError):
            self._partial.unlink()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
