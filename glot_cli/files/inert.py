"""What the names in a pickle of arrays stand for: classes that keep numbers and do nothing.

A pickle is a program that calls what it names. These are the only names it may use, those that NumPy's arrays, SciPy's
sparse matrices and chumpy's array consist of; none does what its namesake does. `plain()` makes an array of what they
keep once that is seen to be one.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.files.faults import Damaged, Refused, damage

LONGEST_TYPE = 20  # letters of the name of a data type
MAX_DENSE = 1 << 22  # values of a sparse matrix written out; SMPL's largest has 0.2 million
MOST_DIMENSIONS = 32  # of an array; NumPy's older releases know no more
LONGEST_SIDE = 1 << 48  # of an array
_PLAIN_KINDS = "biufSU"  # of NumPy's data types: numbers and text; never Python objects


class _Inert:
    """What names in a pickle stand for. The class itself must never take a state: that would alter it for all."""

    __slots__ = ()

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        raise Damaged("gives a state to something that has none")


class Object(_Inert):
    """`object`: named by old pickles as the base of what they rebuild."""


class DataType(_Inert):
    """`numpy.dtype`."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code
        self.order: Any = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|"):
            raise Damaged("holds a data type without a byte order")
        self.order = order

    def plain(self) -> np.dtype[Any]:
        if type(self.code) is not str or len(self.code) > LONGEST_TYPE:
            raise Damaged("holds an unknown data type")
        try:
            dtype = np.dtype(self.code)
        except (TypeError, ValueError, SyntaxError) as error:
            raise Damaged("holds an unknown data type") from error
        if dtype.kind not in _PLAIN_KINDS or not dtype.itemsize:
            raise Refused(f"holds an array of '{self.code}', which are not plain numbers")
        return dtype.newbyteorder(self.order)  # `=` and `|` leave it as it is


def _shape(value: Any, of: str) -> tuple[int, ...]:
    """A shape as integers; some are written as NumPy's numbers."""
    if not isinstance(value, tuple) or len(value) > MOST_DIMENSIONS:
        raise Damaged(f"holds {of} without a shape")
    sizes = [n.plain().item() if isinstance(n, Array) and n.shape == () else n for n in value]
    if not all(type(n) is int and 0 <= n < LONGEST_SIDE for n in sizes):
        raise Damaged(f"holds {of} without a shape")
    return tuple(sizes)


class Array(_Inert):
    """`numpy.ndarray`, as yet without numbers."""

    __slots__ = ("data", "dtype", "fortran", "shape")

    def __init__(self, *_: Any) -> None:
        self.shape: Any = None
        self.dtype: Any = None
        self.data: Any = None
        self.fortran = False

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def plain(self) -> NDArray[Any]:
        """The array; its numbers are exactly those that stand in the file."""
        data = self.data.text if isinstance(self.data, Encode) else self.data
        if isinstance(data, str):  # as protocols below 3 write bytes, Python 2 all of them
            try:
                data = data.encode("latin1")
            except UnicodeEncodeError as error:
                raise Damaged("holds an array whose numbers are no bytes") from error
        if not isinstance(self.dtype, DataType) or not isinstance(data, bytes | bytearray):
            raise Damaged("holds an array without numbers")
        shape = _shape(self.shape, "an array")
        dtype = self.dtype.plain()
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Damaged(f"holds an array of shape {shape} with {len(data)} bytes")
        array = np.frombuffer(data, dtype).reshape(shape, order="F" if self.fortran else "C")
        if dtype.kind == "U" and not is_text(array):
            raise Damaged("holds letters that are none")
        return array


def is_text(array: NDArray[Any]) -> bool:
    """Whether every letter of an array of text is one: NumPy dies of others as soon as they are asked for."""
    letters = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return int(letters.max(initial=0)) <= sys.maxunicode


class Reconstruct(_Inert):
    """`numpy.core.multiarray._reconstruct`: an empty array that gets its numbers later."""

    def __new__(cls, subtype: Any = None, *_: Any) -> Any:
        if subtype is not Array:
            raise Damaged("rebuilds an array of something that is none")
        return Array()


class FromBuffer(_Inert):
    """`numpy.core.numeric._frombuffer`: an array of bytes that stand in the file (pickle protocol 5)."""

    def __new__(cls, data: Any = None, dtype: Any = None, shape: Any = None, order: Any = "C", *_: Any) -> Any:
        array = Array()
        array.data, array.dtype, array.shape, array.fortran = data, dtype, shape, order == "F"
        return array


class Scalar(_Inert):
    """`numpy.core.multiarray.scalar`: one number."""

    def __new__(cls, dtype: Any = None, data: Any = b"", *_: Any) -> Any:
        array = Array()
        array.data, array.dtype, array.shape = data, dtype, ()
        return array


class Encode(_Inert):
    """`_codecs.encode`: how protocols below 3 write bytes. They are made when asked for: a pickle can ask often."""

    __slots__ = ("text",)

    def __init__(self, text: Any = "", encoding: Any = "latin1", *_: Any) -> None:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise Damaged("holds bytes in an unknown encoding")
        self.text = text


class NoBytes(_Inert):
    """`bytes`: how protocols below 3 write none of them."""

    def __new__(cls, *arguments: Any) -> Any:
        if arguments:
            raise Damaged("makes bytes of something")
        return b""


class _WithState(_Inert):
    """An object whose attributes a dictionary gives."""

    __slots__ = ("state",)

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise Damaged("gives an object a state that is no dictionary")
        self.state = state


class Chumpy(_WithState):
    """`chumpy.ch.Ch`: an array under the name x."""

    __slots__ = ()

    def plain(self) -> NDArray[Any]:
        inner = self.state.get("x")
        if not isinstance(inner, Array):
            raise Damaged("holds a chumpy array without numbers")
        return inner.plain()


class Sparse(_WithState):
    """A matrix of `scipy.sparse` in compressed columns or rows."""

    __slots__ = ()
    kind = "csc"

    def plain(self) -> NDArray[Any]:
        """The matrix written out. Indices are checked first: SciPy would follow them anywhere."""
        from scipy import sparse

        parts = []
        for name in ("data", "indices", "indptr"):
            part = self.state.get(name)
            if not isinstance(part, Array):
                raise Damaged(f"holds a sparse matrix without {name}")
            parts.append(part.plain())
        shape = _shape(self.state.get("_shape"), "a sparse matrix")
        if len(shape) != 2:
            raise Damaged("holds a sparse matrix that is none")
        if math.prod(shape) > MAX_DENSE:
            raise Refused(f"holds a sparse matrix of {shape[0]} x {shape[1]}, too large for a body model")
        data, indices, indptr = parts
        lines, places = shape if self.kind == "csr" else shape[::-1]
        good = (
            data.ndim == indices.ndim == indptr.ndim == 1
            and data.dtype.kind in "biuf"
            and indices.dtype.kind in "iu"
            and indptr.dtype.kind in "iu"
            and len(data) == len(indices)
            and len(indptr) == lines + 1
            and (indptr[0], indptr[-1]) == (0, len(data))
            and bool((np.diff(indptr.astype(np.int64)) >= 0).all())
            and (not len(indices) or (indices.min() >= 0 and indices.max() < places))
        )
        if not good:
            raise Damaged("holds a sparse matrix whose indices do not fit")
        make = sparse.csr_matrix if self.kind == "csr" else sparse.csc_matrix
        return np.asarray(make((data, indices, indptr), shape=shape).toarray())


class SparseRows(Sparse):
    """The same, compressed by rows."""

    __slots__ = ()
    kind = "csr"


class Reconstructor(_Inert):
    """`copyreg._reconstructor`: how protocols below 2 make an object of a class, here one of `kinds`."""

    kinds: tuple[type[_Inert], ...] = (Sparse, SparseRows, Chumpy)

    def __new__(cls, kind: Any = None, *_: Any) -> Any:
        if kind not in cls.kinds:
            raise Damaged("rebuilds an object of a class that has none")
        return kind()


_MODULES = {
    "object": ("builtins", "__builtin__"),
    "ndarray": ("numpy",),
    "dtype": ("numpy",),
    "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
    "scalar": ("numpy.core.multiarray", "numpy._core.multiarray"),
    "_frombuffer": ("numpy.core.numeric", "numpy._core.numeric"),
    "encode": ("_codecs",),
    "bytes": ("builtins", "__builtin__"),
    "_reconstructor": ("copyreg", "copy_reg"),
    "Ch": ("chumpy.ch",),
    "csc_matrix": ("scipy.sparse.csc", "scipy.sparse._csc"),
    "csr_matrix": ("scipy.sparse.csr", "scipy.sparse._csr"),
}
_STANDS_FOR: dict[str, type[_Inert]] = {
    "object": Object,
    "ndarray": Array,
    "dtype": DataType,
    "_reconstruct": Reconstruct,
    "scalar": Scalar,
    "_frombuffer": FromBuffer,
    "encode": Encode,
    "bytes": NoBytes,
    "_reconstructor": Reconstructor,
    "Ch": Chumpy,
    "csc_matrix": Sparse,
    "csr_matrix": SparseRows,
}
ALLOWED = {f"{module}.{name}": _STANDS_FOR[name] for name, modules in _MODULES.items() for module in modules}


def is_array(value: Any) -> bool:
    """Whether what a pickle left is something that `to_array` makes an array of."""
    return isinstance(value, Array | Chumpy | Sparse)


def to_array(value: Any) -> NDArray[Any]:
    """An array, or what a pickle holds in its place, as an array. Raises Damaged, and Refused where it is too large."""
    if not is_array(value):
        return np.asarray(value)
    with damage("a damaged pickle"):
        return np.asarray(value.plain())
