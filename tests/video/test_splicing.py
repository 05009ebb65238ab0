"""Pieces of one picture put together: what would have been written at once, sound included, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from glot_cli.errors import GlotError, InputError, OutputError
from glot_cli.files.seal import sealed_kind
from glot_cli.video import VideoWriter, probe, read_frames
from glot_cli.video.splicing import splice
from tests.video.small_videos import make_video, number, picture

MILLISECONDS = Fraction(1, 1000)
Packet = tuple[int, int, bytes]


def write(
    path: Path,
    numbers: Sequence[int],
    stamps: Sequence[int],
    time_base: Fraction,
    audio_from: Path | None = None,
    size: tuple[int, int] = (64, 48),
) -> Path:
    """Pictures that tell their numbers, at their stamps."""
    with VideoWriter(path, *size, time_base=time_base, fps=Fraction(25), audio_from=audio_from, warn=fail) as writer:
        for index, stamp in zip(numbers, stamps, strict=True):
            writer.write(picture(index, *size), stamp)
    return path


def fail(line: str) -> None:
    raise AssertionError(line)


def pieces_of(folder: Path, stamps: Sequence[int], cuts: Sequence[int], time_base: Fraction) -> list[tuple[Path, int]]:
    """What steps would have drawn: pieces between cuts, each with its first stamp."""
    parts = list(pairwise([0, *cuts, len(stamps)]))
    return [
        (write(folder / f"piece {begin}.mp4", range(begin, end), stamps[begin:end], time_base), stamps[begin])
        for begin, end in parts
    ]


def packets(path: Path, kind: str) -> list[Packet]:
    """Stamp, decoding stamp and bytes of all packets of a kind of stream, on a clock of the file."""
    with av.open(str(path)) as container:
        (stream,) = (stream for stream in container.streams if stream.type == kind)
        return [(packet.pts, packet.dts, bytes(packet)) for packet in container.demux(stream) if packet.dts is not None]


def check_pictures(path: Path, stamps: Sequence[int], time_base: Fraction) -> None:
    """That every picture is there, at its time from the first, and nearly what it was."""
    frames = list(read_frames(path))
    assert [frame.time for frame in frames] == [(stamp - stamps[0]) * time_base for stamp in stamps]
    assert [number(frame.image) for frame in frames] == list(range(len(stamps)))
    for index, frame in enumerate(frames):
        difference = np.abs(frame.image.astype(int) - picture(index))
        assert difference.mean() < 3 and np.quantile(difference, 0.9) < 8, index


STAMPS = {
    "steady": (list(range(90)), Fraction(1, 25), [30, 60]),
    "two": (list(range(50)), Fraction(1, 25), [17]),
    "single frames": (list(range(12)), Fraction(1, 25), [1, 2, 11]),
    "television": ([1001 * n + 7 for n in range(60)], Fraction(1, 30000), [25, 41]),
    # A pause before a border, frames close to one another at the next.
    "variable": (
        [5000 + stamp for stamp in [*range(0, 800, 40), 3100, 3133, *range(3200, 4000, 50), 4001, 4009, 4100]],
        MILLISECONDS,
        [20, 38],
    ),
    "fine clock": ([3_600_000_000 + 40_000 * n + n % 3 for n in range(40)], Fraction(1, 1_000_000), [13, 27]),
}


@pytest.mark.parametrize("kind", STAMPS)
def test_pieces_make_what_is_written_at_once(kind: str, tmp_path: Path) -> None:
    stamps, time_base, cuts = STAMPS[kind]
    at_once = write(tmp_path / "at once.mp4", range(len(stamps)), stamps, time_base)
    pieces = pieces_of(tmp_path, stamps, cuts, time_base)
    before = sorted(tmp_path.iterdir())
    spliced = tmp_path / "spliced.mp4"
    splice(pieces, spliced, origin=stamps[0], time_base=time_base, warn=fail)
    assert sorted(tmp_path.iterdir()) == sorted([*before, spliced])
    assert sealed_kind(spliced) == "mp4"
    with av.open(str(spliced)) as one, av.open(str(at_once)) as other:
        (video,), (expected,) = one.streams, other.streams
        assert (video.frames, video.time_base, video.duration) == (len(stamps), expected.time_base, expected.duration)
        assert video.codec_context.extradata == expected.codec_context.extradata
    assert [(p[0], p[1]) for p in packets(spliced, "video")] == [(p[0], p[1]) for p in packets(at_once, "video")]
    check_pictures(spliced, stamps, time_base)
    data = spliced.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")  # a browser can start before it has the whole file


@pytest.mark.parametrize(
    ("name", "audio", "codec"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.mkv", "pcm_s16le", "aac"),
        ("a.mkv", "libmp3lame", "mp3float"),
        ("a.ts", "aac", "aac"),
    ],
)
@pytest.mark.parametrize("begin", [0, 33])
def test_sound_is_that_of_a_film_written_at_once(name: str, audio: str, codec: str, begin: int, tmp_path: Path) -> None:
    """Copied or encoded anew, from the first picture of the result on, to its end."""
    source = make_video(tmp_path / name, list(range(90)), audio=audio, audio_seconds=4.0)
    time_base = probe(source).time_base
    stamps = [frame.pts for frame in read_frames(source)][begin:]
    at_once = write(tmp_path / "at once.mp4", range(len(stamps)), stamps, time_base, source)
    spliced = tmp_path / "spliced.mp4"
    pieces = pieces_of(tmp_path, stamps, [20, 40], time_base)
    splice(pieces, spliced, origin=stamps[0], time_base=time_base, audio_from=source, warn=fail)
    sound = packets(spliced, "audio")
    assert sound == packets(at_once, "audio") and len({data for _, _, data in sound}) > 20
    with av.open(str(spliced)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == codec
        seconds = sum(frame.samples for frame in container.decode(stream)) / stream.rate
    assert seconds == pytest.approx((90 - begin) / 30, abs=0.25)
    assert sealed_kind(spliced) == "mp4"
    check_pictures(spliced, stamps, time_base)


def test_an_earlier_film_of_glot_is_replaced_and_a_foreign_one_stays(tmp_path: Path) -> None:
    stamps, time_base, cuts = STAMPS["two"]
    pieces = pieces_of(tmp_path, stamps, cuts, time_base)
    target = write(tmp_path / "film.mp4", [7], [0], time_base)
    splice(pieces, target, origin=0, time_base=time_base)
    check_pictures(target, stamps, time_base)
    target.write_bytes(b"my own film")
    there = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="there is a file of that name that glot did not write") as caught:
        splice(pieces, target, origin=0, time_base=time_base)
    assert caught.value.path == target and "\n" not in str(caught.value)
    assert target.read_bytes() == b"my own film" and sorted(tmp_path.iterdir()) == there


def refusals(folder: Path) -> dict[str, tuple[list[tuple[Path, int]], type[GlotError], str]]:
    """Pieces that cannot be put together, the error, and words of it; by what is wrong with them."""
    stamps, time_base, cuts = STAMPS["two"]
    first, second = pieces_of(folder, stamps, cuts, time_base)
    larger = write(folder / "larger.mp4", range(5), range(5), time_base, size=(96, 64))
    data = second[0].read_bytes()
    broken, cut = folder / "broken.mp4", folder / "cut.mp4"
    broken.write_bytes(data[:500])
    cut.write_bytes(data[: (data.index(b"mdat") + len(data)) // 2])  # that can be read, up to there
    assert 0 < len(list(read_frames(cut))) < 33
    return {
        "another size": ([first, (larger, 17)], GlotError, f"{larger}: was encoded otherwise"),
        "another size first": ([(larger, 0), second], GlotError, f"{second[0]}: was encoded otherwise"),
        "none": ([], OutputError, "there was no piece"),
        "missing": ([first, (folder / "gone.mp4", 17)], InputError, f"{folder / 'gone.mp4'}: a piece of the picture"),
        "broken": ([first, (broken, 17)], InputError, f"{broken}: a piece of the picture"),
        "cut off": ([first, (cut, 17)], InputError, f"{cut}: a piece of the picture"),
    }


@pytest.mark.parametrize("wrong", ["another size", "another size first", "none", "missing", "broken", "cut off"])
def test_what_cannot_be_put_together_leaves_all_as_it_was(wrong: str, tmp_path: Path) -> None:
    pieces, kind, words = refusals(tmp_path)[wrong]
    sound = make_video(tmp_path / "sound.mp4", list(range(60)), audio="aac", audio_seconds=2.0)
    target = write(tmp_path / "film.mp4", [7], [0], Fraction(1, 25))
    for path in (target, tmp_path / "new.mp4"):
        there = {file: file.read_bytes() for file in tmp_path.iterdir()}
        with pytest.raises(kind) as caught:
            splice(pieces, path, origin=0, time_base=Fraction(1, 25), audio_from=sound, warn=fail)
        assert words in str(caught.value) and "\n" not in str(caught.value)
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == there


def test_nothing_is_left_where_it_is_stopped_or_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps, time_base, cuts = STAMPS["two"]
    pieces = pieces_of(tmp_path, stamps, cuts, time_base)
    sound = make_video(tmp_path / "sound.mp4", list(range(60)), audio="aac", audio_seconds=2.0)
    there = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot be written"):
        splice(pieces, tmp_path / "no folder" / "film.mp4", origin=0, time_base=time_base)

    for error, kind, words in (
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(28, "No space left on device"), OutputError, "No space left"),
    ):

        def stop(*_: object, error: BaseException = error) -> None:
            raise error

        for place in ("files.seal.seal_file", "video.splicing.SoundCopier.copy_until"):
            monkeypatch.setattr(f"glot_cli.{place}", stop)
            with pytest.raises(kind, match=words):
                splice(pieces, tmp_path / "film.mp4", origin=0, time_base=time_base, audio_from=sound)
            monkeypatch.undo()
    assert sorted(tmp_path.iterdir()) == there
