"""Pictures as H.264 holds them: one plane of brightness (Y), and two of colour (U, V) at half its width and height.

BT.709 in limited range (ITU-R BT.709-6, 3.5: Y 16 to 235, U and V 16 to 240 around 128), the three one after the other
in an array of uint8 (3 H / 2, W), H and W even: a picture of an odd size repeats its last row or column. Most videos
come this way and go this way, so whoever changes only a part of a picture need not turn it into RGB and back, which
takes longer than to decode it and blurs the colours.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glot_cli.errors import InputError
from glot_cli.video.upright import Orientation, orientation_of, square_size

BT709 = 1  # AVCOL_SPC_BT709, AVCOL_PRI_BT709 and AVCOL_TRC_BT709
BT601 = 5  # AVCOL_SPC_BT470BG
LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG
_LIMITED_RANGES = (0, LIMITED_RANGE)  # 0, unspecified, is limited to every player
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720  # players take untagged video of this height and more for BT.709, below for BT.601
_ALIKE = 0.01  # shares by which shapes differ that are meant to be the same, as of 1280x720 and 854x480

Planes = NDArray[np.uint8]  # (3 H / 2, W)


def even(length: int) -> int:
    """The length, or one more if it is odd."""
    return length + length % 2


def planes_shape(width: int, height: int) -> tuple[int, int]:
    """Shape of the array that holds a picture of width x height pixels."""
    return even(height) // 2 * 3, even(width)


def split_planes(planes: Planes) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of Y (H, W), U and V (H / 2, W / 2) in an array (3 H / 2, W) that lies in one piece."""
    height, width = planes.shape[0] // 3 * 2, planes.shape[1]
    flat = planes.reshape(-1)
    u, v = flat[height * width :].reshape(2, height // 2, width // 2)
    return flat[: height * width].reshape(height, width), u, v


class FrameConverter:
    """Makes upright pictures, of square pixels, of decoded frames.

    Untagged colours are taken as players take them; what is transparent is white.

    Args:
        size: (width, height) of the pictures, pixels: a frame of another shape is scaled until it fits, between black
            bars; None leaves each its own.
        path: of the source, for errors.
        aspect: width of a frame's pixels over their height.
    """

    def __init__(
        self, size: tuple[int, int] | None = None, path: Path | None = None, aspect: Fraction = Fraction(1)
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._size, self._path, self._aspect = size, path, aspect
        # Each keeps its conversion tables from frame to frame.
        self._reformatter, self._reducer = VideoReformatter(), VideoReformatter()
        self._orientations: dict[int, Orientation] = {}  # by the angle that PyAV tells

    def _orientation(self, frame: Any) -> Orientation:
        """That of a frame; of all that are turned by one angle, that of the first.

        Whatever PyAV lists beside a picture holds the picture, and the picture holds the list: memory would grow until
        Python comes round to collect them.
        """
        angle = frame.rotation
        if angle not in self._orientations:
            self._orientations[angle] = orientation_of(frame)
        return self._orientations[angle]

    def rgb(self, frame: Any) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of PyAV's frame, or of what is that already. Raises InputError."""
        if isinstance(frame, np.ndarray):
            return frame
        return self._fitted(self._reformatter, frame, self._size or self._own_size(frame), "BILINEAR")

    def thumbnail(self, frame: Any, side: int) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 RGB, the longer side of about `side` pixels: some of a larger picture's pixels, not all."""
        if isinstance(frame, np.ndarray):
            step = max(1, max(frame.shape) // side)
            return np.ascontiguousarray(frame[::step, ::step])
        size = self._size or self._own_size(frame)
        scale = min(1.0, side / max(size))
        width, height = (max(1, round(length * scale)) for length in size)
        return self._fitted(self._reducer, frame, (width, height), "FAST_BILINEAR")

    def planes(self, frame: Any) -> Planes:
        """The planes of PyAV's frame, or of a picture (H, W, 3) uint8 RGB. Raises InputError."""
        if isinstance(frame, np.ndarray):
            return self.planes_of_rgb(frame)
        orientation = self._orientation(frame)
        size, own = (frame.width, frame.height), self._own_size(frame)
        same_pixels = orientation.size(*size) == own == (self._size or own) and not orientation.turn
        if frame.format.name not in ("yuv420p", "yuvj420p") or matrix_of(frame) != BT709 or not same_pixels:
            return self.planes_of_rgb(self.rgb(frame))  # libswscale is up to 5 levels off where it leaves RGB out
        if frame.format.name != "yuv420p" or frame.color_range not in _LIMITED_RANGES:
            frame = self._reformatted(self._reformatter, frame, "yuv420p", size)
        return _gather(frame, orientation)

    def planes_of_rgb(self, image: NDArray[np.uint8]) -> Planes:
        """The planes of a picture (H, W, 3) uint8 RGB."""
        import av

        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        return _gather(self._reformatted(self._reformatter, rgb, "yuv420p", (rgb.width, rgb.height)), Orientation())

    def _own_size(self, frame: Any) -> tuple[int, int]:
        """(width, height) of a frame's picture, upright, of square pixels, not scaled."""
        return self._orientation(frame).size(*square_size(frame.width, frame.height, self._aspect))

    def _fitted(self, reformatter: Any, frame: Any, size: tuple[int, int], scaling: str) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of a frame, upright, as large as it fits in a picture of (width, height)."""
        orientation = self._orientation(frame)
        own = self._own_size(frame)
        scale = min(length / full for length, full in zip(size, own, strict=True))
        fills = all(length - full * scale < max(1, _ALIKE * length) for length, full in zip(size, own, strict=True))
        if fills and not orientation.turn:
            return orientation.upright(self._opaque(reformatter, frame, orientation.size(*size), scaling))
        width, height = (max(1, round(full * scale)) for full in square_size(frame.width, frame.height, self._aspect))
        return _framed(orientation.upright(self._opaque(reformatter, frame, (width, height), scaling)), size)

    def _opaque(self, reformatter: Any, frame: Any, size: tuple[int, int], scaling: str) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of a frame as it is stored, scaled to (width, height)."""
        if not any(component.is_alpha for component in frame.format.components):
            rgb: NDArray[np.uint8] = self._reformatted(reformatter, frame, "rgb24", size, scaling).to_ndarray()
            return rgb
        return over_white(self._reformatted(reformatter, frame, "rgba", size, scaling).to_ndarray())

    def _reformatted(
        self, reformatter: Any, frame: Any, form: str, size: tuple[int, int], scaling: str = "BILINEAR"
    ) -> Any:
        import av

        target = {"dst_colorspace": BT709, "dst_color_range": LIMITED_RANGE} if form == "yuv420p" else {}
        matrix = None if frame.format.name == "rgb24" else matrix_of(frame)
        width, height = size
        try:
            return reformatter.reformat(
                frame,
                width=width,
                height=height,
                format=form,
                src_colorspace=matrix,
                interpolation=scaling,
                **target,
            )
        except (av.FFmpegError, OSError, ValueError):
            reason = f"its colours cannot be read (pixels {frame.format.name}, colour matrix {matrix})"
            raise InputError(reason, path=self._path, remedy="convert it to usual colours (BT.709)") from None


def _framed(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) in the middle of a black one of (width, height); what sticks out by rounding is cut off."""
    width, height = size
    image = image[:height, :width]
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    framed = np.zeros((height, width, 3), np.uint8)
    framed[top : top + image.shape[0], left : left + image.shape[1]] = image
    return framed


def over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) of a picture (H, W, 4) with transparency on white, as paper and most pages are.

    One that is transparent throughout comes from a program that left that channel empty, and is shown as it is.
    """
    if not rgba[..., 3].any():
        return np.ascontiguousarray(rgba[..., :3])
    return on_white(rgba)


def on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) of a picture (H, W, 4), or a part of one, on white."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def matrix_of(frame: Any) -> int:
    """The matrix of a frame's colours, AVCOL_SPC_*; of an untagged one, what players take it for."""
    if frame.colorspace != _UNSPECIFIED:
        return int(frame.colorspace)
    return BT709 if frame.height >= _HD_HEIGHT else BT601


def to_frame(planes: Planes) -> Any:
    """PyAV's frame of an array in one piece, whose memory it may share: do not change it while the frame is in use."""
    import av

    if planes.shape[0] % 6 == 0:  # the only heights that PyAV takes right
        frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
    else:
        frame = av.VideoFrame(planes.shape[1], planes.shape[0] // 3 * 2, "yuv420p")
        for target, part in zip(_views(frame), split_planes(planes), strict=True):
            target[:] = part
    frame.colorspace, frame.color_range = BT709, LIMITED_RANGE
    return frame


def _views(frame: Any) -> list[NDArray[np.uint8]]:
    """The planes of a yuv420p frame."""
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


def _gather(frame: Any, orientation: Orientation) -> Planes:
    """The planes of a yuv420p frame, upright but for a turn, in one piece and of even size."""
    parts = [orientation.flipped(view) for view in _views(frame)]
    height, width = parts[0].shape
    planes = np.empty(planes_shape(width, height), np.uint8)
    for target, part in zip(split_planes(planes), parts, strict=True):
        rows, columns = part.shape
        target[:rows, :columns] = part
        target[:rows, columns:] = target[:rows, columns - 1 : columns]
        target[rows:] = target[rows - 1]
    return planes
