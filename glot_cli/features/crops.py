"""Square crops around people.

One convention for every coordinate in pixels, in the image and in the crop: the picture spans [0, width] x
[0, height], pixel i covers [i, i + 1] and its centre is at i + 0.5. Detection boxes, landmarks and projected joints
all use it. OpenCV's warps put pixel centres at whole numbers instead; the half pixel is added here and nowhere else.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
ByteArray = NDArray[np.uint8]


def crop_affine(squares: FloatArray, size: int) -> FloatArray:
    """Maps from image pixels to crop pixels.

    Args:
        squares: (N, 3) centre x, centre y and side of each, image pixels.
        size: side of the crop, pixels.

    Returns:
        (N, 2, 3) float64 matrices A with crop = A[:, :2] @ image + A[:, 2].
    """
    squares = np.asarray(squares, dtype=np.float64).reshape(-1, 3)
    scale = size / squares[:, 2]
    matrices = np.zeros((len(squares), 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = scale
    matrices[:, :, 2] = size / 2 - scale[:, None] * squares[:, :2]
    return matrices


def extract_crops(frame: ByteArray, squares: FloatArray, size: int = 256, lean: FloatArray | None = None) -> ByteArray:
    """Cut squares out of a frame, bilinear, black beyond its edges, averaged first where they shrink.

    Args:
        frame: (H, W, 3).
        squares: (N, 3) centre x, centre y and side, image pixels.
        size: side of the crops, pixels.
        lean: (N,) radians; what leans to the right by so much in the frame is upright in the crop. None: by nothing.

    Returns:
        (N, size, size, 3).
    """
    squares = np.asarray(squares, dtype=np.float64).reshape(-1, 3)
    lean = np.zeros(len(squares)) if lean is None else np.asarray(lean, dtype=np.float64)
    crops = np.zeros((len(squares), size, size, 3), dtype=np.uint8)
    # OpenCV warps one picture per call, so this loop cannot be an array operation.
    for square, angle, crop in zip(squares, lean, crops, strict=True):
        # Bilinear sampling looks at 2 x 2 pixels however far apart the samples are, so a large person would be
        # subsampled. Averaging whole blocks first leaves a factor below 1.5 to the warp.
        shrink = max(1, round(square[2] / size))
        cos, sin = np.cos(angle), np.sin(angle)
        region, corner = _region(frame, square[:2], square[2] / 2 * (abs(cos) + abs(sin)), shrink)
        if region.size == 0:
            continue
        if shrink > 1:
            height, width = region.shape[:2]
            region = np.asarray(cv2.resize(region, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA))
        # crop centre index -> region centre index, both half a pixel off the continuous coordinate
        turn = square[2] / size / shrink * np.array([[cos, -sin], [sin, cos]])
        shift = (square[:2] - corner) / shrink - 0.5 - turn @ np.full(2, size / 2 - 0.5)
        cv2.warpAffine(
            region,
            np.column_stack([turn, shift]),
            (size, size),
            dst=crop,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
    return crops


def extract_crops_plain(
    frame: ByteArray, squares: FloatArray, size: int = 224, lean: FloatArray | None = None
) -> ByteArray:
    """Cut squares out of a frame as the demos of SPIN, VIBE and GLoT do: one bilinear warp, black beyond the edges.

    Their squares count from pixel centres, and nothing is averaged where a large person shrinks; networks that were
    trained on such crops are to be given such crops. Arguments and result as in `extract_crops`, but nothing is turned.
    """
    squares = np.asarray(squares, dtype=np.float64).reshape(-1, 3)
    crops = np.zeros((len(squares), size, size, 3), dtype=np.uint8)
    for matrix, crop in zip(crop_affine(squares, size), crops, strict=True):
        cv2.warpAffine(frame, matrix, (size, size), dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return crops


def _region(frame: ByteArray, centre: FloatArray, reach: float, block: int) -> tuple[ByteArray, FloatArray]:
    """The part of the frame a crop reads: `reach` pixels to all sides of its centre, in whole blocks of pixels.

    Where a block leaves the frame it is black there.

    Returns the pixels and the image position (x, y) of their corner.
    """
    height, width = frame.shape[:2]
    low = np.floor(centre - reach).astype(int) - block
    high = np.ceil(centre + reach).astype(int) + block
    low = np.maximum(low, 0)
    high = np.minimum(high, [width, height])
    if (high <= low).any():
        return frame[:0, :0], low
    region = frame[low[1] : high[1], low[0] : high[0]]
    missing = -(high - low) % block
    if missing.any():
        region = np.pad(region, ((0, missing[1]), (0, missing[0]), (0, 0)))
    return region, low
