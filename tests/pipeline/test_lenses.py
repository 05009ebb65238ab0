"""The lens of a video of two shots, in the first of which it zooms: what is known goes before what is seen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from glot_cli.lifting.lifters import VideoCamera
from glot_cli.pipeline.lenses import find_camera, zoom_of_looks
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import Timeline
from glot_cli.world.background import ShotBackground
from glot_cli.world.given import GivenCamera
from tests.world.test_camera_motion import FOCAL, SIZE, filmed, room, standing, turning

LOOKS, EVERY = 13, 3
FRAMES = EVERY * (LOOKS - 1) + 1  # of each shot
ZOOM = np.exp(np.linspace(0, 0.4, LOOKS))


@pytest.fixture(scope="module")
def scenes() -> list[ShotBackground]:
    rng = np.random.default_rng(3)
    still, points = turning(np.zeros((LOOKS, 3))), room(rng)
    shaken = turning(rng.normal(0, 0.5, (LOOKS, 3)))
    return [
        filmed(still, standing(LOOKS), points, rng, focal=FOCAL * ZOOM),
        filmed(shaken, standing(LOOKS), points, rng),
    ]


def found(scenes: list[ShotBackground], given: GivenCamera | None = None, **known: Any) -> VideoCamera:
    """By people whom the guess suits when it is half as long again."""
    ticks = np.tile(np.arange(float(FRAMES)), 2)
    info = SimpleNamespace(fps=30, width=SIZE[0], height=SIZE[1], focal=None)
    asked = cast(Any, SimpleNamespace(focal=lambda tracks, features, camera, **how: 1.5 * camera.focal))
    models = SimpleNamespace(lifter=asked, preset=SimpleNamespace(window_fps=30.0))
    seen = Timeline(0, ticks / 30, ticks, [0, FRAMES], cast(Any, None))
    camera = find_camera(cast(Any, info), [], seen, scenes, [], cast(Any, models), Options(**known), given)
    if camera.zoom is not None:
        looks = zoom_of_looks(camera, ticks[:FRAMES], scenes[0], 0)
        assert looks is not None and np.allclose(looks, camera.zoom[:FRAMES:EVERY])
    return camera


def test_a_zoom_is_told_for_every_frame_of_its_shot(scenes: list[ShotBackground]) -> None:
    camera = found(scenes)
    truth = np.exp(np.linspace(-0.2, 0.2, FRAMES))
    assert camera.zoom is not None and len(camera.zoom) == 2 * FRAMES
    assert np.abs(camera.zoom[:FRAMES].numpy() / truth - 1).max() < 0.003
    assert (camera.zoom[FRAMES:] == 1).all()
    known = found(scenes, focal=900.0)
    assert known.focal == 900 and isinstance(lengths := known.focal_in(np.arange(FRAMES)), torch.Tensor)
    assert float(lengths.median()) == pytest.approx(900, rel=0.002)


def test_a_camera_that_is_said_to_stand_does_not_zoom(scenes: list[ShotBackground]) -> None:
    camera = found(scenes, camera="static")
    assert camera.zoom is None and camera.focal_in(np.arange(5)) == camera.focal
    assert camera.focal == pytest.approx(1.5 * np.hypot(*SIZE))
    assert found(scenes[1:] * 2).zoom is None


def test_a_file_s_focal_lengths_are_taken_as_they_are(scenes: list[ShotBackground]) -> None:
    turns = np.repeat(np.eye(3)[None], 2 * FRAMES, 0)
    lengths = np.linspace(500, 900, 2 * FRAMES)
    given = GivenCamera(Path("c.npz"), turns, None, lengths, None)
    camera = found(scenes, given)
    np.testing.assert_allclose(camera.focal_in(np.arange(2 * FRAMES)), lengths, rtol=1e-6)
    steady = found(scenes, GivenCamera(Path("c.npz"), turns, None, np.full(2 * FRAMES, 700.0), None))
    assert steady.zoom is None and steady.focal == 700
    overruled = found(scenes, given, focal=800.0)
    assert overruled.focal == 800 and overruled.zoom is not None and (overruled.zoom[FRAMES:] == 1).all()
