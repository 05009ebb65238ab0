"""A folder of data sets of the user's own, for the tests that fill one."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where data sets are kept during the test; it is not there yet."""
    folder = tmp_path / "own data"
    monkeypatch.setenv("GLOT_DATA", str(folder))
    return folder
