"""What the tests of made-up pictures share: a way to draw, figures, motions made on the spot, small clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from glot_cli.errors import RenderError
from glot_cli.synth import painter
from glot_cli.synth.acting import Takes
from glot_cli.synth.request import ClipRequest
from glot_cli.synth.wardrobe import Figures

FRAMES = 90  # of a take
STANDING = 0.95  # metres, the pelvis above the floor
SMALL = ClipRequest(seconds=0.6, fps=Fraction(10), size=(192, 108))  # six frames


@pytest.fixture(scope="session")
def drawing() -> None:
    """Tests that draw are skipped where nothing draws. OpenGL may be imported only after this."""
    try:
        painter.prepare()
    except RenderError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="session")
def motions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three takes of people who walk on the spot, wave, and bend their knees; the last one is short."""
    time = np.arange(FRAMES) / 30
    poses = np.zeros((3, FRAMES, 24, 3), np.float32)
    poses[:, :, 16, 2], poses[:, :, 17, 2] = -1.1, 1.1  # arms hang
    swing = np.sin(2 * np.pi * time)
    poses[0, :, 1, 0], poses[0, :, 2, 0] = -0.4 * swing, 0.4 * swing  # thighs
    poses[0, :, 4, 0], poses[0, :, 5, 0] = 0.3 + 0.3 * swing, 0.3 - 0.3 * swing  # knees
    poses[1, :, 17, 2] = 0.4 * swing
    poses[1, :, 19, 1] = 0.8 + 0.5 * swing
    bent = 0.3 * (1 - np.cos(np.pi * time))
    poses[2, :, (1, 2), 0], poses[2, :, (4, 5), 0] = -bent, 2 * bent
    trans = np.tile(np.array([0, STANDING, 0], np.float32), (3 * FRAMES, 1))
    trans[:FRAMES, 2] = 0.3 * time
    lengths = (FRAMES, FRAMES, FRAMES // 3)
    kept = np.concatenate([np.arange(n) + i * FRAMES for i, n in enumerate(lengths)])
    path = tmp_path_factory.mktemp("motions") / "motions.npz"
    np.savez(
        path,
        poses=poses.reshape(-1, 24, 3)[kept],
        trans=trans[kept],
        clip_index=np.repeat([0, 1, 2], lengths),
        clip_names=np.array(["walk", "wave", "bend"]),
    )
    return path


@pytest.fixture(scope="session")
def takes(motions: Path) -> Takes:
    return Takes.read(motions)
