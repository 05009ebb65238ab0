"""The parts joined into one file that holds everything, and sealed, so that glot knows it as its own."""

from __future__ import annotations

import base64
import html
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from glot_cli._version import __version__
from glot_cli.body.model import Body
from glot_cli.errors import printable
from glot_cli.files.atomic import abandoned, not_written
from glot_cli.files.seal import sealed
from glot_cli.progress import Progress
from glot_cli.results import Result
from glot_cli.viewer.packing import Block, Pack, frames_of
from glot_cli.viewer.preview import write_preview

SCRIPTS = ("record.js", "figure.js", "stage.js", "film.js", "main.js")  # in this order
VIDEO_BLOCK = 3 << 20  # bytes; a multiple of three, so that base64 needs no padding in between
_HERE = Path(__file__).parent
_MARK = re.compile(r"\{\{(\w+)\}\}")


def write_page(
    result: Result,
    body: Body,
    target: Path,
    *,
    video: Path | None,
    progress: Progress,
    warn: Callable[[str], None],
) -> None:
    """Write a record as one web page. What glot wrote under its name is replaced, anything else is not.

    Args:
        result: the record.
        body: its body model.
        target: the file.
        video: the video of the record, of which the page gets a small copy; None for a page without.
        progress: receives the stage.
        warn: receives one line for every fault that did not stop it.

    Raises:
        InputError: the video cannot be read or is another, or the record is too long for a page.
        OutputError: the target cannot be written.
    """
    frames = frames_of(result)
    try:
        with tempfile.TemporaryDirectory(prefix="glot-") as folder, sealed(target) as aside:
            for left, name in abandoned(target.parent):
                if name == target.name:  # of a process that was killed
                    left.unlink(missing_ok=True)
            aside.touch()  # that it cannot be written is found before the video is gone through
            small = Path(folder) / "video.mp4"
            if video is not None:
                with progress.stage("video", len(frames)) as bar:
                    frames = write_preview(video, small, result.meta, frames, bar.update, warn)
            pack = Pack.of(result, body, frames)
            count = -(-small.stat().st_size // VIDEO_BLOCK) if video is not None else 0
            with aside.open("wb") as file:
                _write(file, pack, {**pack.header(), "video_blocks": count}, small)
    except OSError as error:
        raise not_written(target, error, "check the folder, or choose another place for the page") from error


def _write(file: BinaryIO, pack: Pack, header: dict[str, Any], video: Path) -> None:
    """Fill the template, a part at a time: a page may have hundreds of megabytes."""
    parts = _MARK.split(_source("page.html"))  # text and names of marks by turns
    for text, mark in zip(parts[::2], [*parts[1::2], ""], strict=True):
        file.write(text.encode())
        if mark == "blocks":
            _write_blocks(file, pack, header, video)
        elif mark:
            file.write(_filling(mark, header["name"]).encode("utf-8", "replace"))


def _filling(mark: str, name: str) -> str:
    if mark == "scripts":
        return '"use strict";\n(() => {\n' + "\n".join(map(_source, SCRIPTS)) + "})();"
    if mark == "title":
        return html.escape(f"{printable(name)} - glot")
    if mark == "generator":
        return html.escape(f"glot {__version__}")
    return _source({"style": "style.css", "three": "three/three.min.js"}[mark])


def _write_blocks(file: BinaryIO, pack: Pack, header: dict[str, Any], video: Path) -> None:
    # In a script element text ends at "</script" and nothing else is markup but "<!--": no "<", no way out.
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    file.write(f'<script type="application/json" id="record">{text}</script>\n'.encode())
    for name, data in _all_blocks(pack, header["video_blocks"], video):
        file.write(f'<script type="text/plain" id="{name}">'.encode())
        file.write(base64.b64encode(data))
        file.write(b"</script>\n")


def _all_blocks(pack: Pack, count: int, video: Path) -> Iterator[Block]:
    yield from pack.blocks()
    if count:
        with video.open("rb") as file:
            for index in range(count):
                yield f"video-{index}", file.read(VIDEO_BLOCK)


def _source(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
