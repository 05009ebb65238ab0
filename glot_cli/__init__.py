"""glot: video in, 3D human meshes out, offline.

    from glot_cli import run, render, view, load_result

    outcomes = run("clip.mp4", out="result")
    result = load_result("result/clip")
    render("result/clip/params.npz", style="side")
    view("result/clip")

These do what the commands of the same names do, and so do `export` and `info`. Nothing heavy is imported before one of
them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glot_cli._version import __version__
from glot_cli.errors import GlotError, InputError, OutputError, RenderError, UsageError, WeightsError

if TYPE_CHECKING:
    from glot_cli.api import export, render, run, view
    from glot_cli.information import info
    from glot_cli.pipeline.options import Options
    from glot_cli.pipeline.report import Outcome
    from glot_cli.results import Bodies, Result, load_result
    from glot_cli.schema import Meta

__all__ = [
    "Bodies", "GlotError", "InputError", "Meta", "Options", "Outcome", "OutputError", "RenderError", "Result",
    "UsageError", "WeightsError", "__version__", "export", "info", "load_result", "render", "run", "view",
]  # fmt: skip

_HOMES = {
    "export": "glot_cli.api",
    "info": "glot_cli.information",
    "render": "glot_cli.api",
    "run": "glot_cli.api",
    "view": "glot_cli.api",
    "Options": "glot_cli.pipeline.options",
    "Outcome": "glot_cli.pipeline.report",
    "Bodies": "glot_cli.results",
    "Meta": "glot_cli.schema",
    "Result": "glot_cli.results",
    "load_result": "glot_cli.results",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
