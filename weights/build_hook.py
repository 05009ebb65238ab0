"""Build hook: the weights travel inside the wheel, as `glot_cli/_weights`.

An editable install gets none: it finds them here, in the checkout.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WeightsHook(BuildHookInterface[Any]):
    """Adds the list of weights, every file it names and their README."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to Hatch.

        Args:
            version: "standard" for a wheel, "editable" for a pointer to the checkout, which needs none.
            build_data: what Hatch builds from; its `force_include` gets them.

        Raises:
            FileNotFoundError: one of them is missing.
        """
        if version != "standard":
            return
        folder = Path(self.root) / "weights"
        rows = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for name in ("manifest.json", "README.md", *(row["file"] for row in rows)):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name}: missing; a wheel without it would not run")
            build_data["force_include"][str(folder / name)] = f"glot_cli/_weights/{name}"
