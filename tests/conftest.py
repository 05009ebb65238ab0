"""What several test folders share."""

import gc
import os

# For the programs that tests start, as below for this one: threads that wait for work would cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import pytest
import torch

pytest_plugins = [
    "tests.cli.fixtures",
    "tests.datasets.data_fixtures",
    "tests.pipeline.made_results",
    "tests.synth.synth_fixtures",
    "tests.tracking.bus_picture",
    "tests.weights.weights_fixtures",
]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums come out the same in every test; and pictures here are so small that a second thread would cost time."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    gc.freeze()  # what was imported stays: no use in looking it through again and again
