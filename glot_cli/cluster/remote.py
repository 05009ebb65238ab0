"""Videos and results that are not on a disk of this machine: URLs that fsspec opens, fetched whole, published whole."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from glot_cli.errors import GlotError, InputError, OutputError, one_line
from glot_cli.files.atomic import abandoned, aside_name

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
WILD = re.compile(r"[*?\[]")
_SCRATCH = "batch"


def is_url(place: str) -> bool:
    """Whether a place is a URL, not a path."""
    return _URL.match(place) is not None


def joined(folder: str, name: str) -> str:
    """The place of a name, which may have slashes, below a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else os.path.join(folder, *PurePosixPath(name).parts)


def url_stem(url: str) -> str:
    """The last part of a URL without its ending."""
    return PurePosixPath(url.rstrip("/")).stem


def glob_url(url: str) -> list[tuple[str, str]]:
    """What a glob finds, sorted: URLs, and the paths of them below the part of the glob that has no wildcard.

    Raises:
        InputError: the place cannot be reached.
    """
    system, path = _opened(url)
    with _told(url, "cannot be looked through", InputError):
        start = len(fixed_part(path, "/"))
        return sorted((system.unstrip_protocol(hit), hit[start:]) for hit in system.glob(path))


def fixed_part(pattern: str, separator: str) -> str:
    """The folders of a glob above its first wildcard, with the separator after them."""
    wild = WILD.search(pattern)
    return pattern[: pattern.rfind(separator, 0, wild.start() if wild else None) + 1]


def exists(place: str) -> bool:
    """Whether there is a file at a path or URL. Raises GlotError where it cannot be reached."""
    if not is_url(place):
        return os.path.exists(place)
    system, path = _opened(place)
    with _told(place, "cannot be reached", InputError):
        return bool(system.exists(path))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for as long as the block lasts, in the temporary folder. Those of processes that were killed go first.

    Raises:
        OutputError: there can be none.
    """
    place = Path(tempfile.gettempdir())
    for left, name in abandoned(place):
        if name == _SCRATCH:
            shutil.rmtree(left, ignore_errors=True)
    folder = aside_name(place / _SCRATCH)
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", path=folder, remedy="make room there") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fetch(url: str, folder: Path) -> Path:
    """Copy a file, or a folder with the files right in it, from a URL into a folder, under its own name.

    Raises:
        InputError: it is not there or cannot be read.
    """
    system, path = _opened(url)
    target = folder / PurePosixPath(path.rstrip("/")).name
    with _told(url, "cannot be fetched", InputError):
        if system.isdir(path):
            target.mkdir()
            for inner in system.ls(path, detail=True):
                if inner["type"] == "file":
                    system.get_file(inner["name"], str(target / PurePosixPath(inner["name"]).name))
        else:
            system.get_file(path, str(target))
    return target


def fetch_result(url: str, folder: Path) -> set[str]:
    """Copy what is at the place of a result, all of it, so that a run sees what an earlier one left there.

    Args:
        url: the place.
        folder: is made.

    Returns:
        The names of the files, those in folders with slashes.

    Raises:
        InputError: it cannot be read.
    """
    system, path = _opened(url)
    with _told(url, "cannot be fetched", InputError):
        names = _names(system, path)
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(f"{path.rstrip('/')}/{name}", str(target))
    return names


def publish(folder: Path, url: str, before: set[str], last: str) -> None:
    """Put a result in its place: its report goes first and comes last, so that with one there a result is whole.

    Args:
        folder: the files.
        url: the place.
        before: what `fetch_result` found there; nothing else is replaced or removed.
        last: name of the file without which nobody takes the place for finished.

    Raises:
        OutputError: it cannot be written, or something came there meanwhile.
    """
    system, path = _opened(url)
    root = path.rstrip("/")
    with _told(url, "cannot be written", OutputError):
        came = _names(system, path) - before
        if came:
            remedy = "choose another output folder"
            raise OutputError(f"{url}/{min(came)}: is in the way, it came while the clip was at work", remedy=remedy)
        names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
        if last in before:
            system.rm_file(f"{root}/{last}")
        for name in sorted(names - {last}) + [last] * (last in names):
            system.makedirs(str(PurePosixPath(f"{root}/{name}").parent), exist_ok=True)
            system.put_file(str(folder / name), f"{root}/{name}")
        for name in before - names - {last}:
            system.rm_file(f"{root}/{name}")


def _names(system: Any, path: str) -> set[str]:
    """Names of all files below a place, none where there is no such place."""
    system.invalidate_cache()
    root = path.rstrip("/") + "/"
    return {found[len(root) :] for found in system.find(path) if found.startswith(root)}


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it. Raises InputError where there is none for it."""
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        remedy = "install what opens it, as s3fs, gcsfs or paramiko, on every machine"
        raise InputError(f"{url}: cannot be opened ({one_line(error)})", remedy=remedy) from error
    except Exception as error:  # each kind of storage has its own
        raise InputError(f"{url}: cannot be reached ({one_line(error)})", remedy="check it") from error
    return system, str(path)


@contextmanager
def _told(url: str, what: str, kind: type[GlotError]) -> Iterator[None]:
    """Tell what goes wrong with a storage as a fault, with the URL in its reason: a path would lose a slash of it."""
    try:
        yield
    except GlotError:
        raise
    except FileNotFoundError as error:
        raise kind(f"{url}: no such file or folder", remedy="check the name") from error
    except Exception as error:  # each kind of storage has its own
        reason = one_line(error) or type(error).__name__
        raise kind(f"{url}: {what} ({reason})", remedy="check the name and what you may do there") from error
