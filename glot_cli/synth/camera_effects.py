"""What a camera does to a picture: exposure, blur, sensor noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BLURRED = 0.12  # share of cameras that blur what moves: most pictures of a video are sharp


@dataclass(frozen=True)
class CameraEffects:
    """What one camera does to every picture.

    Attributes:
        gain: exposure; 1 changes nothing.
        blur: standard deviation, pixels.
        noise: standard deviation, of 255.
        quality: of JPEG, 0 to 100.
        shutter: share of a frame's time that it stays open; 0 freezes all motion.
    """

    gain: float
    blur: float
    noise: float
    quality: int
    shutter: float

    @staticmethod
    def draw(rng: np.random.Generator) -> CameraEffects:
        """Those of a random cheap camera."""
        shutter = rng.uniform(0.2, 1.0) if rng.random() < BLURRED else 0.0
        quality = int(rng.uniform(25, 95))
        return CameraEffects(rng.uniform(0.6, 1.3), rng.uniform(0, 1.6), rng.uniform(0, 9), quality, shutter)

    def expose(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture (H, W, 3), 0 to 255, as the sensor reads it: uint8."""
        seen = np.asarray(picture * np.float32(self.gain))
        if self.blur > 0.3:
            seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), self.blur))
        grain = rng.standard_normal(seen.shape, dtype=np.float32) * np.float32(self.noise)
        exposed: np.ndarray = np.clip(seen + grain, 0, 255).astype(np.uint8)
        return exposed

    def __call__(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture (H, W, 3), 0 to 255, as the camera stores it: uint8."""
        # OpenCV takes blue for the first colour; JPEG keeps the colours less exactly than the brightness.
        seen = self.expose(picture, rng)[..., ::-1]
        _, packed = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1]
