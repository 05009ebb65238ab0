"""Clothes: who wears what, and how far it stands off the skin."""

import numpy as np
import pytest

from glot_cli.synth.wardrobe import THICKEST, Figures, Outfit, Wardrobe

OUTFITS = 25
NEVER_COVERED = ("skin", "hand", "eye", "iris", "lips", "eyebrow")


@pytest.fixture(scope="module")
def outfits(figures: Figures) -> list[Outfit]:
    return [figures.wardrobe.dress(np.random.default_rng(seed)) for seed in range(OUTFITS)]


def part(wardrobe: Wardrobe, *names: str) -> np.ndarray:
    return np.isin(wardrobe.regions, [wardrobe.names.index(name) for name in names])


def test_colours_are_opaque_and_differ_between_garments(figures: Figures, outfits: list[Outfit]) -> None:
    torso, legs = part(figures.wardrobe, "torso"), part(figures.wardrobe, "pelvis_thigh")
    for outfit in outfits:
        assert outfit.colours.shape == (figures.body.num_vertices, 4) and outfit.colours.dtype == np.float32
        assert outfit.colours.min() >= 0 and outfit.colours.max() <= 1 and (outfit.colours[:, 3] == 1).all()
    apart = [np.abs(o.colours[torso].mean(0) - o.colours[legs].mean(0)).max() for o in outfits]
    assert np.median(apart) > 0.1


def test_cloth_stands_off_where_it_is_worn_and_nowhere_else(figures: Figures, outfits: list[Outfit]) -> None:
    wardrobe = figures.wardrobe
    always, never = part(wardrobe, "torso", "pelvis_thigh"), part(wardrobe, *NEVER_COVERED)
    reach = (~never).astype(np.float32)
    for _ in range(2):  # a hem is spread over two rings of vertices
        reach = wardrobe._mean @ reach
    bare = reach == 0
    assert bare.sum() > 1000
    for outfit in outfits:
        assert outfit.offset.shape == (figures.body.num_vertices,)
        assert outfit.offset.min() >= 0 and outfit.offset.max() <= 2 * THICKEST
        assert (outfit.offset[bare] == 0).all()
        assert (outfit.offset[always] > 0).all()
    loosest = max(float(outfit.offset[always].mean()) for outfit in outfits)
    assert 0.3 * THICKEST < loosest <= 1.1 * THICKEST


def test_sleeves_and_legs_come_in_all_lengths(figures: Figures, outfits: list[Outfit]) -> None:
    worn = {
        name: np.array([bool((np.median(o.offset[part(figures.wardrobe, name)])) > 0) for o in outfits])
        for name in ("upper_arm", "forearm", "shin")
    }
    assert all(0 < covered.sum() < OUTFITS for covered in worn.values())
    assert not (worn["forearm"] & ~worn["upper_arm"]).any(), "no sleeve without its upper part"


def test_the_seed_decides(figures: Figures) -> None:
    one, same, other = (figures.wardrobe.dress(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one.colours, same.colours) and np.array_equal(one.offset, same.offset)
    assert not np.array_equal(one.colours, other.colours) and not np.array_equal(one.offset, other.offset)


def test_a_clothed_body_encloses_the_naked_one(figures: Figures, outfits: list[Outfit]) -> None:
    skin = figures.wardrobe.template.astype(np.float32)
    outside, normals = figures.clothed(skin, outfits[0])
    moved = np.einsum("vi,vi->v", outside - skin, figures.normals(skin))
    assert np.allclose(moved, outfits[0].offset, atol=1e-5)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
