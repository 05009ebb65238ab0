"""Every value of a record is looked at when it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.errors import GlotError
from glot_cli.record_checks import is_rate
from glot_cli.results import Result, load_result
from glot_cli.schema import CAMERA_FIELDS, FIELDS, WORLD_ROWS
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
    "shots": [3, [1.5], [7, 4], [4, 4], [-1], ["a"], [True], [4], [], [4, 6, 7]],
    "camera_motion": ["static", ["static"], ["static"] * 3, ["still"] * 2, [], None, [["static"]] * 2],
    "camera_confidence": [0.5, [0.5], [0.5, 1.5], [-0.1, 1], [0.5, None], [True, True], [float("nan")] * 2, [0.5] * 3],
    "gravity_error": [1.0, [1.0], [1.0, -1.0], [1.0, 1e6], [float("inf")] * 2, ["1", "1"]],
    "floor": [
        [],
        [[0, -1, 0, 1]],
        [[0, -1, 0]] * 2,
        [[0, 0, 0, 1]] * 2,
        [[0, -1, 0, 1e99]] * 2,
        [0, -1, 0, 1],
        [{}] * 2,
    ],
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
        lambda a: a.update({name: values[::-1] for name, values in a.items() if name in FIELDS}),
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


@pytest.mark.parametrize("name", [*WORLD_ROWS, "camera_rotation", "camera_translation"])
def test_half_a_world(path: Path, result: Result, name: str) -> None:
    rewrite(path, lambda arrays: arrays.pop(name))
    with pytest.raises(GlotError, match=r"params\.npz: has a part of a world and not all of it; run"):
        load_result(path)
    parts = [{key: values for key, values in held.items() if key != name} for held in (result.arrays, result.cameras)]
    with pytest.raises(ValueError, match="part of a world"):
        Result(parts[0], result.meta, parts[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda a: a.update(transl_world=a["transl_world"][:, :2]),
            r"'transl_world' has shape \(7, 2\), expected \(7, 3\)",
        ),
        (lambda a: a["contact"].__setitem__((0, 0), 1.5), "'contact' holds values from"),
        (lambda a: a.update({n: a[n][:5] for n in CAMERA_FIELDS}), "one entry for each of 6 frames"),
        (lambda a: a.update({n: a[n][:1] for n in CAMERA_FIELDS}), "one entry for each of 6 frames"),
        (lambda a: a.update(camera_rotation=a["camera_rotation"][0]), "one entry for each of 6 frames"),
        (lambda a: a.update(camera_translation=np.float32(0)), "one entry for each of 6 frames"),
        (
            lambda a: a.update(camera_translation=a["camera_translation"][:, :2]),
            r"has shape \(6, 2\), expected \(6, 3\)",
        ),
        (lambda a: a.update(camera_translation=a["camera_translation"].astype(float)), "holds float64"),
        (lambda a: a["camera_translation"].__setitem__((5, 0), np.nan), "not finite"),
        (lambda a: a["camera_rotation"].__setitem__(5, 0), "no rotation"),
        (lambda a: a["camera_rotation"].__imul__(-1), "no rotation"),
        (lambda a: a["shot"].__setitem__(3, 2), "rows of shot 2, but only 2 shots"),
        (lambda a: a["frame"].__setitem__(6, 10), "frames that were not looked at"),
        (lambda a: a["frame"].__setitem__(0, 3), "frames that were not looked at"),
    ],
)
def test_worlds_that_cannot_be(path: Path, change: Callable[[dict[str, np.ndarray]], Any], words: str) -> None:
    rewrite(path, change)
    with pytest.raises(GlotError, match=rf"params\.npz: .*{words}"):
        load_result(path)


def test_a_file_of_one_frame_has_one_camera(result: Result, tmp_path: Path) -> None:
    result.save_frames(tmp_path)
    rewrite(tmp_path / "000005.npz", lambda a: a.update(camera_translation=np.zeros((6, 3), np.float32)))
    with pytest.raises(GlotError, match="more cameras in one array than in another"):
        load_result(tmp_path / "000005.npz")


def test_a_film_of_many_shots_is_read_again(result: Result, tmp_path: Path) -> None:
    """What stands with the arrays grows with the shots."""
    count = 20_000
    lists = {
        "shots": list(range(count)),
        "camera_motion": ["travelling"] * count,
        "camera_confidence": [0.1234] * count,
        "gravity_error": [12.345] * count,
        "floor": [[0.0, -0.8, 0.6, 1.2345]] * count,
    }
    meta = replace(result.meta, **lists, frame_count=count, start_frame=0)
    cameras = {name: np.repeat(values[:1], count, axis=0) for name, values in result.cameras.items()}
    Result(result.arrays, meta, cameras).save(tmp_path / "params.npz")
    assert load_result(tmp_path).meta == meta


def test_rates_of_cameras() -> None:
    assert all(map(is_rate, ("25", "30000/1001", "29.97", "1000", "1/86400", "960")))


def test_the_record_itself_is_sound(path: Path, result: Result) -> None:
    assert len(load_result(path)) == len(result)
