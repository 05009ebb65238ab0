"""Networks that PyTorch saved whole (`torch.save(network)`), read without making them.

The program in such a file builds the network. Here it runs as in `checkpoints`, with classes that only keep what they
are given: what comes out is a tree of modules by the names of their classes and the values that they keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glot_cli.files.checkpoints import NAMES, StoredTensor, read_saved
from glot_cli.files.faults import Damaged, Refused
from glot_cli.files.inert import Object
from glot_cli.files.opening import read_bytes

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


class _Names(Mapping[str, type]):
    """What a program may name, and what stands for it."""

    def __init__(self) -> None:
        self._met: dict[str, type] = dict(NAMES)

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


def read_network(path: Path) -> Any:
    """What PyTorch saved: modules in it as `Made`, their tensors as `StoredTensor`.

    Raises:
        FileFault: the file is cut off or altered, asks for something that no detector needs (the message tells it), or
            was written on another kind of machine.
    """
    return read_saved(read_bytes(path), _Names())


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
