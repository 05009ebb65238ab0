"""What the folder of a result is: whose it is, whether it is finished, and what in it may be replaced.

Nothing that glot did not write is deleted or replaced here, whatever the options. What it wrote proves that by its seal
(`files.seal`), so that no crash, copy or second program can make a user's file look like ours.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from glot_cli.errors import GlotError, OutputError, UsageError
from glot_cli.files.atomic import abandoned, absent, aside_name, not_written, remove_empty
from glot_cli.files.locks import locked
from glot_cli.files.seal import is_regular, sealed, sealed_json, sealed_kind, unsealed_json
from glot_cli.pipeline.video_source import Source
from glot_cli.record_checks import is_report
from glot_cli.results import Result, load_result

PARAMS, OVERLAY, FRAMES, REPORT = "params.npz", "overlay.mp4", "frames", "run.json"
PAGE = "report.html"  # there only where it was asked for: one of a user's is in nobody's way otherwise
_KINDS = {PARAMS: "npz", OVERLAY: "mp4", REPORT: "json"}
FILES = frozenset((*_KINDS, PAGE))  # beside those in frames/, nothing else is a result's
_REMEDY = "choose another output folder"
LEFT_BY_RUNS = re.compile(r"\.(params\.npz|run\.json|frames|overlay\.mp4|report\.html)\.glot-\d+(-\w+)?\.(part|old)")
_FRAME_ASIDE = re.compile(r"\.\d+\.npz\.glot-\d+(-\w+)?\.part")


def output_folders(videos: Sequence[Path], out: Path) -> list[Path]:
    """Where each video's result goes: a folder right below `out`, named as the video without its ending.

    Raises:
        UsageError: two videos would share a folder.
    """
    folders: dict[Path, Path] = {}
    for video in videos:
        folder = out / _folder_name(video)
        if folder in folders:
            raise UsageError(f"{folders[folder]} and {video} would both write {folder}; rename one or run them apart")
        folders[folder] = video
    return list(folders)


def _folder_name(video: Path) -> str:
    """A name that stays below the folder for results, whatever dots a video's name is made of."""
    name = (
        Path(os.path.realpath(video)).name if os.path.isdir(video) else video.stem
    )  # Path.is_dir raises where it may not look
    for candidate in (name, video.name):
        if candidate.strip(". "):
            return candidate
    return "video"


class ResultFolder:
    """The folder of one video's result.

    Args:
        path: the folder; it need not exist.
        source: the video.
        inputs: files and folders of the same call, which are never touched.
    """

    def __init__(self, path: Path, source: Source, inputs: Sequence[Path] = ()) -> None:
        self.path = path
        self.source = source
        self._inputs = {_identity(file) for file in (source.path, *inputs)} - {None}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, keep other runs out of it while the block runs, and see that it can be written.

        What killed runs left half written is removed; so are, if the block fails, new folders that stayed empty.

        Raises:
            OutputError: it cannot be written, another run is at work there, or it holds what may not be replaced.
        """
        new = absent(self.path)
        try:
            with ExitStack() as stack:
                try:
                    self._make()
                    stack.enter_context(locked(self.path))
                    self.check()
                    self._clear()
                    self._try_writing()
                except OSError as error:
                    raise not_written(self.path, error, _REMEDY) from error
                yield
        except BaseException:
            remove_empty(new)
            raise

    def check(self) -> None:
        """See that all that a run would replace is glot's own and of this video, and no input of this call.

        Raises:
            OutputError: something is not.
        """
        self._refuse_input(self.path)
        for name in _KINDS:
            self._check_own(name)
        frames = self.path / FRAMES
        if os.path.lexists(frames):
            self._refuse_input(frames)
            if frames.is_symlink() or not frames.is_dir():
                raise _foreign(frames)
            for path in frames.iterdir():
                self._refuse_input(path)
                if not _is_frame(path):
                    raise _foreign(path)
        owner = self._owner()
        if owner is None:
            for name in (OVERLAY, FRAMES):
                if os.path.lexists(self.path / name):
                    raise _foreign(self.path / name, "no record beside it says of which video it is")
        elif not self._is_ours(*owner):
            reason = f"holds the result of {owner[0]}, which is another video"
            raise OutputError(reason, path=self.path, remedy=_REMEDY)

    def report(self) -> dict[str, Any] | None:
        """The run.json of an earlier run, None where there is none that glot wrote in this form."""
        report = unsealed_json(self.path / REPORT)
        return report if report is not None and is_report(report) else None

    def has(self, name: str) -> bool:
        """Whether one of the result's files is there, whole and unchanged."""
        return sealed_kind(self.path / name) == (_KINDS | {PAGE: "html"})[name]

    def has_frames(self, count: int) -> bool:
        """Whether the files of so many frames are there. What they hold is not looked at: there may be 100,000."""
        frames = self.path / FRAMES
        try:
            if frames.is_symlink() or not frames.is_dir():
                return False
            return sum(path.suffix == ".npz" for path in frames.iterdir()) == count
        except OSError:  # what cannot be looked at is not there; `held` says so where it has to be written
            return False

    def refuse_other_content(self) -> None:
        """Raise OutputError where the folder holds the result of another video, or of this one before it changed."""
        owner = self._owner()
        if owner is not None and owner[1] != self.source.video_id:
            changed = owner[0] == str(self.source.path)
            what = "the result of this video as it was before it changed" if changed else f"the result of {owner[0]}"
            remedy = "overwrite it or choose another output folder" if changed else _REMEDY
            raise OutputError(f"holds {what}", path=self.path, remedy=remedy, option="overwrite" if changed else None)

    def save(self, result: Result, frames: bool) -> None:
        """Put a record in the place of an older one; what else speaks of the older one goes with it.

        Nothing of the older one goes before all of the new one lies on the disk, which may get full. The report goes
        first: without it nobody takes the folder for finished.

        Args:
            result: the record.
            frames: whether to write the files of every frame too.

        Raises:
            OutputError: it cannot be written, or a file that is not glot's has come in between.
        """
        try:
            with self._new_frames(result) if frames else nullcontext():
                result.save(self.path / PARAMS, first=self._remove_older)
        except OSError as error:
            raise not_written(self.path, error, _REMEDY) from error

    def save_frames(self, result: Result) -> None:
        """Put the files of every frame in the place of older ones.

        Raises:
            OutputError: they cannot be written, or frames/ holds something that glot did not write.
        """
        try:
            with self._new_frames(result):
                self._remove_frames()
        except OSError as error:
            raise not_written(self.path / FRAMES, error, _REMEDY) from error

    def write_report(self, report: dict[str, Any]) -> None:
        """Write run.json, whole or not at all. Raises OutputError."""
        self._write(self.path / REPORT, sealed_json(report))

    def write_page(self, page: str) -> None:
        """Write report.html, whole or not at all. Raises OutputError."""
        self._write(self.path / PAGE, page)

    def _write(self, path: Path, text: str) -> None:
        try:
            with sealed(path) as aside:
                aside.write_text(text, "utf-8", "backslashreplace")  # a video's name may hold what is no text
        except OSError as error:
            raise not_written(path, error, _REMEDY) from error

    def check_page(self) -> None:
        """See that the page may be written. Raises OutputError where it would replace what glot did not write."""
        self._check_own(PAGE)

    def _check_own(self, name: str) -> None:
        if os.path.lexists(path := self.path / name):
            self._refuse_input(path)
            if not self.has(name):
                raise _foreign(path)

    def _make(self) -> None:
        """Make the folder and those above it, as far as they are not there. Raises OSError, OutputError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise _foreign(Path(error.filename), "no folder, or a link to none") from error

    @contextmanager
    def _new_frames(self, result: Result) -> Iterator[None]:
        """Write the files of every frame aside; once the block is done, the whole folder gets its name."""
        aside = aside_name(self.path / FRAMES)
        try:
            aside.mkdir(exist_ok=True)  # and none above it, which may have been moved away
            result.save_frames(aside)
            yield
            aside.rename(self.path / FRAMES)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _owner(self) -> tuple[str, str] | None:
        """Path and identity of the video whose result the folder holds, None where it holds none."""
        if sealed_kind(self.path / PARAMS) == "npz":
            with suppress(GlotError):
                meta = load_result(self.path / PARAMS).meta
                return meta.source, meta.video_id
        report = self.report()
        return None if report is None else (report["video"], report["video_id"])

    def _is_ours(self, path: str, video_id: str) -> bool:
        return video_id == self.source.video_id or path == str(self.source.path)

    def _refuse_input(self, path: Path) -> None:
        if _identity(path) in self._inputs:
            raise OutputError("is an input of this call", path=path, remedy=_REMEDY)

    def _remove_older(self) -> None:
        """Take away what speaks of an older record: it is about to be replaced."""
        self.check()
        (self.path / REPORT).unlink(missing_ok=True)
        (self.path / OVERLAY).unlink(missing_ok=True)
        if self.has(PAGE):
            (self.path / PAGE).unlink()
        self._remove_frames()

    def _remove_frames(self) -> None:
        """Take frames/ away at once, so that never half of it is there, and delete what a run wrote into it."""
        frames = self.path / FRAMES
        if not frames.exists():
            return
        aside = aside_name(frames, "old")
        frames.rename(aside)
        foreign = [path for path in aside.iterdir() if not _is_frame(path)]
        if foreign:  # it came in this very moment
            aside.rename(frames)
            raise _foreign(frames / foreign[0].name)
        _remove_own(aside)

    def _clear(self) -> None:
        """Remove what dead runs left half written here. The folder is locked, so whatever a run began is dead."""
        for path in self.path.iterdir():
            if LEFT_BY_RUNS.fullmatch(path.name):
                _remove_own(path)
        for path, name in abandoned(self.path):  # pictures: a `glot render` may be drawing one now
            if name.endswith((".mp4", ".html")):
                _remove_own(path)

    def _try_writing(self) -> None:
        trial = aside_name(self.path / REPORT)
        trial.touch()
        trial.unlink()


def check_picture(target: Path, params: Path, video: Path | None, kind: str = "mp4") -> None:
    """See that a picture may be written: a new file, or one of its kind that glot drew.

    Args:
        target: the file to write.
        params: the record that is drawn.
        video: the video it is drawn over, if it is.
        kind: of file, as `files.seal.sealed_kind` tells it, which is also how its name has to end.

    Raises:
        OutputError: the target is something else, and would be lost.
    """
    remedy = "choose another place for the picture"
    for path, what in ((video, "the video itself"), (params, "the record itself")):
        if path is not None and _identity(target) is not None and _identity(target) == _identity(path):
            raise OutputError(f"is {what}, which would be lost", path=target, remedy=remedy)
    if os.path.lexists(target) and (target.suffix.lower() != f".{kind}" or sealed_kind(target) != kind):
        what = "is there already, and glot did not draw it" if is_regular(target) else "is no regular file"
        raise OutputError(what, path=target, remedy=remedy)
    if target.suffix.lower() != f".{kind}":
        raise OutputError(f"does not end in .{kind}", path=target, remedy="give the picture such a name")


def _is_frame(path: Path) -> bool:
    """Whether a path is a file of frames/ that glot wrote."""
    return is_frame_name(path.name) and sealed_kind(path) == "npz"


def is_frame_name(name: str) -> bool:
    """Whether a file of frames/ may have this name."""
    return name.endswith(".npz") and name.removesuffix(".npz").isdecimal()


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of the file that a path leads to: the same for all its names. None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove_own(path: Path) -> None:
    """Delete a file that a run kept aside, or a folder of such and of files of frames; what else is in it stays."""
    with suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        for inner in path.iterdir():
            if _is_frame(inner) or _FRAME_ASIDE.fullmatch(inner.name):
                inner.unlink()
        path.rmdir()


def _foreign(path: Path, why: str = "not written by this version of glot, or changed since") -> OutputError:
    return OutputError(f"is in the way: {why}", path=path, remedy="move it, or choose another output folder")
