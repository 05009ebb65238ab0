"""Pickles of others, read without giving them any power: all that one can build are arrays.

A pickle is a program. It may use no names but those of `inert`, each of which stands for a class that keeps numbers and
does nothing. Before it runs, the program is read through once, so that none of its parts can ask for more memory than
the file itself is long.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

from glot_cli.errors import one_line
from glot_cli.files.faults import Damaged, Refused
from glot_cli.files.inert import ALLOWED

MAX_STEPS = 100_000  # a body model takes a few thousand

_Python: Any = pickle._Unpickler  # Python's own, whose steps can be exchanged; typeshed leaves them out
_ALL_STEPS: dict[int, Any] = _Python.dispatch


class Program(pickle._Unpickler):
    """An unpickler that finds only the names in `allowed` and takes nothing but text as the key of a dictionary.

    A key may otherwise be a tuple of tuples that takes for ever to hash.

    Attributes:
        allowed: "module.name" -> what stands for it.
        steps: what the program may do: a pickle's code -> the method that does it.
    """

    allowed: Mapping[str, type] = ALLOWED
    stack: list[Any]

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        own = {"SETITEM": Program.load_setitem, "SETITEMS": Program.load_setitems, "DICT": Program.load_dict}
        self.steps: Mapping[int, Any] = _ALL_STEPS | {getattr(pickle, name)[0]: step for name, step in own.items()}

    def load(self) -> Any:
        """What the program leaves when it has run."""
        vars(self)["dispatch"] = self.steps  # where Python looks for them; a class's attribute, says typeshed
        return super().load()

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        _Python.load_setitem(self)

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        _Python.load_setitems(self)

    def load_dict(self) -> None:
        self._check_keys(self.stack[::2])
        _Python.load_dict(self)

    def _check_keys(self, keys: list[Any]) -> None:
        if not all(type(key) is str for key in keys):
            raise Damaged("is a damaged pickle (a name that is no text)")

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{module}.{name}"
        if wanted not in self.allowed:
            raise Refused(f"is a pickle that asks for {wanted}")
        return self.allowed[wanted]

    def persistent_load(self, pid: Any) -> Any:
        raise Refused("is a pickle that asks for parts outside itself")


def unpickle(data: bytes) -> Any:
    """What a pickle of any protocol holds, arrays as inert objects with `plain()`.

    Raises:
        Refused: it asks for a name (the message tells it), a step or as much memory as no array needs.
        Damaged: it is cut off or altered.
    """
    _read_through(data)
    try:
        return Program(io.BytesIO(data)).load()
    except (Refused, Damaged):
        raise
    # Whatever a broken program does: wrong stack, wrong types, missing marks.
    except Exception as error:
        raise Damaged(f"is a damaged pickle ({type(error).__name__}: {one_line(error)})") from error


def _read_through(data: bytes) -> None:
    """Go through a pickle's steps without taking them. A step that claims more bytes than follow is damage.

    The places of its memory are numbered; the unpickler makes room up to the highest number, so that none may be higher
    than an honest pickle could count.
    """
    steps = 0
    try:
        for code, argument, _ in pickletools.genops(data):
            steps += 1
            if steps > MAX_STEPS:
                raise Refused(f"is a pickle of more than {MAX_STEPS:,} steps, too many for a body model")
            number = argument if isinstance(argument, int) else 0
            if "PUT" in code.name and number > steps:
                raise Refused("is a pickle that asks for memory it has no use for")
            if code.name in ("EMPTY_SET", "ADDITEMS", "FROZENSET"):
                raise Refused("is a pickle that asks for a set")
            if code.name.startswith("EXT"):
                raise Refused("is a pickle that asks for a registered extension")
            if code.name == "FRAME" and number > len(data):
                raise Damaged("is a damaged pickle (a frame longer than the file)")
    except (Refused, Damaged):
        raise
    except Exception as error:
        reason = str(error)
        cut = "exhausted before seeing STOP" in reason or "expected" in reason
        raise Damaged("is a pickle that was cut off" if cut else f"is a damaged pickle ({reason[:100]})") from error
