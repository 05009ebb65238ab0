"""`batch.parquet`: one row a clip, for everybody to read while the batch goes on and after it."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from glot_cli._version import __version__
from glot_cli.cluster.ledger import Row, plain_text
from glot_cli.cluster.remote import exists, glob_url, is_url, joined, place_of
from glot_cli.errors import InputError, OutputError, one_line
from glot_cli.files.atomic import not_written, whole
from glot_cli.files.seal import is_regular

TABLE = "batch.parquet"
_KEY = b"glot batch"  # of the metadata: what glot wrote has it, and replaces nothing that has not
_SHARD = re.compile(r"batch(-\d+-of-\d+)?\.parquet")
_LARGEST = 1 << 30  # bytes
_LATER = {"pieces", "progress"}  # columns that the first tables had not
SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("video", pa.string()),
        ("folder", pa.string()),
        ("state", pa.string()),
        ("people", pa.int64()),
        ("frames", pa.int64()),
        ("seconds", pa.float64()),
        ("stages", pa.map_(pa.string(), pa.float64())),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.string()),
        ("node", pa.string()),
        ("pieces", pa.int64()),
        ("progress", pa.float64()),
        ("attempts", pa.int64()),
        ("crashes", pa.int64()),
        ("deaths", pa.int64()),
        ("began", pa.float64()),
        ("ended", pa.float64()),
    ]
)


@dataclass(frozen=True)
class About:
    """What a table says beside its rows.

    Attributes:
        options: of the batch's runs.
        workers: that were at work when it was written.
        began: when the batch, or its last start, began, seconds since 1970.
        written: when it was written.
        over: whether the batch had come to its end.
        program_version: of glot.
    """

    options: dict[str, Any]
    workers: int
    began: float
    written: float
    over: bool
    program_version: str = __version__


def table_name(shard: tuple[int, int] | None) -> str:
    """What the table of a batch, or of one of its shards (which, of how many), is called."""
    return TABLE if shard is None else f"batch-{shard[0]}-of-{shard[1]}.parquet"


def write_table(place: str, rows: Sequence[Row], about: About) -> None:
    """Write a table whole, in the place of nothing or of one that glot wrote.

    Args:
        place: path or URL.
        rows: in the order of the manifest.
        about: the rest.

    Raises:
        OutputError: it cannot be written, or another file is in its place.
    """
    columns = {name: [_plain(getattr(row, name)) for row in rows] for name in SCHEMA.names}
    table = pa.table(columns, schema=SCHEMA.with_metadata({_KEY: json.dumps(asdict(about)).encode()}))
    if is_url(place):
        try:
            buffer = io.BytesIO()
            pq.write_table(table, buffer)
            system, path = fsspec.url_to_fs(place)
            system.pipe_file(path, buffer.getvalue())  # at once: stopped in between, others would see half of it
        except Exception as error:  # each kind of storage has its own
            raise OutputError(f"{place}: cannot be written ({one_line(error)})", remedy="check it") from error
        return
    path = Path(place)
    try:
        with whole(path) as aside:
            pq.write_table(table, aside)
            if os.path.lexists(path) and not _is_ours(path):  # it came while the batch went on
                raise OutputError("is no table of a batch, and in the way", path=path, remedy="move it")
    except OSError as error:
        raise not_written(path, error) from error


def _is_ours(path: Path) -> bool:
    """Whether a path is a table that glot wrote: a regular file with its word in it."""
    try:
        return is_regular(path) and _KEY in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return False


def read_table(place: str) -> tuple[list[Row], About]:
    """The rows of a table and what it says beside them.

    Raises:
        InputError: it is not there, or none that glot wrote.
    """
    fault = InputError(f"{place}: is no table of a batch", remedy="choose another folder, or move it")
    try:
        if not is_url(place) and not is_regular(Path(place)):
            raise fault
        with fsspec.open(place, "rb") as file:
            if not 0 < file.seek(0, os.SEEK_END) <= _LARGEST:
                raise fault
            # Arrow's threads, which would read ahead, may outlive a Python that ends and take it down with SIGABRT.
            table = pq.read_table(file, use_threads=False, pre_buffer=False)
    except FileNotFoundError as error:
        raise InputError(f"{place}: no such file", remedy="check the name") from error
    except InputError:
        raise
    except Exception as error:  # Arrow's and each storage's own
        raise InputError(f"{place}: cannot be read ({one_line(error)})", remedy="choose another folder") from error
    try:
        return _rows_of(table), _about_of(table)
    except Exception as error:  # whatever may be in it
        raise fault from error


def _rows_of(table: Any) -> list[Row]:
    """The rows of a table. Raises errors of all kinds where it is damaged."""
    for name in _LATER - set(table.column_names):
        table = table.append_column(name, pa.nulls(len(table), SCHEMA.field(name).type))
    needed = [field.name for field in fields(Row) if field.default is MISSING or field.default == 0]
    if any(table[name].null_count for name in needed):
        raise ValueError("lacks values")
    rows = [Row(**values) for values in table.select(SCHEMA.names).cast(SCHEMA).to_pylist()]
    for row in rows:
        row.stages, row.warnings = dict(row.stages or {}), list(row.warnings or ())
    return rows


def _about_of(table: Any) -> About:
    """What a table says beside its rows. Raises errors of all kinds where it is damaged."""
    about = About(**json.loads((table.schema.metadata or {})[_KEY]))
    kinds = ((about.options, dict), (about.workers, int), (about.program_version, str))
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise ValueError("says something else")
    return replace(about, began=float(about.began), written=float(about.written), over=bool(about.over))


def read_tables(folder: str) -> tuple[list[Row], list[About], int]:
    """The rows of all tables in the folder of a batch: its own, or those of its shards.

    Returns:
        The rows, what each table says beside its own, and how many shards have written none.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    folder = place_of(folder)
    if is_url(folder):
        places = [place for place, _ in glob_url(joined(folder, "batch*.parquet"))]
    else:
        places = sorted(map(str, Path(folder).glob("batch*.parquet")))
    places = [place for place in places if _SHARD.fullmatch(place.replace(os.sep, "/").rpartition("/")[2])]
    if not places:
        raise InputError(f"{folder}: holds no batch", remedy="name the folder that a batch writes its results to")
    tables = sorted(
        ((*read_table(place), _cut_of(place)) for place in places), key=lambda table: table[1].written, reverse=True
    )
    newest = [table for table in tables if table[2] == tables[0][2]]
    missing = max(1, tables[0][2]) - len(newest)
    if not missing:  # tables of a batch that was divided otherwise say nothing more
        tables = newest
    rows: dict[int, Row] = {}
    told: set[str] = set()
    for some, _, _ in tables:
        new = [row for row in some if row.number not in rows and row.folder not in told]
        rows |= {row.number: row for row in new}
        told |= {row.folder for row in new if row.folder}
    return [rows[number] for number in sorted(rows)], [about for _, about, _ in tables], missing


def _cut_of(place: str) -> int:
    """Into how many shards a batch was divided whose table is at a place; 0 of one that was not."""
    found = re.search(r"-of-(\d+)\.parquet$", place)
    return int(found[1]) if found else 0


def earlier_rows(place: str) -> tuple[list[Row], About | None]:
    """The rows of a table that an earlier batch left, none where there is no file.

    Raises:
        OutputError: the file in its place is none that glot wrote.
    """
    if not (exists(place) if is_url(place) else os.path.lexists(place)):
        return [], None
    try:
        return read_table(place)
    except InputError as error:
        raise OutputError(f"{error.reason}, and in the way", remedy="choose another output folder") from error


def _plain(value: Any) -> Any:
    """A value as Arrow takes it."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return list(map(_plain, value))
    return list(value.items()) if isinstance(value, dict) else value
