"""Stretches of a video read without all that comes before: the same frames as in the whole, of every kind of file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from glot_cli.errors import InputError
from glot_cli.video import Frame, VideoInfo, probe, read_frames, reading
from glot_cli.video.reading import read_stretch
from tests.video.small_videos import make_video, moving_picture

COUNT = 180  # frames, 30 a second
SECOND = 30


def steady(begin: int = 0) -> list[int]:
    return list(range(begin, begin + COUNT))


def with_pauses() -> list[int]:
    """Milliseconds between 20 and 80 from one another, but for some pauses of up to two seconds."""
    rng = np.random.default_rng(3)
    steps = rng.choice([20, 33, 40, 80], COUNT)
    steps[[17, 60, 61, 150]] = [900, 2000, 700, 1500]
    return np.cumsum(steps).tolist()


@dataclass(frozen=True)
class Kind:
    """Of a video file: its name, how it is encoded, and whether its end can be read without its beginning."""

    name: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    stamps: list[int] = field(default_factory=steady)
    time_base: Fraction = Fraction(1, 30)
    entered: bool = True
    size: tuple[int, int] = (64, 48)

    def make(self, folder: Path) -> Path:
        return make_video(
            folder / self.name,
            self.stamps,
            self.time_base,
            self.codec,
            options=self.options,
            size=self.size,
            paint=moving_picture,
        )


def x264(more: str = "", every: int = SECOND) -> dict[str, str]:
    # Without mbtree, whose arithmetic differs from run to run in pictures so small, the bytes are the same each time.
    return {"x264-params": f"keyint={every}:min-keyint={every}:scenecut=0:mbtree=0:{more}"}


MILLISECONDS = Fraction(1, 1000)
KINDS = {
    "closed mp4": Kind("a.mp4", options=x264("bframes=3:open-gop=0")),
    "closed mkv": Kind("a.mkv", options=x264("bframes=3:open-gop=0")),
    "open mp4": Kind("a.mp4", options=x264("bframes=3:open-gop=1:b-adapt=0:b-pyramid=2")),
    "open mkv": Kind("a.mkv", options=x264("bframes=3:open-gop=1:b-adapt=0:b-pyramid=2")),
    "open mpeg2 mkv": Kind("a.mkv", "mpeg2video", {"bf": "2", "g": "15"}),
    "refresh": Kind("a.mp4", options=x264("intra-refresh=1:bframes=0")),
    # From the 120th picture on, the second that can be entered at, the first whole one comes 38 later.
    "slow refresh": Kind("a.mp4", options=x264("intra-refresh=1:bframes=0", 120), size=(640, 48)),
    "one group": Kind("a.mp4", options=x264(every=1000), entered=False),
    "open hevc": Kind("a.mp4", "libx265", {"x265-params": "keyint=30:min-keyint=30:open-gop=1:log-level=none"}),
    "vp9": Kind("a.webm", "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime", "g": "30"}),
    "vp9 that looks ahead": Kind(
        "a.webm", "libvpx-vp9", {"cpu-used": "5", "g": "30", "auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "pauses mp4": Kind("a.mp4", options=x264("bframes=2"), stamps=with_pauses(), time_base=MILLISECONDS),
    "pauses mkv": Kind("a.mkv", options=x264("bframes=2"), stamps=with_pauses(), time_base=MILLISECONDS),
    "begins late": Kind("a.mkv", options=x264(), stamps=steady(90_000)),
    "mpeg4 avi": Kind("a.avi", "mpeg4", {"bf": "2", "g": "15"}, entered=False),
    "transport stream": Kind("a.ts", "mpeg2video", {"bf": "2", "g": "15"}, entered=False),
    "bare": Kind("a.h264", options=x264(), entered=False),
}


def told(frames: Iterable[Frame]) -> list[tuple[int, Fraction, int]]:
    """Stamp, time and pixels of each frame."""
    return [(frame.pts, frame.time, zlib.crc32(frame.image.tobytes())) for frame in frames]


def parts_of(whole: list[tuple[int, Fraction, int]]) -> dict[str, tuple[int, int]]:
    """Stretches by the numbers of their first frame, and of the first after them."""
    n = len(whole)
    return {
        "start": (0, n // 3),
        "middle": (n // 3, n // 3 + n // 6),
        "end": (n - n // 6, n),
        "three": (n // 2, n // 2 + 3),
        "soon after a picture that stands alone": (5 * n // 6 + 1, 5 * n // 6 + 3),
        "last three": (n - 3, n),
        "one": (2 * n // 3, 2 * n // 3 + 1),
        "last": (n - 1, n),
    }


def borders(whole: list[tuple[int, Fraction, int]], begin: int, end: int) -> tuple[float, float | None]:
    """Seconds from the first frame that lie halfway between frames of the stretch and those around it."""
    times = [time - whole[0][1] for _, time, _ in whole]
    start = (times[begin] + times[begin - 1]) / 2 if begin else Fraction(0)
    return float(start), float((times[end] + times[end - 1]) / 2) if end < len(times) else None


def hold_to_the_whole(info: VideoInfo) -> list[tuple[int, Fraction, int]]:
    whole = told(read_frames(info))
    for name, (begin, end) in parts_of(whole).items():
        frames = list(read_stretch(info, *borders(whole, begin, end)))
        assert told(frames) == whole[begin:end], name
        assert [frame.index for frame in frames] == list(range(end - begin))
    return whole


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets a stamp for every frame that is decoded."""
    stamps: list[int] = []
    real: Callable[..., Iterator[Any]] = reading.decode

    def counting(*arguments: Any) -> Iterator[Any]:
        for frame in real(*arguments):
            stamps.append(frame.pts)
            yield frame

    monkeypatch.setattr(reading, "decode", counting)
    return stamps


@pytest.mark.parametrize("name", KINDS)
def test_a_stretch_has_the_frames_of_the_whole(name: str, tmp_path: Path, decoded: list[int]) -> None:
    kind = KINDS[name]
    info = probe(kind.make(tmp_path))
    whole = hold_to_the_whole(info)
    assert len(whole) == COUNT
    decoded.clear()
    start, _ = borders(whole, COUNT - 5, COUNT)
    assert len(list(read_stretch(info, start))) == 5
    # The very first, a second ahead, the group of pictures that this lies in, and the stretch itself.
    assert (len(decoded) <= 1 + 2 * SECOND + 5) == kind.entered, len(decoded)
    with pytest.raises(InputError, match="no frame from 99 s on") as caught:
        list(read_stretch(info, 99.0))
    assert caught.value.option == "start"


def test_interlaced_pictures_are_the_same_however_they_are_reached(tmp_path: Path) -> None:
    options = {"bf": "2", "g": "15", "flags": "+ildct+ilme", "b:v": "2M"}
    path = Kind("a.mkv", "mpeg2video", options).make(tmp_path)
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    info = probe(path)
    whole = hold_to_the_whole(info)
    assert len(whole) == COUNT
    # With any picture for the first, those at which reading can begin among them: each is made of the one before too.
    for begin in range(70, 92):
        start = float(whole[begin][1] - whole[0][1])
        assert told(islice(read_stretch(info, start), 2)) == whole[begin : begin + 2]


def test_images_are_read_as_a_stretch_too(tmp_path: Path) -> None:
    for index in range(24):
        cv2.imwrite(str(tmp_path / f"{index}.png"), moving_picture(index))
    info = probe(tmp_path, fps=10)
    assert len(hold_to_the_whole(info)) == 24
    with pytest.raises(InputError, match=r"no frame from 2\.4 s on, it ends at 2\.30 s") as caught:
        list(read_stretch(info, 2.4))
    assert caught.value.option == "start"


def test_recordings_one_after_another_are_counted_from_the_first(tmp_path: Path) -> None:
    """Stamps begin anew in the middle of the file: who reads on from there alone would not know."""
    part = KINDS["transport stream"].make(tmp_path)
    part.write_bytes(part.read_bytes() * 2)
    assert len(hold_to_the_whole(probe(part))) == 2 * COUNT


@pytest.mark.parametrize("name", ["closed mp4", "open mkv", "mpeg4 avi"])
def test_damage_before_a_stretch_leaves_its_frames(name: str, tmp_path: Path) -> None:
    path = KINDS[name].make(tmp_path)
    sound = told(read_frames(path))
    data = bytearray(path.read_bytes())
    first, last = {
        ".mp4": (b"mdat", b"moov"),
        ".mkv": (b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b"),  # its first cluster, and the index
        ".avi": (b"movi", b"idx1"),
    }[path.suffix]
    begin, end = data.index(first), data.rindex(last)
    middle = begin + (end - begin) * 4 // 10
    data[middle : middle + 200] = np.random.default_rng(0).bytes(200)
    path.write_bytes(data)
    info = probe(path)
    harmed = told(read_frames(info))
    assert len(set(sound[30:100]) - set(harmed)) > 5
    for begin, end in ((150, 170), (150, 151), (175, 178)):
        late = borders(sound, begin, end)
        # In an AVI, stamps count pictures: what comes after those that are gone has other ones.
        expected = sound[begin:end] if KINDS[name].entered else told(read_frames(info, *late))
        assert told(read_stretch(info, *late)) == expected
