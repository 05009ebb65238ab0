"""Reading and writing video: what goes in comes out, at its time, in its colours, the right way up; faults are told."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from glot_cli.errors import GlotError
from glot_cli.video import VideoWriter, probe, read_frames

RATE = 16000  # audio samples per second


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture that tells its number (8 bits, dark and bright bars in the lower half) and is white top left."""
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(8):
        image[height // 2 :, bit * width // 8 : (bit + 1) * width // 8] = 200 if index >> bit & 1 else 50
    image[: height // 4, : width // 4] = 255
    return image


def number(image: np.ndarray) -> int:
    bars = image[-16:].mean(axis=(0, 2)).reshape(8, -1).mean(axis=1)
    return sum(1 << bit for bit in range(8) if bars[bit] > 125)


def make_video(
    path: Path,
    stamps: list[int],
    time_base: Fraction = Fraction(1, 30),
    codec: str = "libx264",
    rotation: int | None = None,
    audio: str | None = None,
    audio_seconds: float = 0.0,
    container_format: str | None = None,
) -> Path:
    """A 64x48 video with the given time stamps, made with PyAV alone; sound is a tone that starts with the picture."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = time_base
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sound = None
        if audio is not None:
            sound = container.add_stream(audio, rate=RATE)
            sound.layout = "mono"
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(index), "rgb24")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            tone = np.sin(np.arange(round(audio_seconds * RATE)) * (2 * math.pi * 440 / RATE))
            samples = av.AudioFrame.from_ndarray((tone[None] * 20000).astype(np.int16), "s16", "mono")
            samples.rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return path


def copy(source: Path, target: Path, start: float | None = None, end: float | None = None) -> list[str]:
    """Read and write again through the code under test; the warnings that came."""
    info, warnings = probe(source), []
    with VideoWriter(
        target,
        info.width,
        info.height,
        time_base=info.time_base,
        fps=info.fps,
        audio_from=source if info.has_audio else None,
        warn=warnings.append,
    ) as writer:
        for frame in read_frames(source, start, end, warn=warnings.append):
            writer.write(frame.image, frame.pts)
    return warnings


def audio_length(path: Path) -> tuple[str, float, float]:
    """(codec, first time, decoded seconds) of the sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(audio=0))
        return stream.codec_context.name, float(frames[0].time), sum(f.samples for f in frames) / stream.rate


def test_constant_rate_round_trip(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", list(range(40)))
    info = probe(source)
    assert (info.width, info.height, info.fps, info.frames) == (64, 48, 30, 40)
    assert (info.rotation, info.has_audio) == (0, False)
    assert info.duration == pytest.approx(40 / 30, abs=0.01)
    assert copy(source, tmp_path / "b.mp4") == []
    frames = list(read_frames(tmp_path / "b.mp4"))
    assert [f.index for f in frames] == list(range(40))
    assert [number(f.image) for f in frames] == list(range(40))
    assert [f.time - frames[0].time for f in frames] == [Fraction(i, 30) for i in range(40)]


def test_variable_rate_keeps_every_time_stamp(tmp_path: Path) -> None:
    stamps = [0, 40, 47, 200, 233, 1000, 1001, 3000]  # milliseconds
    source = make_video(tmp_path / "a.mkv", stamps, Fraction(1, 1000))
    copy(source, tmp_path / "b.mp4")
    frames = list(read_frames(tmp_path / "b.mp4"))
    assert [round(float(f.time) * 1000, 6) for f in frames] == stamps
    assert [number(f.image) for f in frames] == list(range(8))


def test_late_start_is_moved_to_zero(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", [5000 + 40 * i for i in range(5)], Fraction(1, 1000))
    assert float(next(read_frames(source)).time) == 5.0
    copy(source, tmp_path / "b.mp4")
    assert float(next(read_frames(tmp_path / "b.mp4")).time) == 0.0


def test_start_and_end_count_source_frames(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", list(range(30)))
    frames = list(read_frames(source, start=0.5, end=0.7))
    assert [f.index for f in frames] == [15, 16, 17, 18, 19, 20]
    assert [number(f.image) for f in frames] == [15, 16, 17, 18, 19, 20]
    with pytest.raises(GlotError, match="no frame from 9 s"):
        list(read_frames(source, start=9))
    with pytest.raises(GlotError, match="not after"):
        list(read_frames(source, start=2, end=1))


@pytest.mark.parametrize(("rotation", "corner"), [(90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_rotation_is_applied(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    """Turning counter-clockwise by 90 degrees takes the top left corner to the bottom left, and so on."""
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("PyAV before 18 cannot write a rotation")
    source = make_video(tmp_path / "a.mp4", list(range(3)), rotation=rotation)
    info = probe(source)
    image = next(read_frames(source)).image
    assert info.rotation == rotation % 360
    assert image.shape[:2] == (info.height, info.width) == ((64, 48) if rotation % 180 else (48, 64))
    bright = [[image[y, x].mean() > 225 for x in (3, -4)] for y in (3, -4)]
    assert [(y, x) for y in (0, 1) for x in (0, 1) if bright[y][x]] == [corner]


def test_odd_size_is_padded_to_even(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(60, 200, (33, 47, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (9, 9), 3)
    with VideoWriter(tmp_path / "a.mp4", 47, 33, time_base=Fraction(1, 25), fps=Fraction(25), crf=8) as writer:
        for i in range(3):
            writer.write(image, i)
    out = next(read_frames(tmp_path / "a.mp4")).image
    assert out.shape == (34, 48, 3)
    assert np.abs(out[:33, :47].astype(int) - image).mean() < 3


@pytest.mark.parametrize("size", [(64, 48), (1280, 720)])
def test_colours_survive_and_are_tagged(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    colours = np.array([[200, 30, 40], [30, 180, 60], [40, 60, 210], [190, 160, 130]], np.uint8)
    image = np.repeat(colours.reshape(2, 2, 3), height // 2, axis=0).repeat(width // 2, axis=1)
    with VideoWriter(tmp_path / "a.mp4", width, height, time_base=Fraction(1, 25), fps=Fraction(25)) as writer:
        for i in range(2):
            writer.write(image, i)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        frame = next(container.decode(video=0))
    out = next(read_frames(tmp_path / "a.mp4")).image
    for k in range(4):
        y, x = height // 4 + k // 2 * (height // 2), width // 4 + k % 2 * (width // 2)
        assert np.abs(out[y, x].astype(int) - colours[k]).max() <= 5
    # Independent of our reader: BT.709's own luma weights, limited range.
    luma = 16 + 219 / 255 * (colours[0] @ np.array([0.2126, 0.7152, 0.0722]))
    plane = np.frombuffer(frame.planes[0], np.uint8).reshape(height, -1)
    assert abs(float(plane[height // 4, width // 4]) - luma) < 2


def test_moov_comes_first(tmp_path: Path) -> None:
    """A browser can start before it has the whole file."""
    make_source = make_video(tmp_path / "a.mkv", list(range(5)), Fraction(1, 30))
    copy(make_source, tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("name", "codec", "audio", "result"),
    [
        ("a.mp4", "libx264", "aac", "aac"),
        ("a.ts", "libx264", "aac", "aac"),
        ("a.avi", "mpeg4", "pcm_s16le", "aac"),
        ("a.mkv", "libx264", "libmp3lame", "mp3"),
    ],
)
def test_sound_comes_along(tmp_path: Path, name: str, codec: str, audio: str, result: str) -> None:
    source = make_video(tmp_path / name, list(range(60)), codec=codec, audio=audio, audio_seconds=3.0)
    assert probe(source).has_audio
    assert copy(source, tmp_path / "b.mp4") == []
    found, first, seconds = audio_length(tmp_path / "b.mp4")
    assert found.startswith(result)
    assert abs(first) < 0.1
    assert seconds == pytest.approx(2.0, abs=0.25)  # cut with the picture, which lasts 2 s


def test_sound_is_trimmed_with_the_picture(tmp_path: Path) -> None:
    """A click at 1.5 s of the source lies at 0.5 s when the copy starts at 1.0 s."""
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("flac", rate=RATE)
        sound.layout = "mono"
        for index in range(90):
            frame = av.VideoFrame.from_ndarray(picture(index % 60), "rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = np.zeros((1, 3 * RATE), np.int16)
        wave[0, round(1.5 * RATE) : round(1.5 * RATE) + 400] = 20000
        samples = av.AudioFrame.from_ndarray(wave, "s16", "mono")
        samples.rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    copy(source, tmp_path / "b.mp4", start=1.0, end=2.0)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].frames == 30
        frames = list(container.decode(audio=0))
    times = np.concatenate([float(f.time) + np.arange(f.samples) / RATE for f in frames])
    wave = np.concatenate([f.to_ndarray().reshape(-1) for f in frames])
    assert times[np.abs(wave).argmax()] == pytest.approx(0.5, abs=0.002)
    assert times[-1] == pytest.approx(1.0, abs=0.4)


def test_path_with_spaces_and_other_letters(tmp_path: Path) -> None:
    folder = tmp_path / "Ünïcode фильм 映画 100% :x"
    folder.mkdir()
    source = make_video(folder / "Größe 1.mp4", [0, 1, 2])
    copy(source, folder / "fertig ✓.mp4")
    assert len(list(read_frames(folder / "fertig ✓.mp4"))) == 3


def test_one_frame(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", [0])
    copy(source, tmp_path / "b.mp4")
    assert [number(f.image) for f in read_frames(tmp_path / "b.mp4")] == [0]
    assert probe(tmp_path / "b.mp4").duration == pytest.approx(1 / 30, rel=0.01)


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
        for attempt in (lambda p=path: probe(p), lambda p=path: list(read_frames(p))):
            with pytest.raises(GlotError) as caught:
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
    with pytest.raises(GlotError, match="sound but no video"):
        probe(path)


def test_image_folder_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 2, 1, 33):
        cv2.imwrite(str(tmp_path / f"frame {index}.png"), picture(index))
    (tmp_path / "notes.txt").write_text("not an image")
    info = probe(tmp_path, image_fps=10)
    assert (info.width, info.height, info.frames, info.fps) == (64, 48, 4, 10)
    frames = list(read_frames(tmp_path, image_fps=10))
    assert [number(f.image) for f in frames] == [1, 2, 10, 33]
    assert [f.time for f in frames] == [Fraction(i, 10) for i in range(4)]
    assert [f.index for f in read_frames(tmp_path, start=0.1, end=0.3, image_fps=10)] == [1, 2]


def test_images_of_unequal_size_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture(0))
    cv2.imwrite(str(tmp_path / "2.png"), picture(0, 80, 48))
    with pytest.raises(GlotError, match=r"2\.png: is 80x48 pixels, those before it 64x48"):
        list(read_frames(tmp_path))


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


def test_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    target.write_bytes(b"an older result")
    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(target, 64, 48, time_base=Fraction(1, 30), fps=Fraction(30)) as writer,
    ):
        writer.write(picture(0), 0)
        assert len(list(tmp_path.iterdir())) == 2
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert target.read_bytes() == b"an older result"


def test_writer_faults(tmp_path: Path) -> None:
    arguments = {"time_base": Fraction(1, 30), "fps": Fraction(30)}
    with pytest.raises(GlotError, match="cannot be written"):
        VideoWriter(tmp_path / "missing" / "a.mp4", 64, 48, **arguments)
    with pytest.raises(GlotError, match="no frame"), VideoWriter(tmp_path / "b.mp4", 64, 48, **arguments):
        pass
    with VideoWriter(tmp_path / "c.mp4", 64, 48, **arguments) as writer:
        writer.write(picture(0), 5)
        with pytest.raises(ValueError, match="increase"):
            writer.write(picture(0), 5)
        with pytest.raises(ValueError, match="expected"):
            writer.write(picture(0, 32, 32), 6)
    assert [p.name for p in tmp_path.iterdir()] == ["c.mp4"]
