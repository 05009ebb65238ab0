"""Writing video: what went in comes out again, at its time, in its colours, with its sound; nothing is half written."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from glot_cli.errors import OutputError
from glot_cli.files.atomic import aside_name
from glot_cli.video import VideoWriter, probe, read_frames
from tests.video.small_videos import RATE, copy, make_video, number, picture


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
    assert (info.fps_from, info.has_audio) == ("stamps", False)
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


def test_sound_goes_on_with_a_second_recording(tmp_path: Path) -> None:
    part = make_video(tmp_path / "a.ts", list(range(60)), container_format="mpegts", audio="aac", audio_seconds=2.0)
    part.write_bytes(part.read_bytes() * 2)
    assert copy(part, tmp_path / "b.mp4") == []
    assert audio_length(tmp_path / "b.mp4")[2] == pytest.approx(4.0, abs=0.15)


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


def test_nothing_is_left_where_the_file_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(OutputError, match="No space left"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, time_base=Fraction(1, 30), fps=Fraction(30))
    assert not list(tmp_path.iterdir())


def test_writer_faults(tmp_path: Path) -> None:
    arguments = {"time_base": Fraction(1, 30), "fps": Fraction(30)}
    with pytest.raises(OutputError, match="cannot be written"):
        VideoWriter(tmp_path / "missing" / "a.mp4", 64, 48, **arguments)
    with pytest.raises(OutputError, match="no frame"), VideoWriter(tmp_path / "b.mp4", 64, 48, **arguments):
        pass
    with VideoWriter(tmp_path / "c.mp4", 64, 48, **arguments) as writer:
        writer.write(picture(0), 5)
        with pytest.raises(ValueError, match="increase"):
            writer.write(picture(0), 5)
        with pytest.raises(ValueError, match="expected"):
            writer.write(picture(0, 32, 32), 6)
    assert [p.name for p in tmp_path.iterdir()] == ["c.mp4"]


def test_what_comes_while_a_film_is_written_stays(tmp_path: Path) -> None:
    """A writer replaces films of ours, looks once more when it is done, and clears what a dead one left."""
    path = tmp_path / "a.mp4"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    Path(str(aside_name(path)).replace(f"-{os.getpid()}-", f"-{gone.pid}-")).touch()

    def write(mine: bytes | None = None) -> None:
        with VideoWriter(path, 16, 16, time_base=Fraction(1, 25), fps=Fraction(25)) as writer:
            writer.write(np.zeros((16, 16, 3), np.uint8), 0)
            if mine is not None:
                path.write_bytes(mine)

    write()
    write()
    assert list(tmp_path.iterdir()) == [path]
    for there in (True, False):
        if not there:
            path.unlink()
        with pytest.raises(OutputError, match="there is a file of that name that glot did not write"):
            write(b"my own film")
        assert path.read_bytes() == b"my own film" and list(tmp_path.iterdir()) == [path]
