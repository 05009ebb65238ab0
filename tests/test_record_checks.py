"""Every value of a record is looked at when it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.errors import GlotError
from glot_cli.record_checks import is_rate
from glot_cli.results import Result, load_result
from tests.test_results import path, result, rewrite

__all__ = ["path", "result"]  # fixtures

ODD: dict[str, list[Any]] = {
    "fps": [None, {}, float("nan"), 1e308, "", "1/0", "1e9", "1e99999999", "-30", "0", "inf", "1/3/4", "10" * 20, 25],
    "width": [None, True, -1, 0, 96.0, "96", 2**64],
    "frame_count": [-1, "/dev/null", 1.5, 10**400],
    "start_frame": ["-30", -1, [], None],
    "focal_length": ["../a", 0, -5.0, float("inf"), True, 10**400],
    "body_model": [-1, [[1]], {"a": 1}, "a\0b", "\ud83d", "x" * 5000],
    "body_model_sha256": [{"a": 1}, None],
    "video": [None, 3],
    "weights": [[], {"a": 1}],
    "shots": [3, [1.5], [7, 4], [4, 4], [-1], ["a"], [True]],
    "format_version": [0, -1, "3", 1.0, True, None, 10**400],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
def test_facts_that_cannot_be(path: Path, name: str, value: Any) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        text = json.dumps(json.loads(str(arrays["meta"])) | {name: value if value != 10**400 else 0})
        arrays["meta"] = np.array(text.replace(f'"{name}": 0', f'"{name}": {value}') if value == 10**400 else text)

    rewrite(path, change)
    with pytest.raises(GlotError, match=r"params\.npz: ") as error:
        load_result(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["pose"].fill(3e38),
        lambda a: a["transl"].__setitem__((0, 2), 1e20),
        lambda a: a["frame"].__setitem__(0, -1),
        lambda a: a["score"].__setitem__(0, 7),
        lambda a: a.update(name=np.zeros(3)),
        lambda a: a.update(pose=a["pose"].astype(">f4")),
        lambda a: a.pop("betas"),
        lambda a: a.pop("shot"),
        lambda a: a.update({name: values[::-1] for name, values in a.items() if name != "meta"}),
        lambda a: a.update(meta=np.array("[" * 5000)),
        lambda a: a.update(meta=np.array("9" * 5000)),
        lambda a: a.update(meta=np.zeros((), [("a", "<f4", (1_000_000,))])),
        lambda a: a.update(meta=np.array([str(a["meta"])])),
    ],
)
def test_rows_that_cannot_be(path: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    rewrite(path, change)
    with pytest.raises(GlotError, match=r"params\.npz: "):
        load_result(path)


def test_rates_of_cameras() -> None:
    assert all(map(is_rate, ("25", "30000/1001", "29.97", "1000", "1/86400", "960")))


def test_the_record_itself_is_sound(path: Path, result: Result) -> None:
    assert len(load_result(path)) == len(result)
