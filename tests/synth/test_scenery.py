"""What is around people: backgrounds, light, things in front."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from glot_cli.errors import InputError
from glot_cli.synth.scenery import Backgrounds, Light, clutter, obstacle


def test_drawn_clutter_is_a_picture_and_never_twice_the_same() -> None:
    one, same, other = (clutter(96, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (96, 96, 3) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 255 and one.std() > 3
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_own_images_are_found_below_a_folder_and_cut_square(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    cv2.imwrite(str(tmp_path / "deep" / "wide.PNG"), np.full((40, 90, 3), (10, 200, 60), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    backgrounds = Backgrounds.from_folder(tmp_path)
    assert [path.name for path in backgrounds.images] == ["wide.PNG"]
    rng = np.random.default_rng(0)
    drawn = [backgrounds.draw(64, rng) for _ in range(40)]
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.float32 for picture in drawn)
    own = sum(bool((picture == (60, 200, 10)).all()) for picture in drawn)  # RGB
    assert 20 < own < 38, "three of four"


def test_a_folder_without_images_and_a_broken_image_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images there .*\.jpg.*; give a folder"):
        Backgrounds.from_folder(tmp_path)
    (tmp_path / "broken.jpg").write_text("no picture")
    backgrounds = Backgrounds.from_folder(tmp_path)
    with pytest.raises(InputError, match=r"broken\.jpg: not an image"):
        for _ in range(20):
            backgrounds.draw(32, np.random.default_rng(0))


def test_obstacles_cover_a_part_of_the_picture_near_the_person() -> None:
    centre, extent = np.array([60.0, 70.0]), np.array([30.0, 80.0])
    shares = []
    for seed in range(60):
        mask = obstacle(128, centre, extent, np.random.default_rng(seed))
        assert mask.shape == (128, 128) and mask.dtype == np.float32
        assert mask.min() >= 0 and mask.max() <= 1
        assert ((mask > 0) & (mask < 1)).any(), "edges are soft"
        shares.append(mask.mean())
        rows, columns = np.nonzero(mask)
        assert np.abs(rows - centre[1]).min() < extent[1] and np.abs(columns - centre[0]).min() < extent[1]
    assert min(shares) > 0 and max(shares) < 0.7 and np.std(shares) > 0.05


def test_light_shades_by_the_normal_and_keeps_coverage() -> None:
    light = Light(np.random.default_rng(0))
    colours = np.tile(np.array([0.8, 0.5, 0.3, 1.0], np.float32), (3, 1))
    normals = np.stack([light.towards[0], -light.towards[0], light.towards.mean(0)])
    lit = light(normals, colours)
    assert lit.shape == (3, 4) and lit.min() >= 0 and lit.max() <= 1 and (lit[:, 3] == 1).all()
    assert (lit[0, :3] > lit[1, :3]).all(), "brighter where it faces a lamp"
