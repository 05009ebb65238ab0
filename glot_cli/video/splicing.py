"""Pieces of one H.264 picture, drawn apart, put together to one MP4 without encoding anything anew."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from glot_cli.errors import GlotError, InputError, OutputError
from glot_cli.files.atomic import not_written
from glot_cli.files.seal import sealed, sealed_kind
from glot_cli.video.media import Warn, ignore
from glot_cli.video.sound import SoundCopier


def splice(
    pieces: Sequence[tuple[Path, int]],
    path: Path,
    *,
    origin: int,
    time_base: Fraction,
    audio_from: Path | None = None,
    warn: Warn = ignore,
) -> None:
    """Put pieces that `VideoWriter` wrote together to what it would have written at once, sound included.

    Args:
        pieces: MP4s without sound, each with the time stamp of its first frame, ascending.
        path: the file to make, or one of glot's to replace.
        origin: time stamp of the first frame of all, which becomes time 0.
        time_base: seconds per unit of time stamps.
        audio_from: a media file whose sound is copied, see `VideoWriter`.
        warn: receives one line for every fault in the sound.

    Raises:
        OutputError: it cannot be written.
        InputError: a piece is gone, or not as it was written.
        GlotError: pieces were encoded by libraries that do not agree.
    """
    import av

    for piece, _ in pieces:
        if sealed_kind(piece) != "mp4":  # one that was cut off would be read as far as it goes
            remedy = "run it again when nobody else writes there"
            raise InputError("a piece of the picture that is gone or was changed", path=piece, remedy=remedy)
    try:
        with sealed(path) as aside:
            aside.touch()
            container = av.open(os.path.abspath(aside), "w", format="mp4", options={"movflags": "+faststart"})
            with container:
                _copy(container, pieces, origin, time_base, audio_from, warn)
    except (av.FFmpegError, OSError) as error:
        raise not_written(path, error) from None


def _copy(
    container: Any,
    pieces: Sequence[tuple[Path, int]],
    origin: int,
    time_base: Fraction,
    audio_from: Path | None,
    warn: Warn,
) -> None:
    """Copy the packets of all pieces into an open container, and the sound beside them."""
    import av

    start = origin * time_base
    target: Any = None
    sound, form = None, None
    try:
        for piece, first in pieces:
            with av.open(os.path.abspath(piece)) as source:
                stream: Any = source.streams.video[0]
                if target is None:
                    target, form = container.add_stream_from_template(stream), stream.codec_context.extradata
                    sound = None if audio_from is None else SoundCopier(audio_from, container, warn)
                elif stream.codec_context.extradata != form:
                    remedy = "install the same versions of glot and its libraries on all machines, then begin anew"
                    raise GlotError(f"{piece}: was encoded otherwise than the pieces before it", remedy=remedy)
                shift = round((first - origin) * time_base / stream.time_base)
                packet: Any
                for packet in source.demux(stream):
                    if packet.dts is None:  # the demuxer's last, which is empty
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    end = (packet.pts + packet.duration) * packet.time_base
                    packet.stream = target
                    container.mux(packet)
                    if sound is not None:
                        sound.copy_until(start, start + end)
        if target is None:
            raise OutputError("not written, there was no piece to put in it", remedy="check the input")
        if sound is not None:
            sound.close()
    except BaseException:
        if sound is not None:
            sound.abort()
        raise
