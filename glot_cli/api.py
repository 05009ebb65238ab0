"""The Python interface: what the commands do, as functions. Imports without Click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glot_cli.errors import GlotError
from glot_cli.pipeline.draw import draw
from glot_cli.pipeline.run import Options, Outcome, Runner, output_folders
from glot_cli.progress import Progress
from glot_cli.results import load_result
from glot_cli.weights.bodies import recorded_body

__all__ = ["Options", "Outcome", "render", "run"]


def run(videos: str | Path | Sequence[str | Path], out: str | Path, **options: Any) -> list[Outcome]:
    """Turn videos into body parameters and overlays; models are loaded once for all.

    videos: video files, folders of images or single images. out: folder that gets one folder a video. options: the
    fields of `Options`, e.g. device="cpu", render=False, quiet=True.

    Raises UsageError for options that cannot be, GlotError for a video that fails (those before it are finished).
    """
    paths = [Path(videos)] if isinstance(videos, str | Path) else [Path(v) for v in videos]
    runner = Runner(Options(**options))
    folders = output_folders(paths, Path(out))
    return [runner.run(video, folder) for video, folder in zip(paths, folders, strict=True)]


def render(
    params: str | Path,
    output: str | Path | None = None,
    *,
    style: str = "overlay",
    video: str | Path | None = None,
    body: str | None = None,
    quiet: bool = True,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Draw a record again, from the file and the video alone; no network runs. The path of the picture.

    params: params.npz or the folder that holds it. output: the .mp4 to write, or a folder for `<style>.mp4`; by default
    that of params. style: overlay, side, plain or wireframe. video, body: where the video, and a body model that is a
    file, are now, if they were moved. warn: receives one line for every fault that did not stop the drawing.

    Raises GlotError when the record or the video cannot be read, or nothing can be drawn.
    """
    params = Path(params)
    result = load_result(params)
    folder = params if params.is_dir() else params.parent
    target = Path(output) if output else folder
    if target.is_dir():
        target = target / f"{style}.mp4"
    source = Path(video) if video else _find_video(result.meta.source, result.meta.video, folder)
    body_model = recorded_body(params, result.meta, body)
    draw(
        result,
        source,
        target,
        body_model,
        style=style,
        progress=Progress(source.name, quiet),
        warn=warn or (lambda message: None),
    )
    return target


def _find_video(source: str, name: str, folder: Path) -> Path:
    """The video of a record: where it was, or beside the record or the folder that holds it."""
    places = [Path(source), folder / name, folder.parent / name, Path(name)]
    for place in places:
        if place.exists():
            return place
    raise GlotError(f"{source}: the video of this result is not there any more; say where it is with --video")
