"""Which clips a batch is of, and where the result of each goes: a text file, a CSV or a folder."""

from __future__ import annotations

import csv
import glob
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from glot_cli.cluster.remote import WILD, check_place, fixed_part, glob_url, is_url, joined, place_of, url_stem
from glot_cli.errors import InputError
from glot_cli.pipeline.folder import FRAMES
from glot_cli.video.images import IMAGE_SUFFIXES
from glot_cli.video.media import VIDEO_SUFFIXES

LARGEST = 256 << 20  # bytes of a manifest
MOST_CLIPS = 1_000_000


@dataclass(frozen=True)
class Entry:
    """One clip of a batch.

    Attributes:
        video: its path, absolute, or its URL.
        folder: where its result goes, a path or URL; empty where it has none because of the fault.
        fault: why it is not even tried.
    """

    video: str
    folder: str
    fault: str | None = None


def read_manifest(manifest: Path, out: str) -> list[Entry]:
    """The clips of a manifest, in its order.

    Paths that are not absolute start from the folder of the manifest. A glob stands for what it finds now; a clip that
    it finds is named by its path below the part of the glob that has no wildcard. Clips of a folder are named by their
    paths below it.

    Args:
        manifest: a text file with one path, URL or glob a line (empty lines and those that begin with # say nothing); a
            `.csv` with a column `video` and, as it likes, `name` (the result's folder below `out`) or `out` (its whole
            path or URL); or a folder, whose videos and folders of images, however deep, are the clips.
        out: path or URL of the folder for results.

    Returns:
        Every clip once. What globs and folders find below `out` is left out. One that is listed again, is named though
        it lies there, or would write where another one does has a fault.

    Raises:
        InputError: it cannot be read, is no such file or holds no clips.
    """
    manifest = Path(os.path.realpath(manifest))
    if os.path.isdir(manifest):
        lines = [_Line(str(path), _stem_below(path, manifest), found=True) for path in _clips_below(manifest)]
    else:
        lines = list(islice(_listed(manifest), MOST_CLIPS + 1))
    if len(lines) > MOST_CLIPS:
        raise InputError(f"lists more than {MOST_CLIPS:,} clips", path=manifest, remedy="divide it")
    # Pictures of earlier results are no clips.
    listed = [line for line in lines if not line.found or not _is_in(line.video, out)]
    if not listed:
        remedy = "give a list of videos, or a folder that holds some"
        if lines:
            raise InputError("all its clips lie in the folder for results", path=manifest, remedy="choose another one")
        raise InputError("holds no clips", path=manifest, remedy=remedy)
    return list(_without_clashes(listed, out))


class _Line(NamedTuple):
    """What a manifest says of a clip.

    Attributes:
        video: its path or URL.
        name: of its result.
        out: the whole place of its result, empty where the name says it.
        found: by a glob or in a folder; it was not named.
        fault: why it cannot be run.
    """

    video: str
    name: str
    out: str = ""
    found: bool = False
    fault: str | None = None


def _is_in(video: str, out: str) -> bool:
    """Whether a video lies in the folder for results."""
    if is_url(video) or is_url(out):
        return video.startswith(out.rstrip("/") + "/")
    return os.path.realpath(video).startswith(os.path.join(os.path.realpath(out), ""))


def _clips_below(folder: Path) -> Iterator[Path]:
    """Videos below a folder, and folders that hold images and no videos. What is hidden is left out."""
    for where, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen = sorted(name for name in files if not name.startswith("."))
        videos = [name for name in seen if Path(name).suffix.lower() in VIDEO_SUFFIXES]
        yield from (Path(where, name) for name in videos)
        if not videos and any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in seen) and Path(where) != folder:
            yield Path(where)


def _refuse(error: OSError) -> None:
    raise InputError(f"cannot be read ({error.strerror})", path=error.filename, remedy="check its permissions")


def _listed(manifest: Path) -> Iterator[_Line]:
    """What the lines of a file stand for."""
    text = _text_of(manifest)
    if manifest.suffix.lower() == ".csv":
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            if "video" not in (rows.fieldnames or ()):
                raise InputError("has no column called video", path=manifest, remedy="name its columns in a first line")
            for row in rows:
                if row["video"]:
                    yield from _found(row["video"], manifest.parent, row.get("name") or "", row.get("out") or "")
        except csv.Error as error:
            raise InputError(f"is no CSV file (line {rows.line_num}: {error})", path=manifest) from error
        return
    for line in re.split(r"\r\n|\n|\r", text):  # str.splitlines knows characters that names may hold
        if line.strip() and not line.startswith("#"):
            yield from _found(line.strip(), manifest.parent, "", "")


def _text_of(manifest: Path) -> str:
    try:
        if not os.path.isfile(manifest):
            reason = "is no regular file" if os.path.exists(manifest) else "no such file or folder"
            raise InputError(reason, path=manifest, remedy="give a list of videos, or a folder that holds some")
        if os.path.getsize(manifest) > LARGEST:
            raise InputError(f"is larger than {LARGEST >> 20} MiB", path=manifest, remedy="divide it")
        data = manifest.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=manifest, remedy="check its permissions") from error
    if b"\0" in data and manifest.suffix.lower() in VIDEO_SUFFIXES:
        raise InputError("is a video, not a list of some", path=manifest, remedy="name it in a list, or use 'glot run'")
    if b"\0" in data:
        raise InputError("is no text", path=manifest, remedy="give a list of videos, or a folder that holds some")
    # Names of files are bytes: those that are no UTF-8 come through all the same.
    return data.decode("utf-8-sig", "surrogateescape")


def _found(video: str, base: Path, name: str, out: str) -> Iterator[_Line]:
    """What a line stands for: itself, or what its glob finds. A glob that finds nothing stands for itself."""
    video, out = place_of(video), place_of(out)
    told = video if is_url(video) else os.path.expanduser(video)
    video = told if is_url(told) else _plain(os.path.join(base, told))
    if out and not is_url(out):
        out = os.path.join(base, os.path.expanduser(out))
    exact = not WILD.search(told) or (not is_url(told) and os.path.lexists(video))  # a name may hold a bracket
    found: list[tuple[str, str]] = []
    if not exact and not name and not out:
        try:
            found = _hits(told, base)
        except InputError as error:
            yield _Line(video, "", fault=str(error))
            return
    for hit, below in sorted(found):
        yield _Line(hit, below, found=True)
    if not found:
        name = name or (url_stem(video) if is_url(video) else _stem_below(Path(video), Path(video).parent))
        yield _Line(video, name, out)


def _plain(path: str) -> str:
    """A path without ways up and down, where that leads to the same place; so a clip is called the same everywhere."""
    plain = os.path.normpath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def _hits(pattern: str, base: Path) -> list[tuple[str, str]]:
    """What a glob finds: paths or URLs, and what they are called below its part without wildcards.

    Raises:
        InputError: a place cannot be looked through.
    """
    if is_url(pattern):
        return [(hit, PurePosixPath(below).with_suffix("").as_posix()) for hit, below in glob_url(pattern) if below]
    fixed = Path(base, fixed_part(pattern, os.sep))
    found = (Path(base, hit) for hit in glob.iglob(pattern, root_dir=base, recursive=True))
    return [(str(hit), _stem_below(hit, fixed)) for hit in found if hit != fixed]


def _stem_below(path: Path, folder: Path) -> str:
    """The path of a clip below a folder, without its ending."""
    below = path.relative_to(folder)
    return (below if os.path.isdir(path) else below.with_suffix("")).as_posix()


def _without_clashes(listed: list[_Line], out: str) -> Iterator[Entry]:
    """Entries with their folders; what cannot have one of its own has a fault instead."""
    seen: dict[str, int] = {}
    taken: dict[str, str] = {}
    inside: dict[str, str] = {}  # folders called frames/ in which somebody's result lies: whose
    for number, (video, name, place, _, fault) in enumerate(listed):
        same = video if is_url(video) else os.path.realpath(video)
        folder = place if is_url(place) else os.path.abspath(place) if place else joined(out, name)
        fault = fault or _fault(video, name, place, out, before=seen.get(same))
        if not fault:
            above = [folder, *map(str, PurePosixPath(folder).parents)] if not is_url(folder) else [folder]
            frames = [one for one in above if os.path.basename(one) == FRAMES]
            owner = taken.get(folder) or next(
                (taken[o] for one in frames if (o := os.path.dirname(one)) in taken), None
            )
            owner = owner or inside.get(joined(folder, FRAMES))
            if owner is not None:
                fault = f"would write {folder}, as {owner} does; give it a name of its own in a CSV"
        if fault:
            yield Entry(video, "", fault)
            continue
        seen.setdefault(same, number)
        taken[folder] = video
        inside |= dict.fromkeys(frames, video)
        yield Entry(video, folder)


def _fault(video: str, name: str, place: str, out: str, before: int | None) -> str | None:
    """Why a clip cannot have the result that it is to have; None where it can."""
    if before is not None and not place:
        return f"is listed before, as number {before}"
    if _is_in(video, out):
        return "lies in the folder for results; move it, or choose another one"
    if place:
        try:
            check_place(place)
        except InputError as error:
            return str(error)
    elif not _is_below(name):
        return f"{name!r} is no name of a folder below that of the results"
    return None


def _is_below(name: str) -> bool:
    """Whether a name leads to a folder below another one, by no way around."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not os.path.isabs(name) and all(part.strip(". ") and "\0" not in part for part in parts)
