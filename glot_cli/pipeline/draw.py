"""Draw a record over its video: no network is needed, only the body model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.body.model import Body
from glot_cli.errors import InputError
from glot_cli.files.pixels import MAX_PIXELS
from glot_cli.pipeline.staging import followed, staging
from glot_cli.progress import Progress
from glot_cli.rendering import Renderer, output_size
from glot_cli.rendering.client import UNDER_WAY
from glot_cli.rendering.styles import Style, world_size
from glot_cli.results import Result, pose_bodies
from glot_cli.video import Frame, VideoInfo, VideoWriter, probe, read_frames
from glot_cli.video.planes import Planes

ENOUGH = 0.9  # of the frames, by what a video says of itself, which may be an estimate
CHUNK = 8  # frames whose bodies are posed in one batch


class Part(NamedTuple):
    """A part of a video.

    Attributes:
        frames: all of it, with the numbers that the record knows them by.
        begin: number of the first.
        end: number of the one after the last.
    """

    frames: Iterator[Frame]
    begin: int
    end: int


def draw(
    result: Result,
    video: Path,
    target: Path,
    body: Body,
    *,
    style: Style = "overlay",
    progress: Progress,
    warn: Callable[[str], None],
    part: Part | None = None,
) -> int:
    """Draw every frame of the record, or of a part of it, into an H.264 video.

    Args:
        result: the record.
        video: what it was made from.
        target: the file to make or replace; see `folder.check_picture`.
        body: the body model of the record.
        style: one of `styles.STYLES`; world is for records that have one.
        progress: receives the stage.
        warn: receives one line for every fault that did not stop the drawing.
        part: draw no more than this, and without sound.

    Returns:
        How many frames were drawn.

    Raises:
        InputError: the video is not the one the record was made from, or cannot be read; or there is no world to draw.
        RenderError: nothing can be drawn.
        OutputError: the target cannot be written.
    """
    meta = result.meta
    if style == "world":
        result.row_cameras()  # or there are none
    info = probe(video, meta.frame_rate, max(MAX_PIXELS, meta.width * meta.height))
    if (info.width, info.height) != (meta.width, meta.height):
        reason = f"is {info.width}x{info.height}, but the result was made from {meta.width}x{meta.height}"
        raise InputError(reason, path=video, remedy="give the video that the result was made from")
    needed = meta.start_frame + meta.frame_count
    if info.frames_told and info.frames is not None and info.frames < ENOUGH * needed:
        reason = f"has {info.frames} frames, but the result was made from {needed}"
        raise InputError(reason, path=video, remedy="give the video that the result was made from")
    width, height = output_size(style, info.width, info.height)
    stages = staging(result, body, style, world_size(style, info.width, info.height))
    pivots = _pivots(result) if style == "side" and stages is None else {}
    stamps: deque[int] = deque()  # of the frames under way
    with (
        Renderer(body.faces, info.width, info.height, meta.focal_length, style) as renderer,
        VideoWriter(
            target,
            width,
            height,
            time_base=info.time_base,
            fps=info.fps,
            audio_from=video if info.has_audio and part is None else None,
            warn=warn,
        ) as writer,
        progress.stage("draw", meta.frame_count if part is None else part.end - part.begin) as bar,
    ):
        written = 0

        def write(picture: Planes) -> None:
            nonlocal written
            writer.write_planes(picture, stamps.popleft())
            written += 1
            bar.update()

        whole = Part(_covered(result, info, warn), meta.start_frame, meta.start_frame + meta.frame_count)
        shown = part or whole
        posed = _posed(result, body, shown.begin, shown.end)
        for frame in shown.frames:
            # Of a damaged video a frame may be missing now.
            vertices, people = next((bodies, who) for number, bodies, who in posed if number == frame.index)
            stamps.append(frame.pts)
            if renderer.pending == UNDER_WAY:
                write(renderer.collect())
            stage = None if stages is None else stages.at(frame.index)
            focal = result.frame_focal_length(frame.index)
            renderer.submit(frame.planes, vertices, people, pivots.get(frame.index), stage, focal)
        while renderer.pending:
            write(renderer.collect())
    return written


def _covered(result: Result, info: VideoInfo, warn: Callable[[str], None]) -> Iterator[Frame]:
    """The frames of the video that the record speaks of."""
    first, last = result.meta.start_frame, result.meta.start_frame + result.meta.frame_count - 1
    for frame in read_frames(info, warn=warn):
        if frame.index > last:
            return
        if frame.index >= first:
            yield frame


def _posed(
    result: Result, body: Body, begin: int, end: int
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.int32]]]:
    """(number, vertices (P, V, 3) metres in the camera's frame, person ids (P,)) of every frame of [begin, end)."""
    rows_of = dict(result.by_frame())
    nobody = np.array([], dtype=np.intp)
    for first in range(begin, end, CHUNK):
        rows = [rows_of.get(frame, nobody) for frame in range(first, min(first + CHUNK, end))]
        vertices, _ = pose_bodies(body, result.select(np.concatenate(rows)))
        parts = np.split(vertices, np.cumsum([len(r) for r in rows])[:-1])
        yield from zip(range(first, first + len(rows)), parts, (result.person[part] for part in rows), strict=True)


def _pivots(result: Result) -> dict[int, NDArray[np.float64]]:
    """The point each frame's side view turns around: the middle of the people, followed slowly.

    Nothing is followed across a cut or a pause.
    """
    frames, rows, where = np.unique(result.frame, return_index=True, return_inverse=True)
    if not len(frames):
        return {}
    total = np.zeros((len(frames), 3))
    np.add.at(total, where, result.transl)
    middle = total / np.bincount(where)[:, None]
    smooth = followed(middle, result.ticks[rows], result.shot[rows], float(result.meta.frame_rate))
    return dict(zip(frames.tolist(), smooth, strict=True))
