"""Where records go, and what their files are called there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from glot_cli.errors import InputError, UsageError, printable
from glot_cli.exporting.catalogue import FORMATS
from glot_cli.results import load_result
from glot_cli.schema import Meta

LONGEST_STEM = 150  # bytes of what names of exports begin with; a whole name may have 255
_RECORD = "params.npz"


def record_file(given: str | Path) -> Path:
    """The record of a result's folder, or the file that was given."""
    return Path(given) / _RECORD if os.path.isdir(given) else Path(given)


def export_folder(record: Path, out: str | Path | None) -> Path:
    """Where the files of a record go."""
    return Path(out) if out else record.parent / "export"


def export_stem(record: Path, meta: Meta) -> str:
    """What files made of a record are called: as its result folder, or its video."""
    return _folder_name(record) or _as_text(Path(meta.video).stem) or "glot"


def check_destinations(records: Sequence[str | Path], formats: Sequence[str], out: str | Path | None) -> None:
    """See that no two records of one call write the same files; those that cannot be read are told in their turn.

    Args:
        records: each params.npz or the folder that holds it.
        formats: of `catalogue.FORMATS`.
        out: the folder for all of their files; None: each has its own.

    Raises:
        UsageError: two of them would.
    """
    unnamed = [name for name in formats if name in FORMATS and not FORMATS[name].named]
    taken: dict[str, str | Path] = {}
    for given in records:
        record = record_file(given)
        name = unnamed[0] if unnamed else _folder_name(record)
        with suppress(InputError):
            place = export_folder(record, out) / (name or export_stem(record, load_result(record).meta))
            before = taken.setdefault(os.path.realpath(place), given)
            if before is not given:
                raise UsageError(f"{before} and {given} would both write {place}; export them to folders of their own")


def _folder_name(record: Path) -> str:
    return _as_text(Path(os.path.realpath(record)).parent.name) if record.name == _RECORD else ""


def _as_text(name: str) -> str:
    """A name that every library and program takes, and that is short enough for what comes after it."""
    # Bytes that are no text, as names of files may have them, cannot be given to libraries in C++.
    whole = printable(os.fsencode(name).decode("utf-8", "backslashreplace")).replace("\\", "_")
    return whole.encode()[:LONGEST_STEM].decode("utf-8", "ignore").strip()
