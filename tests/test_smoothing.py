"""The smoother against its equations solved with sixty digits: at any rate, any length, even and uneven."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest

from glot_cli.smoothing import stiffness, third_differences, whittaker


def exact(values: np.ndarray, cutoff: float, weights: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The least squares' own normal equations by elimination in sixty digits: values (n,)."""
    with localcontext() as context:
        context.prec = 60
        n, strength = len(values), Decimal(stiffness(cutoff))
        at = [Decimal(float(time)) for time in times]
        steps = [after - before for before, after in pairwise(at)]
        pairs = zip(steps + steps[-1:], steps[:1] + steps, strict=True)
        spans = [min((a + b) / 2, 2 * min(a, b)) for a, b in pairs]
        weight = [Decimal(float(w)) * span for w, span in zip(weights, spans, strict=True)]
        band = [[w, Decimal(0), Decimal(0), Decimal(0)] for w in weight]
        for r in range(n - 3):
            four = at[r : r + 4]
            slopes = []  # of the third derivative of the cubic through four points, by each
            for i, one in enumerate(four):
                product = Decimal(6)
                for j, other in enumerate(four):
                    product /= one - other if i != j else 1
                slopes.append(product)
            for i in range(4):
                for k in range(4 - i):
                    band[r + i][k] += strength * (four[3] - four[0]) / 3 * slopes[i] * slopes[i + k]
        right = [w * Decimal(float(value)) for w, value in zip(weight, values, strict=True)]
        for i in range(n):
            for k in range(1, min(4, n - i)):
                share = band[i][k] / band[i][0]
                right[i + k] -= share * right[i]
                for m in range(k, min(4, n - i)):
                    band[i + k][m - k] -= share * band[i][m]
        for i in reversed(range(n)):
            rest = sum((band[i][k] * right[i + k] for k in range(1, min(4, n - i))), Decimal(0))
            right[i] = (right[i] - rest) / band[i][0]
        return np.array([float(value) for value in right])


@pytest.mark.parametrize(
    ("hertz", "fps"),
    [(3.0, 24.0), (0.3, 24.0), (0.3, 120.0), (2.0, 600.0), (0.3, 600.0), (0.3, 960.0), (0.3, 1000.0), (1.5, 5000.0),
     (0.3, 10000.0)],
)  # fmt: skip
@pytest.mark.parametrize("count", [4, 5, 600])
@pytest.mark.parametrize("even", [True, False])
def test_it_is_exact_at_every_rate(hertz: float, fps: float, count: int, even: bool) -> None:
    random = np.random.default_rng(count)
    values = 500 + np.cumsum(random.normal(size=count)) + random.normal(size=count)
    weights = random.uniform(0.005, 2, count)
    times = np.arange(float(count)) if even else np.cumsum(random.choice([0.05, 0.5, 1, 1, 1, 7], count))
    expected = exact(values, hertz / fps, weights, times)
    found = whittaker(values[:, None], hertz / fps, weights, None if even else times)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_ordinary_rates_are_exact_to_rounding() -> None:
    random = np.random.default_rng(1)
    values, weights = random.normal(size=600), random.uniform(0.005, 2, 600)
    expected = exact(values, 1.2 / 30, weights, np.arange(600.0))
    np.testing.assert_allclose(whittaker(values[:, None], 1.2 / 30, weights)[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize("fps", [240.0, 960.0, 1000.0, 10000.0])
def test_the_same_motion_comes_out_the_same_whatever_the_rate(fps: float) -> None:
    """Parabolas are left alone; waves at the cutoff lose half of it; both for a recording of twenty seconds."""
    times = np.arange(round(20 * fps)) / fps
    wave = np.stack([np.sin(2 * np.pi * 0.3 * times), 100 + 3 * times - 2 * times**2], axis=1)
    smooth = whittaker(wave, 0.3 / fps)
    np.testing.assert_allclose(smooth[:, 1], wave[:, 1], atol=5e-4)
    middle = slice(len(times) * 9 // 20, len(times) * 11 // 20)
    np.testing.assert_allclose(smooth[middle, 0], wave[middle, 0] / 2, atol=2e-3)


def test_frames_that_are_missing_change_little() -> None:
    """Every third is missing, then half of them: the cutoff stays what it is in hertz."""
    times = np.arange(1200.0)
    wave = np.sin(2 * np.pi * 0.01 * times)[:, None]
    for kept in (times % 3 > 0, (times < 600) | (times % 2 == 0)):
        smooth = whittaker(wave[kept], 0.01, times=times[kept])[:, 0]
        inner = (times[kept] > 250) & (times[kept] < 950)
        np.testing.assert_allclose(smooth[inner], wave[kept][inner, 0] / 2, atol=0.05)
        as_if_even = whittaker(wave[kept], 0.01)[:, 0]
        assert np.abs(as_if_even[inner] - wave[kept][inner, 0] / 2).max() > 0.15


def test_third_differences_at_even_times_are_exactly_those_of_neighbours() -> None:
    np.testing.assert_array_equal(third_differences(np.arange(50000.0, 50010)), np.tile([-1, 3, -3, 1], (7, 1)))
    assert third_differences(np.arange(3.0)).shape == (0, 4)
