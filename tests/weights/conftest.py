"""Stand-ins for the official files, written once; a weights folder of the user's own for every test."""

from __future__ import annotations

from pathlib import Path

import official_files
import pytest


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Official name -> a file in the official format. Tests change none of them."""
    return official_files.write_all(tmp_path_factory.mktemp("official"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own weights"
    monkeypatch.setenv("GLOT_WEIGHTS", str(folder))
    return folder
