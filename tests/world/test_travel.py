"""Where a camera goes, from feet that rest and from the shape of its path."""

from __future__ import annotations

import numpy as np
import torch

from glot_cli.world.travel import camera_places

COUNT, FPS = 120, 30.0
TICKS = torch.arange(COUNT).double()
PATH = np.stack([np.linspace(0, 2.4, COUNT), np.zeros(COUNT), 0.3 * np.sin(np.linspace(0, 3, COUNT))], 1)


def walking_feet(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Feet (COUNT, 4, 3) as a camera on PATH sees them, one foot down at a time, and their contacts."""
    step = np.arange(COUNT) // 15
    left = (step % 2 == 0)[:, None] * np.ones(2)
    contact = np.concatenate([left, 1 - left], 1)
    place = np.zeros((COUNT, 4, 3))
    for foot in (0, 1):
        down = step % 2 == foot
        goes = np.where(down, step, 0).astype(float)
        goes[~down] = np.interp(np.flatnonzero(~down), np.flatnonzero(down), goes[down])
        place[:, 2 * foot : 2 * foot + 2, 2] = -4 - 0.35 * goes[:, None]
    seen = place - PATH[:, None] + rng.normal(size=(COUNT, 1, 3)) * 0.004
    return torch.from_numpy(seen).float(), torch.from_numpy(contact).float()


def missed(path: np.ndarray) -> float:
    feet, contact = walking_feet(np.random.default_rng(0))
    found = camera_places([torch.arange(COUNT)], [feet], [contact], path, TICKS, FPS).numpy()
    return float(np.linalg.norm(found - PATH, axis=1).max())


def test_feet_alone_tell_the_path() -> None:
    assert missed(np.zeros((COUNT, 3))) < 0.25


def test_a_path_without_a_size_gets_one() -> None:
    assert missed(PATH / 7) < 0.06
    assert missed(PATH * 3) < 0.06


def test_a_path_of_the_wrong_way_is_not_followed() -> None:
    assert missed(-PATH) < 0.4


def test_how_long_feet_must_rest_is_counted_in_seconds() -> None:
    feet = torch.linspace(0, 1, 8)[:, None, None] * torch.tensor([-0.2, 0.0, 0.0]).expand(4, 3)
    contact = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(8, 1)  # seven steps of one point
    for fps, told in ((30.0, True), (180.0, True), (240.0, False), (1000.0, False)):
        found = camera_places([torch.arange(8)], [feet], [contact], np.zeros((8, 3)), torch.arange(8).double(), fps)
        assert bool(found.any()) == told


def test_nobody_stands_nothing_is_made_up() -> None:
    feet, contact = walking_feet(np.random.default_rng(0))
    assert not camera_places([torch.arange(COUNT)], [feet], [0 * contact], PATH, TICKS, FPS).any()
    assert camera_places([], [], [], PATH, TICKS, FPS).shape == (COUNT, 3)
