"""What several test folders share."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "parity"))


@pytest.fixture(autouse=True)
def _two_threads():
    torch.set_num_threads(2)
