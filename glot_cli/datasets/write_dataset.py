"""Writing a data set: aside, piece by piece, and under its name only when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.datasets.convert import Column
from glot_cli.datasets.folders import META_FILE, check_name, user_data_folder
from glot_cli.errors import OutputError
from glot_cli.files.atomic import abandoned, aside_name, not_written

_REMEDY = "name another folder with GLOT_DATA"


@contextmanager
def new_folder(name: str, replace: bool) -> Iterator[Path]:
    """A folder to fill, which becomes the user's data set of that name when the block ends without an error.

    Nothing is left of it otherwise.

    Args:
        name: of the data set.
        replace: whether it may take the place of one of that name.

    Raises:
        UsageError: no folder can have that name.
        OutputError: there is one of that name that may not be replaced, or the disk refuses.
    """
    folder = user_data_folder()
    target = folder / check_name(name)
    if target.exists() and not replace:
        remedy = "give another name, or say that it is to be replaced"
        raise OutputError("is there already", path=target, remedy=remedy, option="replace")
    if target.exists() and not (target / META_FILE).is_file():
        raise OutputError("is something else than a data set", path=target, remedy="give another name", option="name")
    aside, old = aside_name(target), aside_name(target, "old")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        aside.mkdir()
        yield aside
        if target.exists():
            target.replace(old)
        try:
            aside.replace(target)
        except OSError:
            if old.exists():
                old.replace(target)
            raise
    except OSError as error:
        raise not_written(folder, error, _REMEDY) from error
    finally:
        _remove(aside)
        _remove(old)


def _remove(folder: Path) -> None:
    if folder.is_symlink():  # the user keeps the data set elsewhere
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what processes that were killed have left aside."""
    for path, name in abandoned(folder, "part", "old"):
        if path.suffix == ".old" and not (folder / name).exists():
            with suppress(OSError):
                path.replace(folder / name)  # killed between taking the old one away and putting the new one there
        else:
            _remove(path)


def check_room(folder: Path, needed: int) -> None:
    """Raise OutputError when the disk of a data set's folder has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        reason = f"has {free / 1e9:.2f} GB free, where the data set takes {needed / 1e9:.2f} GB"
        raise OutputError(reason, path=folder.parent, remedy=_REMEDY)


def write_columns(
    folder: Path, columns: Mapping[str, Column], frames: int, parts: Iterator[Mapping[str, NDArray[Any]]], bar: Any
) -> None:
    """Write NAME.npy for each column. Raises OSError.

    Args:
        folder: where to.
        columns: type and shape of each column's rows, by name.
        frames: rows of each.
        parts: rows of every column, some at a time.
        bar: told how many each time.
    """
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for name, column in columns.items():
            files[name] = stack.enter_context((folder / f"{name}.npy").open("wb"))
            header = {
                "descr": np.lib.format.dtype_to_descr(column.dtype),
                "fortran_order": False,
                "shape": (frames, *column.row),
            }
            np.lib.format.write_array_header_1_0(files[name], header)
        for part in parts:
            for name, file in files.items():
                file.write(np.ascontiguousarray(part[name]).data)
            bar.update(len(part["valid"]))
