"""glot: video in, 3D human meshes out, offline.

    from glot_cli import run, render, load_result

    outcomes = run("clip.mp4", out="result")
    result = load_result("result/clip")
    render("result/clip/params.npz", style="side")

These three do what the commands of the same names do. Nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glot_cli.api import Outcome, render, run
    from glot_cli.results import Result, load_result

__version__ = "0.1.0"
__all__ = ["Outcome", "Result", "__version__", "load_result", "render", "run"]

_HOMES = {
    "Outcome": "glot_cli.api",
    "render": "glot_cli.api",
    "run": "glot_cli.api",
    "Result": "glot_cli.results",
    "load_result": "glot_cli.results",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
