"""HDF5 files, read in a process of its own: a damaged one can crash HDF5's library, or keep it busy for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.files.apart import Reader, answer_orders, bound_memory
from glot_cli.files.hdf5 import open_h5
from glot_cli.files.rows import Rows

ROOM = 768 << 20  # bytes
OPENING = 7.0  # seconds
PATIENCE = 20.0  # seconds for some rows, also from a slow disk


def main() -> None:
    """In the process: open the file of the first order, and give the rows of the others."""
    bound_memory(ROOM)
    with ExitStack() as stack:
        arrays: dict[str, Rows] = {}

        def answer(order: dict[str, Any], _: Any) -> tuple[dict[str, Any], NDArray[Any] | None]:
            if "path" in order:
                arrays.update(stack.enter_context(open_h5(Path(order["path"]))))
                return {"arrays": {name: (array.shape, array.dtype.str) for name, array in arrays.items()}}, None
            return {}, np.asarray(arrays[order["name"]][slice(*order["rows"])])

        answer_orders(answer)


class _RowsApart:
    """An array of a file that another process has open."""

    def __init__(self, reader: Reader, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self._reader, self._name = reader, name
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    def __getitem__(self, key: slice) -> Any:
        order = {"name": self._name, "rows": key.indices(self.shape[0])}
        return self._reader.ask(order, seconds=PATIENCE)[1]


@contextmanager
def open_h5_apart(path: Path) -> Iterator[dict[str, Rows]]:
    """As `open_h5`, which also tells of the faults; TooMuch comes where the file keeps the library busy."""
    reader = Reader(__name__)
    try:
        held, _ = reader.ask({"path": str(path.absolute())}, seconds=OPENING)
        yield {name: _RowsApart(reader, name, tuple(shape), dtype) for name, (shape, dtype) in held["arrays"].items()}
    finally:
        reader.stop()
