"""Networks that PyTorch saved whole (`torch.save(network)`), read without making them.

Such a file is a zip with a pickle, that is a program which builds the network, and the numbers of its tensors beside
it. Here the program runs with classes that only keep what they are given: what comes out is a tree of modules by the
names of their classes and the values that they keep, and of each tensor which numbers of the file it consists of.
"""

from __future__ import annotations

import io
import math
import pickletools
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glot_cli.errors import one_line
from glot_cli.files.faults import Damaged, FileFault, Refused, Unsupported, check_size
from glot_cli.files.inert import ALLOWED, Object
from glot_cli.files.npz import BAD_ZIP
from glot_cli.files.pickles import Program

if TYPE_CHECKING:
    import torch

MAX_PROGRAM = 4 << 20  # bytes; that of a large detector has 0.25 million, in the midst of a training a million
MAX_STEPS = 600_000  # of a program; that of a large detector takes 100,000
MAX_MEMBERS = 20_000  # files in the zip, one a tensor
MAX_NAMES = 1000  # classes that a program names
MAX_MODULES = 10_000  # a large detector has 700
MAX_DEPTH = 32  # modules in modules
MAX_TEXT = 200  # letters of a name

# What saved detectors and what is saved beside them are made of; each becomes a class that keeps its state.
_KEPT = ("ultralytics.", "torch.nn.modules.", "torch.optim.", "pathlib.", "datetime.")
_KEPT_ALONE = frozenset({
    "__builtin__.set", "builtins.set", "__builtin__.getattr", "builtins.getattr", "__builtin__.slice", "builtins.slice",
    "types.SimpleNamespace", "argparse.Namespace", "torch.Size", "torch.device", "torch.nn.parameter.Parameter",
})  # fmt: skip
_NUMBERS = {  # storages of PyTorch -> what their numbers are
    "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "DoubleStorage": "float64",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
# The steps that objects are built with in pickle protocol 2, which PyTorch writes, and a few of later ones.
_STEPS = (
    "PROTO STOP MARK POP POP_MARK DUP GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE "
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS "
    "GLOBAL STACK_GLOBAL REDUCE NEWOBJ BUILD BINPERSID"
)
_CODES = {step.name: ord(step.code) for step in pickletools.opcodes}


class Made(Object):
    """Something that a program makes, of the class `name`, which is not made: what it was given, and its attributes."""

    __slots__ = ("given", "state")
    name = ""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state

    def table(self, name: str) -> dict[str, Any]:
        """One of the tables of a module: "_modules", "_parameters", "_buffers"."""
        held = self.state.get(name)
        if not isinstance(held, dict) or not all(type(key) is str and len(key) <= MAX_TEXT for key in held):
            raise Damaged(f"holds a {self.name} that is no module")
        return held


class Table(dict[Any, Any]):
    """`collections.OrderedDict`, which programs make empty and fill."""

    def __init__(self, *given: Any) -> None:
        if given:
            raise Refused("is a pickle that makes a dictionary of something")
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """What hangs on it besides (of `state_dict`, versions) is no part of it."""


class Numbers(Object):
    """Numbers of one type in the file: the member `key` of its zip."""

    __slots__ = ("count", "dtype", "key")

    def __init__(self, dtype: str, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count


class StoredTensor(Object):
    """`torch._utils._rebuild_tensor_v2`: some of the numbers, in a shape."""

    __slots__ = ("numbers", "offset", "shape", "strides")

    def __init__(self, numbers: Any = None, offset: Any = 0, shape: Any = (), strides: Any = (), *_: Any) -> None:
        plain = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 8
        if not plain or not all(type(n) is int and 0 <= n < 1 << 40 for n in (offset, *shape, *strides)):
            raise Damaged("holds a tensor without a shape")
        if not isinstance(numbers, Numbers):
            raise Damaged("holds a tensor without numbers")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        # One number repeated is no tensor of a network, but would be one of any size.
        count = math.prod(shape)
        if count > numbers.count or (count and last >= numbers.count):
            raise Damaged(f"holds a tensor of shape {shape} with {numbers.count:,} numbers")
        self.numbers, self.offset, self.shape, self.strides = numbers, offset, shape, strides

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def __setstate__(self, state: Any) -> None:
        """What hangs on it besides is no part of it."""


class Parameter(Object):
    """`torch._utils._rebuild_parameter`: a tensor that is trained."""

    def __new__(cls, tensor: Any = None, *_: Any) -> Any:
        if not isinstance(tensor, StoredTensor):
            raise Damaged("holds a parameter that is no tensor")
        return tensor


_REBUILT: dict[str, type] = {name: kind for name, kind in ALLOWED.items() if name.startswith(("numpy.", "_codecs."))}
_REBUILT |= {
    "collections.OrderedDict": Table,
    "torch._utils._rebuild_tensor_v2": StoredTensor,
    "torch._utils._rebuild_parameter": Parameter,
    "torch._utils._rebuild_parameter_with_state": Parameter,
}
_REBUILT |= {f"torch.{name}": type(name, (Object,), {"dtype": dtype}) for name, dtype in _NUMBERS.items()}


class _Names(Mapping[str, type]):
    """What a program may name, and what stands for it."""

    def __init__(self) -> None:
        self._met: dict[str, type] = dict(_REBUILT)

    def __getitem__(self, name: str) -> type:
        if name not in self._met:
            if not (name.startswith(_KEPT) or name in _KEPT_ALONE):
                raise KeyError(name)
            if len(self._met) >= MAX_NAMES:
                raise Refused(f"is a pickle that names more than {MAX_NAMES:,} classes")
            self._met[name] = type(name.rpartition(".")[2], (Made,), {"__slots__": (), "name": name})
        return self._met[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._met)

    def __len__(self) -> int:
        return len(self._met)


class _Tape(io.BytesIO):
    """The program as it is read, its steps counted: each begins with a reading."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = 2 * MAX_STEPS  # most steps have an argument

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise Refused(f"is a pickle of more than {MAX_STEPS:,} steps, more than any detector needs")
        return super().read(size)


class _NetworkProgram(Program):
    """A program that may name layers, and tensors whose numbers lie beside it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(_Tape(data))
        self.allowed = _Names()
        self.steps = {_CODES[name]: self.steps[_CODES[name]] for name in _STEPS.split()}

    def _check_keys(self, keys: list[Any]) -> None:
        # Names of classes have numbers.
        if not all(type(key) is str or (type(key) is int and abs(key) < 1 << 62) for key in keys):
            raise Damaged("is a damaged pickle (a name that is neither text nor a number)")

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) != 5 or type(pid[0]) is not str or pid[0] != "storage":
            raise Refused("is a pickle that asks for parts outside itself")
        _, kind, key, _, count = pid
        dtype = getattr(kind, "dtype", None)
        if type(dtype) is not str or type(key) is not str or type(count) is not int or count < 0:
            raise Damaged("holds a tensor without numbers")
        return Numbers(dtype, key, count)


class SavedNetwork:
    """A file of `torch.save`, open.

    Args:
        path: of a zip, as PyTorch has written them since 1.6.

    Attributes:
        held: what was saved; modules as `Made`, their tensors as `StoredTensor`.
        size: bytes of the file.

    Raises:
        Damaged: it is cut off or altered.
        Refused: it asks for something that no detector needs (the message tells it).
        Unsupported: it is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        check_size(self.size, "has")
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = _members(archive, self.size)
                program = [name for name in self._members if name.endswith("/data.pkl")]
                if len(program) != 1:
                    raise Unsupported("is a zip that PyTorch did not write")
                self._root = program[0].removesuffix("data.pkl")
                order = self._members.get(f"{self._root}byteorder")
                if order and archive.read(order) != sys.byteorder.encode():
                    raise Unsupported("was written on a machine with another order of bytes")
                if self._members[program[0]].file_size > MAX_PROGRAM:
                    raise Refused(f"is a pickle of more than {MAX_PROGRAM >> 20} MB, more than any detector needs")
                data = archive.read(program[0])
        except (*BAD_ZIP, OSError) as error:
            raise Damaged(f"is a damaged or cut off checkpoint ({one_line(error)})") from error
        self.held = _run(data)

    def load(self, tensors: dict[str, StoredTensor]) -> dict[str, torch.Tensor]:
        """The tensors with their numbers, in memory of their own."""
        import torch

        loaded = {}
        try:
            with zipfile.ZipFile(self._path) as archive:
                for name, tensor in tensors.items():
                    numbers = tensor.numbers
                    member = self._members.get(f"{self._root}data/{numbers.key}")
                    dtype: torch.dtype = getattr(torch, numbers.dtype)
                    if member is None or member.file_size < numbers.count * dtype.itemsize:
                        raise Damaged(f"lacks the numbers of {name}")
                    if not tensor.count:
                        loaded[name] = torch.empty(tensor.shape, dtype=dtype)
                        continue
                    flat = torch.frombuffer(bytearray(archive.read(member)), dtype=dtype)
                    loaded[name] = flat.as_strided(tensor.shape, tensor.strides, tensor.offset).clone()
        except (*BAD_ZIP, OSError) as error:
            raise Damaged(f"is a damaged or cut off checkpoint ({one_line(error)})") from error
        return loaded


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip of PyTorch: whole, each of them its own bytes, so that together they are no larger than it."""
    listed = archive.infolist()
    if any(info.compress_type != zipfile.ZIP_STORED for info in listed):
        raise Refused("is a compressed zip, which PyTorch does not write")
    if len(listed) > MAX_MEMBERS or sum(info.file_size for info in listed) > size:
        raise Refused("is a zip that unpacks to more than it holds")
    return {info.filename: info for info in listed}


def _run(data: bytes) -> Any:
    try:
        return _NetworkProgram(data).load()
    except FileFault:
        raise
    except KeyError as error:  # a step's code that is not among those allowed
        raise Damaged("is a damaged pickle, or takes a step that no detector needs") from error
    # Whatever a broken program does: wrong stack, wrong types, missing marks.
    except Exception as error:
        raise Damaged(f"is a damaged pickle ({type(error).__name__}: {one_line(error)})") from error


def modules(root: Made) -> dict[str, Made]:
    """A module and all within it, by their paths ("" is the root itself), as PyTorch's `named_modules` calls them.

    Raises:
        Refused: there are more than any network has, as where a module contains itself.
        Damaged: something among them is none.
    """
    found: dict[str, Made] = {}
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    while waiting:
        path, module, depth = waiting.pop()
        if not isinstance(module, Made):
            raise Damaged("holds a network with something in it that is no module")
        if depth > MAX_DEPTH or len(found) >= MAX_MODULES:
            raise Refused(f"holds more than {MAX_MODULES:,} layers, or layers nested more than {MAX_DEPTH} deep")
        found[path] = module
        waiting += [
            (f"{path}.{name}" if path else name, inner, depth + 1)
            for name, inner in module.table("_modules").items()
            if inner is not None
        ]
    return found


def tensors(found: Mapping[str, Made]) -> dict[str, StoredTensor]:
    """The parameters and buffers of modules by their names, as PyTorch's `state_dict` calls them."""
    held = {}
    for path, module in found.items():
        for kind in ("_parameters", "_buffers"):
            for name, tensor in module.table(kind).items():
                if tensor is None:
                    continue
                if not isinstance(tensor, StoredTensor):
                    raise Damaged("holds a network whose parameters are no tensors")
                held[f"{path}.{name}" if path else name] = tensor
    return held
