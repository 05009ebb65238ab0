"""Where exports go: files that are whole or not there, and replace nothing but what an earlier export wrote.

The formats of others have no room for a seal of ours (`files.seal`), so a sealed list beside the files says which ones
glot wrote: `export.json`. A file that it does not name, or that was changed since, is the user's and stays; without the
list all of them are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from glot_cli._version import __version__
from glot_cli.errors import GlotError, OutputError
from glot_cli.files.atomic import abandoned, aside_name, not_written
from glot_cli.files.locks import locked
from glot_cli.files.seal import fingerprint, is_regular, sealed, sealed_json, unsealed_json

LIST = "export.json"
WAITED_FOR = 100  # files of an export, up to which each is forced onto the disk before it gets its name
_REMEDY = "move it away, or choose another output folder"


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

    def path(self, name: str) -> Path:
        """Where to write a file that will be called `name`, which may be in a folder of its own: "obj/000000.obj".

        Raises:
            OutputError: there is a file of that name that no earlier export wrote, or the folder cannot be made.
        """
        final = self.folder / name
        if os.path.lexists(final) and not self._is_own(final):
            raise OutputError("is there already, and no export wrote it", path=final, remedy=_REMEDY)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
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

    def _is_own(self, path: Path) -> bool:
        with suppress(OSError):
            return is_regular(path) and self._own.get(self._key(path)) == fingerprint(path)
        return False

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
        new = {self._key(path): fingerprint(aside) for path, aside in self._asides.items()}
        # The list comes first: were it written last, a kill in between would leave files that nothing proves ours.
        kept = {name: held for name, held in self._own.items() if os.path.lexists(self.folder / name)}
        report = {**about, "notes": self.notes, "program_version": __version__, "files": kept | new}
        with sealed(self.folder / LIST) as aside:
            aside.write_text(sealed_json(report), "utf-8")
        for path, aside in self._asides.items():
            if os.path.lexists(path) and not self._is_own(path):  # it came while we wrote
                raise OutputError("is there already, and no export wrote it", path=path, remedy=_REMEDY)
            aside.replace(path)

    def _clear(self) -> None:
        for aside in self._asides.values():
            with suppress(OSError):
                aside.unlink()


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
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(locked(folder))
            for left, name in list(abandoned(folder)):
                if name == LIST or name in _listed(folder):
                    left.unlink(missing_ok=True)
            box = Outbox(folder)
            stack.callback(box._clear)
            yield box
            box._send(about)
    except GlotError:
        raise
    except FileExistsError as error:
        raise not_written(folder / LIST, error, _REMEDY) from error
    except OSError as error:
        raise not_written(Path(error.filename) if error.filename else folder, error) from error


def _listed(folder: Path) -> dict[str, str]:
    """Fingerprints of the files that earlier exports wrote into a folder, by their names in it."""
    report = unsealed_json(folder / LIST) or {}
    files = report.get("files")
    return files if isinstance(files, dict) else {}
