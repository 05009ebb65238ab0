"""Where a long video is cut into pieces, and what each of them looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from glot_cli.pipeline.options import LEAST_SPLIT, Options
from glot_cli.pipeline.passes import looks_apart
from glot_cli.tracking.lookout import WHOLE_EVERY
from glot_cli.video import VideoInfo

# Looked at on either side of a border, until trackers and keyframes have settled; in time lapse so many rounds of looks
# take longer.
OVERLAP_SECONDS, OVERLAP_ROUNDS = 2.0, 3
MOST_PIECES = 1000


class Stretch(NamedTuple):
    """What of a video a piece looks at: itself and a little beyond on either side; seconds from the first frame of all.

    Attributes:
        begin: of it.
        end: of it; None: that of the video.
        next_begin: where the next piece begins to look; None where there is no next one.
    """

    begin: float
    end: float | None
    next_begin: float | None


def borders_of(info: VideoInfo, options: Options, seconds: float) -> list[float]:
    """Where a video is cut into pieces of one length.

    Args:
        info: what `probe` says of it.
        options: which stretch of it is run, and how densely people are looked for.
        seconds: the longest that a piece may be, overlaps not counted.

    Returns:
        Seconds from the video's first frame at which the second piece, the third and so on begin; none where it is too
        short, or does not say how long it is.
    """
    if info.duration is None:
        return []
    fps, start = float(info.fps), options.start or 0.0
    length = min(options.end or math.inf, info.duration) - start
    least = LEAST_SPLIT * overlap_of(info, options) / OVERLAP_SECONDS
    count = min(math.ceil(length / max(seconds, least) - 1e-6), MOST_PIECES)
    # Whole rounds of looks lie between, so that pieces look at the frames that would be looked at without them.
    apart = _round_of_looks(info, options)
    first = math.ceil(start * fps - 1e-6)
    frames = [round(length * fps * number / count / apart) * apart for number in range(1, count)]
    return [(first + frame - 0.5) / fps for frame in frames]


def stretch_of(piece: int, borders: Sequence[float], info: VideoInfo, options: Options) -> Stretch:
    """What is looked at in a piece.

    Args:
        piece: which, from 0.
        borders: see `borders_of`.
        info: what `probe` says of the video.
        options: which stretch of it is run, and how densely people are looked for.
    """
    overlap = overlap_of(info, options)
    begins = [options.start or 0.0, *(max(options.start or 0.0, border - overlap) for border in borders)]
    if piece == len(borders):
        return Stretch(begins[piece], options.end, None)
    end = min(options.end or math.inf, borders[piece] + overlap)
    return Stretch(begins[piece], end, begins[piece + 1])


def overlap_of(info: VideoInfo, options: Options) -> float:
    """Seconds that are looked at on either side of a border: whole rounds of looks too."""
    apart = _round_of_looks(info, options)
    rounds = math.ceil(OVERLAP_SECONDS * float(info.fps) / apart - 1e-2)
    return max(rounds, OVERLAP_ROUNDS) * apart / float(info.fps)


def _round_of_looks(info: VideoInfo, options: Options) -> int:
    """Frames of a steady rate after which looks repeat."""
    return WHOLE_EVERY * max(1, math.floor(looks_apart(info, options)))
