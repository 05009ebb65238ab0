"""CSV: tables for spreadsheets, R and pandas."""

from __future__ import annotations

from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.text_rows import TextColumn, write_rows
from glot_cli.exporting.tidy import TidyColumn, tables


def write(cast: Cast, box: Outbox) -> None:
    """Write a file a table, with a header that has the units. A number that is not known is an empty cell."""
    for name, table in tables(cast, box):
        with box.path(f"{cast.stem}_{name}.csv").open("w", encoding="utf-8", newline="\n") as file:
            file.write(",".join(table) + "\n")
            write_rows(file, [TextColumn(column.values, _form(column)) for column in table.values()], ",")


def _form(column: TidyColumn) -> str:
    if column.values.dtype.kind == "O":
        return "%s"
    return "%d" if column.decimals is None else f"%.{column.decimals}f"
