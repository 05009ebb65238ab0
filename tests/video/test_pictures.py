"""Pictures come upright, of square pixels, whole, of one size and in their colours, however they are stored."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.filter
import cv2
import numpy as np
import pytest
from av.codec.context import Flags

from glot_cli.errors import InputError
from glot_cli.video import probe, read_frames
from tests.video.small_videos import make_video, number, picture, set_matrix

CLEAN = {"crf": "1"}


def shown(path: Path) -> np.ndarray:
    """The first picture, which has to be the same in all its forms."""
    info = probe(path)
    frame = next(read_frames(info))
    assert frame.image.shape == (info.height, info.width, 3)
    rows, columns = frame.planes.shape
    assert (rows // 3 * 2, columns) == (info.height + info.height % 2, info.width + info.width % 2)
    small = cv2.resize(frame.thumbnail(32), (info.width, info.height), interpolation=cv2.INTER_NEAREST)
    assert np.median(np.abs(small.astype(int) - frame.image)) <= 8
    return frame.image.astype(int)


@pytest.mark.parametrize(
    "matrix",
    [(x, 0, 0, y) for x in (1, -1) for y in (1, -1)] + [(0, x, y, 0) for x in (1, -1) for y in (1, -1)],
)
def test_display_matrices_turn_and_flip(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    """A point (x, y) goes to (a x + c y, b x + d y), y down, and the whole back into the first quadrant."""
    a, b, c, d = matrix
    image = shown(set_matrix(make_video(tmp_path / "a.mp4", [0], options=CLEAN), *matrix))
    stored = picture(0).astype(int)
    y, x = np.mgrid[: stored.shape[0], : stored.shape[1]]
    across, down = a * x + c * y, b * x + d * y
    expected = np.zeros_like(image)
    expected[down - down.min(), across - across.min()] = stored
    assert np.median(np.abs(image - expected)) <= 2 and np.abs(image - expected).mean() < 6


@pytest.mark.parametrize("degrees", [30, -100, 5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_display_matrices_of_any_angle(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    """Turned as FFmpeg turns them, with room for all of it: nobody in a corner is cut off."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    sign = -1 if mirrored else 1
    image = shown(
        set_matrix(make_video(tmp_path / "a.mp4", [0], options=CLEAN), sign * cosine, sign * sine, -sine, cosine)
    )
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(0)[:, ::sign]), "rgb24")
    graph = av.filter.Graph()
    source = graph.add_buffer(width=64, height=48, format=frame.format, time_base=Fraction(1, 30))
    wide, high = (round(64 * abs(a) + 48 * abs(b)) for a, b in ((cosine, sine), (sine, cosine)))
    turn = graph.add("rotate", f"{math.radians(degrees)}:ow={wide}:oh={high}")
    source.link_to(turn)
    turn.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    expected = graph.pull().to_ndarray(format="rgb24").astype(int)
    assert image.shape == expected.shape and np.abs(image - expected).mean() < 12
    assert abs(image.sum() / picture(0).sum() - 1) < 0.02


def test_frames_with_exif_data_are_turned_too(tmp_path: Path) -> None:
    """PyAV 18 cannot list what lies beside such a frame."""
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("tiff", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), "rgb24")))
        container.mux(stream.encode(None))
    assert np.array_equal(shown(tmp_path / "a.mov"), picture(0))
    assert np.array_equal(shown(set_matrix(tmp_path / "a.mov", 0, 1, -1, 0)), np.rot90(picture(0), -1))


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (1, 2, 2, 4)])
def test_senseless_display_matrices_do_no_harm(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    assert shown(set_matrix(make_video(tmp_path / "a.mp4", [0]), *matrix)).any()


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(4, 3), (86, 48)),
        (Fraction(3, 4), (64, 64)),
        (Fraction(99, 98), (64, 48)),
        (Fraction(900), (64, 48)),
    ],
)
def test_oblong_pixels_are_made_square(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    image = shown(make_video(tmp_path / "a.mp4", [0], aspect=aspect, options=CLEAN))
    expected = cv2.resize(picture(0), size).astype(int)
    assert image.shape == expected.shape and np.abs(image - expected).mean() < 6


def test_oblong_pixels_of_a_lying_picture(tmp_path: Path) -> None:
    """Stretched as it is stored, then turned."""
    path = set_matrix(make_video(tmp_path / "a.mp4", [0], aspect=Fraction(4, 3), options=CLEAN), 0, 1, -1, 0)
    expected = np.rot90(cv2.resize(picture(0), (86, 48)), -1).astype(int)
    image = shown(path)
    assert image.shape == expected.shape and np.abs(image - expected).mean() < 6


def test_interlaced_pictures_are_made_whole(tmp_path: Path) -> None:
    """A disc that runs to the right: every second row is of half a frame before, and stands out as a comb."""
    rows, columns = np.mgrid[:96, :128]

    def moment(time: float) -> np.ndarray:
        disc = np.clip(20 - np.hypot(columns - 30 - 8 * time, rows - 48), 0, 1)
        return np.repeat(40 + 180 * disc[..., None], 3, axis=2).astype(np.uint8)

    path = tmp_path / "a.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options=CLEAN | {"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(8):
            woven = moment(index + 0.5)
            woven[1::2] = moment(index)[1::2]  # the lower field comes first, if nothing else is said
            container.mux(stream.encode(av.VideoFrame.from_ndarray(woven, "rgb24")))
        container.mux(stream.encode(None))
    frames = list(read_frames(path))
    assert len(frames) == 8 and {b.time - a.time for a, b in pairwise(frames)} == {Fraction(1, 25)}
    for index, frame in enumerate(frames[1:-1], 1):
        assert np.abs(frame.image.astype(int) - moment(index)).mean() < 2  # woven, it is 4 away
        assert frame.image.shape == (96, 128, 3)


def test_interlaced_pictures_of_a_few_pixels_are_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 3, 3, "yuv444p"
        stream.codec_context.flags |= int(Flags.interlaced_dct)
        graph = av.filter.Graph()
        source = graph.add_buffer(width=3, height=3, format=av.VideoFormat("yuv444p"), time_base=Fraction(1, 25))
        fields = graph.add("setfield", "tff")
        source.link_to(fields)
        fields.link_to(graph.add("buffersink"))
        graph.configure()
        graph.push(av.VideoFrame.from_ndarray(np.full((3, 3, 3), 90, np.uint8), "rgb24").reformat(format="yuv444p"))
        container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode(None))
    assert next(read_frames(tmp_path / "a.mkv")).image.shape == (3, 3, 3)


def test_transparent_parts_of_a_video_are_white(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgba"
        image = np.dstack([picture(0), np.full((48, 64), 255, np.uint8)])
        image[:, 32:, 3] = 0
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgba")))
        container.mux(stream.encode(None))
    image = shown(tmp_path / "a.mov")
    assert (image[:, 32:] == 255).all() and np.abs(image[:, :32] - picture(0)[:, :32]).max() <= 1


@pytest.mark.parametrize("matrix", [8, 10, 11, 14])
def test_colours_that_nobody_here_can_read_are_refused(tmp_path: Path, matrix: int) -> None:
    """YCgCo, BT.2020 of constant luminance, SMPTE 2085, ICtCp: libswscale knows them not."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.colorspace = matrix
        frame = av.VideoFrame.from_ndarray(picture(0), "rgb24").reformat(format="yuv444p")
        frame.colorspace = matrix
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=rf"a\.mkv: its colours cannot be read .*matrix {matrix}\); convert"):
        probe(tmp_path / "a.mkv")


def test_a_video_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [0, 1, 2])
    with pytest.raises(InputError, match=r"64 x 48 pixels, more than the 3,071") as caught:
        probe(path, max_pixels=64 * 48 - 1)
    assert caught.value.option == "max_pixels"
    assert [number(frame.image) for frame in read_frames(probe(path, max_pixels=64 * 48))] == [0, 1, 2]
    with pytest.raises(InputError, match="86 x 48"):  # not made larger than that either
        probe(make_video(tmp_path / "b.mp4", [0], aspect=Fraction(4, 3)), max_pixels=64 * 48)
