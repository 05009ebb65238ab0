"""Parquet: the tables of `csv_tables` for pandas, Polars, DuckDB and R, smaller and read at once."""

from __future__ import annotations

from glot_cli.errors import UsageError
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.tidy import tables

try:
    import pyarrow
    from pyarrow import parquet
except ImportError as error:
    raise UsageError("parquet needs pyarrow", remedy="pip install 'glot-cli[parquet]'", option="format") from error


def write(cast: Cast, box: Outbox) -> None:
    """Write a file a table. Numbers are not rounded; one that is not known is null."""
    for name, table in tables(cast, box):
        columns = {
            key: pyarrow.array(column.values, pyarrow.string(), from_pandas=True)
            if column.values.dtype.kind == "O"
            else pyarrow.array(column.values, from_pandas=True)
            for key, column in table.items()
        }
        parquet.write_table(pyarrow.table(columns), box.path(f"{cast.stem}_{name}.parquet"))
