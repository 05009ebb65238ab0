"""The drawing process as this one holds it: started, asked, waited for no longer than a limit, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

import numpy as np

from glot_cli.errors import RenderError
from glot_cli.rendering.channel import nameless_file, receive, send

ANSWER_TIMEOUT = 60.0  # seconds for a frame; one of 4K full of people takes three on a busy machine
_STOP_TIMEOUT = 5.0  # seconds
_STEP = 0.25  # seconds

# Started with -c rather than -m so that nothing in the user's current folder can stand in for a module of ours.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from glot_cli.rendering.worker import main; main()"
)


class _Wait:
    """What is waited for: how many seconds at most, and how many are left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = seconds


class DrawingProcess:
    """One drawing process and its two pipes. It ends when the pipes do, so also when this process is killed.

    Args:
        backend: one of `backends()`.
        inherited: file descriptors that it gets beside the pipes.
    """

    def __init__(self, backend: str, inherited: tuple[int, ...]) -> None:
        environment = dict(os.environ)
        environment.pop("PYOPENGL_PLATFORM", None)
        if backend != "system":
            environment["PYOPENGL_PLATFORM"] = backend
        # Drivers keep shaders in the user's home; ours are few and compiled at once, and glot writes nothing there.
        environment.setdefault("MESA_SHADER_CACHE_DISABLE", "true")
        environment.setdefault("__GL_SHADER_DISK_CACHE", "0")
        # Drivers chatter on standard error; it matters only if the process dies.
        self._log: IO[bytes] = nameless_file()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP, json.dumps([os.path.abspath(entry) for entry in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            pass_fds=inherited,
        )
        self._orders = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        self._wait: _Wait | None = None
        self._late: _Wait | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="drawing watch", daemon=True).start()

    def start(self, setup: dict[str, Any], faces: np.ndarray, timeout: float) -> str | None:
        """Wait until the process can draw.

        Args:
            setup: sizes, focal length, style and where the pictures are (see worker.py).
            faces: (F, 3) int32.
            timeout: seconds after which it is killed.

        Returns:
            None, or what went wrong; the process is then gone.
        """
        try:
            with self._waiting(timeout):
                send(self._orders, setup, faces)
                answer, _ = receive(self._answers)
            fault = answer.get("error")
        except (EOFError, OSError):
            fault = self._last_words()
        except BaseException:
            self.stop()
            raise
        if fault is not None:
            self.stop()
        return fault

    def send(self, order: dict[str, Any], vertices: np.ndarray) -> None:
        try:
            with self._waiting(ANSWER_TIMEOUT):
                send(self._orders, order, vertices)
        except (OSError, ValueError):
            raise self._gone() from None

    def receive(self) -> dict[str, Any]:
        try:
            with self._waiting(ANSWER_TIMEOUT):
                return receive(self._answers)[0]
        except (EOFError, OSError, ValueError):
            raise self._gone() from None

    def stop(self) -> None:
        """Close the pipes, which ends the process; kill it if it does not listen. Safe to call again."""
        self._stopped.set()
        for pipe in (self._orders, self._answers):
            with contextlib.suppress(OSError):  # unsent bytes of a process that is gone
                pipe.close()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @contextlib.contextmanager
    def _waiting(self, seconds: float) -> Iterator[None]:
        """Kill the process where the block, which waits for it, does not end in time."""
        self._wait = _Wait(seconds)
        try:
            yield
        finally:
            self._wait = None

    def _watch(self) -> None:
        """Count down what is waited for, step by step: while Ctrl-Z has stopped both processes, no time passes."""
        while not self._stopped.wait(_STEP):
            wait = self._wait
            if wait is None:
                continue
            wait.left -= _STEP
            if wait.left <= 0:
                self._late = wait
                self._process.kill()
                return

    def _gone(self) -> RenderError:
        return RenderError(f"the drawing process is gone ({self._last_words()})", remedy="draw again")

    def _last_words(self) -> str:
        """How the process ended and the last line it left."""
        try:
            code = self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        if self._log.closed:
            return "it was closed"
        self._log.seek(0)
        if self._late is not None:
            return f"no answer within {self._late.seconds:g} s"
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"{ended}: {lines[-1][:200]}" if lines else ended
