"""Tensors that `torch.save` wrote, old form or new, read without torch's own unpickler.

That one runs no foreign code either, but a few hundred bytes keep it busy for ever or make it fill the memory: names
that take for ever to hash, room that is claimed and never filled, tensors that repeat one number. Here the program runs
as in `pickles`; what comes out says of each tensor which numbers of the file it consists of, and only those that are
asked for are made.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glot_cli.files.faults import Damaged, Refused, Unsupported, damage
from glot_cli.files.inert import ALLOWED, LONGEST_SIDE, MOST_DIMENSIONS, Object
from glot_cli.files.opening import ZIP
from glot_cli.files.pickles import Program, counted
from glot_cli.files.zips import OpenZip, open_zip

if TYPE_CHECKING:
    import torch

MAX_STEPS = 500_000  # of all a file's pickles; GLoT's checkpoint with the optimizer's state takes some 30,000
MAX_PROGRAM = 32 << 20  # bytes of the pickle in a zip
LARGEST_KEY = 1 << 31  # optimizers number what they keep

_KIND = "a damaged or cut off checkpoint"
_PARTS = ("/data.pkl", "/byteorder")
_TYPES = {  # torch's names of storages, and of what they hold
    "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "DoubleStorage": "float64",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip


class Table(dict[Any, Any]):
    """`collections.OrderedDict`: made empty and filled then; Python 2 gave pairs."""

    def __init__(self, *given: list[Any]) -> None:
        super().__init__()
        for pairs in given:
            pairs.reverse()
            while pairs:  # they are used up: a program can give one list often
                name, value = pairs.pop()
                if type(name) is not str:
                    raise Damaged("is a damaged checkpoint (a name that is no text)")
                self[name] = value

    def __setstate__(self, state: Any) -> None:
        """What hangs on it besides (of a network's tensors, versions) is no part of it."""


class Numbers(Object):
    """So many numbers of one type, which lie under one name in the file, and then in memory that may be shared."""

    __slots__ = ("count", "dtype", "key", "memory")

    def __init__(self, dtype: torch.dtype, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count
        self.memory = memoryview(b"")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * self.dtype.itemsize


class StoredTensor(Object):
    """`torch._utils._rebuild_tensor_v2`: some of the numbers, in a shape."""

    __slots__ = ("numbers", "offset", "shape", "strides")

    def __init__(self, numbers: Any = None, offset: Any = 0, shape: Any = (), strides: Any = (), *_: Any) -> None:
        plain = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
        if not plain or len(shape) > MOST_DIMENSIONS or not isinstance(numbers, Numbers):
            raise Damaged("holds a tensor without a shape, or without numbers")
        if not all(type(n) is int and 0 <= n < LONGEST_SIDE for n in (offset, *shape, *strides)):
            raise Damaged("holds a tensor without a shape")
        self.numbers, self.offset, self.shape, self.strides = numbers, offset, shape, strides

    def __setstate__(self, state: Any) -> None:
        """What hangs on it besides is no part of it."""

    def tensor(self) -> torch.Tensor:
        """The tensor, in memory that others may share. Raises Damaged."""
        import torch

        shape, strides, numbers = self.shape, self.strides, self.numbers
        last = self.offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        # One number repeated would be a tensor of any size.
        if math.prod(shape) > numbers.count or (math.prod(shape) and last >= numbers.count):
            raise Damaged(f"holds a tensor of shape {shape} with {numbers.count:,} numbers")
        if len(numbers.memory) < numbers.size:
            raise Damaged("is a checkpoint that lacks the numbers of a tensor")
        if not math.prod(shape):
            return torch.empty(shape, dtype=numbers.dtype)
        flat = torch.frombuffer(numbers.memory, dtype=numbers.dtype, count=numbers.count)
        return flat.as_strided(shape, strides, self.offset)


class Parameter(Object):
    """`torch._utils._rebuild_parameter`: a tensor that is trained."""

    def __new__(cls, tensor: Any = None, *_: Any) -> Any:
        return tensor


class Storage(Object):
    """`torch.FloatStorage` and its like: which type some numbers are of."""

    holds = ""


NAMES: dict[str, type] = {name: kind for name, kind in ALLOWED.items() if name.startswith(("numpy.", "_codecs."))}
NAMES |= {
    "collections.OrderedDict": Table,
    "torch._utils._rebuild_tensor_v2": StoredTensor,
    "torch._utils._rebuild_parameter": Parameter,
    "torch._utils._rebuild_parameter_with_state": Parameter,
}
NAMES |= {f"torch.{name}": type(name, (Storage,), {"holds": held}) for name, held in _TYPES.items()}


def read_checkpoint(data: bytes) -> dict[str, Any]:
    """What a file of `torch.save` holds: its dictionary, tensors in it as `StoredTensor`.

    Args:
        data: the whole file.

    Raises:
        Damaged: it is cut off or altered.
        Refused: it asks for something that no such file needs (the message tells it).
        Unsupported: it holds no dictionary, or was written on another kind of machine.
    """
    held = read_saved(data, NAMES)
    if not isinstance(held, dict):
        raise Unsupported("is a network file without named tensors")
    return held


def read_saved(data: bytes, names: Mapping[str, type]) -> Any:
    """What a file of `torch.save` holds, whatever it is, of programs that may use other names too; see above.

    Args:
        data: the whole file.
        names: those that may be used, and what stands for them; `NAMES` and more.
    """
    with damage(_KIND):
        return _read_zip(data, names) if data.startswith(ZIP) else _read_old(data, names)


def _read_zip(data: bytes, names: Mapping[str, type]) -> Any:
    with open_zip(io.BytesIO(data), lambda name: True, _KIND) as archive:
        program, order = (_only(archive, part) for part in _PARTS)
        if program is None:
            raise Unsupported("is a zip that torch did not write")
        if order is not None and archive.read(order) != sys.byteorder.encode():
            raise Unsupported("was written on a machine with another order of bytes")
        if archive.members[program].file_size > MAX_PROGRAM:
            raise Refused(f"is a pickle of more than {MAX_PROGRAM >> 20} MB, more than any checkpoint needs")
        ((held,), parts) = _run(io.BytesIO(archive.read(program)), 1, names)
        folder = program.removesuffix(_PARTS[0])
        for key, numbers in parts.items():
            memory = memoryview(bytearray(archive.read(f"{folder}/data/{key}")))
            for each in numbers:
                each.memory = memory
    return held


def _read_old(data: bytes, names: Mapping[str, type]) -> Any:
    """As torch wrote before 1.6: mark, version, machine, what was saved, the parts' names, and the parts."""
    file = io.BytesIO(data)
    (_, _, about, held, keys), parts = _run(file, 5, names)
    if not isinstance(about, dict) or about.get("little_endian") is not (sys.byteorder == "little"):
        raise Unsupported("was written on a machine with another order of bytes")
    at, whole = file.tell(), memoryview(bytearray(data))  # torch wants memory that could be written to
    for key in keys:
        if type(key) is not str:  # another may take for ever to hash
            raise Damaged("is a damaged checkpoint (a name that is no text)")
        numbers = parts.pop(key)
        end = at + 8 + int.from_bytes(whole[at : at + 8], "little") * numbers[0].dtype.itemsize
        for each in numbers:
            each.memory = whole[at + 8 : end]
        at = end
    return held


def _only(archive: OpenZip, ending: str) -> str | None:
    """The one member whose name ends so, or None."""
    found = [name for name in archive.members if name.endswith(ending)]
    return found[0] if len(found) == 1 else None


class _CheckpointProgram(Program):
    """A program that may name tensors whose numbers lie beside it.

    Args:
        file: where it stands.
        names: that it may use.
        steps: that it may take.
        parts: gets what it names, by the name in the file.
    """

    def __init__(self, file: Any, names: Mapping[str, type], steps: Any, parts: dict[str, list[Numbers]]) -> None:
        super().__init__(file)
        self.allowed = names
        self.steps = steps
        self._parts = parts

    def _check_keys(self, keys: list[Any]) -> None:
        if not all(type(key) is str or (type(key) is int and 0 <= key < LARGEST_KEY) for key in keys):
            raise Damaged("is a damaged checkpoint (a name that is neither text nor a number)")

    def persistent_load(self, pid: Any) -> Any:
        import torch

        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or type(pid[0]) is not str or pid[0] != "storage":
            raise Refused("is a pickle that asks for parts outside itself")
        _, kind, key, _, count, *view = pid
        known = isinstance(kind, type) and issubclass(kind, Storage) and view in ([], [None])
        if not known or type(key) is not str or type(count) is not int or not 0 <= count < LONGEST_SIDE:
            raise Damaged("holds a tensor without numbers")
        numbers = Numbers(getattr(torch, kind.holds), key, count)
        self._parts.setdefault(key, []).append(numbers)
        return numbers


def _run(file: io.BytesIO, count: int, names: Mapping[str, type]) -> tuple[list[Any], dict[str, list[Numbers]]]:
    """What so many pickles, one after another, leave, and all numbers that they name, by their names."""
    parts: dict[str, list[Numbers]] = {}
    steps = counted(_CheckpointProgram, MAX_STEPS, "checkpoint", "BINPERSID")
    return [_CheckpointProgram(file, names, steps, parts).load() for _ in range(count)], parts
