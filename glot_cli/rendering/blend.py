"""Put a drawn region over a picture."""

from __future__ import annotations

import cv2
import numpy as np


def blend_over(target: np.ndarray, rgba: np.ndarray) -> None:
    """Put (h, w, 4) uint8 pixels, colour already multiplied by alpha, over `target` (h, w, 3) uint8, in place."""
    transparency = cv2.cvtColor(255 - np.ascontiguousarray(rgba[..., 3]), cv2.COLOR_GRAY2RGB)
    behind = cv2.multiply(np.ascontiguousarray(target), transparency, scale=1 / 255)
    target[:] = cv2.add(behind, cv2.cvtColor(np.ascontiguousarray(rgba), cv2.COLOR_RGBA2RGB))
