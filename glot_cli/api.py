"""The Python interface: what the commands do, as functions. Imports without Click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from glot_cli.errors import InputError, UsageError
from glot_cli.lifting import Edges
from glot_cli.pipeline.options import Options
from glot_cli.rendering.styles import STYLES, Style

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from glot_cli.pipeline.report import Outcome
    from glot_cli.rendering import BackendSearch

__all__ = ["Options", "RunKeywords", "begin_search", "render", "run"]


class RunKeywords(TypedDict, total=False):
    """The fields of `Options`, for those who give them one by one."""

    preset: str
    detector: str | None
    glot: str | None
    body: str | None
    gender: str | None
    half: bool
    device: str
    batch_size: int
    detect_every: int
    min_frames: int | None
    max_people: int | None
    focal: float | None
    start: float | None
    end: float | None
    edges: Edges
    refine: bool | None
    style: Style
    render: bool
    frames: bool
    overwrite: bool
    quiet: bool


def run(
    videos: str | Path | Sequence[str | Path],
    out: str | Path,
    options: Options | None = None,
    **keywords: Unpack[RunKeywords],
) -> list[Outcome]:
    """Turn videos into body parameters and overlays; models are loaded once for all.

    Args:
        videos: video files, folders of images or single images.
        out: folder that gets one folder a video.
        options: what to run; or give its fields as keywords, e.g. device="cpu", render=False, quiet=True.
        **keywords: the fields of `Options`.

    Returns:
        One outcome a video, in their order.

    Raises:
        UsageError: options that cannot be; nothing was loaded yet.
        GlotError: a video that failed; those before it are finished.
    """
    chosen = _chosen(options, keywords)
    paths = [Path(videos)] if isinstance(videos, str | Path) else [Path(v) for v in videos]

    from glot_cli.pipeline.folder import output_folders

    folders = output_folders(paths, Path(out))
    search = begin_search(chosen, folders)
    from glot_cli.pipeline.run import Runner

    runner = Runner(chosen, inputs=paths, search=search)
    return [runner.run(video, folder) for video, folder in zip(paths, folders, strict=True)]


def begin_search(options: Options, folders: Sequence[Path]) -> BackendSearch | None:
    """Look for a way to draw while torch is still being imported, which takes as long.

    None where nothing is to be drawn, or where a first look says that all may be finished.
    """
    from glot_cli.pipeline.folder import REPORT

    if not options.render or all((folder / REPORT).exists() for folder in folders):
        return None
    from glot_cli.rendering import BackendSearch

    return BackendSearch()


def _chosen(options: Options | None, keywords: RunKeywords) -> Options:
    if options is not None and keywords:
        raise UsageError(f"give either options or keywords, not both ({', '.join(keywords)})")
    unknown = keywords.keys() - RunKeywords.__annotations__.keys()
    if unknown:
        raise UsageError(
            f"there is no such option; there is {', '.join(RunKeywords.__annotations__)}", option=sorted(unknown)[0]
        )
    return options or Options(**keywords)


def render(
    params: str | Path,
    output: str | Path | None = None,
    *,
    style: Style = "overlay",
    video: str | Path | None = None,
    body: str | Path | None = None,
    quiet: bool = True,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Draw a record again, from the file and the video alone; no network runs.

    Args:
        params: params.npz or the folder that holds it.
        output: the .mp4 to make, or a folder for `STYLE.mp4`; by default that of params. A picture that glot drew is
            replaced, any other file is not.
        style: overlay, side, plain or wireframe.
        video: where the video is now, if it was moved.
        body: where the body model is now, if it was a file that was moved.
        quiet: no progress bars.
        warn: receives one line for every fault that did not stop the drawing.

    Returns:
        The path of the picture.

    Raises:
        UsageError: there is no such style.
        InputError: the record or the video cannot be read, or do not belong together.
        WeightsError: the body model is not there.
        OutputError: the picture cannot be written, or would replace what glot did not draw.
        RenderError: nothing can be drawn on this machine.
    """
    if style not in STYLES:
        raise UsageError(f"must be one of {', '.join(STYLES)}, not {style!r}", option="style")

    from glot_cli.pipeline.draw import draw
    from glot_cli.pipeline.folder import PARAMS, check_picture
    from glot_cli.progress import Progress
    from glot_cli.results import load_result
    from glot_cli.weights.bodies import recorded_body

    params = Path(params)
    params = params / PARAMS if params.is_dir() else params
    result = load_result(params)
    target = Path(output) if output else params.parent
    if target.is_dir():
        target = target / f"{style}.mp4"
    source = Path(video) if video else _find_video(result.meta.source, result.meta.video, params.parent)
    check_picture(target, params, source)
    meta = result.meta
    body_model = recorded_body(meta.body_model, meta.body_model_sha256, moved=body, record=params)
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
    reason = "the video of this result is not there any more"
    raise InputError(reason, path=source, remedy="say where it is now", option="video")
