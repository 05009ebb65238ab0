"""A run over a video that is cut: nothing of what comes before a cut is in what comes after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from glot_cli.pipeline import draw as drawing
from glot_cli.pipeline.draw import _pivots
from glot_cli.progress import Progress
from glot_cli.rendering.styles import Style
from glot_cli.results import Result, empty_arrays, load_result
from glot_cli.schema import FIELDS
from glot_cli.video import probe
from tests.cli.fixtures import COUNT, Glot
from tests.pipeline.made_results import record

CUT = 8


@pytest.fixture(scope="module")
def cut_video(tmp_path_factory: pytest.TempPathFactory, person_frames: list[np.ndarray]) -> Path:
    """A folder of images: somebody, then the same nearer and in a mirror."""
    folder = tmp_path_factory.mktemp("cut") / "film"
    folder.mkdir()
    second = [cv2.resize(f[20:220, 60:300], (f.shape[1], f.shape[0]))[:, ::-1] for f in person_frames]
    for number, frame in enumerate(person_frames[:CUT] + second):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame[..., ::-1])
    return folder


def test_nothing_crosses_a_cut(glot: Glot, cut_video: Path, tmp_path: Path) -> None:
    """The second shot comes out as it does alone, with a shape of its own; looks carry the number over."""
    # The focal length is one for a whole video, and would be guessed from more people in the one than in the other.
    quick = ("--quiet", "--no-render", "--no-frames", "--focal", 300)
    assert glot("run", cut_video, "--out", tmp_path, *quick).status == 0
    start = f"{(CUT - 0.5) / 30:.4f}"
    assert glot("run", cut_video, "--out", tmp_path / "later", "--start", start, *quick).status == 0
    both, alone = load_result(tmp_path / "film"), load_result(tmp_path / "later" / "film")
    assert both.meta.shots == [0, CUT] and alone.meta.shots == [CUT] == [alone.meta.start_frame]
    assert both.shot.tolist() == [0] * CUT + [1] * COUNT == (both.frame >= CUT).astype(int).tolist()
    assert both.people == [1]
    second = both.select(both.shot == 1)
    for name in set(FIELDS) - {"person", "shot"}:
        np.testing.assert_allclose(second.arrays[name], alone.arrays[name], atol=2e-4, err_msg=name)
    assert np.ptp(second.betas, axis=0).max() == 0
    assert np.abs(second.betas[0] - both.betas[0]).max() > 0.01


def test_the_side_view_does_not_drift_across_a_cut(video: Path) -> None:
    arrays = {name: np.zeros((20, *values.shape[1:]), values.dtype) for name, values in empty_arrays().items()}
    arrays["frame"] += np.arange(20, dtype=np.int32)
    arrays["shot"] += arrays["frame"] >= 10
    arrays["transl"][10:, 2] = 5.0
    pivots = _pivots(Result(arrays, record(video).meta))
    np.testing.assert_allclose([pivots[t][2] for t in range(20)], [0.0] * 10 + [5.0] * 10, atol=1e-9)


def test_the_side_view_goes_by_time(video: Path) -> None:
    """It does not drift across a pause, follows as slowly at 1000 frames a second as at 25, and anybody's absence."""

    def pivots(frames: np.ndarray, times: np.ndarray, depth: np.ndarray, fps: int) -> np.ndarray:
        count = len(frames)
        arrays = {name: np.zeros((count, *values.shape[1:]), values.dtype) for name, values in empty_arrays().items()}
        arrays["frame"] += frames.astype(np.int32)
        arrays["time"] += times
        arrays["transl"][:, 2] = depth
        found = _pivots(Result(arrays, replace(record(video).meta, fps=str(fps))))
        return np.array([found[int(frame)][2] for frame in frames])

    frames = np.arange(20)
    late = frames >= 10
    np.testing.assert_allclose(pivots(frames, frames / 25 + 30 * late, 5.0 * late, 25), 5.0 * late, atol=1e-6)
    slow, fast = np.arange(100), np.arange(4000)
    wanted = pivots(slow, slow / 25, np.sin(slow / 25), 25)
    np.testing.assert_allclose(pivots(fast, fast / 1000, np.sin(fast / 1000), 1000)[::40], wanted, atol=0.02)
    there = np.delete(slow, slice(30, 45))
    np.testing.assert_allclose(pivots(there, there / 25, 0.1 * there, 25), 0.1 * there, atol=1e-3)


@pytest.mark.parametrize("style", ["overlay", "wireframe", "side"])
def test_only_the_side_view_has_a_pivot(video: Path, monkeypatch: pytest.MonkeyPatch, style: Style) -> None:
    class Asked(Exception):
        pass

    class Reached(Exception):
        pass

    def asked(*_: object, **__: object) -> None:
        raise Asked

    def reached(*_: object, **__: object) -> None:
        raise Reached

    monkeypatch.setattr(drawing, "_pivots", asked)
    monkeypatch.setattr(drawing, "Renderer", reached)
    meta = replace(record(video).meta, width=probe(video).width, height=probe(video).height)
    with pytest.raises(Asked if style == "side" else Reached):
        drawing.draw(Result(empty_arrays(), meta), video, video, cast(Any, SimpleNamespace(faces=None)), style=style,
                     progress=Progress(quiet=True), warn=pytest.fail)  # fmt: skip
