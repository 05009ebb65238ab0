"""The frames of a piece of a video, read without reading all that comes before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np

from glot_cli.files.npz import Arrays
from glot_cli.pipeline.borders import stretch_of
from glot_cli.pipeline.options import Options
from glot_cli.video import Frame, VideoInfo
from glot_cli.video.reading import read_stretch


def frames_about(
    piece: int, borders: Sequence[float], info: VideoInfo, options: Options, origin: int, warn: Callable[[str], None]
) -> Iterator[Frame]:
    """The frames that a piece looks at, which is not the first.

    Where none comes before its border, for there is a pause, they begin before that: or nobody would see whether
    there is a cut as well.

    Args:
        piece: which, from 1.
        borders: see `borders_of`.
        info: what `probe` says of the video.
        options: which stretch of it is run, and how densely people are looked for.
        origin: time stamp of the video's very first frame.
        warn: receives one line for every fault.

    Raises:
        InputError: there are none, or the video cannot be read.
    """
    border, least = borders[piece - 1], options.start or 0.0
    begin, end, _ = stretch_of(piece, borders, info, options)
    while True:

        def tell(line: str, begin: float = begin) -> None:
            warn(f"{line} (from {begin:g} s on)")

        with closing(read_stretch(info, begin, end, warn=tell)) as frames:  # type: ignore[type-var]
            first = next(frames)
            if begin <= least or (first.pts - origin) * info.time_base < border:
                yield first
                yield from frames
                return
        begin = max(least, border - 4 * (border - begin))


def frames_of(piece: int, joined: Arrays, info: VideoInfo) -> Iterator[tuple[int, Frame]]:
    """The frames of a piece, with their numbers, counted from the first of all."""
    begin, end = joined["parts"][piece : piece + 2].tolist()
    stamps = joined["stamps"].astype(float) - float(joined["origin"])
    middles = np.concatenate([[stamps[0] - 0.5], (stamps[1:] + stamps[:-1]) / 2, [stamps[-1] + 0.5]])
    start, stop = (middles[[begin, end]] * float(info.time_base)).tolist()
    number_of = {stamp: begin + number for number, stamp in enumerate(joined["stamps"][begin:end].tolist())}
    for frame in read_stretch(info, max(0.0, start), stop):
        if frame.pts in number_of:
            yield number_of[frame.pts], frame
