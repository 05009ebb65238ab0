"""What several test folders share."""

import sys
from pathlib import Path

import cv2
import pytest
import torch

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("parity", "datasets")]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums come out the same in every test; and pictures here are so small that a second thread would cost time."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
