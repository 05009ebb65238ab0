"""Short clips, each another: stretches of the example at a small size, every second one mirrored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "clip.mp4"


def make_clips(folder: Path, count: int, frames: int = 12, width: int = 320) -> list[Path]:
    """Write clips into a folder.

    Args:
        folder: is made.
        count: how many, up to some 400.
        frames: of each.
        width: pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(EXAMPLE)) as film:
        stream = film.streams.video[0]
        height = round(stream.height * width / stream.width / 2) * 2
        pictures = [frame.reformat(width, height, "rgb24").to_ndarray() for frame in film.decode(stream)]
        rate = Fraction(stream.average_rate)
    paths = [folder / f"clip{number:05d}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        first = number // 2 % (len(pictures) - frames)
        with av.open(str(path), "w") as out:
            video = out.add_stream("libx264", rate=rate)
            video.width, video.height, video.pix_fmt, video.thread_count = width, height, "yuv420p", 1
            for picture in pictures[first : first + frames]:
                shown = np.ascontiguousarray(picture[:, ::-1] if number % 2 else picture)
                out.mux(video.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
            out.mux(video.encode())
    return paths
