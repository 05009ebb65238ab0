"""Drawing: meshes over frames with pyrender, in a process of its own."""

from glot_cli.rendering.client import Renderer, probe_backend
from glot_cli.rendering.styles import STYLES, output_size

__all__ = ["STYLES", "Renderer", "output_size", "probe_backend"]
