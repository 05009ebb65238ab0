"""HDF5 files, read without trust: plain arrays of numbers and text that lie in the file itself, nothing else.

The format is read by HDF5's own C library, through h5py. What is checked here is what a sound file may still ask for:
links and storage in other files, references, filters from elsewhere, and sizes far beyond the file's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.files.faults import Damaged, Refused, Unsupported, check_claim, damage
from glot_cli.files.rows import Rows

MAX_NAMES = 1000
MAX_CHUNK = 256 << 20  # bytes that are unpacked at once
MAX_TEXT = 4096  # bytes of a name
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}


class _H5Rows:
    """An array in an open file. Text of varying length is read as bytes of fixed width."""

    def __init__(self, dataset: Any, text: bool) -> None:
        self._dataset = dataset
        self._text = text
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = np.dtype("S") if text else dataset.dtype

    def __getitem__(self, key: slice) -> NDArray[Any]:
        with damage("a damaged HDF5 file"):  # a piece that does not unpack, or is not there
            part = self._dataset[key]
            if not self._text:
                return np.asarray(part)
            texts = [text.encode() if isinstance(text, str) else bytes(text) for text in part.tolist()]
            if max(map(len, texts), default=0) > MAX_TEXT:  # all that are read are given the longest one's room
                raise Refused("holds text too long for names")
            return np.array(texts, "S")


@contextmanager
def open_h5(path: Path) -> Iterator[dict[str, Rows]]:
    """The arrays of an HDF5 file's first level by name, read when they are sliced, while the file is open.

    Raises:
        Refused: it leads outside itself, or claims far more than its size allows.
        Damaged: it is cut off or altered; also while the arrays are sliced.
        Unsupported: h5py is missing.
    """
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise Unsupported("is an HDF5 file, which h5py reads", remedy="pip install 'glot-cli[train]'") from error
    with damage("a damaged or cut off HDF5 file"):
        file = h5py.File(path, "r")
    with file:
        with damage("a damaged HDF5 file"):
            arrays = _arrays(h5py, file, path.stat().st_size)
        yield arrays


def _arrays(h5py: Any, file: Any, size: int) -> dict[str, Rows]:
    if len(file) > MAX_NAMES:
        raise Refused(f"holds more than {MAX_NAMES:,} names, more than any data set has")
    arrays: dict[str, Rows] = {}
    claimed = 0
    for name in file:
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"holds {name} as a link to something else")
        dataset = file[name]
        if isinstance(dataset, h5py.Dataset):
            claimed += math.prod(dataset.shape or ()) * dataset.dtype.itemsize
            check_claim(claimed, size, "claims")
            arrays[name] = _checked(h5py, name, dataset)
    return arrays


def _checked(h5py: Any, name: str, dataset: Any) -> Rows:
    """The array, once its type, its place and its size are as they should be."""
    text = h5py.check_string_dtype(dataset.dtype)
    if dataset.dtype.kind not in "biufS" and not (text and text.length is None):
        raise Refused(f"holds {name}, which is neither numbers nor text")
    if dataset.shape is None:
        raise Damaged(f"holds {name} without a shape")
    if dataset.external or dataset.is_virtual:
        raise Refused(f"holds {name}, whose numbers lie in other files")
    layout = dataset.id.get_create_plist()
    for number in range(layout.get_nfilters()):
        if (code := layout.get_filter(number)[0]) not in _FILTERS:
            raise Refused(f"holds {name} with the unknown filter {code}")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK:
        raise Refused(f"holds {name} in pieces of more than {MAX_CHUNK >> 20} MB")
    if dataset.size and not dataset.id.get_storage_size():
        raise Damaged(f"holds no numbers for {name}")
    return _H5Rows(dataset, text=dataset.dtype.kind == "O")
