"""The ways of showing the meshes and the size of the picture each one gives. Importing this draws in nothing heavy."""

from __future__ import annotations

from typing import Literal

Style = Literal["overlay", "side", "plain", "wireframe", "world"]
STYLES: dict[Style, str] = {
    "overlay": "meshes over the video",
    "side": "the overlay, and beside it the same people on their floor, seen from 90 degrees to the right",
    "plain": "meshes alone over a plain background",
    "wireframe": "the visible edges of the meshes over the video",
    "world": "no video: people on their floor, the ways they went and the camera that filmed, seen from above",
}
FRAMELESS = ("plain", "world")  # they show nothing of the video


def output_size(style: str, width: int, height: int) -> tuple[int, int]:
    """The size of the pictures that a style makes.

    The side view adds a panel as high as the frame and as wide as the frame's shorter side. H.264 wants even sizes: an
    odd one grows by one.

    Args:
        style: one of STYLES.
        width: of the frames, pixels.
        height: of the frames, pixels.

    Returns:
        (width, height), pixels, even.

    Raises:
        ValueError: the style is unknown.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}; one of {', '.join(STYLES)}")
    width, height = width + width % 2, height + height % 2
    return (width + min(width, height) if style == "side" else width), height


def world_size(style: str, width: int, height: int) -> tuple[int, int]:
    """(width, height) in pixels of what shows the world in a picture of `output_size`: the panel of `side`, or all."""
    whole, high = output_size(style, width, height)
    return (whole - width - width % 2 if style == "side" else whole), high
