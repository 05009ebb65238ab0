"""Pictures as planes of brightness and colour: the same as by way of RGB, and untouched where they come that way."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from glot_cli.video import VideoWriter, read_frames
from glot_cli.video.planes import BT709, FrameConverter, planes_shape, split_planes, to_frame
from tests.video.small_videos import make_video

BT601, BT2020 = 5, 9  # AVCOL_SPC_SMPTE170M, AVCOL_SPC_BT2020_NCL
LIMITED, FULL = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG


def soft(width: int, height: int) -> np.ndarray:
    """(height, width, 3) RGB without edges, whose colours survive at half the size."""
    cells = np.random.default_rng(0).integers(40, 216, (4, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def decoded(image: np.ndarray, form: str, colorspace: int, levels: int) -> av.VideoFrame:
    """A frame as a decoder would give it."""
    rgb = av.VideoFrame.from_ndarray(image, "rgb24")
    frame = rgb.reformat(format=form, dst_colorspace=colorspace, dst_color_range=levels)
    frame.colorspace, frame.color_range = colorspace, levels
    return frame


@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le"])
@pytest.mark.parametrize(("colorspace", "levels"), [(BT709, LIMITED), (BT709, FULL), (BT601, LIMITED), (BT2020, FULL)])
def test_every_kind_of_frame_keeps_its_colours(form: str, colorspace: int, levels: int) -> None:
    image = soft(96, 64)
    frame = decoded(image, form, colorspace, FULL if form == "yuvj420p" else levels)
    converter = FrameConverter()
    planes = converter.planes(frame)
    assert planes.shape == planes_shape(96, 64) and planes.flags.c_contiguous
    shown = converter.rgb(to_frame(planes)).astype(int)
    assert np.abs(shown - converter.rgb(frame)).mean() < 2
    assert np.abs(shown - image).mean() < 4


@pytest.mark.parametrize("size", [(64, 48), (47, 33), (50, 34), (49, 36)])
def test_sizes_are_made_even_by_repeating_the_border(size: tuple[int, int]) -> None:
    width, height = size
    image = soft(width, height)
    planes = FrameConverter().planes_of_rgb(image)
    assert planes.shape == planes_shape(width, height)
    y, _, _ = split_planes(planes)
    assert np.array_equal(y[height - 1], y[-1]) and np.array_equal(y[:, width - 1], y[:, -1])
    shown = FrameConverter().rgb(to_frame(planes))
    assert np.abs(shown[:height, :width].astype(int) - image).mean() < 4


def test_an_odd_frame_keeps_its_levels() -> None:
    frame = decoded(soft(47, 33), "yuv420p", BT709, LIMITED)
    for plane, given in zip(split_planes(FrameConverter().planes(frame)), frame.planes, strict=True):
        rows = np.frombuffer(given, np.uint8).reshape(-1, given.line_size)[: given.height, : given.width]
        assert np.array_equal(plane[: given.height, : given.width], rows)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_planes_are_upright(tmp_path: Path, rotation: int) -> None:
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a rotation")
    source = make_video(tmp_path / "a.mp4", [0, 1, 2], rotation=rotation)
    converter = FrameConverter()
    for frame in read_frames(source):
        assert frame.planes.shape == planes_shape(frame.image.shape[1], frame.image.shape[0])
        levels = split_planes(frame.planes)[0].astype(int)
        assert np.abs(levels - split_planes(converter.planes_of_rgb(frame.image))[0]).mean() < 4


def test_images_are_read_as_planes(tmp_path: Path) -> None:
    image = soft(47, 33)
    cv2.imwrite(str(tmp_path / "1.png"), image[..., ::-1])
    (frame,) = read_frames(tmp_path)
    assert np.array_equal(frame.planes, FrameConverter().planes_of_rgb(image))


@pytest.mark.parametrize("size", [(64, 48), (48, 34)])
def test_planes_that_are_written_come_back(tmp_path: Path, size: tuple[int, int]) -> None:
    """Without loss, and from memory that is overwritten as soon as `write_planes` returns."""
    width, height = size
    rng = np.random.default_rng(0)
    written = rng.integers(16, 236, (5, *planes_shape(width, height)), dtype=np.uint8)
    step = Fraction(1, 25)
    with VideoWriter(tmp_path / "a.mp4", width, height, time_base=step, fps=Fraction(25), crf=0) as writer:
        memory = np.empty(planes_shape(width, height), np.uint8)
        for index, planes in enumerate(written):
            memory[:] = planes
            writer.write_planes(memory, index)
            memory[:] = 0
    read = [frame.planes for frame in read_frames(tmp_path / "a.mp4")]
    assert len(read) == len(written)
    assert all(np.array_equal(one, other) for one, other in zip(read, written, strict=True))


def test_planes_of_another_size_are_refused(tmp_path: Path) -> None:
    step = Fraction(1, 25)
    with VideoWriter(tmp_path / "a.mp4", 47, 33, time_base=step, fps=Fraction(25)) as writer:
        with pytest.raises(ValueError, match="expected uint8"):
            writer.write_planes(np.zeros((51, 47), np.uint8), 0)
        writer.write_planes(np.zeros((51, 48), np.uint8), 0)
