"""Training shared by two processes equals training by one."""

import pytest
import torch
from torch.distributed import run as launcher

from glot_cli.cli import main
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


def test_two_processes_equal_one(tmp_path, monkeypatch):
    """With dropout, drop-path and masking all on: every part of a batch has its own random numbers."""
    (tmp_path / "c.toml").write_text(CONFIG)
    motions = write_motions(tmp_path / "motions.npz")
    command = ["train", str(tmp_path / "c.toml"), "--motions", str(motions), "-q", "--out"]
    with pytest.raises(SystemExit) as ended:
        main([*command, str(tmp_path / "alone")])
    assert not ended.value.code
    program = tmp_path / "program.py"
    program.write_text("from glot_cli.cli import main\nmain()\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # What `torchrun` calls: it starts two processes, waits for them and raises if one fails.
    launcher.main(["--standalone", "--nproc-per-node=2", str(program), *command, str(tmp_path / "shared")])
    alone, shared = (load_glot(tmp_path / name / "last.safetensors").state_dict() for name in ("alone", "shared"))
    assert alone.keys() == shared.keys()
    for name in alone:
        assert torch.allclose(alone[name], shared[name], atol=2e-5), name
    for name in ("alone", "shared"):
        assert torch.load(tmp_path / name / "state.pt", weights_only=True)["update"] == 6


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
