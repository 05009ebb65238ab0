"""Interlaced video: both halves of a picture, taken one after the other, made into one picture of one moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

_LEAST = 8  # rows and columns that the filter needs, where planes of colour have half of them


def deinterlaced(frames: Iterable[Any]) -> Iterator[Any]:
    """Decoded frames of PyAV, as many, with their time stamps, of which none is interlaced any more.

    FFmpeg's bwdif does it; frames pass by it until one says that it is interlaced. Pictures of a few pixels stay.
    """
    weaver: _Weaver | None = None
    for frame in frames:
        if weaver is not None and not weaver.takes(frame):
            yield from weaver.finish()
            weaver = None
        if weaver is None and (not frame.interlaced_frame or min(frame.width, frame.height) < _LEAST):
            yield frame
            continue
        weaver = weaver or _Weaver(frame)
        yield from weaver.put(frame)
    if weaver is not None:
        yield from weaver.finish()


class _Weaver:
    """The filter, for frames like a first one. It gives a frame when it has the next."""

    def __init__(self, frame: Any) -> None:
        import av.filter

        self._kind = (frame.width, frame.height, frame.format.name)
        self._number = 0
        self._stamps: deque[tuple[Any, Any]] = deque()  # of the frames inside; the filter halves the time base
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        weave = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        source.link_to(weave)
        weave.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def takes(self, frame: Any) -> bool:
        """Whether a frame is like the first."""
        return (frame.width, frame.height, frame.format.name) == self._kind

    def put(self, frame: Any) -> Iterator[Any]:
        """Take a frame in; give what is ready."""
        self._stamps.append((frame.pts, frame.time_base))
        # The filter leaves out frames without a stamp or of one that does not rise: it is given numbers.
        frame.pts, self._number = self._number, self._number + 1
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[Any]:
        """Give what is still inside."""
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Any]:
        import av

        while self._stamps:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, EOFError):
                return
            frame.pts, frame.time_base = self._stamps.popleft()
            yield frame
