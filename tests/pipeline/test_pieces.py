"""Pieces of a video: what they leave for each other, and how they become one again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.errors import InputError, OutputError
from glot_cli.files.atomic import aside_name
from glot_cli.files.npz import write_npz
from glot_cli.files.seal import sealed_json
from glot_cli.pipeline.options import SAME_RESULT, Options
from glot_cli.pipeline.pieces import (
    Log,
    PieceFolder,
    Watched,
    Whole,
    put_pieces_together,
    remove_pieces,
    tracks_from_arrays,
    tracks_to_arrays,
)
from glot_cli.tracking.tracklets import Tracklet
from glot_cli.tracking.tracks import Track
from glot_cli.world.background import FINE, Keyframe, SeenAgain, SeenBackground


def track(person: int, begin: int, count: int, rng: np.random.Generator, keypoints: bool = True) -> Track:
    frames = np.arange(begin, begin + count, dtype=np.int32)
    return Track(
        person,
        frames,
        rng.random((count, 4), np.float32),
        rng.random((count, 3), np.float32),
        rng.random(count, np.float32),
        rng.random(count) > 0.5,
        np.repeat(np.int32(person), count),
        rng.random((count, 17, 3), np.float32) if keypoints else None,
        rng.random(count, np.float32) if keypoints else None,
        ticks=frames * 1.5,
        shot=person % 2,
    )


@pytest.mark.parametrize("keypoints", [True, False])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_tracks_become_arrays_and_tracks_again(count: int, keypoints: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(count)
    tracks = [track(n + 1, 5 * n, 3 + n, rng, keypoints) for n in range(count)]
    folder = folder_of(tmp_path)
    folder.save("join", tracks_to_arrays(tracks))
    back = tracks_from_arrays(folder.load("join"))
    assert len(back) == count
    for one, other in zip(tracks, back, strict=True):
        assert_same(one, other)
        assert type(other.person) is type(other.shot) is int


def assert_same(one: object, other: object) -> None:
    """That all fields of two objects are the same, types of arrays included."""
    for field in fields(one):  # type: ignore[arg-type]
        first, second = getattr(one, field.name), getattr(other, field.name)
        assert type(first) is type(second), field.name
        np.testing.assert_array_equal(first, second, field.name)
        assert getattr(first, "dtype", None) == getattr(second, "dtype", None), field.name


def folder_of(
    result: Path,
    video_id: str = "1-a",
    weights: dict[str, str] | None = None,
    borders: Sequence[float] = (10.0, 20.0),
    **options: Any,
) -> PieceFolder:
    told = Options(**{"render": False, **options})
    folder = PieceFolder(result, video_id, told, {"detector": "0a"} if weights is None else weights, borders)
    folder.make()
    return folder


def test_steps_of_other_runs_leave_their_files_elsewhere(tmp_path: Path) -> None:
    mine = folder_of(tmp_path).path
    assert mine.parent == tmp_path and mine.name.startswith("pieces-")
    others = [
        folder_of(tmp_path, "1-b"),
        folder_of(tmp_path, weights={"detector": "0b"}),
        folder_of(tmp_path, weights={"body": "0a"}),
        folder_of(tmp_path, borders=[10.0, 20.5]),
        folder_of(tmp_path, borders=[10.0]),
        *(folder_of(tmp_path, **{name: value}) for name, value in OTHERS.items()),
    ]
    assert len({mine, *(folder.path for folder in others)}) == 1 + len(others)
    assert folder_of(tmp_path, batch_size=4, quiet=True, overwrite=True, device="cpu").path == mine


OTHERS: dict[str, Any] = {
    "preset": "paper",
    "detect_every": 2,
    "max_people": 2,
    "up": (0.0, -1.0, 0.0),
    "start": 1.0,
    "end": 50.0,
    "edges": "official",
    "half": True,
    "focal": 500.0,
    "render": True,
    "style": "side",
}


def test_every_option_that_changes_the_result_is_told_apart(tmp_path: Path) -> None:
    """Those to come too: each is either known to change nothing, or has a folder of its own."""
    named = {"detector", "glot", "body", "gender", "min_frames", "camera", "fps", "refine", "frames", "report"}
    assert {field.name for field in fields(Options)} - SAME_RESULT == OTHERS.keys() | named


def test_what_a_step_said_is_read_again_and_a_damaged_log_is_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    assert folder.log("follow-0000") is None
    log = Log(
        1.5, {"draw": {"seconds": 1.0, "frames": 30, "fps": 30.0}}, ["a line \udcff"], {"joined": 2}, "osmesa", None
    )
    folder.close("follow-0000", log)
    assert folder.log("follow-0000") == log and log.files == {}
    path = folder.path / "follow-0000.json"
    text = path.read_text("utf-8")
    for damaged in (
        "",
        text[:-20],
        text.replace("1.5", "2.5"),
        "[]",
        "{}",
        sealed_json({"seconds": 1.0}),
        sealed_json(asdict(log) | {"more": 1}),
    ):
        path.write_text(damaged, "utf-8")
        assert folder.log("follow-0000") is None, damaged
    path.unlink()
    path.mkdir()
    assert folder.log("follow-0000") is None


def test_a_step_whose_files_are_gone_or_others_now_is_not_done(tmp_path: Path) -> None:
    folder, log = folder_of(tmp_path), Log(0.0, {}, [], {})
    folder.save("join", {"a": np.zeros(3)})
    folder.close("join", log)
    told = folder.log("join")
    assert told is not None and list(told.files) == ["join.npz"]
    folder.save("join", {"a": np.ones(3)})
    assert folder.log("join") is None
    (folder.path / "join.npz").unlink()
    assert folder.log("join") is None
    write_npz(tmp_path / "params.npz", {"a": np.zeros(1)})
    folder.close("lift", log, tmp_path / "params.npz")
    assert folder.log("lift") is not None
    write_npz(tmp_path / "params.npz", {"a": np.ones(1)})
    assert folder.log("lift") is None


def test_arrays_of_a_step_that_is_missing_or_damaged_are_an_error_that_names_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    path = folder.path / "look-0003.npz"
    for words in ("No such file", "damaged"):
        with pytest.raises(InputError, match=words) as caught:
            folder.load("look-0003")
        assert caught.value.path == path and "\n" not in str(caught.value) and caught.value.remedy
        path.write_bytes(b"PK\x03\x04 no archive")
    path.unlink()
    arrays = {"features": np.arange(6.0).reshape(2, 3), "crops": np.zeros((0, 2), np.int64)}
    folder.save("look-0003", arrays)
    assert folder.load("look-0003").keys() == arrays.keys()
    (one,) = folder.load("look-0003", "crops").items()
    assert one[0] == "crops" and one[1].shape == (0, 2) and one[1].dtype == np.int64


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        folder_of(tmp_path / "none")
    folder = folder_of(tmp_path)
    folder.make()  # as each step does
    folder.path.rmdir()
    for attempt in (lambda: folder.save("join", {"a": np.zeros(1)}), lambda: folder.close("join", Log(0, {}, [], {}))):
        with pytest.raises(OutputError, match="cannot be written"):
            attempt()


def test_what_steps_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """That of earlier runs with other options too; not what somebody put there, nor what a link leads to."""
    mine, stale, mixed = folder_of(tmp_path), folder_of(tmp_path, borders=[1.0]), folder_of(tmp_path, borders=[2.0])
    for folder in (mine, stale, mixed):
        folder.save("join", {"a": np.zeros(3)})
        folder.close("join", Log(0.0, {}, [], {}))
    np.savez(mixed.path / "own.npz", a=np.zeros(2))
    (mixed.path / "notes.json").write_text("{}")
    (mixed.path / "inner").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_npz(elsewhere / "params.npz", {"a": np.zeros(1)})
    (tmp_path / "pieces-of-a-friend").symlink_to(elsewhere, target_is_directory=True)
    (mixed.path / "link.npz").symlink_to(elsewhere / "params.npz")
    write_npz(tmp_path / "params.npz", {"a": np.zeros(1)})
    (tmp_path / "pieces-list.txt").write_text("mine")
    remove_pieces(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        mixed.path.name,
        "elsewhere",
        "params.npz",
        "pieces-of-a-friend",
        "pieces-list.txt",
    }
    assert {path.name for path in mixed.path.iterdir()} == {"own.npz", "notes.json", "inner", "link.npz"}
    assert (elsewhere / "params.npz").exists()
    remove_pieces(tmp_path)  # there is nothing to do, and it says nothing
    remove_pieces(tmp_path / "none")


def test_what_killed_steps_left_half_written_goes_too(tmp_path: Path) -> None:
    """On whichever machine they ran: when all steps are done, no other is at work."""
    folder = folder_of(tmp_path)
    for path in (folder.path / "follow-0000.npz", folder.path / "join-0000.json", folder.picture("draw-0012")):
        aside = aside_name(path)
        aside.write_bytes(b"half of it")
        elsewhere = aside.name.replace(f"{os.getpid()}-", "99999999-")
        aside.with_name(elsewhere[: elsewhere.rindex("-") + 1] + "0123abcd.part").write_bytes(b"half of it")
    assert len(list(folder.path.iterdir())) == 6
    remove_pieces(tmp_path)
    assert not list(tmp_path.iterdir())


BASE = Fraction(1, 1000)
STAMPS = 7000 + 40 * np.arange(250)  # of a video at 25 frames a second that begins late, in thousandths of a second
SPANS = ((0, 126), (78, 204), (156, 250))  # frames of pieces
BORDERS = [(102 - 0.5) / 25, (180 - 0.5) / 25]  # seconds


def background_of(count: int) -> SeenBackground:
    """Every third frame, the first a keyframe that is seen again in all others."""
    frames = list(range(0, count, 3))
    corners, places = np.zeros((12, 2), np.float32), np.full((12, 2), 3 * FINE, np.uint16)
    again = [
        SeenAgain(look, 0, np.eye(3, dtype=np.float32), np.arange(12, dtype=np.uint8), places, 12)
        for look in range(1, len(frames))
    ]
    keyframes = {0: Keyframe(0, corners, np.zeros((0, 4), np.float32))} if frames else {}
    return SeenBackground(1.0, frames, list(map(float, frames)), again, keyframes)


def watched(begin: int, end: int, shots: Sequence[int] = (), people: Sequence[tuple[int, int, float]] = ()) -> Watched:
    """A piece: frames from one to before another; `shots` and `people` (first, end, place) by frames of the video."""
    tracklets = []
    for first, last, x in people:
        frames = np.arange(max(first, begin), min(last, end), 3)
        if len(frames):
            box = np.array([x, 100, x + 50, 250], np.float32) + 0.1 * frames[:, None].astype(np.float32)
            tracklets.append(Tracklet(frames - float(begin), box, np.full(len(frames), 0.9, np.float32)))
    own = [0, *(shot - begin for shot in shots if begin < shot < end)] if end > begin else [0]
    stamps = STAMPS[begin:end].astype(np.int64)
    return Watched(0 if begin else 3, int(STAMPS[0]), stamps, own, tracklets, background_of(end - begin))


def together(pieces: Sequence[Watched]) -> tuple[list[Tracklet], Whole]:
    """As it is done with what was kept on the disk."""
    kept = [Watched.from_arrays(piece.to_arrays()) for piece in pieces]
    return put_pieces_together(kept, BORDERS, BASE, 25.0)


def test_what_was_seen_in_a_piece_is_kept(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for piece in (watched(0, 125, [30], [(0, 90, 10), (20, 60, 300)]), watched(75, 205), watched(250, 250)):
        folder.save("follow-0000", piece.to_arrays())
        back = Watched.from_arrays(folder.load("follow-0000"))
        assert (back.first, back.origin, back.shots) == (piece.first, piece.origin, piece.shots)
        np.testing.assert_array_equal(back.stamps, piece.stamps)
        assert len(back.tracklets) == len(piece.tracklets) and back.background.frames == piece.background.frames
        for one, other in zip(piece.tracklets, back.tracklets, strict=True):
            assert_same(one, other)


def test_pieces_become_the_video_again() -> None:
    people = [(0, 250, 10.0), (60, 170, 300.0)]
    pieces = [watched(*span, people=people) for span in SPANS]
    tracklets, whole = together(pieces)
    np.testing.assert_array_equal(whole.stamps, STAMPS)
    assert whole.stamps.dtype == np.int64 and whole.origin == 7000
    assert whole.parts.tolist() == [0, 102, 180, 250]
    assert whole.seen.first == 3 and whole.seen.shots == [0]
    np.testing.assert_allclose(whole.seen.times, STAMPS / 1000)
    np.testing.assert_array_equal(whole.seen.ticks, np.arange(250.0))
    assert len(tracklets) == 2
    for tracklet, (begin, end, x) in zip(tracklets, people, strict=True):
        assert tracklet.frames.tolist() == list(range(begin, end, 3))
        np.testing.assert_allclose(tracklet.boxes[:, 0], x + 0.1 * tracklet.frames, rtol=1e-5)
    background = whole.seen.background
    assert background.frames == list(range(0, 250, 3)) and background.ticks == [float(n) for n in background.frames]
    assert [background.frames[look] for look in background.keyframes] == [0, 78, 156]


def test_a_cut_in_an_overlap_is_one_and_where_a_piece_begins_is_none() -> None:
    shots = [30, 85, 110, 102, 160, 200, 180, 249]
    _, whole = together([watched(*span, shots) for span in SPANS])
    assert whole.seen.shots == [0, *sorted(shots)]
    _, whole = together([watched(*span) for span in SPANS])
    assert whole.seen.shots == [0]


def test_of_a_cut_that_pieces_do_not_agree_on_the_believed_one_tells() -> None:
    """As of one that was a flash, which the piece that ended too early could not know."""
    first, second, third = (watched(*span) for span in SPANS)
    wrong = replace(first, shots=[0, 90, 115]), replace(second, shots=[0, 20, 40]), third
    _, whole = together(wrong)
    assert whole.seen.shots == [0, 90, 118]  # the first says 90 and 115, the second 98 and 118


@pytest.mark.parametrize("last", [97, 178, 180, 181, 203])
def test_a_video_that_is_shorter_than_it_says_ends_with_its_last_frame(last: int) -> None:
    """The last piece has no frame then, or few; and nobody is gone before the end."""
    people = [(0, last, 10.0)]
    # Pieces that it does not reach have no frame, or none but those before their border.
    pieces = [watched(begin, max(begin, min(end, last)), people=people) for begin, end in SPANS]
    for unread in (False, last <= 180):
        pieces[2] = watched(250, 250) if unread else pieces[2]
        tracklets, whole = together(pieces)
        assert len(whole.stamps) == last and whole.parts.tolist() == [0, min(102, last), min(180, last), last]
        assert [tracklet.frames.tolist() for tracklet in tracklets] == [list(range(0, last, 3))]
        assert whole.seen.background.frames == list(range(0, last, 3))


def test_where_the_last_piece_cannot_be_read_the_video_ends_with_the_one_before() -> None:
    """Though that saw some frames more, which it is not believed about."""
    people = [(0, 250, 10.0), (181, 203, 300.0)]
    tracklets, whole = together(
        [watched(*SPANS[0], people=people), watched(*SPANS[1], [195], people), watched(250, 250)]
    )
    assert len(whole.stamps) == 180 and whole.seen.shots == [0] and whole.seen.background.frames == [*range(0, 180, 3)]
    assert [tracklet.frames.tolist() for tracklet in tracklets] == [list(range(0, 180, 3))]


def test_frames_that_only_one_piece_could_decode_put_nothing_in_disorder() -> None:
    harmed = []
    for (begin, end), gone in zip(SPANS, ([90, 91, 92], [85, 86, 190], [160]), strict=True):
        piece = watched(begin, end, people=[(0, 250, 10.0)])
        left = ~np.isin(np.arange(begin, end), gone)
        (one,) = piece.tracklets
        one = one.take(left[one.frames.astype(int)])
        moved = replace(one, frames=(np.cumsum(left) - 1.0)[one.frames.astype(int)])
        background = background_of(int(left.sum()))
        harmed.append(replace(piece, stamps=piece.stamps[left], tracklets=[moved], background=background))
    tracklets, whole = together(harmed)
    # Of the frames that are gone in a piece, those are gone that it is believed about.
    expected = np.delete(np.arange(250), [90, 91, 92])
    np.testing.assert_array_equal(whole.stamps, STAMPS[expected])
    assert whole.parts.tolist() == [0, 99, 177, 247]
    (tracklet,) = tracklets
    ticks = whole.seen.ticks
    assert np.isin(tracklet.frames, ticks).all() and (np.diff(tracklet.frames) > 0).all()
    assert (np.diff(whole.seen.background.frames) > 0).all()
    np.testing.assert_array_equal(ticks, expected)
