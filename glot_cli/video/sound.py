"""The sound of a video, carried over into another one beside its picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from glot_cli.video.media import BACK, Warn, open_media

# Sound a browser plays from an MP4 as it stands; anything else is encoded anew to AAC.
COPIED_AUDIO = frozenset({"aac", "mp3", "opus", "flac"})


def _on_one_clock(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets whose stamps go on where another recording begins in the same file, as those of pictures do."""
    ends: dict[int, int] = {}  # of each stream
    shifts: dict[int, int] = {}
    for packet in packets:
        stamp, index = packet.pts if packet.pts is not None else packet.dts, packet.stream.index
        if stamp is not None:
            shift, end = shifts.get(index, 0), ends.get(index)
            if end is not None and (end - stamp - shift) * packet.time_base > BACK:
                shift = shifts[index] = end - stamp
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
            ends[index] = stamp + shift + (packet.duration or 0)
        yield packet


class SoundCopier:
    """Moves the sound of one file into an open MP4, a stretch at a time so that it lies beside its picture.

    Sound before the first picture and after the last is left out; packets are never split (20-30 ms each).

    Args:
        path: the file that has the sound.
        target: an open PyAV container, nothing of which has been written yet.
        warn: receives one line for every fault.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, path: Path, target: Any, warn: Warn) -> None:
        self._path, self._target, self._warn = path, target, warn
        self._outputs: dict[int, Any] = {}  # source stream index -> stream of the target
        self._encoded: set[int] = set()  # source streams that are decoded and encoded anew
        self._pending: Any = None  # a packet read, whose time has not come
        self._source = open_media(path)
        for stream in self._source.streams.audio:
            if stream.codec_context is None:  # no decoder known: then a browser has none either
                warn(f"{path}: sound stream {stream.index} is of an unknown kind and left out")
            elif stream.codec_context.name.removesuffix("float") in COPIED_AUDIO:
                self._outputs[stream.index] = target.add_stream_from_template(stream)
            else:
                output = target.add_stream("aac", rate=stream.rate)
                output.layout = "mono" if stream.channels == 1 else "stereo"
                self._outputs[stream.index] = output
                self._encoded.add(stream.index)
        self._packets = _on_one_clock(self._source.demux(list(self._source.streams.audio)) if self._outputs else ())

    def copy_until(self, origin: Fraction, until: Fraction) -> None:
        """Move the packets with origin <= time < until (seconds on the source's clock), shifted to start at 0."""
        import av

        try:
            while (packet := self._pending or next(self._packets, None)) is not None:
                self._pending = packet
                index = packet.stream.index
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None or index not in self._outputs:  # flush packet, or a stream left out
                    self._pending = None
                    continue
                seconds = stamp * packet.time_base
                if seconds >= until:
                    return
                self._pending = None
                if seconds >= origin:
                    self._move(packet, index, origin)
        except av.FFmpegError as error:
            self._warn(f"{self._path}: sound cannot be read further ({error.strerror}); the rest of it is left out")
            self._packets, self._pending = iter(()), None

    def _move(self, packet: Any, index: int, origin: Fraction) -> None:
        """Put one packet into the target, shifted by `origin` seconds, encoded anew if need be."""
        output = self._outputs[index]
        shift = round(origin / packet.time_base)
        if index not in self._encoded:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = output
            self._target.mux(packet)
            return
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(origin / frame.time_base)
            self._target.mux(output.encode(frame))

    def close(self) -> None:
        """Flush the encoders."""
        for index in self._encoded:
            self._target.mux(self._outputs[index].encode(None))
        self._source.close()

    def abort(self) -> None:
        """Let go of the source."""
        self._source.close()
