"""Makes a process ready to draw by itself. Call `prepare` before anything that imports OpenGL."""

from __future__ import annotations

import os

from glot_cli.errors import GlotError
from glot_cli.rendering import probe_backend

CHOICE = "PYOPENGL_PLATFORM"  # environment variable: how OpenGL is reached; read when OpenGL is imported


def prepare() -> None:
    """Choose how OpenGL is reached, unless the environment says so, and import it. Raises GlotError if nothing draws.

    OpenGL binds itself to a platform when it is imported, so this does nothing in a process that has it.
    """
    import torch._dynamo  # before any OpenGL context: Mesa's LLVM and triton's do not share a process otherwise

    assert torch._dynamo
    if CHOICE not in os.environ:
        try:
            backend = probe_backend()
        except GlotError as error:
            raise GlotError(str(error).removesuffix(" or use --no-render")) from error  # without drawing it is nothing
        if backend != "system":
            os.environ[CHOICE] = backend
    try:
        import glot_cli.rendering.context  # noqa: F401
    except Exception as error:  # a missing library makes PyOpenGL raise many kinds
        kind = os.environ.get(CHOICE, "the system's")
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise GlotError(f"OpenGL ({kind}) is not there ({reason}); ask 'glot doctor' about drawing") from error
