"""Networks of weight files on the CPU: what they refuse, and that their runtime tells nobody about them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from glot_cli.errors import WeightsError
from glot_cli.inference import CompiledNetwork, import_onnxruntime

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "person_detector.safetensors"

QUIET = """
import os, sys, time
if "early" in sys.argv:
    import onnxruntime  # the host program did so before glot, and asked for silence itself
before = dict(os.environ)
from glot_cli.inference import CompiledNetwork
import numpy as np
CompiledNetwork(sys.argv[1])(np.zeros((1, 3, 64, 64), np.float32))
time.sleep(0.5)
assert os.environ == before
"""


@pytest.mark.parametrize("order", ["first", "early"])
def test_the_runtime_writes_and_says_nothing(order: str, tmp_path: Path) -> None:
    """ONNX Runtime keeps an id of the machine and a queue of reports in the home folder, unless it is told not to."""
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    silence = {"ORT_DISABLE_TELEMETRY": "1"} if order == "early" else {}
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    ended = subprocess.run(
        [sys.executable, "-c", QUIET, str(WEIGHTS), order],
        env=inherited | places | silence,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []


def test_reports_are_switched_off_in_a_runtime_that_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = import_onnxruntime()
    calls: list[str] = []
    monkeypatch.setattr(runtime, "disable_telemetry_events", lambda: calls.append("off"))
    import_onnxruntime.cache_clear()
    assert import_onnxruntime() is runtime and calls == ["off"]


def test_files_without_a_network_are_named(tmp_path: Path) -> None:
    other, damaged = tmp_path / "other.safetensors", tmp_path / "damaged.safetensors"
    save_file({"x": torch.zeros(3)}, other)
    damaged.write_bytes(WEIGHTS.read_bytes()[:5000])
    save_file({"x": torch.zeros(3)}, tmp_path / "nonsense.safetensors", metadata={"graph": "AAAA"})
    for path, reason in (
        (other, "holds no graph"),
        (damaged, "not a readable weight file"),
        (tmp_path / "nonsense.safetensors", "not a readable weight file"),
        (tmp_path / "missing.safetensors", "not a readable weight file"),
    ):
        with pytest.raises(WeightsError, match=rf"{path.name}: .*{reason}") as caught:
            CompiledNetwork(path)
        assert "\n" not in str(caught.value)
