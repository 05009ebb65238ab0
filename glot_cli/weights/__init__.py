"""Weight files: where they are, what they are, whether they are intact, and how those of others come in."""

from glot_cli.weights.glot_file import load_glot, save_glot
from glot_cli.weights.store import (
    WeightFile,
    added,
    check,
    is_known,
    locate,
    manifest,
    sha256,
    shipped_folder,
    user_folder,
)

__all__ = [
    "WeightFile", "added", "check", "is_known", "load_glot", "locate", "manifest", "save_glot", "sha256",
    "shipped_folder", "user_folder",
]  # fmt: skip
