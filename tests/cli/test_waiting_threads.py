"""Threads that wait for each other spin only for a moment, unless the user has said how they are to wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from glot_cli.rendering import drawing_process

SAID_BY_US = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
NAMES = ("OMP_WAIT_POLICY", *SAID_BY_US)
PROGRAM = """
import glot_cli.cli, json, os, sys
print(json.dumps([dict(os.environ), "torch" in sys.modules]))
if "load" in sys.argv:
    import torch
"""


def started(*arguments: str, **said: str) -> tuple[dict[str, str], bool, str]:
    """What a fresh process has in its environment once the command line is imported, whether it has loaded PyTorch
    by then, and what OpenMP says of itself."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"} | said,
        capture_output=True,
        text=True,
        check=True,
    )
    there, torch_there = json.loads(ended.stdout.splitlines()[0])
    return {name: there[name] for name in NAMES if name in there}, torch_there, ended.stderr


def test_openmp_is_told_before_it_is_loaded() -> None:
    said, too_late, openmp = started("load")
    assert said == SAID_BY_US and not too_late
    if "GOMP_SPINCOUNT" in openmp:  # GNU's; others say other things
        assert "GOMP_SPINCOUNT = '1000'" in openmp


@pytest.mark.parametrize("own", [{"OMP_WAIT_POLICY": "PASSIVE"}, {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "7"}])
def test_whoever_chooses_a_policy_has_it(own: dict[str, str]) -> None:
    assert started(**own)[0] == own


def test_whoever_counts_otherwise_has_that() -> None:
    assert started(GOMP_SPINCOUNT="5")[0] == SAID_BY_US | {"GOMP_SPINCOUNT": "5"}


def test_the_drawing_process_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    environments: list[dict[str, str]] = []

    real = subprocess.Popen

    def start(*rest: Any, env: dict[str, str], **others: Any) -> Any:
        environments.append(env)
        return real(*rest, env=env, **others)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    drawing_process.DrawingProcess("egl", ()).stop()
    assert environments[0]["GOMP_SPINCOUNT"] == "77"
