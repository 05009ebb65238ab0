"""Light on a body, and drawn pixels put over a picture.

Light is worked out at the vertices; the rasteriser interpolates between them. A software rasteriser spends some 15
times longer on pyrender's physically based shader, which works per pixel, and with some 7,000 vertices a triangle
covers a few pixels at most: the pictures hardly differ.
"""

from __future__ import annotations

import cv2
import numpy as np

# (direction towards the light in the camera's OpenCV frame, strength): the key from above left and behind the camera,
# a fill from the right, and a rim from above behind the person that parts them from what is behind.
_LIGHTS = (((-0.5, -0.8, -1.0), 0.80), ((1.0, -0.1, -0.7), 0.26), ((0.3, -1.0, 0.8), 0.30))
_SKY, _GROUND = 0.24, 0.09  # ambient light from above and from below
_GLOSS, _GLOSS_POWER = 0.10, 24.0  # of the key light

_UNIT_LIGHTS = np.array([np.array(to) / np.linalg.norm(to) for to, _ in _LIGHTS], dtype=np.float32)
_STRENGTHS = np.array([strength for _, strength in _LIGHTS], dtype=np.float32)


def shade(points: np.ndarray, normals: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Colours of a lit body.

    Lambert's diffuse term for three lights, ambient light that goes from sky to ground with the normal's direction, and
    Blinn's specular term (Models of light reflection for computer synthesized pictures, SIGGRAPH 1977) for the key
    light. Summed in linear light, with a gamma of 2.2.

    Args:
        points: (V, 3) metres in the camera's frame.
        normals: (V, 3) unit vectors in the camera's frame.
        colour: of the body, sRGB, 0 to 1.

    Returns:
        (V, 3) float32 sRGB, 0 to 1.
    """
    normals = normals.astype(np.float32, copy=False)
    light = np.maximum(normals @ _UNIT_LIGHTS.T, 0) @ _STRENGTHS
    upward = 0.5 - 0.5 * normals[:, 1]  # the frame's y points down
    light += _GROUND + (_SKY - _GROUND) * upward
    towards_camera = -points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    half = towards_camera + _UNIT_LIGHTS[0]
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-9)
    gloss = _GLOSS * np.maximum(np.einsum("ij,ij->i", normals, half), 0) ** _GLOSS_POWER
    linear = np.array(colour, dtype=np.float32) ** 2.2 * light[:, None] + gloss[:, None]
    shaded: np.ndarray = np.clip(linear, 0, 1) ** np.float32(1 / 2.2)
    return shaded.astype(np.float32, copy=False)


def blend_over(target: np.ndarray, rgba: np.ndarray) -> None:
    """Put a drawn region over a picture, in place.

    Args:
        target: (h, w, 3) uint8.
        rgba: (h, w, 4) uint8, colour already multiplied by alpha.
    """
    transparency = cv2.cvtColor(255 - np.ascontiguousarray(rgba[..., 3]), cv2.COLOR_GRAY2RGB)
    behind = cv2.multiply(np.ascontiguousarray(target), transparency, scale=1 / 255)
    target[:] = cv2.add(behind, cv2.cvtColor(np.ascontiguousarray(rgba), cv2.COLOR_RGBA2RGB))
