"""Tables of numbers as lines of text, in a way that is quick enough for millions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2000  # rows that are text before they are written


class TextColumn(NamedTuple):
    """A column of a table, or several of one kind.

    Attributes:
        values: (N,), or (N, K) for K columns; NaN leaves a cell empty.
        form: how Python's % writes one: "%.5f", "%d", "%s".
    """

    values: NDArray[Any]
    form: str


def write_rows(file: TextIO, columns: Sequence[TextColumn], separator: str, *, trailing: bool = False) -> None:
    """Write a line for each row of a table.

    Args:
        file: to write to.
        columns: all of N rows.
        separator: between cells.
        trailing: whether one stands after the last cell too.
    """
    for start in range(0, len(columns[0].values), AT_ONCE):
        forms: list[str] = []
        cells: list[list[Any]] = []
        for column in columns:
            part = column.values[start : start + AT_ONCE]
            for values in part[:, None].T if part.ndim == 1 else part.T:
                gaps = values.dtype.kind == "f" and bool(np.isnan(values).any())
                listed = values.tolist()
                cells.append(["" if value != value else column.form % value for value in listed] if gaps else listed)
                forms.append("%s" if gaps else column.form)
        line = separator.join(forms) + (separator if trailing else "") + "\n"
        file.write("".join([line % row for row in zip(*cells, strict=True)]))
