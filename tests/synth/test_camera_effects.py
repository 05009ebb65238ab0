"""What a camera does to a picture."""

from dataclasses import replace

import numpy as np
import pytest

from glot_cli.synth.camera_effects import CameraEffects

CLEAR = CameraEffects(gain=1.0, blur=0.0, noise=0.0, quality=100, shutter=0.0)
GREY = np.full((64, 80, 3), 120.0, np.float32)


def test_a_clear_camera_changes_nothing() -> None:
    seen = CLEAR.expose(GREY, np.random.default_rng(0))
    assert seen.dtype == np.uint8 and (seen == 120).all()
    assert np.abs(CLEAR(GREY, np.random.default_rng(0)).astype(int) - 120).max() <= 1


def test_exposure_blur_noise_and_compression_do_what_they_say() -> None:
    rng = np.random.default_rng(1)
    assert (replace(CLEAR, gain=1.3).expose(GREY, rng) == 156).all()
    assert (replace(CLEAR, gain=9.0).expose(GREY, rng) == 255).all()
    noisy = replace(CLEAR, noise=6.0).expose(GREY, rng).astype(float)
    assert noisy.std() == pytest.approx(6.0, rel=0.1) and noisy.mean() == pytest.approx(119.5, abs=0.5)
    edge = np.where(np.arange(80)[None, :, None] < 40, 0.0, 200.0) * np.ones((64, 1, 3))
    rise = replace(CLEAR, blur=1.5).expose(edge.astype(np.float32), rng)[32, :, 0].astype(float)
    # The slope of a step that a Gaussian has blurred: its height over sigma sqrt(2 pi).
    assert np.diff(rise).max() == pytest.approx(200 / (1.5 * np.sqrt(2 * np.pi)), rel=0.1)
    speckled = rng.uniform(0, 255, (64, 80, 1)).astype(np.float32).repeat(3, -1)
    losses = [np.abs(replace(CLEAR, quality=q)(speckled, rng) - speckled).mean() for q in (95, 25)]
    assert losses[0] < 0.5 * losses[1]


def test_compression_knows_red_from_blue() -> None:
    rng = np.random.default_rng(2)
    pattern = rng.uniform(0, 255, (64, 64)).astype(np.float32)
    loss = []
    for channel in (0, 2):
        picture = np.full((64, 64, 3), 100.0, np.float32)
        picture[..., channel] = pattern
        loss.append(np.abs(replace(CLEAR, quality=75)(picture, rng)[..., channel] - pattern).mean())
    assert loss[0] < 0.9 * loss[1], "red counts more for the brightness, which JPEG keeps finer than the colour"


def test_drawn_cameras_stay_in_range_and_follow_the_seed() -> None:
    drawn = [CameraEffects.draw(np.random.default_rng(seed)) for seed in range(200)]
    assert drawn[7] == CameraEffects.draw(np.random.default_rng(7)) != drawn[8]
    assert all(0.6 <= x.gain <= 1.3 and 0 <= x.blur <= 1.6 and 0 <= x.noise <= 9 for x in drawn)
    assert all(25 <= x.quality <= 95 and 0 <= x.shutter <= 1 for x in drawn)
    assert 0.1 < np.mean([x.shutter > 0 for x in drawn]) < 0.4
    picture = np.random.default_rng(0).uniform(0, 255, (64, 64, 3)).astype(np.float32)
    one, same = (drawn[3](picture, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one, same) and one.dtype == np.uint8 and one.shape == (64, 64, 3)
