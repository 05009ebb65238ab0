"""Reading videos and images: every frame, at its time, the right way up; faults are told."""

from __future__ import annotations

import gc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from glot_cli.errors import InputError, UsageError
from glot_cli.video import images, probe, read_frames
from tests.video.small_videos import RATE, copy, make_video, number, picture


def test_start_and_end_count_source_frames(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", list(range(30)))
    frames = list(read_frames(source, start=0.5, end=0.7))
    assert [f.index for f in frames] == [15, 16, 17, 18, 19, 20]
    assert [number(f.image) for f in frames] == [15, 16, 17, 18, 19, 20]
    with pytest.raises(InputError, match="no frame from 9 s"):
        list(read_frames(source, start=9))
    with pytest.raises(UsageError, match="not after"):
        list(read_frames(source, start=2, end=1))


@pytest.mark.parametrize(("rotation", "corner"), [(90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_rotation_is_applied(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    """Turning counter-clockwise by 90 degrees takes the top left corner to the bottom left, and so on."""
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("PyAV before 18 cannot write a rotation")
    source = make_video(tmp_path / "a.mp4", list(range(3)), rotation=rotation)
    info = probe(source)
    image = next(read_frames(source)).image
    assert image.shape[:2] == (info.height, info.width) == ((64, 48) if rotation % 180 else (48, 64))
    bright = [[image[y, x].mean() > 225 for x in (3, -4)] for y in (3, -4)]
    assert [(y, x) for y in (0, 1) for x in (0, 1) if bright[y][x]] == [corner]


def test_missing_time_stamps_are_filled_in(tmp_path: Path) -> None:
    """A bare H.264 stream holds no time stamps at all."""
    source = make_video(tmp_path / "a.h264", list(range(12)), container_format="h264")
    frames = list(read_frames(source))
    steps = {b.time - a.time for a, b in pairwise(frames)}
    assert len(frames) == 12
    assert min(steps) > 0


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_truncated_video_yields_what_is_there(tmp_path: Path, name: str) -> None:
    source = make_video(tmp_path / name, list(range(90)), codec="mpeg4")
    data = source.read_bytes()
    header = max(data.find(b"movi"), 0)
    source.write_bytes(data[: header + (len(data) - header) * 5 // 10])
    warnings: list[str] = []
    frames = list(read_frames(source, warn=warnings.append))
    assert 25 < len(frames) < 75
    assert [number(f.image) for f in frames[:20]] == list(range(20))
    assert len(warnings) == 1 and "truncated" in warnings[0] and str(source) in warnings[0]


def test_truncated_mp4_with_index_first(tmp_path: Path) -> None:
    copy(make_video(tmp_path / "s.mp4", list(range(90))), tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 7 // 10])
    warnings: list[str] = []
    frames = list(read_frames(tmp_path / "a.mp4", warn=warnings.append))
    assert 5 < len(frames) < 85
    assert any("of 90 frames" in w for w in warnings)


def test_damage_in_the_middle_is_skipped(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.avi", list(range(90)), codec="mpeg4")
    data = bytearray(source.read_bytes())
    middle = (data.index(b"movi") + data.index(b"idx1")) // 2
    data[middle : middle + 300] = bytes(300)
    source.write_bytes(data)
    frames = list(read_frames(source, warn=[].append))
    assert len(frames) > 60
    assert number(frames[5].image) == 5


def bad_inputs(folder: Path) -> dict[str, Path]:
    """Paths that no video can be read from, by the words that the message must hold."""
    text = folder / "text.mp4"
    text.write_text("this is no video\n" * 50)
    empty = folder / "empty.mp4"
    empty.touch()
    sound = folder / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), "s16", "mono")
        samples.rate = RATE
        container.mux(stream.encode(samples))
    cut = make_video(folder / "cut.mp4", list(range(30)))
    cut.write_bytes(cut.read_bytes()[:600])  # the index is at the end and gone
    (folder / "no images").mkdir()
    broken = folder / "broken.png"
    broken.write_bytes(b"\x89PNG broken")
    return {
        "no such file": folder / "missing.mp4",
        "not a video": text,
        "empty": empty,
        "sound but no video": sound,
        "cut off": cut,
        "without images": folder / "no images",
        "not an image": broken,
    }


def test_bad_input_is_told_in_one_line(tmp_path: Path) -> None:
    for words, path in bad_inputs(tmp_path).items():
        for attempt in (lambda p=path: probe(p), lambda p=path: [frame.image for frame in read_frames(p)]):
            with pytest.raises(InputError) as caught:
                attempt()
            message = str(caught.value)
            assert words in message and str(path) in message and "\n" not in message


def test_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = 0x400
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0), "rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), "s16p", "mono")
        samples.rate = RATE
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    with pytest.raises(InputError, match="sound but no video"):
        probe(path)


def test_image_folder_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 2, 1, 33):
        cv2.imwrite(str(tmp_path / f"frame {index}.png"), picture(index))
    (tmp_path / "notes.txt").write_text("not an image")
    info = probe(tmp_path, fps=10)
    assert (info.width, info.height, info.frames, info.fps) == (64, 48, 4, 10)
    frames = list(read_frames(info))
    assert [number(f.image) for f in frames] == [1, 2, 10, 33]
    assert [f.time for f in frames] == [Fraction(i, 10) for i in range(4)]
    assert [f.index for f in read_frames(info, start=0.1, end=0.3)] == [1, 2]


def test_images_of_unequal_size_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture(0))
    cv2.imwrite(str(tmp_path / "2.png"), picture(0, 80, 48))
    with pytest.raises(InputError, match=r"2\.png: is 80x48 pixels, those before it 64x48"):
        for frame in read_frames(tmp_path):
            frame.thumbnail(32)


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_thumbnail_is_the_picture_reduced(tmp_path: Path, rotation: int) -> None:
    """Of a video, turned or not, and of an image; sharp edges apart, for it looks at some pixels only."""
    if rotation and not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a rotation")
    make_video(tmp_path / "a.mp4", [5, 19], rotation=rotation)
    cv2.imwrite(str(tmp_path / "a.png"), picture(5))
    for name in ("a.mp4", "a.png"):
        for frame in read_frames(tmp_path / name):
            small = frame.thumbnail(32)
            height, width = frame.image.shape[:2]
            assert small.shape == (height // 2, width // 2, 3)
            whole = cv2.resize(frame.image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            assert np.median(np.abs(small.astype(int) - whole)) <= 3
            assert frame.thumbnail(1000).shape == frame.image.shape  # never larger


def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    """As in a stream that was recorded while its quality changed."""
    parts = [
        make_video(tmp_path / f"{width}.ts", [0, 1, 2], container_format="mpegts", size=(width, height))
        for width, height in ((64, 48), (96, 72), (64, 48))
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    warnings: list[str] = []
    frames = list(read_frames(tmp_path / "a.ts", warn=warnings.append))
    assert [number(frame.image) for frame in frames] == [0, 1, 2] * 3
    assert {(frame.image.shape, frame.planes.shape) for frame in frames} == {((48, 64, 3), (72, 64))}
    assert [line for line in warnings if "size" in line] == [
        f"{tmp_path / 'a.ts'}: the picture changes from 64x48 to 96x72 pixels at frame 3, 0.10 s; such pictures are "
        "scaled to the first's size"
    ]


def test_pictures_of_another_shape_are_not_stretched(tmp_path: Path) -> None:
    """As where a telephone is turned in a call: a stretched picture would make people broad."""
    parts = [
        make_video(tmp_path / f"{width}.ts", [0, 1], container_format="mpegts", size=(width, height))
        for width, height in ((64, 48), (48, 64))
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    image = list(read_frames(tmp_path / "a.ts"))[-1].image
    assert image.shape == (48, 64, 3)
    assert image[:, :13].max() < 30 and image[:, -13:].max() < 30  # 36 of 64 columns are the picture
    assert image[2:10, 16:22].min() > 200


def test_pixels_that_change_their_shape_are_made_square(tmp_path: Path) -> None:
    """As where television goes from 4:3 to 16:9 with as many pixels."""
    parts = [
        make_video(tmp_path / f"{aspect}.ts", list(range(30)), container_format="mpegts", aspect=Fraction(aspect))
        for aspect in (1, 2)
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    warnings: list[str] = []
    frames = list(read_frames(tmp_path / "a.ts", warn=warnings.append))
    assert len(frames) == 60 and {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert frames[-1].image[:11].max() < 30 and frames[-1].image[14:17, 2:12].min() > 200
    assert len(warnings) == 1 and "from 64x48 to 128x48 pixels" in warnings[0]


def test_what_is_cut_off_before_a_key_frame_is_told(tmp_path: Path) -> None:
    options = {"g": "30", "keyint_min": "30"}
    source = make_video(tmp_path / "a.ts", list(range(60)), container_format="mpegts", options=options)
    data = source.read_bytes()
    source.write_bytes(data[len(data) // 6 // 188 * 188 :])
    warnings: list[str] = []
    assert len(list(read_frames(source, warn=warnings.append))) == 30
    assert len(warnings) == 1 and str(source) in warnings[0] and "cannot be decoded" in warnings[0]


def test_a_late_beginning_is_no_early_end(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", [90_000 + index for index in range(30)])
    warnings: list[str] = []
    assert len(list(read_frames(source, warn=warnings.append))) == 30 and not warnings


def test_of_two_videos_the_main_one_is_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        for width in (32, 64):
            stream = container.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            stream.disposition = av.stream.Disposition.default if width == 64 else av.stream.Disposition(0)
        for stream in container.streams.video:
            blank = np.zeros((48, stream.width, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(blank, "rgb24")))
            container.mux(stream.encode(None))
    warnings: list[str] = []
    assert [frame.image.shape for frame in read_frames(tmp_path / "a.mkv", warn=warnings.append)] == [(48, 64, 3)]
    assert len(warnings) == 1 and "holds 2 videos" in warnings[0]


def test_untagged_pictures_of_another_size_keep_their_colours(tmp_path: Path) -> None:
    """Players take them for BT.709 from 720 rows on, below for BT.601; scaled ones are what they were."""
    colour = (200, 60, 30)
    for sizes in (((640, 360), (1280, 720)), ((1280, 720), (640, 360))):
        parts = b""
        for width, height in sizes:
            path = tmp_path / f"{height}.ts"
            with av.open(str(path), "w", format="mpegts") as container:
                stream = container.add_stream("libx264", rate=30, options={"crf": "5"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                rgb = av.VideoFrame.from_ndarray(np.full((height, width, 3), colour, np.uint8), "rgb24")
                frame = rgb.reformat(format="yuv420p", dst_colorspace=1 if height == 720 else 5, dst_color_range=1)
                frame.colorspace, frame.pts = 2, 0  # unspecified
                container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            parts += path.read_bytes()
        (tmp_path / "a.ts").write_bytes(parts)
        shown = [frame.image.mean((0, 1)) for frame in read_frames(tmp_path / "a.ts")]
        np.testing.assert_allclose(shown, [colour, colour], atol=4)


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture(index))
    read: list[str] = []
    info, whole = probe(tmp_path), images._pixels
    monkeypatch.setattr(images, "_pixels", lambda image, path, bits: read.append(path.stem) or whole(image, path, bits))
    frames = list(read_frames(info))
    assert read == [] and [number(frames[k].image) for k in (1, 3)] == [1, 3]
    assert frames[1].image is frames[1].image and frames[1].thumbnail(8).any()
    assert read == ["1", "3"]


def test_single_image_with_exif_orientation(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # "turn 90 degrees clockwise to view"
    red_left = np.zeros((48, 64, 3), np.uint8)
    red_left[:, :16] = (220, 20, 20)
    Image.fromarray(red_left).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    (frame,) = read_frames(tmp_path / "photo.jpg")
    assert (probe(tmp_path / "photo.jpg").width, frame.image.shape) == (48, (64, 48, 3))
    assert np.abs(frame.image[4, 24].astype(int) - (220, 20, 20)).max() < 25  # left became top; RGB, not BGR


def test_frames_that_were_read_are_gone_at_once(tmp_path: Path) -> None:
    """Not only when Python next collects what holds itself: a second of 4K is 700 MB."""
    source = make_video(tmp_path / "a.mp4", list(range(60)))

    def living() -> int:
        return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    before = living()
    try:
        for frame in read_frames(source):
            assert frame.image.shape == (48, 64, 3) and frame.planes.shape == (72, 64)
            assert frame.thumbnail(16).shape == (12, 16, 3)
        assert living() - before <= 4
    finally:
        gc.enable()
