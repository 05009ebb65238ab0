"""The Python interface: what the commands do, as functions. Imports without Click."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from glot_cli.errors import GlotError, InputError, OutputError, UsageError, WeightsError
from glot_cli.lifting import Edges
from glot_cli.pipeline.options import Options
from glot_cli.rendering.styles import STYLES, Style

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from glot_cli.exporting.catalogue import Space
    from glot_cli.pipeline.report import Outcome
    from glot_cli.pipeline.run import Runner
    from glot_cli.schema import Meta

__all__ = ["Options", "RunKeywords", "export", "prepare", "render", "run", "view"]

log = logging.getLogger(__name__)

# Options of `render` and `view`, by the kind of fault.
_MENDED_BY = {InputError: "video", OutputError: "output", WeightsError: "body"}


class RunKeywords(TypedDict, total=False):
    """The fields of `Options`, for those who give them one by one."""

    preset: str
    detector: str | None
    trust_detector: bool
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
    camera: str | None
    up: tuple[float, float, float] | None
    start: float | None
    end: float | None
    fps: float | None
    max_pixels: int
    edges: Edges
    refine: bool | None
    style: Style
    render: bool
    frames: bool
    report: bool
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
    paths = [Path(videos)] if isinstance(videos, str | Path) else [Path(v) for v in videos]
    runner, folders = prepare(paths, Path(out), _chosen(options, keywords))
    return [runner.run(video, folder) for video, folder in zip(paths, folders, strict=True)]


def prepare(
    videos: Sequence[Path], out: Path, options: Options, alert: Callable[[str], None] = log.error
) -> tuple[Runner, list[Path]]:
    """Make ready to run videos: what is missing or cannot be is found before anything heavy is imported.

    A way to draw is looked for while torch is being imported, which takes as long.

    Args:
        videos: all of the call.
        out: the folder for results.
        options: what to run.
        alert: receives the line that has to be read before a run is over: there will be no pictures.

    Returns:
        What runs them one by one, and the folder of each.

    Raises:
        UsageError: options that do not go together, files of the preset that are not there, or two videos that would
            share a folder.
    """
    from glot_cli.pipeline.folder import REPORT, output_folders
    from glot_cli.pipeline.presets import choose

    choose(options.preset, body=options.body, gender=options.gender, glot=options.glot)
    folders = output_folders(videos, out)
    search = None
    if options.render and not all(os.path.exists(folder / REPORT) for folder in folders):  # else all may be finished
        from glot_cli.rendering import BackendSearch

        search = BackendSearch()
    from glot_cli.pipeline.run import Runner

    return Runner(options, alert, inputs=videos, search=search), folders


def _chosen(options: Options | None, keywords: RunKeywords) -> Options:
    if options is not None and not isinstance(options, Options):
        raise UsageError(f"options must be of the class Options, not {type(options).__name__}")
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
        style: overlay, side, plain, wireframe, or world, for a record that has one.
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

    from glot_cli.files.atomic import not_written
    from glot_cli.files.locks import locked
    from glot_cli.pipeline.draw import draw
    from glot_cli.pipeline.folder import OVERLAY, PARAMS, check_picture
    from glot_cli.pipeline.video_source import Source
    from glot_cli.progress import Progress
    from glot_cli.results import load_result
    from glot_cli.weights.bodies import recorded_body

    params = Path(params)
    params = params / PARAMS if os.path.isdir(params) else params
    result = load_result(params)
    if style == "world" and not result.has_world:
        raise InputError("the record has no world", path=params, remedy="run 'glot run' on the video again")
    target = Path(output) if output else params.parent
    if os.path.isdir(target):
        target = target / f"{style}.mp4"
    meta, warn = result.meta, (lambda line: None) if warn is None else warn
    try:
        source = Path(video) if video else _find_video(meta, params.parent)
        check_picture(target, params, source)
        body_model = recorded_body(meta.body_model, meta.body_model_sha256, moved=body, record=params)
        with ExitStack() as stack:
            if target.name == OVERLAY and os.path.isdir(target.parent):  # as a run's: none may be at work there
                try:
                    stack.enter_context(locked(target.parent))
                except OSError as error:
                    raise not_written(target, error) from error
            draw(result, source, target, body_model, style=style, progress=Progress(source.name, quiet), warn=warn)
        if meta.video_id not in ("", Source.of(source).video_id):
            warn(f"{source}: is another file than the result was made from; drawn over all the same")
    except GlotError as error:
        error.option = error.option or _MENDED_BY.get(type(error))
        raise
    return target


def view(
    params: str | Path,
    output: str | Path | None = None,
    *,
    video: str | Path | None = None,
    embed_video: bool = True,
    body: str | Path | None = None,
    quiet: bool = True,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Write a record as one web page that shows it in any browser, from the disk and without the network.

    Args:
        params: params.npz or the folder that holds it.
        output: the .html to make, or a folder for `view.html`; by default that of params. A page that glot wrote is
            replaced, any other file is not.
        video: where the video is now, if it was moved.
        embed_video: whether the page holds a small copy of the video; without, the video need not be there.
        body: where the body model is now, if it was a file that was moved.
        quiet: no progress bars.
        warn: receives one line for every fault that did not stop it.

    Returns:
        The path of the page.

    Raises:
        InputError: the record or the video cannot be read, or do not belong together.
        WeightsError: the body model is not there.
        OutputError: the page cannot be written, or would replace what glot did not write.
    """
    from glot_cli.pipeline.folder import PARAMS, check_picture
    from glot_cli.pipeline.video_source import Source
    from glot_cli.progress import Progress
    from glot_cli.results import load_result
    from glot_cli.viewer.page import write_page
    from glot_cli.weights.bodies import recorded_body

    params = Path(params)
    params = params / PARAMS if os.path.isdir(params) else params
    result = load_result(params)
    target = Path(output) if output else params.parent
    if os.path.isdir(target):
        target = target / "view.html"
    meta, warn = result.meta, (lambda line: None) if warn is None else warn
    try:
        source = None if not embed_video else Path(video) if video else _find_video(meta, params.parent)
        check_picture(target, params, source, "html")
        body_model = recorded_body(meta.body_model, meta.body_model_sha256, moved=body, record=params)
        write_page(result, body_model, target, video=source, progress=Progress(meta.video, quiet), warn=warn)
        if source is not None and meta.video_id not in ("", Source.of(source).video_id):
            warn(f"{source}: is another file than the result was made from; shown all the same")
    except GlotError as error:
        error.option = error.option or _MENDED_BY.get(type(error))
        raise
    return target


def export(
    params: str | Path,
    formats: Sequence[str],
    out: str | Path | None = None,
    *,
    world: Space | None = None,
    person: int | None = None,
    fps: float | None = None,
    names: str = "smpl",
    video: str | Path | None = None,
    hide: bool = False,
    plot: bool = False,
    body: str | Path | None = None,
    warn: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write a record in the files of other programs.

    Args:
        params: params.npz or the folder that holds it.
        formats: which, of `exporting.catalogue.FORMATS`.
        out: the folder for the files; by default `export` beside params. What an earlier export wrote there is
            replaced, any other file is not.
        world: `floor`, people in the world of their shot, or `camera`; by default the floor, where the record has one.
        person: the only one who is wanted.
        fps: frames a second; by default those of the record.
        names: what joints are called: smpl, mixamo or unreal.
        video: the video, a still of which glb is to hold behind the people.
        hide: people are invisible while the record does not have them, and do not only hold their pose.
        plot: formats that can draw their numbers over time.
        body: where the body model is now, if it was a file that was moved.
        warn: receives what whoever opens the files should know, a line each.

    Returns:
        The files.

    Raises:
        UsageError: there is no such format, naming, world, rate or person, or a package that a format needs.
        InputError: the record or the video cannot be read, is too long, or do not belong together, or there is no world
            although one was asked for.
        WeightsError: the body model is not there.
        OutputError: a file cannot be written, or would replace what no export wrote.
    """
    from glot_cli.exporting.catalogue import FASTEST, FORMATS, NAMINGS, SLOWEST, SPACES
    from glot_cli.exporting.destinations import export_folder, export_stem, record_file
    from glot_cli.exporting.formats import Cast, writers
    from glot_cli.exporting.outbox import outbox
    from glot_cli.pipeline.video_source import Source
    from glot_cli.results import load_result
    from glot_cli.weights.bodies import recorded_body

    for option, known, wanted in (
        ("format", FORMATS, formats), ("world", SPACES, [world] if world else []), ("names", NAMINGS, [names]),
    ):  # fmt: skip
        for name in wanted:
            if name not in known:
                raise UsageError(f"must be one of {', '.join(known)}, not {name!r}", option=option)
    if not formats:
        raise UsageError(f"name at least one of {', '.join(FORMATS)}", option="format")
    if fps is not None and not SLOWEST <= fps <= FASTEST:
        raise UsageError(f"must be from {SLOWEST:g} to {FASTEST:g}, not {fps:g}", option="fps")
    writes = writers(list(dict.fromkeys(formats)), plot=plot)
    params = record_file(params)
    result = load_result(params)
    if person is not None:
        if person not in result.people:
            there = ", ".join(map(str, result.people)) or "nobody"
            raise UsageError(f"nobody has the number {person} in {params}; there is {there}", option="person")
        result = result.of_person(person)
    space = world or ("floor" if result.has_world else "camera")
    body_model = recorded_body(result.meta.body_model, result.meta.body_model_sha256, moved=body, record=params)
    if space == "floor" and not result.has_world:
        remedy = "run 'glot run' on the video again, or export it before the camera"
        raise InputError("the record has no world", path=params, remedy=remedy, option="world")
    cast = Cast(
        result, body_model, space, export_stem(params, result.meta), fps, names,
        None if video is None else Path(video), hide, plot,
    )  # fmt: skip
    about = {"record": os.path.realpath(params), "formats": list(formats), "world": space, "fps": fps, "names": names}
    with outbox(export_folder(params, out), about) as box:
        for write in writes:
            write(cast, box)
        if cast.video is not None and not any(FORMATS[name].holds_video for name in formats):
            able = " and ".join(name for name, kind in FORMATS.items() if kind.holds_video)
            box.note(f"the video was not used; of all formats {able} alone can hold it")
        elif cast.video is not None and result.meta.video_id not in ("", Source.of(cast.video).video_id):
            box.note(f"{video}: is another file than the result was made from; its picture is in the file all the same")
    for line in box.notes:
        (warn or log.info)(line)
    return box.files


def _find_video(meta: Meta, folder: Path) -> Path:
    """The video of a record: where it was, or beside the record or the folder that holds it."""
    from glot_cli.pipeline.video_source import Source

    for place in (Path(meta.source), folder / meta.video, folder.parent / meta.video, Path(meta.video)):
        with suppress(InputError):
            if (os.path.isfile(place) or os.path.isdir(place)) and meta.video_id in ("", Source.of(place).video_id):
                return place
    reason = "the video of this result is not there any more, or has changed"
    raise InputError(reason, path=meta.source, remedy="say where it is now")
