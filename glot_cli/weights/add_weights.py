"""`glot weights add`: files of others recognised, converted to plain arrays, stored in the user's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from glot_cli.errors import GlotError, WeightsError
from glot_cli.files.archives import check_within, is_archive, members
from glot_cli.files.atomic import not_written, whole
from glot_cli.files.contents import contents
from glot_cli.files.faults import FileFault, Unsupported
from glot_cli.files.opening import read_bytes
from glot_cli.weights import store
from glot_cli.weights.glot_file import save_glot, save_tensors
from glot_cli.weights.known_weights import OFFICIAL_WEIGHTS
from glot_cli.weights.recognise import Recognised, recognise

_REMEDY = "'glot weights list' names them"


@dataclass(frozen=True)
class AddedWeights:
    """A file that was taken in.

    Attributes:
        given: what was given: the file's path, and the member's name where it is an archive.
        entry: what it became.
        path: where that lies.
        remark: what is worth telling of it, or "".
    """

    given: str
    entry: store.WeightFile
    path: Path
    remark: str


def add_weights(path: Path, gender: str | None = None) -> Iterator[AddedWeights]:
    """Take in a file, or every known file in an archive, one at a time.

    Args:
        path: the file, under any name.
        gender: of an SMPL body whose name does not tell: neutral, male or female.

    Raises:
        WeightsError: it is missing, damaged, refused or unknown; what an archive held beside that is kept.
        UsageError: it is an SMPL body whose name does not tell its gender.
        OutputError: the user's folder cannot be written.
    """
    try:
        packed = is_archive(path)
        data = b"" if packed else read_bytes(path)
    except FileFault as error:
        raise error.about(path, WeightsError) from error
    if packed:
        yield from _take_members(path, gender)
        return
    try:
        yield _take(path, "", data, gender)
    except Unsupported as error:
        raise WeightsError(error.reason, path=path, remedy=_REMEDY) from error


def _take_members(path: Path, gender: str | None) -> Iterator[AddedWeights]:
    """Those of an archive's members that glot knows; the first fault is raised after all of them."""
    found = False
    faults: list[GlotError] = []
    others: list[GlotError] = []
    try:
        for name, member in members(path):
            try:
                added = _take(path, name, member, gender)
            except Unsupported:
                continue
            except GlotError as error:
                (faults if _is_ours(name) else others).append(error)
                continue
            found = True
            yield added
    except FileFault as error:
        raise error.about(path, WeightsError) from error
    if faults or (others and not found):
        raise [*faults, *others][0]
    if not found:
        raise WeightsError("holds none of the files that glot knows", path=path, remedy=_REMEDY)


def _is_ours(name: str) -> bool:
    """Whether a member of an archive is called as a file that glot wants; what is wrong with others is no matter."""
    called = PurePosixPath(name).name.lower()
    known = {original.lower() for file in OFFICIAL_WEIGHTS.values() for original in file.originals}
    return called.endswith(".pth.tar") or called in known


def _take(path: Path, member: str, data: bytes, gender: str | None) -> AddedWeights:
    """What became of a file's bytes; member: "" for the file itself. Unsupported where glot does not know them."""
    name = PurePosixPath(member).name or path.name
    try:
        if member:
            check_within(data)
        arrays, checkpoint = contents(data)
        known = recognise(name, arrays, checkpoint, gender)
        if known is None:
            raise Unsupported("is none of the files that glot knows")
    except Unsupported:
        raise
    except FileFault as error:
        raise error.about(path, WeightsError, member) from error
    entry, target = _store(known, f"{name}, SHA-256 {hashlib.sha256(data).hexdigest()}")
    return AddedWeights(f"{path}: {member}" if member else str(path), entry, target, known.remark)


def _store(known: Recognised, source: str) -> tuple[store.WeightFile, Path]:
    """Write the converted file aside, give it its name, and write its record. Raises OutputError."""
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
        raise not_written(folder, error, store.NO_ROOM) from error
    store.write_entry(entry)
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
