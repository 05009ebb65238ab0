"""A run over a video that is cut: nothing of what comes before a cut is in what comes after."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from glot_cli.pipeline.draw import _pivots
from glot_cli.results import FIELDS, Result, empty_arrays, load_result
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
