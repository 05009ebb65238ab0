"""A small copy of the video that every browser plays: H.264, the frames of the record alone, at their own times."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glot_cli.clock import ascending
from glot_cli.errors import InputError
from glot_cli.files.pixels import MAX_PIXELS
from glot_cli.schema import Meta
from glot_cli.video import VideoWriter, probe, read_frames
from glot_cli.video.images import Picture
from glot_cli.video.planes import even
from glot_cli.viewer.packing import ShownFrames

LONGEST_SIDE = 960  # pixels
QUALITY = 28  # x264's crf
KEYFRAME_S = 2.0  # from one picture that stands alone to the next: how far a jump has to decode


def write_preview(
    video: Path,
    target: Path,
    meta: Meta,
    frames: ShownFrames,
    tick: Callable[[], Any],
    warn: Callable[[str], None],
) -> ShownFrames:
    """Encode the frames of a record anew. The first is at time 0.

    Args:
        video: what the record was made from.
        target: the MP4 to make.
        meta: of the record.
        frames: which, and when by the record.
        tick: called after every frame.
        warn: receives one line for every fault that did not stop it.

    Returns:
        The frames with the times that the video gives them.

    Raises:
        InputError: the video cannot be read, or is not the one the record was made from.
        OutputError: the target cannot be written.
    """
    info = probe(video, meta.frame_rate, max(MAX_PIXELS, meta.width * meta.height))
    if (info.width, info.height) != (meta.width, meta.height):
        reason = f"is {info.width}x{info.height}, but the result was made from {meta.width}x{meta.height}"
        raise InputError(reason, path=video, remedy="give the video that the result was made from")
    scale = min(1.0, LONGEST_SIDE / max(info.width, info.height))
    width, height = (even(max(2, round(length * scale))) for length in (info.width, info.height))
    # Means of areas take five times as long unless they are of whole pixels, and matter where much is left out.
    method = cv2.INTER_AREA if scale <= 0.5 else cv2.INTER_LINEAR
    step = max(1, round(1 / (meta.frame_rate * info.time_base)))
    stamps: list[int] = []
    with VideoWriter(
        target,
        width,
        height,
        time_base=info.time_base,
        fps=info.fps,
        crf=QUALITY,
        keyframe_every=max(1, round(KEYFRAME_S * info.fps)),
    ) as writer:
        small: Picture | None = None
        for frame in read_frames(info, warn=warn):
            if frame.index < frames.first:
                continue
            if frame.index >= frames.first + len(frames):
                break
            small = cv2.resize(frame.image, (width, height), interpolation=method).astype(np.uint8, copy=False)
            writer.write(small, frame.pts)
            stamps.append(frame.pts)
            tick()
        if small is None:
            reason = "ends before the frames that the result was made from"
            raise InputError(reason, path=video, remedy="give the video that the result was made from")
        missing = len(frames) - len(stamps)
        if missing:
            warn(f"{video}: ends {missing} frames before the result does; its last picture stands still from there on")
            stamps += [stamps[-1] + step * (n + 1) for n in range(missing)]
            writer.write(small, stamps[-1])
    times = np.array([float(Fraction(stamp - stamps[0]) * info.time_base) for stamp in stamps])
    return ShownFrames(frames.first, ascending(times, 1 / float(meta.frame_rate)))
