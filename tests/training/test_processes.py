"""Training shared by two processes equals training by one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glot_cli.errors import UsageError
from glot_cli.features.skeleton import SKELETON_DIM
from glot_cli.training.processes import Processes
from glot_cli.weights import load_glot
from tests.training.settings import landmark_config, write_motions

CONFIG = f"""
epochs = 2
iterations = 3
batch_size = 6
parts = 2
learning_rate = 1e-3
warmup = 0.5
mask_probability = 0.5
[landmarks]
vertices = 5
[model]
feature_dim = {SKELETON_DIM}
global_dim = 32
decoder_dim = 32
local_dim = 32
regressor_dim = 32
heads = 4
"""


def run(folder: Path, processes: int) -> dict[str, torch.Tensor]:
    """Train by CONFIG on the motions beside it; the weights."""
    out = folder / f"run{processes}"
    command = ["train", str(folder / "c.toml"), "--motions", str(folder / "motions.npz"), "--out", str(out), "-q"]
    program = folder / "program.py"
    program.write_text("from glot_cli.cli import main\nmain()\n")
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ran = subprocess.run([*launcher, str(program), *command], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return load_glot(out / "last.safetensors").state_dict()


def test_two_processes_equal_one(tmp_path):
    """With dropout, drop-path and masking all on: every part of a batch has its own random numbers."""
    write_motions(tmp_path / "motions.npz")
    (tmp_path / "c.toml").write_text(CONFIG)
    alone, shared = run(tmp_path, 1), run(tmp_path, 2)
    assert alone.keys() == shared.keys()
    for name in alone:
        assert torch.allclose(alone[name], shared[name], atol=2e-5), name
    first, second = ((tmp_path / f"run{n}" / "state.pt") for n in (1, 2))
    assert torch.load(first, weights_only=True)["update"] == torch.load(second, weights_only=True)["update"] == 6


def test_parts_are_shared_evenly_or_refused(tmp_path):
    config = landmark_config(tmp_path / "motions.npz", parts=4)
    taken = [list(Processes(rank=rank, count=2).mine(4)) for rank in range(2)]
    assert taken == [[0, 2], [1, 3]]
    assert Processes(count=2).parts(config) == 4
    assert Processes(count=3).parts(landmark_config(tmp_path, batch_size=9)) == 3
    with pytest.raises(UsageError, match="3 processes"):
        Processes(count=3).parts(config)
    with pytest.raises(UsageError, match="batch_size"):
        Processes(count=8).parts(landmark_config(tmp_path))
