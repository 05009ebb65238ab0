"""What a picture shows of the world of a shot: what it is seen from, and the trails. Plain arrays, sent as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glot_cli.rendering.geometry import View


@dataclass(frozen=True)
class Stage:
    """The world around one frame: right-handed, metres, y up, the floor at y = 0.

    Attributes:
        camera: (4, 4) from the world to the frame of the camera that filmed.
        pose: (4, 4), takes the OpenCV coordinates of the camera that sees the world to the world.
        focal: of that camera, pixels; its principal point is the picture's centre.
        middle: (3,) what it looks at. The floor fades out around that,
        radius: within so many metres.
        reach: how far the pyramid that stands for the filming camera goes, metres; 0 for none.
        trails: for each person the way so far: (n, 3) x, z and strength, 0 to 1. A line from or to strength 0 is none.
    """

    camera: np.ndarray
    pose: np.ndarray
    focal: float
    middle: np.ndarray
    radius: float
    reach: float = 0.0
    trails: Mapping[int, np.ndarray] = field(default_factory=dict)

    def view(self, size: tuple[int, int]) -> View:
        """The camera that sees the world, in the world, with a picture of (width, height) pixels."""
        return View(self.pose, self.focal, (size[0] / 2, size[1] / 2), size)

    def as_message(self) -> dict[str, Any]:
        """What JSON holds of it."""
        return {
            "camera": self.camera.tolist(),
            "pose": self.pose.tolist(),
            "focal": float(self.focal),
            "middle": self.middle.tolist(),
            "radius": float(self.radius),
            "reach": float(self.reach),
            "trails": {str(person): np.round(trail, 4).tolist() for person, trail in self.trails.items()},
        }

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> Stage:
        """What `as_message` made a message of."""
        arrays = {name: np.array(message[name]) for name in ("camera", "pose", "middle")}
        trails = {int(person): np.array(trail).reshape(-1, 3) for person, trail in message["trails"].items()}
        return cls(**arrays, focal=message["focal"], radius=message["radius"], reach=message["reach"], trails=trails)
