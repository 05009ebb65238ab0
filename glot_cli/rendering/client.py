"""The side of drawing that the rest of the program sees: hand in frames and vertices, get pictures back.

The work is done in a process of its own (worker.py says why); this module imports neither OpenGL nor pyrender.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import IO, Any, BinaryIO, cast

import numpy as np

from glot_cli.errors import RenderError
from glot_cli.rendering.channel import SharedPictures, nameless_file, receive, send
from glot_cli.rendering.styles import output_size
from glot_cli.video.planes import Planes, planes_shape, split_planes

START_TIMEOUT = 120.0  # seconds; a busy machine takes ten
UNDER_WAY = 3  # frames at once, at most; two keep both processes busy
ANSWER_TIMEOUT = 60.0  # seconds for a frame; one of 4K full of people takes three on a busy machine
_STOP_TIMEOUT = 5.0  # seconds
_STEP = 0.25  # seconds

# Started with -c rather than -m so that nothing in the user's current folder can stand in for a module of ours.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from glot_cli.rendering.worker import main; main()"
)


def backends() -> tuple[str, ...]:
    """Ways to get an OpenGL context without a display, best first; "system" is the desktop's own (macOS, Windows)."""
    return ("egl", "osmesa") if sys.platform.startswith("linux") else ("system",)


def probe_backend(timeout: float = START_TIMEOUT) -> str:
    """The first of `backends()` that really draws a test picture, each tried in a fresh process.

    Args:
        timeout: seconds that each may take.

    Raises:
        RenderError: none does; the line says what to install.
    """
    faces = np.array([[0, 1, 2]])
    with Renderer(faces, 64, 64, 64.0, timeout=timeout) as renderer:
        return renderer.backend


class BackendSearch:
    """`probe_backend` under way: the process that it waits for needs a second to start, in which others can work.

    Nobody waits for the thread: what it starts ends with this process.
    """

    def __init__(self) -> None:
        self._found: Future[str] = Future()
        threading.Thread(target=self._search, name="backend search", daemon=True).start()

    def _search(self) -> None:
        try:
            self._found.set_result(probe_backend())
        except BaseException as error:  # it is raised where the result is asked for
            self._found.set_exception(error)

    def result(self) -> str:
        """The backend, once it is known.

        Raises:
            RenderError: nothing can be drawn.
        """
        return self._found.result()


class Renderer:
    """Draws people over frames of one size, in a process of its own. Pictures are planes (video/planes.py).

    Args:
        faces: (F, 3) vertex indices of the body.
        width: of the frames, pixels.
        height: of the frames, pixels.
        focal: focal length in pixels; the principal point is the picture's centre (geometry.py on pixel centres).
        style: one of styles.STYLES.
        backend: one of `backends()`; None tries them in order.
        timeout: seconds that the drawing process may take to start.

    Attributes:
        backend: the one that draws.

    Raises:
        RenderError: no backend draws; later also if the drawing process fails.
        ValueError: the style is unknown.
    """

    def __init__(
        self,
        faces: np.ndarray,
        width: int,
        height: int,
        focal: float,
        style: str = "overlay",
        backend: str | None = None,
        *,
        timeout: float = START_TIMEOUT,
    ) -> None:
        self._frame_shape = planes_shape(width, height)
        self._n_vertices = int(np.max(faces)) + 1
        self._free = deque(range(UNDER_WAY + 1))
        self._handed_out: int | None = None  # the slot of the last collected picture, which is being looked at
        self._busy: deque[int] = deque()
        self._needs_frame = style != "plain"
        pictures_shape = (UNDER_WAY + 1, *planes_shape(*output_size(style, width, height)))
        try:
            shared = SharedPictures(pictures_shape)
        except OSError as error:
            folder = error.filename or tempfile.gettempdir()
            raise RenderError("no space to draw in", path=folder, remedy="free some") from None
        setup = {
            "size": (width, height),
            "focal": float(focal),
            "style": style,
            "n_vertices": self._n_vertices,
            "pictures": shared.key,
            "pictures_shape": pictures_shape,
        }
        self._pictures = shared.pictures
        faults = []
        try:
            for candidate in (backend,) if backend is not None else backends():
                worker = _Worker(candidate, shared.inherited)
                fault = worker.start(setup, np.asarray(faces, dtype=np.int32), timeout)
                if fault is None:
                    self._worker, self.backend = worker, candidate
                    return
                faults.append(f"{candidate}: {fault}")
        finally:
            shared.forget()
        raise RenderError(
            f"meshes cannot be drawn ({'; '.join(faults)})",
            remedy="install a software OpenGL (Debian, Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri)",
        )

    @property
    def pending(self) -> int:
        """Frames submitted and not yet collected."""
        return len(self._busy)

    def draw(
        self,
        frame: Planes,
        vertices: np.ndarray,
        person_ids: np.ndarray,
        pivot: np.ndarray | None = None,
    ) -> Planes:
        """Draw one frame and wait for it: `submit` and `collect` in one.

        Args:
            frame: as for `submit`, and so the others.
            vertices: (P, V, 3) metres in the camera frame.
            person_ids: (P,).
            pivot: (3,) metres.

        Returns:
            Planes (3 H / 2, W) of the size `output_size` gives, the caller's own.

        Raises:
            ValueError: frames are under way, or as `submit` and `collect`.
            RenderError: as `submit` and `collect`.
        """
        if self._busy:
            raise ValueError("frames are under way: collect them first")
        self.submit(frame, vertices, person_ids, pivot)
        return self.collect().copy()

    def submit(
        self,
        frame: Planes,
        vertices: np.ndarray,
        person_ids: np.ndarray,
        pivot: np.ndarray | None = None,
    ) -> None:
        """Hand in a frame; its picture comes from `collect`, in the order of submission.

        Args:
            frame: planes (3 H / 2, W) uint8; not changed.
            vertices: (P, V, 3) metres in the camera frame (x right, y down, z forward); P may be 0.
            person_ids: (P,) integers, which choose the colours.
            pivot: (3,) metres, the point that the side view turns around; None takes the people's centre. A path
                smoothed over time keeps that view steady.

        Raises:
            ValueError: wrong shapes, numbers that are not finite, or UNDER_WAY frames are under way already.
            RenderError: the drawing process is gone.
        """
        vertices = np.asarray(vertices, dtype=np.float32)
        if frame.shape != self._frame_shape or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._frame_shape}, got {frame.dtype} {frame.shape}")
        if vertices.ndim != 3 or vertices.shape[1] < self._n_vertices or vertices.shape[2] != 3:
            raise ValueError(f"expected vertices (P, {self._n_vertices}, 3), got {vertices.shape}")
        if len(person_ids) != len(vertices):
            raise ValueError(f"{len(person_ids)} ids for {len(vertices)} people")
        if not np.isfinite(vertices).all():
            raise ValueError("vertices are not finite")
        if len(self._busy) == UNDER_WAY:
            raise ValueError(f"{len(self._busy)} frames are under way: collect one first")
        slot = self._free.popleft()
        if self._needs_frame:
            for target, plane in zip(split_planes(self._pictures[slot]), split_planes(frame), strict=True):
                target[:, : plane.shape[1]] = plane
        self._busy.append(slot)
        order = {
            "slot": slot,
            "people": [int(person) for person in person_ids],
            "pivot": None if pivot is None else [float(value) for value in pivot],
        }
        self._worker.send(order, vertices[:, : self._n_vertices])

    def collect(self) -> Planes:
        """Wait for the oldest frame under way and return its picture.

        Returns:
            Planes (3 H / 2, W) uint8 of the size `output_size` gives. The next `collect` frees their memory, which a
            `submit` then overwrites.

        Raises:
            ValueError: nothing is under way.
            RenderError: it could not be drawn, or the drawing process is gone.
        """
        if not self._busy:
            raise ValueError("no frame is under way")
        answer = self._worker.receive()
        if self._handed_out is not None:
            self._free.append(self._handed_out)
        slot = self._handed_out = self._busy.popleft()
        if "error" in answer:
            raise RenderError(
                f"a frame could not be drawn ({answer['error']})", remedy="ask 'glot doctor' about drawing"
            )
        picture: Planes = self._pictures[slot]
        return picture

    def close(self) -> None:
        """End the drawing process. Frames under way are lost."""
        self._worker.stop()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Wait:
    """What is waited for: how many seconds at most, and how many are left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = seconds


class _Worker:
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
