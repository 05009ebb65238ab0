"""Frames per second from time stamps, whatever a container says of them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from glot_cli.video import VideoInfo, probe, read_frames
from glot_cli.video.rates import meant_rate, usual_rate
from tests.video.small_videos import make_video, number

MS = Fraction(1, 1000)
NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("rate", [24, 25, NTSC, 30, 50, 60, 120, 240, 480, 960, 1000, Fraction(25, 2)])
def test_whole_milliseconds_tell_usual_rates_exactly(rate: Fraction) -> None:
    assert meant_rate([round(k * 1000 / rate) for k in range(600)], MS) == rate


@pytest.mark.parametrize(
    ("step", "time_base", "rate"),
    [
        (3003, Fraction(1, 90000), NTSC),
        (512, Fraction(1, 15360), 30),
        (33333, Fraction(1, 1000000), 30),
        (30, MS, None),
    ],
)
def test_even_steps(step: int, time_base: Fraction, rate: Fraction | None) -> None:
    """Of microseconds, one step is too short to be told apart from that of a usual rate; 30 ms are what they are."""
    assert meant_rate([k * step for k in range(50)], time_base) == (rate or Fraction(100, 3))


def test_late_lost_and_paused_frames_do_not_count() -> None:
    rng = np.random.default_rng(3)
    late = [round(k * 1000 / 30 + rng.uniform(-8, 8)) for k in range(60)]  # as browsers record
    assert meant_rate(late, MS) == 30
    lost = [k * 512 for k in range(200) if rng.random() > 0.3]
    assert meant_rate(lost, Fraction(1, 15360)) == 30
    assert meant_rate([k * 512 + 480_000 * (k > 17) for k in range(36)], Fraction(1, 15360)) == 30
    assert meant_rate([3, 1, 0, 2], Fraction(1, 25)) == 25  # in the order of decoding
    assert meant_rate([7], MS) is None and meant_rate([-(2**63), 2**63 - 1], MS) is None


@pytest.mark.parametrize("time_base", [Fraction(1, 60), Fraction(1, 15360), Fraction(1, 90000), MS])
@pytest.mark.parametrize(
    ("pattern", "rate"), [((1, 2), 60), ((1, 1, 2), 60), ((2, 1), 60), ((1, 2, 2), 30), ((1, 3), 60), ((2, 3), 24)]
)
def test_frames_missing_from_a_grid_leave_its_rate(pattern: tuple[int, ...], rate: int, time_base: Fraction) -> None:
    """Every third frame dropped and the like: the rate is that of the median step, none in between. 24 shown at 60
    frames a second come in steps of two and three, though."""
    for count in (40, 41, 42, 43):
        sixtieths = np.cumsum(np.tile(pattern, count))[:100]
        stamps = [round(Fraction(int(k), 60) / time_base) for k in sixtieths]
        assert float(meant_rate(stamps, time_base) or 0) == pytest.approx(rate, rel=0.01)


def test_what_somebody_types_is_a_usual_rate() -> None:
    assert usual_rate(Fraction(29.97), 2e-4) == NTSC
    assert usual_rate(Fraction(23.976), 2e-4) == Fraction(24000, 1001)
    assert usual_rate(Fraction(7.5), 2e-4) == Fraction(15, 2)


def frames_of(info: VideoInfo) -> tuple[list[int], list[Fraction]]:
    """What the pictures are, and when they are shown."""
    frames = list(read_frames(info))
    return [number(frame.image) for frame in frames], [frame.time for frame in frames]


def test_stamps_of_a_browser(tmp_path: Path) -> None:
    """WebM whose stamps are whole, uneven milliseconds, and that says nothing of a rate: FFmpeg takes it for 1000."""
    stamps = [0, 27, 73, 105, 129, 167, 199, 236, 272, 293, 325, 373]
    info = probe(make_video(tmp_path / "a.webm", stamps, MS, codec="libvpx"))
    assert info.fps_from == "stamps" and float(info.fps) == pytest.approx(11 / 0.373, rel=0.02)
    assert frames_of(info)[1] == [stamp * MS for stamp in stamps]


def test_a_pause_leaves_rate_and_times(tmp_path: Path) -> None:
    stamps = [k * 512 + 460_800 * (k > 5) for k in range(12)]
    info = probe(make_video(tmp_path / "a.mp4", stamps, Fraction(1, 15360)))
    assert (info.fps, info.fps_from) == (30, "stamps")
    steps = [float(b - a) for a, b in pairwise(frames_of(info)[1])]
    assert steps == pytest.approx([1 / 30] * 5 + [30 + 1 / 30] + [1 / 30] * 5)


@pytest.mark.parametrize("frames", ["0", "3"])
def test_avi_with_frames_out_of_order(tmp_path: Path, frames: str) -> None:
    """Its stamps are those of decoding; two steps came out double."""
    info = probe(make_video(tmp_path / "a.avi", list(range(40)), options={"bf": frames}))
    numbers, times = frames_of(info)
    assert info.fps == 30 and numbers == list(range(40))
    assert {b - a for a, b in pairwise(times)} == {Fraction(1, 30)}


def test_a_bare_stream_has_its_own_rate(tmp_path: Path) -> None:
    """FFmpeg gives it 25 frames a second whatever it says; one that says nothing takes what the caller does."""
    info = probe(make_video(tmp_path / "a.h264", list(range(12)), container_format="h264"))
    assert (info.fps, info.fps_from) == (30, "stream")
    assert frames_of(info) == (list(range(12)), [Fraction(k, 30) for k in range(12)])
    anyhow = {"strict": "unofficial"}
    pictures = make_video(tmp_path / "a.mjpeg", [0, 1, 2], codec="mjpeg", container_format="mjpeg", options=anyhow)
    assert (probe(pictures).fps, probe(pictures).fps_from) == (30, "nobody")
    assert frames_of(probe(pictures, fps=120))[1] == [Fraction(k, 120) for k in range(3)]


def test_a_second_recording_in_the_same_file_goes_on_after_the_first(tmp_path: Path) -> None:
    part = make_video(tmp_path / "part.ts", list(range(60)), container_format="mpegts").read_bytes()
    (tmp_path / "a.ts").write_bytes(part + part)
    numbers, times = frames_of(probe(tmp_path / "a.ts"))
    assert numbers == [*range(60)] * 2
    assert {b - a for a, b in pairwise(times)} == {Fraction(1, 30)}


def test_given_rates_are_for_what_has_none(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.mp4", list(range(5))), fps=120)
    assert (info.fps, info.fps_from) == (30, "stamps")


def test_a_unit_of_time_is_no_rate(tmp_path: Path) -> None:
    """A single picture has no step, and its stream names the clock of its container."""
    info = probe(make_video(tmp_path / "a.ts", [0], Fraction(1, 90_000), container_format="mpegts"))
    assert (info.fps, info.fps_from) == (30, "nobody")


def test_missing_frames_leave_a_rate_in_milliseconds(tmp_path: Path) -> None:
    stamps = [round(1000 * index / 30) for index in range(60) if index % 3]
    assert meant_rate(stamps, Fraction(1, 1000)) == 30
