"""Work in a process of its own: what crashes, hangs or fills the memory there takes nothing else with it.

The two processes talk through pipes: one JSON line, then raw bytes of the length it names.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from glot_cli.errors import one_line
from glot_cli.files.atomic import nameless_file
from glot_cli.files.faults import Damaged, FileFault, Refused, TooMuch, Unsupported

START_TIMEOUT = 120.0  # seconds; a busy machine takes ten
_STOP_TIMEOUT = 5.0  # seconds
_STEP = 0.25  # seconds
_BUSY = 20  # times as long as alone a file may take on a machine that is busy

Reply = tuple[dict[str, Any], np.ndarray | None]


def send(stream: BinaryIO, message: dict[str, Any], payload: np.ndarray | None = None) -> None:
    """Write a message and the bytes of an array; the array's shape and type travel along."""
    if payload is not None:
        payload = np.asarray(payload, order="C")
        message = {**message, "shape": payload.shape, "dtype": payload.dtype.str}
    stream.write(json.dumps(message).encode() + b"\n")
    if payload is not None:
        stream.write(payload.reshape(-1).view(np.uint8).data if payload.size else b"")
    stream.flush()


def receive(stream: BinaryIO) -> Reply:
    """Read what `send` wrote.

    Returns:
        The message, and the array that came with it, if one did.

    Raises:
        EOFError: the other side is gone.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    if "shape" not in message:
        return message, None
    array = np.empty(message.pop("shape"), dtype=np.dtype(message.pop("dtype")))
    if array.size:
        view = array.reshape(-1).view(np.uint8).data
        while view.nbytes:
            count = stream.readinto(view)  # type: ignore[attr-defined]  # every buffered binary stream has it
            if not count:
                raise EOFError
            view = view[count:]
    return message, array


def pipes_to_parent() -> tuple[BinaryIO, BinaryIO]:
    """In such a process, before anything else: where orders come from, and where answers go.

    It ends when its orders do, so also when its parent dies, however that happens. Where it hangs it reads no orders: a
    thread of its own then sees that the parent is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what follows
    if os.name == "posix":  # elsewhere a dead parent stays one's parent
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    return sys.stdin.buffer, answers


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, whatever it may be waiting for."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def answer_orders(answer: Callable[[dict[str, Any], np.ndarray | None], Reply]) -> None:
    """In the process of a `Reader`: answer its orders until there are no more. What is raised reaches it as a fault."""
    orders, answers = pipes_to_parent()
    with contextlib.suppress(EOFError, BrokenPipeError):
        send(answers, {})
        while True:
            order, payload = receive(orders)
            try:
                reply = answer(order, payload)
            except FileFault as fault:
                reply = {"fault": type(fault).__name__, "reason": fault.reason, "remedy": fault.remedy}, None
            except MemoryError:
                reply = {"fault": "TooMuch", "reason": "takes more memory than there is for it", "remedy": None}, None
            except Exception as error:
                words = one_line(error) or type(error).__name__
                reply = {"fault": "Damaged", "reason": f"cannot be read ({words})", "remedy": None}, None
            send(answers, *reply)


def bound_memory(n_bytes: int) -> None:
    """Let this process take so many bytes more than it has. Where the system cannot count them, nothing happens."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
        most = pages * resource.getpagesize() + n_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (ImportError, OSError, ValueError):  # Windows; macOS; a lower limit is set already
        return


class _Countdown:
    """Kills a process that lets others wait too long.

    Attributes:
        late: seconds after which it was killed, None where it was not.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.late: float | None = None
        self._process = process
        self._left: list[float] = []
        self._stopped = threading.Event()
        threading.Thread(target=self._count, name="countdown", daemon=True).start()

    @contextlib.contextmanager
    def waiting(self, seconds: float, work: float = math.inf) -> Iterator[None]:
        """Kill the process where the block, which waits for it, does not end in time.

        Args:
            seconds: that may pass.
            work: seconds of them in which it may compute; a machine that is busy with others takes longer.
        """
        self._left = [seconds, work, seconds]
        try:
            yield
        finally:
            self._left = []

    def stop(self) -> None:
        self._stopped.set()

    def _count(self) -> None:
        """Count down what is waited for, step by step: while Ctrl-Z has stopped both processes, no time passes."""
        before = 0.0
        while not self._stopped.wait(_STEP):
            left, now = self._left, _computed(self._process.pid)
            worked, before = _STEP if now is None else min(now - before, _STEP), now or 0.0
            if not left:
                continue
            left[0] -= _STEP
            left[1] -= worked
            if min(left) <= 0:
                self.late = left[2]
                self._process.kill()
                return


def _computed(process: int) -> float | None:
    """Seconds that all threads of a process have computed; None where the system does not say so."""
    try:
        return time.clock_gettime(~process << 3 | 2)  # as Linux numbers the clocks of processes
    except (AttributeError, OSError, OverflowError):
        return None


class Apart:
    """A process that takes orders, and its two pipes. It ends when the pipes do, so also when this process is killed.

    Args:
        code: what it runs, in Python.
        environment: of the process; by default as here.
        inherited: file descriptors that it gets beside the pipes.
    """

    def __init__(
        self, code: str, environment: Mapping[str, str] | None = None, inherited: tuple[int, ...] = ()
    ) -> None:
        # Libraries chatter on standard error; it matters only if the process dies.
        self._log = nameless_file()
        # With -c rather than -m, so that nothing in the user's current folder can stand in for a module of ours.
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {code}", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            pass_fds=inherited,
        )
        self.orders = cast(BinaryIO, self._process.stdin)
        self.answers = cast(BinaryIO, self._process.stdout)
        self._watch = _Countdown(self._process)
        self.waiting = self._watch.waiting
        # Also where nobody stops it: the process ends with this object.
        self.stop = weakref.finalize(self, _stop, self._process, self._watch, self._log)

    @property
    def is_late(self) -> bool:
        """Whether the process was killed because it let wait too long."""
        return self._watch.late is not None

    def last_words(self) -> str:
        """How the process ended and the last line it left."""
        try:
            code = self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        if self._log.closed:
            return "it was closed"
        if self._watch.late is not None:
            return f"no answer within {self._watch.late:g} s"
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"{ended}: {lines[-1][:200]}" if lines else ended


def _stop(process: subprocess.Popen[bytes], watch: _Countdown, log: Any) -> None:
    """Close the pipes, which ends the process; kill it if it does not listen."""
    watch.stop()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # unsent bytes of a process that is gone
            cast(BinaryIO, pipe).close()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()


_FAULTS: dict[str, type[FileFault]] = {
    kind.__name__: kind for kind in (FileFault, Damaged, Refused, Unsupported, TooMuch)
}


class Reader(Apart):
    """A process that reads a file of others, with libraries that a damaged or hostile one may crash or keep busy.

    Args:
        module: whose `main` it runs, which calls `answer_orders`.

    Raises:
        FileFault: it does not start.
    """

    def __init__(self, module: str) -> None:
        super().__init__(f"from {module} import main; main()")
        try:
            with self.waiting(START_TIMEOUT):
                receive(self.answers)
        except (EOFError, OSError, ValueError) as error:
            words = self.last_words()
            self.stop()
            raise FileFault(f"cannot be read, for want of a process to read it in ({words})") from error

    def ask(self, order: dict[str, Any], payload: np.ndarray | None = None, *, seconds: float) -> Reply:
        """The answer to an order.

        Args:
            order: what JSON can hold.
            payload: an array to go with it.
            seconds: of computing within which the answer is there.

        Raises:
            FileFault: what the process raised, or that it took too long, or died.
        """
        try:
            with self.waiting(seconds * _BUSY, seconds):
                send(self.orders, order, payload)
                reply, array = receive(self.answers)
        except (EOFError, OSError, ValueError) as error:
            words, late = self.last_words(), self.is_late
            self.stop()
            if late:
                raise TooMuch(f"takes more than {seconds:.3g} s here") from error
            raise Damaged(f"ends the process that reads it ({words})") from error
        if "fault" in reply:
            raise _FAULTS[reply["fault"]](reply["reason"], remedy=reply["remedy"])
        return reply, array
