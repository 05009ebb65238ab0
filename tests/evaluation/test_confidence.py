"""The study of stated errors, and the recipe that learns them, where the truth is known by arithmetic."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi

from glot_cli.lifting.joint_errors import KIND, QUANTILE, SIGNS
from glot_cli.results import Result
from glot_cli.schema import FIELDS, Meta
from tests.documents import ROOT

ROWS = 4000
META = Meta("clip.mp4", "/clip.mp4", 640, 480, "30", 20, 0, 500.0, "open-body", "0" * 64, "open", {}, "0")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("weights.studies.confidence")


@pytest.fixture
def recipe(study: Any) -> Any:
    return importlib.import_module("weights.recipes.make_confidence")


def drawn(generator: np.random.Generator, spread: np.ndarray) -> np.ndarray:
    """Lengths of Gaussian errors in space of so much in each direction."""
    return spread * np.linalg.norm(generator.normal(size=(*spread.shape, 3)), axis=-1)


def test_errors_that_hold_are_found_to_hold(study: Any) -> None:
    """Of Gaussian errors, chi's own quantile is the radius that holds 80 %: in all, and in every tenth."""
    generator = np.random.default_rng(0)
    spread = np.exp(generator.normal(-3.5, 0.6, (ROWS, 24)))
    true = drawn(generator, spread)
    stated = spread * chi(3).ppf(QUANTILE)
    assert study.coverage(stated, true) == pytest.approx(QUANTILE, abs=0.01)
    tenths = study.by_tenth(stated, true)
    assert [share for _, _, share in tenths] == pytest.approx([QUANTILE] * 10, abs=0.02)
    assert [said for said, _, _ in tenths] == sorted(said for said, _, _ in tenths)
    assert study.coverage(stated / 2, true) < 0.3 < 0.97 < study.coverage(2 * stated, true)
    low, high = study.halves(stated, true)
    assert low < true.mean() < high
    assert study.rank(stated, true) > 0.7 > 0.05 > abs(study.rank(generator.permutation(stated), true))


def test_rows_are_compared_from_the_middle_of_the_hips(study: Any) -> None:
    """Where somebody stands counts nothing, a wrist that is 10 cm off counts that, and who is elsewhere nothing."""
    generator = np.random.default_rng(0)
    arrays = {name: np.zeros((20, *field.row), field.dtype) for name, field in FIELDS.items() if "world" not in name}
    del arrays["contact"]
    arrays |= {"frame": np.arange(20, dtype=np.int32), "score": np.full(20, 0.1, np.float32)}
    arrays["joints3d"] = generator.normal(size=(20, 24, 3)).astype(np.float32)
    arrays["joints2d"] = generator.uniform(100, 400, (20, 24, 2)).astype(np.float32)
    true = Result(arrays, META)
    off = {name: values.copy() for name, values in arrays.items()}
    off["joints3d"] += [0.5, -1.0, 2.0]
    off["joints3d"][:, 20, 0] += 0.1
    off["joint_error"] += 0.05
    off["joints2d"][15:] += 1000.0
    found = study.of_pairs([(Result(off, META), true)])
    expected = np.zeros((15, 24))
    expected[:, 20] = 0.1
    np.testing.assert_allclose(found.true, expected, atol=1e-5)
    assert study.coverage(found.stated, found.true) == pytest.approx(23 / 24)
    del off["joint_error"]
    with pytest.raises(SystemExit, match="states no errors"):
        study.of_pairs([(Result(off, META), true)])


def test_the_recipe_learns_what_holds(recipe: Any, study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors whose size one sign tells, a kind of joint more than another: 80 % keep within, in every tenth."""
    torch.manual_seed(0)

    def people(count: int) -> tuple[list[Any], np.ndarray]:
        signs = torch.randn(count, 12, 24, SIGNS)
        spread = torch.exp(-4 + 0.1 * torch.tensor(KIND) + 0.6 * signs[..., 5])
        error = spread * torch.randn(count, 12, 24, 3).norm(dim=-1)
        return [recipe.Known(s, e.log(), torch.eye(12)) for s, e in zip(signs, error, strict=True)], error.numpy()

    monkeypatch.setattr(recipe, "DECAY", 0.1)  # people enough, of one cause
    network = recipe.learned(people(150)[0], 200)
    new, error = people(150)
    stated = np.exp(np.stack([network(one.signs).detach().numpy() for one in new]))
    assert study.coverage(stated, error) == pytest.approx(QUANTILE, abs=0.03)
    assert [share for _, _, share in study.by_tenth(stated, error)] == pytest.approx([QUANTILE] * 10, abs=0.06)
    assert study.rank(stated, error) > 0.6
    above = recipe.beyond(network, new)
    assert float((above <= 0).float().mean()) == pytest.approx(study.coverage(stated, error), abs=1e-4)
