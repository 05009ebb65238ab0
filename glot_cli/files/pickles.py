"""Pickles of others, read without giving them any power: all that one can build are arrays.

A pickle is a program. It may use no names but those of `inert`, each of which stands for a class that keeps numbers and
does nothing. Before it runs, the program is read through once, so that none of its parts can ask for more memory than
the file itself is long.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from glot_cli.files.faults import Damaged, Refused, damage
from glot_cli.files.inert import ALLOWED

MAX_STEPS = 30_000  # a body model takes a few thousand
MOST_ARGUMENTS = 20  # of a call; those of layers and arrays have fewer

# What a program may do at most: make numbers, text, tuples, lists and dictionaries, remember them, and call what
# `find_class` gives it. Missing are sets, extensions, parts outside the file, and room claimed before it is filled.
STEPS = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE "
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS "
    "GLOBAL STACK_GLOBAL INST REDUCE NEWOBJ BUILD"
)

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
        own = {
            "SETITEM": Program.load_setitem,
            "SETITEMS": Program.load_setitems,
            "DICT": Program.load_dict,
            "REDUCE": Program.load_reduce,
            "NEWOBJ": Program.load_newobj,
        }
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

    def load_reduce(self) -> None:
        self._check_arguments()
        _Python.load_reduce(self)

    def load_newobj(self) -> None:
        self._check_arguments()
        _Python.load_newobj(self)

    def _check_arguments(self) -> None:
        """Every call copies its arguments, and a program can give one long tuple of them to call after call."""
        if len(self.stack[-1]) > MOST_ARGUMENTS:
            raise Damaged(f"is a damaged pickle (a call with more than {MOST_ARGUMENTS} arguments)")

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


class _Steps(dict[int, Callable[[Any], None]]):
    """The steps that a program may take, counted."""

    def __init__(self, steps: Mapping[int, Callable[[Any], None]], most: int, needs: str) -> None:
        super().__init__(steps)
        self._taken, self._most, self._needs = 0, most, needs

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self._taken += 1
        if self._taken > self._most:
            raise Refused(f"is a pickle of more than {self._most:,} steps, more than any {self._needs} needs")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Callable[[Any], None]:
        named = [step.name for step in pickletools.opcodes if step.code == chr(code)]
        if not named:
            raise Damaged(f"is no {self._needs}, or a damaged one")
        raise Refused(f"is a pickle that asks for {named[0]}, which no {self._needs} needs")


def counted(program: type[Program], most: int, needs: str, *further: str) -> Mapping[int, Callable[[Any], None]]:
    """The steps in `STEPS`, of which a program takes so many.

    Args:
        program: whose they are; it may have methods of its own for those of Python's.
        most: how many it takes.
        needs: of which kind of file it is.
        further: names of steps that it may take besides.
    """
    steps = {}
    for name in (*STEPS.split(), *further):
        code = getattr(pickle, name)[0]
        steps[code] = getattr(program, _ALL_STEPS[code].__name__)
    return _Steps(steps, most, needs)


def unpickle(data: bytes) -> Any:
    """What a pickle of any protocol holds, arrays as inert objects with `plain()`.

    Raises:
        Refused: it asks for a name (the message tells it), a step or as much memory as no array needs.
        Damaged: it is cut off or altered.
    """
    _read_through(data)
    with damage("a damaged pickle"):
        return Program(io.BytesIO(data)).load()


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
