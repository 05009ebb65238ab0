"""The drawing process as this one holds it: started, asked, waited for no longer than a limit, and ended."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from glot_cli.errors import RenderError
from glot_cli.files.apart import Apart, receive, send

ANSWER_TIMEOUT = 60.0  # seconds for a frame; one of 4K full of people takes three on a busy machine
_PROGRAM = "from glot_cli.rendering.worker import main; main()"


class DrawingProcess(Apart):
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
        super().__init__(_PROGRAM, environment, inherited)

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
            with self.waiting(timeout):
                send(self.orders, setup, faces)
                answer, _ = receive(self.answers)
            fault = answer.get("error")
        except (EOFError, OSError):
            fault = self.last_words()
        except BaseException:
            self.stop()
            raise
        if fault is not None:
            self.stop()
        return fault

    def send(self, order: dict[str, Any], vertices: np.ndarray) -> None:
        try:
            with self.waiting(ANSWER_TIMEOUT):
                send(self.orders, order, vertices)
        except (OSError, ValueError):
            raise self._gone() from None

    def receive(self) -> dict[str, Any]:
        try:
            with self.waiting(ANSWER_TIMEOUT):
                return receive(self.answers)[0]
        except (EOFError, OSError, ValueError):
            raise self._gone() from None

    def _gone(self) -> RenderError:
        return RenderError(f"the drawing process is gone ({self.last_words()})", remedy="draw again")
