"""Drawing: meshes over frames with pyrender, in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glot_cli.rendering.styles import STYLES, output_size

if TYPE_CHECKING:
    from glot_cli.rendering.client import BackendSearch, Renderer, probe_backend

__all__ = ["STYLES", "BackendSearch", "Renderer", "output_size", "probe_backend"]


def __getattr__(name: str) -> Any:
    # The help of the command line reads the styles and must not wait for NumPy.
    if name in ("BackendSearch", "Renderer", "probe_backend"):
        from glot_cli.rendering import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
