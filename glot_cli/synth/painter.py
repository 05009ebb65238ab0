"""Draws several bodies of one topology into pictures of one size, in this process."""

from __future__ import annotations

import contextlib
import importlib
import os

import numpy as np

from glot_cli.errors import RenderError, one_line
from glot_cli.rendering import probe_backend
from glot_cli.rendering.geometry import View, covered_region

CHOICE = "PYOPENGL_PLATFORM"  # environment variable: how OpenGL is reached; read when OpenGL is imported


def prepare() -> None:
    """Choose how OpenGL is reached, unless the environment says so, and import it; once, before anything else does.

    OpenGL binds itself to a platform when it is imported, so this does nothing in a process that has it.

    Raises:
        RenderError: nothing draws on this machine.
    """
    # PyTorch imports triton, where it is installed, when it first wants it: torch._dynamo does. With an OpenGL context
    # open by then, Mesa's LLVM and triton's kill the process; with triton loaded first they get on.
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
    if CHOICE not in os.environ:
        backend = probe_backend()
        if backend != "system":
            os.environ[CHOICE] = backend
    try:
        import glot_cli.rendering.context  # noqa: F401
    except Exception as error:  # a missing library makes PyOpenGL raise many kinds
        raise _opengl("is not there", error) from error


class Painter:
    """People with given vertex colours before an empty background. One at a time may hold the OpenGL context.

    As a context manager it frees the context at the end.

    Args:
        faces: (F, 3) vertex indices.
        vertices: how many a body has.
        people: the most that are drawn at once.
        size: (width, height) of the largest picture, pixels.

    Raises:
        RenderError: OpenGL cannot start.
    """

    def __init__(self, faces: np.ndarray, vertices: int, people: int, size: tuple[int, int]) -> None:
        from glot_cli.rendering import context  # OpenGL, for which `prepare` has chosen a platform

        try:
            self._platform = context.open_platform(*size)
        except Exception as error:  # PyOpenGL raises many kinds
            raise _opengl("cannot start", error) from error
        self._context = context
        self._scene = context.PinholeScene(*size)
        blank = np.ones((vertices, 7), np.float32)
        self._meshes = [self._scene.add(blank.copy(), faces, double_sided=True) for _ in range(people)]

    def draw(self, vertices: np.ndarray, colours: np.ndarray | None, view: View, margin: int = 2) -> np.ndarray | None:
        """Draw people.

        Args:
            vertices: (P, V, 3) float32 metres in the scene, P no more than `people`.
            colours: (P, V, 3), 0 to 1; None: white.
            view: the camera.
            margin: pixels around the people that are drawn with them.

        Returns:
            (H, W, 4) uint8 of the view's size, colour multiplied by coverage; None when nobody is in sight.
        """
        region = covered_region(vertices, view, margin)
        if region is None:
            return None
        for index, mesh in enumerate(self._meshes):
            mesh.is_visible = index < len(vertices)
            if mesh.is_visible:
                rows = self._context.interleave(vertices[index], None if colours is None else colours[index])
                self._context.update_vertices(mesh.primitives[0], rows)
        picture = np.zeros((view.size[1], view.size[0], 4), np.uint8)
        picture[region.y0 : region.y1, region.x0 : region.x1] = self._scene.draw(view, region)
        return picture

    def close(self) -> None:
        """Free the OpenGL context. Draw nothing after it."""
        self._scene.close()
        self._platform.delete_context()

    def __enter__(self) -> Painter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opengl(fails: str, error: Exception) -> RenderError:
    kind = os.environ.get(CHOICE, "the system's")
    reason = f"{type(error).__name__}: {one_line(error, 200)}"
    return RenderError(f"OpenGL ({kind}) {fails} ({reason})", remedy="ask 'glot doctor' about drawing")
