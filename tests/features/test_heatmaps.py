import math

import numpy as np
import pytest
import torch

from glot_cli.features.heatmaps import LEAST, REACH, lay_on_heatmaps


def by_hand(point, heatmap):
    """One point, cell by cell."""
    height, width = heatmap.shape
    column, row = round(point[0]), round(point[1])
    if not (0 <= column < width and 0 <= row < height):
        return point, 0.0
    total, x, y, highest = 0.0, 0.0, 0.0, 0.0
    for r in range(max(0, row - REACH), min(height, row + REACH + 1)):
        for c in range(max(0, column - REACH), min(width, column + REACH + 1)):
            chance = 1 / (1 + math.exp(-heatmap[r, c]))
            total, x, y = total + chance, x + chance * c, y + chance * r
            highest = max(highest, chance)
    return ((x / total, y / total) if highest >= LEAST else point), highest


def test_equals_the_sum_cell_by_cell():
    random = torch.Generator().manual_seed(0)
    points = torch.rand(3, 50, 2, generator=random) * torch.tensor([30.0, 22.0]) - 3  # some outside
    heatmaps = 2 * torch.randn(3, 50, 16, 24, generator=random) - 6
    found, certainty = lay_on_heatmaps(points, heatmaps)
    expected = [
        [by_hand(point.tolist(), heatmap.numpy()) for point, heatmap in zip(*rows, strict=True)]
        for rows in zip(points, heatmaps, strict=True)
    ]
    np.testing.assert_allclose(found, [[place for place, _ in row] for row in expected], atol=1e-4)
    np.testing.assert_allclose(certainty, [[highest for _, highest in row] for row in expected], atol=1e-6)
    moved = (found != points).any(-1)
    assert moved.any() and (~moved).any() and (certainty == 0).any()


@pytest.mark.parametrize("off", [(0.0, 0.0), (1.5, -2.0), (-2.5, 1.0)])
def test_a_peak_nearby_is_found(off):
    peak = torch.tensor([20.3, 33.8])
    cells = torch.stack(torch.meshgrid(torch.arange(64), torch.arange(64), indexing="xy"), -1)
    chance = torch.exp(-(cells - peak).square().sum(-1) / (2 * 0.9**2)).clamp(1e-6, 0.97)
    heatmap = torch.logit(chance)[None, None]
    found, certainty = lay_on_heatmaps((peak + torch.tensor(off))[None, None], heatmap)
    assert (found - peak).abs().max() < 0.1
    assert certainty.item() == pytest.approx(chance.max().item())


def test_an_empty_heatmap_moves_nothing():
    points = torch.tensor([[[3.2, 60.9], [-1.0, 5.0], [64.0, 5.0]]])
    found, certainty = lay_on_heatmaps(points, torch.full((1, 3, 64, 64), -5.0))
    assert torch.equal(found, points)
    assert certainty[0, 0] < LEAST and (certainty[0, 1:] == 0).all()
