"""A photograph of people that comes with ultralytics."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from glot_cli.tracking.ultralytics_adapter import import_ultralytics


@pytest.fixture(scope="session")
def bus() -> np.ndarray:
    """(1080, 810, 3) uint8 RGB: four people and a bus."""
    path = Path(import_ultralytics().__file__).parent / "assets" / "bus.jpg"
    if not path.is_file():
        pytest.skip("this ultralytics comes without its example pictures")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
