"""The first step of a video in pieces, as it is but for a network: what pieces say of the background hangs together."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glot_cli.pipeline import borders
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import Timeline, watch
from glot_cli.pipeline.pieces import Whole
from glot_cli.pipeline.split_run import SplitRun
from glot_cli.pipeline.video_source import Source
from glot_cli.progress import Progress
from glot_cli.tracking.detector import Detections
from glot_cli.tracking.tracklets import Tracklet
from glot_cli.video import probe, read_frames
from glot_cli.world.background import SeenBackground
from tests.video.small_videos import make_video

SIZE = (160, 96)
SPEED = 1  # pixels a frame
PERSON = np.array([[20, 30, 60, 100, 0.9]], np.float32)


class StandingPerson:
    """Sees one person, always in the same place."""

    device = torch.device("cuda")  # looks at whole frames then

    def __call__(self, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        return [Detections(PERSON, None) for _ in pictures]


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borders, "LEAST_SPLIT", 1.0)


def wall(seed: int) -> NDArray[np.uint8]:
    """(96, 600, 3) that a window slides over, of a colour of its own."""
    rng = np.random.default_rng(seed)
    fine = cv2.resize(rng.integers(0, 90, (24, 150), np.uint8), (600, SIZE[1]), interpolation=cv2.INTER_CUBIC)
    colour = np.array([(40, 90, 160), (160, 60, 30), (60, 150, 50)][seed], np.uint8)
    return cv2.GaussianBlur(fine, (0, 0), 1)[..., None] + colour


def film(path: Path, stamps: Sequence[int], shots: Sequence[int] = ()) -> Path:
    """A camera that pans at an even speed, over another wall from each cut on; stamps are hundredths of a second."""
    walls = [wall(seed) for seed in range(len(shots) + 1)]

    def paint(index: int, width: int, height: int) -> NDArray[np.uint8]:
        shown = walls[sum(shot <= index for shot in shots)]
        return shown[:height, SPEED * index : SPEED * index + width]

    quick = {"crf": "12", "g": "25", "preset": "ultrafast"}
    return make_video(path, list(stamps), Fraction(1, 100), size=SIZE, options=quick, paint=paint)


def at_once(path: Path, options: Options) -> Timeline:
    info, models = probe(path), cast(Any, SimpleNamespace(detector=StandingPerson()))
    return watch(read_frames(info, options.start, options.end), info, models, options, Progress(quiet=True), None)[1]


def in_pieces(path: Path, out: Path, options: Options, seconds: float) -> tuple[list[Tracklet], Whole, int]:
    """What all pieces saw, and how many they were."""
    runner = SimpleNamespace(
        options=options,
        models=SimpleNamespace(detector=StandingPerson()),
        weights={},
        place_of=lambda video, folder: ResultFolder(folder, Source.of(video)),
        given_camera=lambda info: None,
        earlier=lambda video, place: None,
    )
    run = SplitRun(cast(Any, runner), path, out, seconds)
    plan = run.plan()
    assert isinstance(plan, list) and plan[0] == ("follow", run.count)
    for piece in range(run.count):
        assert run.step("follow", piece) is None
    return *run._put_together(), run.count


def parts_of(background: SeenBackground, begin: int, end: int) -> list[set[int]]:
    """Frames of [begin, end) that were looked at, in groups that sightings of keyframes tie together."""
    groups = {frame: {frame} for frame in background.frames if begin <= frame < end}
    for sighting in background.sightings:
        pair = [background.frames[look] for look in (sighting.look, sighting.keyframe)]
        if all(frame in groups for frame in pair) and groups[pair[0]] is not groups[pair[1]]:
            groups[pair[0]] |= groups[pair[1]]
            for frame in groups[pair[1]]:
                groups[frame] = groups[pair[0]]
    return list({id(group): group for group in groups.values()}.values())


@pytest.mark.parametrize("start", [None, 0.5])
def test_at_any_rate_pieces_look_at_the_frames_that_are_looked_at_without_them(
    start: float | None, tmp_path: Path
) -> None:
    """At 25 frames a second, two seconds are no whole rounds of looks."""
    path = film(tmp_path / "a.mp4", range(0, 1000, 4))
    options = Options(render=False, quiet=True, start=start)
    expected = at_once(path, options)
    (tracklet,), whole, count = in_pieces(path, tmp_path / "out", options, 5.0)
    assert count == 2
    assert whole.seen.background.frames == expected.background.frames
    np.testing.assert_array_equal(whole.seen.ticks, expected.ticks)
    assert whole.seen.shots == expected.shots == [0] and whole.seen.first == expected.first
    assert tracklet.frames.tolist() == expected.background.frames
    assert len(parts_of(whole.seen.background, 0, 250)) == 1


@pytest.mark.parametrize("cuts", [(40,), (41, 100), (72,), (73, 82), (124, 131)])
def test_pieces_hang_together_though_looks_begin_anew_with_each_shot(cuts: tuple[int, ...], tmp_path: Path) -> None:
    """A piece that begins within a shot cannot know where that began; the one before looks where it does."""
    path = film(tmp_path / "a.mp4", range(0, 1000, 4), cuts)
    options = Options(render=False, quiet=True)
    expected = at_once(path, options)
    tracklets, whole, count = in_pieces(path, tmp_path / "out", options, 5.0)
    assert count == 2 and whole.parts.tolist() == [0, 126, 250]
    assert whole.seen.shots == expected.shots == [0, *cuts]
    looked = whole.seen.background.frames
    assert set(cuts) <= set(looked) and np.diff(looked).max() <= 3
    for begin, end in pairwise([0, *cuts, 250]):
        assert len(parts_of(whole.seen.background, begin, end)) == 1
    assert sorted(frame for tracklet in tracklets for frame in tracklet.frames.tolist()) == looked


@pytest.mark.parametrize("until", [8.0, 14.2])
@pytest.mark.parametrize("cut", [True, False])
def test_a_pause_about_a_border_hides_no_cut_and_parts_nothing(cut: bool, until: float, tmp_path: Path) -> None:
    """A piece begins before it then, and one that lies within it is empty."""
    before = list(range(0, 252, 4))  # to 2.48 s
    stamps = [*before, *range(round(100 * until), 2000, 4)]
    path = film(tmp_path / "a.mp4", stamps, [len(before)] * cut)
    options = Options(render=False, quiet=True)
    expected = at_once(path, options)
    _, whole, count = in_pieces(path, tmp_path / "out", options, 5.0)
    assert count == 4
    assert whole.stamps.tolist() == [frame.pts for frame in read_frames(path)]
    assert (np.diff(whole.parts) == 0).any() == (until > 10)
    assert whole.seen.shots == expected.shots == [0, *[len(before)] * cut]
    np.testing.assert_array_equal(whole.seen.ticks, expected.ticks)
    for begin, end in pairwise([*whole.seen.shots, len(stamps)]):
        assert len(parts_of(whole.seen.background, begin, end)) == 1
