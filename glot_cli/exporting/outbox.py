"""Where exports go: files that are whole or not there, and replace nothing but what an earlier export wrote.

The formats of others have no room for a seal of ours (`files.seal`), so a sealed list beside the files says which ones
glot wrote: `export.json`. A file that it does not name, or that was changed since, is the user's and stays; without the
list all of them are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from glot_cli._version import __version__
from glot_cli.errors import GlotError, OutputError
from glot_cli.files.atomic import abandoned, absent, aside_name, not_written, remove_empty
from glot_cli.files.locks import locked
from glot_cli.files.seal import is_regular, publish, sealed, sealed_json, unsealed_json

LIST = "export.json"
WAITED_FOR = 100  # files of an export, up to which each is forced onto the disk before it gets its name
LARGEST_LIST = 512 << 20  # bytes: about a million files
LIBRARY = "c3d"  # ending of asides that a library writes which insists on it
_ENDINGS = (  # of files of exports
    ".bvh", ".c3d", ".csv", ".glb", ".json", ".jpg", ".mot", ".npz", ".obj", ".parquet", ".ply", ".png", ".trc", ".txt",
    ".usdc",
)  # fmt: skip
_REMEDY = "move it away, or choose another output folder"


class _Known(NamedTuple):
    """A file as it was when it was looked at: its content, and a sign by which a change since is seen at once."""

    content: str
    state: tuple[int, ...]


class Outbox:
    """The files of one export, none of which has its name before all are written. Made by `outbox`.

    Attributes:
        folder: where they go.
        notes: what whoever opens the files should know, one line each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._own = _listed(folder)
        self._asides: dict[Path, Path] = {}  # final name -> where it is until then
        self._replaced: dict[Path, _Known] = {}  # files of earlier exports that have these names
        self._folders: dict[Path, list[Path]] = {}  # that files go to -> those that were made for it

    def path(self, name: str) -> Path:
        """Where to write a file that will be called `name`, which may be in a folder of its own: "obj/000000.obj".

        Raises:
            OutputError: there is a file of that name that no earlier export wrote, or the folder cannot be made.
        """
        final = self.folder / name
        if os.path.lexists(final):
            own = _known(final)
            if own is None or own.content not in self._own.get(self._key(final), ()):
                raise _foreign(final)
            self._replaced[final] = own
        if final.parent not in self._folders:
            self._folders[final.parent] = absent(final.parent)
            try:
                final.parent.mkdir(parents=True, exist_ok=True)
                _sweep(final.parent)
            except OSError as error:
                raise not_written(final, error, _REMEDY) from error
        aside = aside_name(final)
        self._asides[final] = aside
        return aside

    def note(self, line: str) -> None:
        """Something that whoever opens the files should know; said once."""
        if line not in self.notes:
            self.notes.append(line)

    @property
    def files(self) -> list[Path]:
        """The files under their final names, in the order in which they were asked for."""
        return list(self._asides)

    def _key(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _send(self, about: dict[str, Any]) -> None:
        """Give all files their names. Raises OSError, OutputError."""
        # To wait for the disk at each of thousands of files would take minutes; they are lost to a power cut at worst,
        # and an export is made again.
        if len(self._asides) <= WAITED_FOR:
            for aside in self._asides.values():
                with aside.open("r+b") as file:
                    os.fsync(file.fileno())
        # The list comes first: were it written last, a kill in between would leave files that nothing proves ours. As
        # the kill may come at any of them, what is about to be replaced stays on it beside what replaces it.
        files: dict[str, list[str]] = {}
        for name, held in self._own.items():
            with suppress(OSError, ValueError):
                if is_regular(self.folder / name):
                    files[name] = held
        for path, aside in self._asides.items():
            older = [self._replaced[path].content] if path in self._replaced else []
            files[self._key(path)] = [*older, _content(aside)]
        report = {**about, "notes": self.notes, "program_version": __version__, "files": files}
        text = sealed_json(report)
        if len(text) > LARGEST_LIST:
            raise OutputError("would get too many files", path=self.folder, remedy="export a part at a time")
        own = unsealed_json(self.folder / LIST, LARGEST_LIST) is not None
        try:
            with sealed(self.folder / LIST, own=own) as aside:
                aside.write_text(text, "utf-8")
        except FileExistsError:
            raise _foreign(self.folder / LIST) from None
        for path, aside in self._asides.items():
            try:
                publish(aside, path, own=path in self._replaced and self._replaced[path].state == _state(path))
            except FileExistsError:  # it came while we wrote
                raise _foreign(path) from None

    def _clear(self) -> None:
        for aside in self._asides.values():
            with suppress(OSError):
                aside.unlink()
        for made in reversed(self._folders.values()):
            remove_empty(made)


@contextmanager
def outbox(folder: Path, about: dict[str, Any]) -> Iterator[Outbox]:
    """A folder to export to; when the block is done all files get their names, when it fails none does.

    Args:
        folder: it need not exist.
        about: what the list says beside the names of files.

    Raises:
        OutputError: the folder cannot be written, another process writes there, or a file of a user's is in the way.
    """
    try:
        with ExitStack() as stack:
            stack.callback(remove_empty, absent(folder))
            _make(folder)
            stack.enter_context(locked(folder))
            if os.path.lexists(folder / LIST) and unsealed_json(folder / LIST, LARGEST_LIST) is None:
                raise _foreign(folder / LIST)
            _sweep(folder)
            box = Outbox(folder)
            stack.callback(box._clear)
            yield box
            box._send(about)
    except GlotError:
        raise
    except OSError as error:
        raise not_written(Path(error.filename) if error.filename else folder, error) from error


def _make(folder: Path) -> None:
    """Make a folder and those above it, as far as they are not there. Raises OSError, OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError("is no folder", path=error.filename, remedy=_REMEDY) from error


def _sweep(folder: Path) -> None:
    """Remove what exports that were killed left half written in a folder. Raises OSError."""
    for left, name in list(abandoned(folder, "part", LIBRARY)):
        if name.endswith(_ENDINGS) and is_regular(left):
            left.unlink(missing_ok=True)


def _known(path: Path) -> _Known | None:
    """A regular file as it is; None of anything else."""
    with suppress(OSError):
        if is_regular(path):
            state = _state(path)
            return None if state is None else _Known(_content(path), state)
    return None


def _state(path: Path) -> tuple[int, ...] | None:
    with suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
    return None


def _content(path: Path) -> str:
    """SHA-256 of all that is in a file: text that somebody changed in its middle may have kept its length."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _foreign(path: Path) -> OutputError:
    return OutputError("is there already, and no export wrote it", path=path, remedy=_REMEDY)


def _listed(folder: Path) -> dict[str, list[str]]:
    """Fingerprints of the files that earlier exports wrote into a folder, by their names in it.

    A name has two where an export may have been killed before it replaced the first.
    """
    report = unsealed_json(folder / LIST, LARGEST_LIST) or {}
    files = report.get("files")
    return {name: held for name, held in files.items() if isinstance(held, list)} if isinstance(files, dict) else {}
