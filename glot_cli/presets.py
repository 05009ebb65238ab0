"""What a preset is: which weights, and how a feature and a body are made of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Names of weight files (see `weights`), and what the pipeline must know of them.

    crop_scale: side of a crop over the longer side of the person's box.
    window_fps: frames per second that the temporal model was trained at; windows take every n-th frame of a faster
    video. None: windows take every frame, whatever the rate.
    """

    name: str
    detector: str
    features: str
    glot: str
    body: str
    crop_scale: float
    window_fps: float | None


PRESETS = {
    "open": Preset(
        name="open",
        detector="person-detector",
        features="blazepose-full",
        glot="glot-open",
        body="open-body",
        crop_scale=1.25,
        window_fps=30.0,
    ),
}
