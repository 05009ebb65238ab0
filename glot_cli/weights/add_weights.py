"""`glot weights add`: files of others recognised, converted to plain arrays, stored in the user's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from glot_cli.errors import GlotError, UsageError
from glot_cli.files.arrays import contents, is_archive, members, read_bytes
from glot_cli.files.atomic import whole
from glot_cli.files.pickles import Damaged, Refused
from glot_cli.weights import store
from glot_cli.weights.glot_file import save_glot, save_tensors
from glot_cli.weights.official_files import OFFICIAL
from glot_cli.weights.recognise import Recognised, recognise


@dataclass(frozen=True)
class Added:
    """A file that was taken in: what was given, what it became, what is worth telling of it."""

    given: str
    entry: store.WeightFile
    path: Path
    remark: str


def add(path: Path, gender: str | None = None) -> Iterator[Added]:
    """Take in a file, or every known file in an archive. gender: of an SMPL body whose name does not tell.

    Raises GlotError, with the file's name in front, when it is missing, damaged, refused or unknown; what an archive
    held before that is kept.
    """
    try:
        packed = is_archive(path)
    except GlotError as error:
        raise _named(str(path), error) from error
    if not packed:
        yield _take(str(path), path.name, read_bytes(path), gender)
        return
    found = False
    faults: list[GlotError] = []
    others: list[GlotError] = []
    try:
        for name, member in members(path):
            try:
                added = _take(f"{path}: {name}", name, member, gender)
            except _Unknown:
                continue
            except GlotError as error:
                (faults if _is_ours(name) else others).append(error)
                continue
            found = True
            yield added
    except (Damaged, Refused) as error:
        raise _named(str(path), error) from error
    if faults or (others and not found):
        raise [*faults, *others][0]
    if not found:
        raise GlotError(f"{path}: holds none of the files that glot knows; 'glot weights list' names them")


def _is_ours(name: str) -> bool:
    """Whether a member of an archive is called as a file that glot wants; what is wrong with others is no matter."""
    called = PurePosixPath(name).name.lower()
    return called.endswith(".pth.tar") or any(called == o.lower() for f in OFFICIAL.values() for o in f.originals)


class _Unknown(GlotError):
    """Nothing that glot knows."""


def _take(label: str, name: str, data: bytes, gender: str | None) -> Added:
    try:
        arrays, checkpoint = contents(data)
        known = recognise(name, arrays, checkpoint, gender)
    except (Damaged, Refused, UsageError) as error:
        raise _named(label, error) from error
    except GlotError as error:  # neither array nor network
        raise _Unknown(f"{label}: {error}; 'glot weights list' names them") from error
    if known is None:
        raise _Unknown(f"{label}: is none of the files that glot knows; 'glot weights list' names them")
    digest = hashlib.sha256(data).hexdigest()
    entry, target = _store(known, f"{Path(name).name}, SHA-256 {digest}")
    return Added(label, entry, target, known.remark)


def _named(label: str, error: GlotError) -> GlotError:
    """The error with the file in front and a remedy behind."""
    if isinstance(error, Refused):
        return Refused(f"{label}: {error}; it was not run. No official file does that: take another copy")
    if isinstance(error, Damaged):
        return Damaged(f"{label}: {error}; download it again")
    return type(error)(f"{label}: {error}")


def _store(known: Recognised, source: str) -> tuple[store.WeightFile, Path]:
    """Write the converted file aside, give it its name, and write its record."""
    folder = store.user_folder()
    target = folder / f"{known.name}.{'npz' if known.tensors is None else 'safetensors'}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(target) as aside:
            _write(known, aside)
            entry = store.WeightFile(
                known.name,
                target.name,
                known.official.role,
                source,
                known.official.licence,
                aside.stat().st_size,
                store.sha256(aside),
            )
    except OSError as error:
        raise GlotError(
            f"{folder}: cannot be written ({error.strerror}); name another folder with GLOT_WEIGHTS"
        ) from error
    store.record(entry)
    return entry, target


def _write(known: Recognised, path: Path) -> None:
    if known.tensors is None:
        assert known.arrays is not None
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **known.arrays)
        return
    if known.official.name == "glot":
        from glot_cli.models.glot_config import GLoTConfig

        save_glot(known.tensors, GLoTConfig(), path)
    else:
        save_tensors(known.tensors, path, {"format": "pt"})
