"""Which way up a stored picture is shown, and how wide: display matrices, EXIF orientations, pixels that are oblong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_OBLONG = 8  # anamorphic lenses squeeze to a half; what says more is damaged
_NEARLY = math.radians(1)  # as near to a right angle FFmpeg's players take a turn for one


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is made upright: first rows and columns change places, then either are reversed.

    Attributes:
        transposed: columns become rows.
        rows_reversed: what then is on top goes to the bottom.
        columns_reversed: what then is on the left goes to the right.
        turn: radians by which it is then turned clockwise, in a picture that holds all of it.
    """

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False
    turn: float = 0.0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the upright picture of a stored one, or, without a turn, the other way round."""
        width, height = (height, width) if self.transposed else (width, height)
        along, across = abs(math.cos(self.turn)), abs(math.sin(self.turn))
        return round(width * along + height * across), round(width * across + height * along)

    def flipped(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of a picture (H, W, ...), upright but for the turn."""
        image = image.swapaxes(0, 1) if self.transposed else image
        return image[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (H, W, 3), upright, in one piece; black where a turned one does not reach."""
        image = np.ascontiguousarray(self.flipped(image))
        if not self.turn:
            return image
        import cv2

        height, width = image.shape[:2]
        size = Orientation(turn=self.turn).size(width, height)
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -math.degrees(self.turn), 1.0)
        matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
        return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)


# By the number that EXIF gives it (EXIF 2.3, 4.6.4 A, Orientation).
EXIF_ORIENTATIONS = {
    2: Orientation(columns_reversed=True),
    3: Orientation(rows_reversed=True, columns_reversed=True),
    4: Orientation(rows_reversed=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, columns_reversed=True),
    7: Orientation(transposed=True, rows_reversed=True, columns_reversed=True),
    8: Orientation(transposed=True, rows_reversed=True),
}


def orientation_of(frame: Any) -> Orientation:
    """The orientation of PyAV's frame, from its display matrix.

    The matrix (ISO/IEC 14496-12, 6.2.2) takes a stored point (x, y) to (a x + c y, b x + d y), y down. Its scale and
    shear mean nothing to players, and so here.
    """
    a, b, c, d = _display_matrix(frame)
    if not ((a or b) and (c or d)):
        return Orientation()
    mirrored = a * d - b * c < 0
    if mirrored:  # then it is a turn after left and right have changed places
        a, b = -a, -b
    angle = math.atan2(b, a) % math.tau
    quarters = round(angle / (math.pi / 2))
    rest = angle - quarters * math.pi / 2
    if abs(rest) > _NEARLY:
        return Orientation(columns_reversed=mirrored, turn=angle)
    # A quarter clockwise transposes and reverses the columns; where they were reversed before, it is the rows instead.
    clockwise = (
        Orientation(),
        Orientation(transposed=True, columns_reversed=True),
        Orientation(rows_reversed=True, columns_reversed=True),
        Orientation(transposed=True, rows_reversed=True),
    )[quarters % 4]
    if not mirrored:
        return clockwise
    return Orientation(
        clockwise.transposed,
        clockwise.rows_reversed != clockwise.transposed,
        clockwise.columns_reversed == clockwise.transposed,
    )


def _display_matrix(frame: Any) -> tuple[float, float, float, float]:
    """Its a, b, c, d, to any scale; those of a picture that stays as it is where there is none."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # beside it lies what PyAV has no name for, as EXIF data: then it tells the angle alone
        angle = -math.radians(frame.rotation)
        return math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    if data is None:
        return 1.0, 0.0, 0.0, 1.0
    a, b, _, c, d = (float(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    return a, b, c, d


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size of a stored picture once its pixels are square: the shorter direction of them is stretched.

    Args:
        width: of the stored picture, pixels.
        height: of it.
        aspect: width of a pixel over its height.
    """
    if not 1 / _MOST_OBLONG <= aspect <= _MOST_OBLONG:
        return width, height
    if aspect > 1:
        wide = 2 * round(width * aspect / 2)
        return (wide if wide - width > 1 else width), height
    high = 2 * round(height / aspect / 2)
    return width, (high if high - height > 1 else height)
