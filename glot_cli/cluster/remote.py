"""Videos and results that are not on a disk of this machine: URLs that fsspec opens, fetched whole, published whole."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from glot_cli.errors import GlotError, InputError, OutputError, one_line
from glot_cli.files.atomic import abandoned, aside_name
from glot_cli.files.locks import FolderBusyError
from glot_cli.pipeline.folder import FILES, FRAMES, LEFT_BY_RUNS, PARAMS, REPORT, is_frame_name

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
WILD = re.compile(r"[*?\[]")
_SCRATCH = "batch-"  # and what no other one has
_PATHS = ("file://", "local://")
# Where a file is put whole or not at all. Elsewhere it is put aside and renamed, as on a disk.
_PUT_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oss", "oci", "memory"}

_Stamp = tuple[int, int, int]


def is_url(place: str) -> bool:
    """Whether a place is a URL, not a path."""
    return _URL.match(place) is not None


def place_of(text: str) -> str:
    """The path that a URL of this machine's own disk names, as fsspec reads it; any other place as it is."""
    if not text.startswith(_PATHS):
        return text
    from fsspec.core import strip_protocol

    return os.path.abspath(str(strip_protocol(text)))


def check_place(place: str) -> None:
    """See that a result may be kept at a place. Raises InputError where it would go with the process that made it."""
    if place.startswith("memory://"):
        reason = "is in the memory of one process, with which a result would go"
        raise InputError(f"{place}: {reason}", remedy="choose a folder, or a storage that machines share")


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
    """A folder for as long as the block lasts, in the temporary folder; a process has one at a time.

    Those of processes that were killed go first.

    Raises:
        OutputError: there can be none.
    """
    place = Path(tempfile.gettempdir())
    folder = aside_name(place / f"{_SCRATCH}{secrets.token_hex(4)}")
    # A process that was killed may have had the number of this one, as in a container that is started again.
    mine = place.glob(aside_name(place / f"{_SCRATCH}*").name)
    for left in [*mine, *(left for left, name in abandoned(place) if name.startswith(_SCRATCH))]:
        shutil.rmtree(left, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
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
    with _told(url, "cannot be fetched", InputError):
        target = folder / _last_part(path)
        if system.isdir(path):
            target.mkdir()
            for inner in system.ls(path, detail=True):
                if inner["type"] == "file":
                    system.get_file(inner["name"], str(target / _last_part(inner["name"])))
        else:
            system.get_file(path, str(target))
    return target


def _last_part(path: str) -> str:
    """The name at the end of a path of a storage, which may hold what would lead out of a folder of this machine."""
    name = PurePosixPath(path).name
    if name in ("", "..") or os.path.basename(name) != name:
        raise ValueError(f"{name!r} is no name of a file")
    return name


@contextmanager
def kept_at(url: str, folder: Path) -> Iterator[None]:
    """A result that belongs at a URL, in a folder of this machine while the block runs.

    What glot has at the place is there, so that a run sees what an earlier one left. What the block makes, changes and
    removes is so at the place afterwards, even if it raises: a run that fails may have saved its record before. Files
    that are not glot's are neither fetched nor touched.

    Args:
        url: the place.
        folder: of this machine; need not exist.

    Raises:
        InputError: the place cannot be read.
        OutputError: it cannot be written, or holds what is in the way.
        FolderBusyError: another run has been at work there meanwhile.
    """
    place = _ResultPlace(url)
    place.fetch(folder)
    try:
        yield
    except Exception:
        with suppress(Exception):  # the first fault is the one to tell
            place.publish(folder)
        raise
    place.publish(folder)


class _ResultPlace:
    """The place of a result at a URL, of which only files with names of glot's are looked at."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._system, path = _opened(self._url)
        self._root = path.rstrip("/")
        self._fetched: dict[str, _Stamp] = {}
        self._seen: dict[str, int | None] = {}

    def fetch(self, folder: Path) -> None:
        """Copy what glot has here into a folder."""
        with _told(self._url, "cannot be fetched", InputError):
            self._seen = self._listed()
            for name in sorted(filter(_is_own, self._seen)):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._system.get_file(f"{self._root}/{name}", str(target))
                except FileNotFoundError as error:
                    raise self._busy(name) from error
        self._fetched = _stamps(folder)

    def publish(self, folder: Path) -> None:
        """Do here what was done to the folder since it was fetched.

        The report goes first and comes last, so that nobody takes less than the whole for finished. The record comes
        first, for without one nobody knows whose the other files are; nothing of an older one is there by then.
        """
        now = _stamps(folder)
        changed = {name for name, stamp in now.items() if stamp != self._fetched.get(name)}
        gone = self._fetched.keys() - now.keys()
        if not changed and not gone:
            return
        with _told(self._url, "cannot be written", OutputError):
            listed = self._listed()
            if came := [name for name, size in listed.items() if self._seen.get(name) != size]:
                raise self._busy(min(came))
            left = {name for name in listed if not _is_own(name)}
            replaced = listed.keys() & (changed | gone | {REPORT} | left)
            for name in reversed(_in_order(replaced - ({PARAMS} & changed))):
                self._remove(name)
            new = _in_order(changed | ({REPORT} & now.keys()))
            for parent in sorted({f"{self._root}/{name}".rpartition("/")[0] for name in new}):
                self._system.makedirs(parent, exist_ok=True)
            for name in new:
                self._put(folder / name, name, replace=name == PARAMS and name in replaced)

    def _put(self, file: Path, name: str, replace: bool) -> None:
        """Put a file in its place, whole."""
        target = f"{self._root}/{name}"
        if _puts_whole(self._system):
            self._system.put_file(str(file), target)
            return
        # Also those of frames/ right here: what is left of them by a kill is then in nobody's way.
        aside = aside_name(Path(PurePosixPath(name).parts[0])).name
        try:
            self._system.put_file(str(file), f"{self._root}/{aside}")
            if replace:  # not every storage renames to a name that is taken
                self._remove(name)
            self._system.mv(f"{self._root}/{aside}", target)
        except Exception:
            with suppress(Exception):
                self._remove(aside)
            raise

    def _remove(self, name: str) -> None:
        try:
            self._system.rm_file(f"{self._root}/{name}")
        except OSError as error:
            if not _is_absent(error):
                raise

    def _listed(self) -> dict[str, int | None]:
        """What glot has here, and what runs that were killed left aside: names with their sizes.

        Raises:
            OutputError: something is in the way.
        """
        self._system.invalidate_cache()
        found: dict[str, int | None] = {}
        for name, kind, size in self._entries(self._root):
            if name == FRAMES and kind == "directory":
                for frame, what, of_frame in self._entries(f"{self._root}/{FRAMES}"):
                    if what != "file" or not is_frame_name(frame):
                        raise self._in_the_way(f"{FRAMES}/{frame}")
                    found[f"{FRAMES}/{frame}"] = of_frame
            elif name in FILES and kind == "file":
                found[name] = size
            elif name in FILES or name in (FRAMES, ""):
                raise self._in_the_way(name)
            elif LEFT_BY_RUNS.fullmatch(name) and kind == "file":
                found[name] = size
        return found

    def _entries(self, path: str) -> Iterator[tuple[str, str, int | None]]:
        """Names right below a path, kinds and sizes; the name is empty where a file has the path itself."""
        try:
            listed = self._system.ls(path, detail=True)
        except OSError as error:
            if not _is_absent(error):
                raise
            return
        for entry in listed:
            full: str = entry["name"]
            itself = full.strip("/") == path.strip("/")
            kind = "directory" if full.endswith("/") else entry["type"]  # of which some storages keep a mark
            if not itself or kind == "file":
                yield "" if itself else full.rstrip("/").rpartition("/")[2], kind, entry.get("size")

    def _in_the_way(self, name: str) -> OutputError:
        reason = f"{joined(self._url, name).rstrip('/')}: is in the way: not written by this version of glot"
        return OutputError(reason, remedy="move it, or choose another output folder")

    def _busy(self, name: str) -> FolderBusyError:
        reason = f"{joined(self._url, name)}: came or went while this clip was at work"
        return FolderBusyError(reason, remedy="let no other batch write here")


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """What glot has in a folder of a result, and by what to see that it is another file later on."""
    found: dict[str, _Stamp] = {}
    frames = folder / FRAMES
    inner = [path for path in frames.iterdir() if is_frame_name(path.name)] if frames.is_dir() else []
    for path in [*(folder / name for name in FILES), *inner]:
        with suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found[path.relative_to(folder).as_posix()] = status.st_ino, status.st_mtime_ns, status.st_size
    return found


def _is_own(name: str) -> bool:
    """Whether a name of `_ResultPlace` is one of a result, and not of what was left aside."""
    return name in FILES or name.startswith(f"{FRAMES}/")


def _in_order(names: Iterable[str]) -> list[str]:
    """Names in the order in which they are put: the record first, the report last."""
    return sorted(names, key=lambda name: (name == REPORT, name != PARAMS, name))


def _puts_whole(system: Any) -> bool:
    """Whether a file is put whole or not at all; so it is treated too where nothing can be renamed, only copied."""
    from fsspec import AbstractFileSystem

    names = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
    return bool(names & _PUT_WHOLE) or type(system).mv is AbstractFileSystem.mv


def _is_absent(error: OSError) -> bool:
    """Whether an error says that there is no such file; not every storage has Python's own for it."""
    return isinstance(error, FileNotFoundError) or error.errno == errno.ENOENT


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
