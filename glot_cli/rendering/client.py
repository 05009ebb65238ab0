"""The side of drawing that the rest of the program sees: hand in frames and vertices, get pictures back.

The work is done in a process of its own (worker.py says why); this module imports neither OpenGL nor pyrender.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import deque
from concurrent.futures import Future
from types import TracebackType

import numpy as np

from glot_cli.errors import RenderError
from glot_cli.files.apart import START_TIMEOUT
from glot_cli.rendering.channel import SharedPictures
from glot_cli.rendering.drawing_process import DrawingProcess
from glot_cli.rendering.stage import Stage
from glot_cli.rendering.styles import FRAMELESS, output_size
from glot_cli.video.planes import Planes, planes_shape, split_planes

UNDER_WAY = 3  # frames at once, at most; two keep both processes busy


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
        focal: focal length in pixels, of frames for which no other is told; the principal point is the picture's centre
            (geometry.py on pixel centres).
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
        self._style, self._focal = style, float(focal)
        pictures_shape = (UNDER_WAY + 1, *planes_shape(*output_size(style, width, height)))
        try:
            shared = SharedPictures(pictures_shape)
        except OSError as error:
            folder = error.filename or tempfile.gettempdir()
            raise RenderError("no space to draw in", path=folder, remedy="free some") from None
        setup = {
            "size": (width, height),
            "style": style,
            "n_vertices": self._n_vertices,
            "pictures": shared.key,
            "pictures_shape": pictures_shape,
        }
        self._pictures = shared.pictures
        faults = []
        try:
            for candidate in (backend,) if backend is not None else backends():
                worker = DrawingProcess(candidate, shared.inherited)
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
        stage: Stage | None = None,
        focal: float | None = None,
    ) -> Planes:
        """Draw one frame and wait for it: `submit` and `collect` in one.

        Args:
            frame: as for `submit`, and so the others.
            vertices: (P, V, 3) metres in the camera frame.
            person_ids: (P,).
            pivot: (3,) metres.
            stage: as for `submit`.
            focal: likewise.

        Returns:
            Planes (3 H / 2, W) of the size `output_size` gives, the caller's own.

        Raises:
            ValueError: frames are under way, or as `submit` and `collect`.
            RenderError: as `submit` and `collect`.
        """
        if self._busy:
            raise ValueError("frames are under way: collect them first")
        self.submit(frame, vertices, person_ids, pivot, stage, focal)
        return self.collect().copy()

    def submit(
        self,
        frame: Planes,
        vertices: np.ndarray,
        person_ids: np.ndarray,
        pivot: np.ndarray | None = None,
        stage: Stage | None = None,
        focal: float | None = None,
    ) -> None:
        """Hand in a frame; its picture comes from `collect`, in the order of submission.

        Args:
            frame: planes (3 H / 2, W) uint8; not changed.
            vertices: (P, V, 3) metres in the camera frame (x right, y down, z forward); P may be 0.
            person_ids: (P,) integers, which choose the colours.
            pivot: (3,) metres, the point that the side view turns around; None takes the people's centre. A path
                smoothed over time keeps that view steady.
            stage: what `side` and `world` show of the world; None where there is none, which is no picture of a world.
            focal: focal length in this frame, pixels; None for that of the renderer.

        Raises:
            ValueError: wrong shapes, numbers that are not finite, no stage for a picture of a world, or UNDER_WAY
                frames are under way already.
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
        if self._style == "world" and stage is None:
            raise ValueError("a picture of a world needs a stage")
        if len(self._busy) == UNDER_WAY:
            raise ValueError(f"{len(self._busy)} frames are under way: collect one first")
        slot = self._free.popleft()
        if self._style not in FRAMELESS:
            for target, plane in zip(split_planes(self._pictures[slot]), split_planes(frame), strict=True):
                target[:, : plane.shape[1]] = plane
        self._busy.append(slot)
        order = {
            "slot": slot,
            "people": [int(person) for person in person_ids],
            "pivot": None if pivot is None else [float(value) for value in pivot],
            "stage": None if stage is None else stage.as_message(),
            "focal": self._focal if focal is None else float(focal),
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
