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
_GLOSS, _GLOSS_POWER = 0.10, 24  # of the key light

_UNIT_LIGHTS = np.array([np.array(to) / np.linalg.norm(to) for to, _ in _LIGHTS], dtype=np.float32)
_STRENGTHS = np.array([strength for _, strength in _LIGHTS], dtype=np.float32)

# ITU-R BT.709-6, 3.2 and 3.5: Y of 219 levels from 16, U and V of 224 levels around 128.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_RED, _, _BLUE = np.eye(3, dtype=np.float32)
_RGB_TO_YUV = np.stack([219 * _LUMA, 224 / 1.8556 * (_BLUE - _LUMA), 224 / 1.5748 * (_RED - _LUMA)], axis=1) / 255
_BLACK = np.array([16, 128, 128], np.float32) / 255


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
    normals, points = normals.astype(np.float32, copy=False), points.astype(np.float32, copy=False)
    facing = normals @ _UNIT_LIGHTS.T  # (V, 3) cosines
    light = np.maximum(facing, 0) @ _STRENGTHS
    upward = 0.5 - 0.5 * normals[:, 1]  # the frame's y points down
    light += _GROUND + (_SKY - _GROUND) * upward
    # With unit vectors n, t to the camera and l to the light, n and t + l, which is sqrt(2 + 2 t.l) long, have the
    # cosine (n.t + n.l) / sqrt(2 + 2 t.l).
    nearness = -1 / np.maximum(np.sqrt(np.einsum("ij,ij->i", points, points)), 1e-9)
    aligned = np.einsum("ij,ij->i", normals, points) * nearness + facing[:, 0]
    between = 2 + 2 * nearness * (points @ _UNIT_LIGHTS[0])
    cosine = np.maximum(aligned, 0) / np.sqrt(np.maximum(between, 1e-9))
    gloss = _GLOSS * cv2.pow(cosine[:, None], _GLOSS_POWER)
    linear = np.array(colour, dtype=np.float32) ** np.float32(2.2) * light[:, None] + gloss
    shaded: np.ndarray = cv2.pow(np.clip(linear, 0, 1), 1 / 2.2)
    return shaded


def to_yuv(rgb: np.ndarray) -> np.ndarray:
    """Y, U and V as video holds them (video/planes.py), of sRGB colours (..., 3); both from 0 to 1, float32."""
    yuv: np.ndarray = rgb @ _RGB_TO_YUV + _BLACK
    return yuv


def blend_over(target: tuple[np.ndarray, np.ndarray, np.ndarray], drawn: np.ndarray) -> None:
    """Put a drawn region over a picture, in place.

    Args:
        target: Y (h, w), U and V (h / 2, w / 2), uint8; h and w even.
        drawn: (h, w, 4) uint8 Y, U, V and alpha, colour already multiplied by alpha.
    """
    small = cv2.resize(drawn, (drawn.shape[1] // 2, drawn.shape[0] // 2), interpolation=cv2.INTER_AREA)
    y, alpha = cv2.extractChannel(drawn, 0), cv2.extractChannel(drawn, 3)
    _, u, v, small_alpha = cv2.split(small)
    for plane, colour, coverage in zip(target, (y, u, v), (alpha, small_alpha, small_alpha), strict=True):
        plane[:] = cv2.add(cv2.multiply(plane, 255 - coverage, scale=1 / 255), colour)
