"""Files of `joblib.dump`, read without joblib and without trust: all that can come out of them are arrays and lists.

Such a file is a pickle, that is a program, in which every array is a small object that tells its type and shape; the
array's numbers follow right behind it, amid the program. Here the program runs with the classes of `inert` and one more
for that object. The numbers are passed over, once it is certain that the file is long enough to hold them, and mapped
into memory afterwards: an array of 12 GB takes none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from glot_cli.files.faults import Damaged, Refused, Unsupported, damage
from glot_cli.files.inert import (
    ALLOWED,
    Array,
    DataType,
    Encode,
    FromBuffer,
    NoBytes,
    Object,
    Reconstruct,
    Reconstructor,
    Scalar,
)
from glot_cli.files.pickles import Program, counted

MAX_PROGRAM = 64 << 20  # bytes of a file that are not numbers of arrays; an official one has some thousand
MAX_STEPS = 4_000_000  # a list of 1.5 million names takes 3 million
MAX_ARRAYS = 1000
MAX_TEXT = 128 << 20  # bytes of a list of names once all are given the longest one's room

_MODULES = ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")
_OLD = {f"{m}{compat}.{z}NDArrayWrapper" for m in _MODULES for compat in ("", "_compat") for z in ("", "Z")}


class Wrapper(Object):
    """`joblib.numpy_pickle.NumpyArrayWrapper`: says of which type and shape the array is that follows."""

    __slots__ = ("state",)

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class WrapperReconstructor(Reconstructor):
    """`copyreg._reconstructor` again: in files of joblib only wrappers are made in this way."""

    kinds = (Wrapper,)


_KINDS = (Object, Array, DataType, Reconstruct, FromBuffer, Scalar, Encode, NoBytes)
_NAMES: dict[str, type] = {name: kind for name, kind in ALLOWED.items() if kind in _KINDS}
_NAMES |= {f"{module}._reconstructor": WrapperReconstructor for module in ("copyreg", "copy_reg")}
_NAMES |= {f"{module}.NumpyArrayWrapper": Wrapper for module in _MODULES}
# A map of a file that was written from one; a plain array all the same.
_NAMES |= dict.fromkeys(("numpy.memmap", "numpy.core.memmap.memmap", "numpy._core.memmap.memmap"), Array)


@dataclass(frozen=True)
class StoredArray:
    """An array that lies in the file.

    Attributes:
        offset: bytes before its first number.
        shape: of the array.
        dtype: of its numbers; plain numbers or text.
        fortran: whether the first index runs fastest.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def map(self, path: Path) -> NDArray[Any]:
        """The array, mapped into memory and read-only."""
        if not math.prod(self.shape):
            return np.empty(self.shape, self.dtype)  # there is nothing to map
        order: Literal["F", "C"] = "F" if self.fortran else "C"
        return np.memmap(path, self.dtype, "r", self.offset, self.shape, order)


def read_joblib(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an uncompressed file of joblib by name, mapped into memory; lists of text or numbers as arrays.

    Other values are left out. Nothing in the file is run.

    Raises:
        Refused: it asks for a name (the message tells it), a step or as much memory as no data set needs.
        Damaged: it is cut off or altered, or holds no arrays with names.
        Unsupported: joblib before 0.10 wrote it.
    """
    with path.open("rb") as file, damage("a damaged joblib file"):
        held = _JoblibProgram(_Tape(file, path.stat().st_size)).load()
        if not isinstance(held, dict):
            raise Damaged("is a joblib file without named arrays")
        arrays = {}
        for name, value in held.items():
            if isinstance(value, StoredArray):
                arrays[name] = value.map(path)
            elif isinstance(value, Array):  # in files that pickle itself wrote
                arrays[name] = value.plain()
            elif isinstance(value, list | tuple):
                arrays[name] = _of_list(name, value)
        return arrays


class _Tape:
    """The file as the program is read from it: never fewer bytes than asked for, never more than a program needs."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self._left = MAX_PROGRAM
        self._arrays = 0

    def read(self, count: int) -> bytes:
        if count > self._size - self._file.tell():
            raise Damaged("is a joblib file that was cut off")
        self._spend(count)
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(self._left + 1)
        self._spend(len(line))
        if not line.endswith(b"\n"):
            raise Damaged("is a joblib file that was cut off")
        return line

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Refused(f"holds more than {MAX_PROGRAM >> 20} MB beside its arrays, more than any data set needs")

    def pass_over(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool, aligned: int | None
    ) -> StoredArray:
        """The array whose numbers begin here. aligned: bytes of which its place is a multiple, if it was made so."""
        self._arrays += 1
        if self._arrays > MAX_ARRAYS:
            raise Refused(f"holds more than {MAX_ARRAYS:,} arrays, more than any data set has")
        if aligned is not None:  # a byte that says how many more lie before the array, and these
            count = self.read(1)[0]
            if count > aligned or self.read(count) != b"\xff" * count:
                raise Damaged(f"is a damaged joblib file (before an array of shape {shape})")
        offset = self._file.tell()
        missing = offset + math.prod(shape) * dtype.itemsize - self._size
        if missing > 0:
            raise Damaged(f"was cut off: an array of shape {shape} lacks {missing:,} bytes")
        self._file.seek(self._size + missing)
        return StoredArray(offset, shape, dtype, fortran)


class _Memory(dict[int, Any]):
    """What a program remembers, by number. An honest one counts upwards."""

    def __setitem__(self, number: int, value: Any) -> None:
        if not 0 <= number <= MAX_STEPS:
            raise Refused("is a pickle that asks for memory it has no use for")
        super().__setitem__(number, value)


class _JoblibProgram(Program):
    """An unpickler with the names and steps above and no others."""

    allowed = _NAMES

    def __init__(self, tape: _Tape) -> None:
        super().__init__(tape)
        self._tape = tape
        self.memo = _Memory()
        self.steps = counted(_JoblibProgram, MAX_STEPS, "joblib file")

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" in _OLD:
            raise Unsupported(
                "was written by joblib before 0.10, which keeps arrays in further files",
                remedy="load it with that version where you trust it and dump it with a newer one",
            )
        return super().find_class(module, name)

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _KINDS):  # a class among them: a state given to it would alter it for all
            raise Damaged("gives a state to something that has none")
        target.__setstate__(state)
        if isinstance(target, Wrapper):
            self.stack[-1] = self._tape.pass_over(*_described(target.state))


def _described(state: Any) -> tuple[tuple[int, ...], np.dtype[Any], bool, int | None]:
    """Shape, type, whether in Fortran's order, and alignment of an array that follows."""
    if not isinstance(state, dict):
        raise Damaged("holds an array without a description")
    shape, order, aligned = state.get("shape"), state.get("order"), state.get("numpy_array_alignment_bytes")
    if type(shape) is not tuple or len(shape) > 8 or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        raise Damaged("holds an array without a shape")
    if order not in ("C", "F") or not (aligned is None or (type(aligned) is int and 0 < aligned < 256)):
        raise Damaged(f"holds an array of shape {shape} in no known order")
    return shape, _data_type(state.get("dtype")), order == "F", aligned


def _data_type(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, DataType):
        raise Damaged("holds an array without a data type")
    return dtype.plain()


def _of_list(name: str, values: list[Any] | tuple[Any, ...]) -> NDArray[Any]:
    """A list of text or of numbers as an array."""
    items = [v.plain().item() if isinstance(v, Array) and v.shape == () else v for v in values]
    if all(type(v) in (bool, int, float) for v in items):
        numbers = np.array(items)
        if numbers.dtype.kind not in "biuf":
            raise Damaged(f"holds {name} with numbers that are too large")
        return numbers
    if not all(isinstance(v, str | bytes | Encode) for v in items):
        raise Refused(f"holds {name} as a list of neither numbers nor text")
    texts = [_bytes(v) for v in items]
    if len(texts) * max(map(len, texts)) > MAX_TEXT:
        raise Refused(f"holds {name} with text too long for names")
    return np.array(texts)


def _bytes(text: str | bytes | Encode) -> bytes:
    if isinstance(text, Encode):  # how protocols below 3 write bytes
        return text.text.encode("latin1", "replace")
    return text.encode(errors="replace") if isinstance(text, str) else text
