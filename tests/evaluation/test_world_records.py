"""Worlds of records against true ones: every figure on records whose errors are known by construction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.cli.main import main
from glot_cli.evaluation.world_records import WorldComparison, WorldErrors, compare_worlds
from glot_cli.results import Result
from glot_cli.world.soles import soles_of
from tests.evaluation.test_records import FRAMES, body, finish, truth

__all__ = ["body", "truth"]  # fixtures

HEIGHT = 1.4  # metres, of the camera in the first frame
DOWN = Rotation.from_euler("x", [180 + 8], degrees=True)  # world to camera: looks along -z and a little down


def in_world(record: Result, body: Body, turns: Rotation, centres: np.ndarray, motion: str = "static") -> Result:
    """The record with the world of a camera that turns and stands so in every frame; all soles are in contact."""
    at = record.frame - record.meta.start_frame
    camera, rows = turns[at], len(record)
    rest = body.rest_joints(torch.from_numpy(record.betas))[:, 0].numpy()
    pelvis = camera.inv().apply(rest + record.transl) + centres[at]
    world = {
        "transl_world": pelvis - rest,
        "global_orient_world": (camera.inv() * Rotation.from_rotvec(record.pose[:, 0])).as_rotvec(),
        "contact": np.ones((rows, 4)),
    }
    cameras = {"camera_rotation": turns.as_matrix(), "camera_translation": -turns.apply(centres)}
    count = len(record.meta.shots) or 1
    meta = replace(
        record.meta,
        shots=record.meta.shots or [0],
        camera_motion=[motion] * count,
        camera_confidence=[1.0] * count,
        gravity_error=[0.0] * count,
        floor=[[0.0, -1.0, 0.0, HEIGHT]] * count,
    )
    single = {name: values.astype(np.float32) for name, values in world.items()}
    return Result(record.arrays | single, meta, {name: values.astype(np.float32) for name, values in cameras.items()})


def fixed(frames: int = FRAMES) -> np.ndarray:
    return np.tile([0, HEIGHT, 0], (frames, 1)).astype(float)


@pytest.fixture(scope="module")
def still(truth: Result, body: Body) -> Result:
    """The truth with people who do not move, before a camera that does not."""
    pose = np.repeat(truth.pose[::FRAMES], FRAMES, axis=0)
    time = truth.frame / 30
    arrays = finish({**truth.arrays, "pose": pose, "time": time}, body)
    return in_world(Result(arrays, truth.meta), body, Rotation.concatenate([DOWN] * FRAMES), fixed())


def altered(record: Result, **arrays: np.ndarray) -> Result:
    return replace(record, arrays=record.arrays | {name: values.astype(np.float32) for name, values in arrays.items()})


def compare(predicted: Result, truth: Result, body: Body) -> WorldComparison:
    found = compare_worlds([(predicted, truth)], body, body)
    assert found is not None
    return found


def figures(comparison: WorldComparison, world: str) -> WorldErrors:
    (found,) = (errors for errors in comparison.overall if errors.world == world)
    return found


def without_world(record: Result) -> Result:
    arrays = {
        name: v for name, v in record.arrays.items() if name not in ("transl_world", "global_orient_world", "contact")
    }
    lists: dict[str, Any] = {"camera_motion": [], "camera_confidence": [], "gravity_error": [], "floor": []}
    return Result(arrays, replace(record.meta, **lists), {})


def test_the_true_world_has_no_errors_and_the_true_camera_makes_it(still: Result, body: Body) -> None:
    found = compare(still, still, body)
    assert [errors.world for errors in found.overall] == ["record", "chain", "still chain", "truth"]
    for errors in [*found.overall, *found.people]:
        assert errors.who in ("static", "clip.mp4/1", "clip.mp4/2")
        assert (errors.wa_mpjpe, errors.w_mpjpe, errors.skate) == pytest.approx((0, 0, 0), abs=0.01)
        assert np.isnan(errors.rte)  # nobody walks
    floor = [errors.floor_distance for errors in found.overall]
    assert floor == pytest.approx(floor[:1] * 4, abs=0.02)
    (camera,) = found.cameras
    assert (camera.cameras, camera.shots) == ("static", 1)
    assert (camera.gravity, camera.gravity_worst, camera.turn) == pytest.approx((0, 0, 0), abs=1e-3)


def test_a_record_without_a_world_has_the_chain_alone(still: Result, body: Body) -> None:
    found = compare(without_world(still), still, body)
    assert [errors.world for errors in found.overall] == ["chain", "still chain", "truth"]
    assert found.cameras == []
    assert compare_worlds([(still, without_world(still))], body, body) is None


def test_another_heading_and_origin_are_no_errors_and_a_lean_is_one_of_gravity(still: Result, body: Body) -> None:
    for heading, lean in ((50, 0), (20, 5)):
        turned = DOWN * Rotation.from_euler("yx", [[heading, lean]], degrees=True)
        other = in_world(still, body, Rotation.concatenate([turned] * FRAMES), np.add(fixed(), [3, 0, 1]))
        found = compare(other, still, body)
        assert figures(found, "record").w_mpjpe == pytest.approx(0, abs=0.01)
        assert found.cameras[0].gravity == pytest.approx(lean, abs=1e-3)


def test_sliding_feet_are_counted_by_time(still: Result, body: Body) -> None:
    slide = np.zeros((len(still), 3))
    slide[:, 0] = 0.004 * still.frame
    sliding = altered(still, transl_world=still.arrays["transl_world"] + slide)
    assert figures(compare(sliding, still, body), "record").skate == pytest.approx(4, abs=0.01)
    fast = [
        replace(record, meta=replace(record.meta, fps="60"), arrays=record.arrays | {"time": record.time / 2})
        for record in (sliding, still)
    ]
    assert figures(compare(fast[0], fast[1], body), "record").skate == pytest.approx(8, abs=0.01)
    lifted = altered(still, contact=np.tile([1, 0, 0, 0], (len(still), 1)) * (still.frame[:, None] % 2 == 0))
    assert np.isnan(figures(compare(sliding, lifted, body), "record").skate)


def test_pieces_and_jitter_go_by_time(still: Result, body: Body) -> None:
    """At 3 frames a second a piece is 10 frames long: a jump between two of them is no error."""
    seconds = still.frame[:, None] / 3
    slow = replace(still, meta=replace(still.meta, fps="3"), arrays=still.arrays | {"time": seconds[:, 0]})
    jumped = altered(slow, transl_world=slow.arrays["transl_world"] + (still.frame[:, None] >= 10))
    assert figures(compare(jumped, slow, body), "record").w_mpjpe == pytest.approx(0, abs=0.01)
    later = altered(slow, transl_world=slow.arrays["transl_world"] + (still.frame[:, None] >= 12))
    assert figures(compare(later, slow, body), "record").w_mpjpe > 500
    hurled = altered(slow, transl_world=slow.arrays["transl_world"] + seconds**3 * [0.5, 0, 0])
    assert figures(compare(hurled, slow, body), "record").jitter == pytest.approx(0.3, abs=0.01)  # 3 m/s^3


def test_feet_do_not_slide_from_one_id_to_the_next(still: Result, body: Body) -> None:
    late = still.frame >= 10
    person = np.where(late, still.person + 2, still.person).astype(np.int32)
    moved = still.arrays["transl_world"] + late[:, None].astype(np.float32)
    order = np.lexsort((still.frame, person))
    arrays = still.arrays | {"person": person, "transl_world": moved}
    found = compare(replace(still, arrays={name: v[order] for name, v in arrays.items()}), still, body)
    errors = figures(found, "record")
    assert (errors.skate, errors.jitter) == pytest.approx((0, 0), abs=0.05) and errors.w_mpjpe > 100


def test_the_floor_is_where_the_world_says(still: Result, body: Body) -> None:
    """Put everybody with their lowest heel or toe 20 mm above the floor, or their lowest vertex 30 mm below it."""
    soles = soles_of(body)
    pose = still.pose.copy()
    pose[:, 0] = still.arrays["global_orient_world"]
    posed = soles.body(axis_angle_to_rotmat(torch.from_numpy(pose)), torch.from_numpy(still.betas))
    assert posed.vertices is not None
    points, lowest = soles.points(posed).numpy()[..., 1], posed.vertices.numpy()[..., 1].min(1)
    place = still.arrays["transl_world"].copy()
    place[:, 1] = 0.02 - points.min(1)
    found = figures(compare(altered(still, transl_world=place), still, body), "record")
    heights = points - points.min(1, keepdims=True) + 0.02
    assert found.floor_distance == pytest.approx(1000 * np.median(heights), abs=0.01)
    assert found.penetration == pytest.approx(1000 * max(0, (points.min(1) - lowest - 0.02).mean()), abs=0.01)
    place[:, 1] = -0.03 - lowest
    assert figures(compare(altered(still, transl_world=place), still, body), "record").penetration == pytest.approx(30)


def test_a_camera_that_turns_and_one_that_travels(truth: Result, body: Body) -> None:
    """The chain knows where the camera is; with a camera taken for still everybody drifts as it travels."""
    pan = DOWN * Rotation.from_euler("y", np.linspace(0, 20, FRAMES)[:, None], degrees=True)
    seen = replace(truth, arrays=truth.arrays | {"time": truth.frame / 30})
    panned = compare(seen, in_world(seen, body, pan, fixed(), "rotating"), body)
    for world in ("chain", "still chain"):
        assert figures(panned, world).w_mpjpe == pytest.approx(0, abs=0.02)
    drift = fixed()
    drift[:, 0] += np.linspace(0, 1.9, FRAMES)  # 0.1 m a frame
    world = in_world(seen, body, pan, drift, "travelling")
    found = compare(seen, world, body)
    assert figures(found, "chain").w_mpjpe == pytest.approx(0, abs=0.02)
    # Laid on each other in the first two frames, which the drift tears apart by 0.1 m already.
    assert figures(found, "still chain").w_mpjpe == pytest.approx(1000 * (drift[:, 0] - 0.05).mean(), rel=0.1)
    assert figures(found, "still chain").wa_mpjpe < 0.7 * figures(found, "still chain").w_mpjpe
    assert 0 <= figures(found, "chain").rte < 0.1 < 10 < figures(found, "still chain").rte
    assert figures(found, "truth").jitter == pytest.approx(figures(found, "chain").jitter, rel=1e-3)


def test_worlds_begin_anew_at_cuts_of_either(still: Result, body: Body) -> None:
    """A cut that the record has and the truth has not: two worlds, each with an up and a first frame of its own."""
    late = np.arange(FRAMES) >= 12
    turns = [DOWN * Rotation.from_euler("yx", [[40, 4]] if after else [[0, 1]], degrees=True) for after in late]
    bare = without_world(still)
    shot = (still.frame >= 12).astype(np.int32)
    cut = Result(bare.arrays | {"shot": shot}, replace(bare.meta, shots=[0, 12]))
    other = in_world(cut, body, Rotation.concatenate(turns), fixed())
    found = compare(other, still, body)
    (camera,) = found.cameras
    assert (camera.shots, camera.gravity, camera.turn) == (2, pytest.approx(2.5, abs=1e-3), pytest.approx(0, abs=1e-3))
    assert camera.gravity_worst == pytest.approx(1 + 0.95 * 3, abs=1e-3)
    assert figures(found, "record").w_mpjpe == pytest.approx(0, abs=0.02)


def test_kinds_of_camera_motion_are_told_apart(still: Result, body: Body) -> None:
    moving = replace(still, meta=replace(still.meta, camera_motion=["travelling"]))
    tilted = in_world(
        still, body, Rotation.concatenate([DOWN * Rotation.from_euler("x", [2], degrees=True)] * FRAMES), fixed()
    )
    found = compare_worlds([(tilted, still), (still, moving)], body, body)
    assert found is not None
    assert [errors.who for errors in found.overall[::4]] == ["static", "travelling", "all"]
    assert [round(camera.gravity, 2) for camera in found.cameras] == [2, 0, 1]
    assert [errors.frames for errors in found.overall[::4]] == [2 * FRAMES, 2 * FRAMES, 4 * FRAMES]


def test_files_of_single_frames_are_compared_too(still: Result, body: Body, tmp_path: Path) -> None:
    from glot_cli.results import load_result

    still.save_frames(tmp_path)
    one = load_result(tmp_path / "000003.npz")
    found = compare(one, still, body)
    assert figures(found, "record").frames == 2 and figures(found, "record").w_mpjpe == pytest.approx(0, abs=0.01)
    assert found.cameras == [] and compare_worlds([(still, one)], body, body) is None


def test_the_command_prints_worlds_and_cameras(
    still: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, old = tmp_path / "params.npz", tmp_path / "old.npz"
    still.save(path)
    without_world(still).save(old)
    with pytest.raises(SystemExit):
        main(["eval", str(path), "--against", str(path)])
    table = capsys.readouterr().out
    assert "W-MPJPE mm" in table and "static: record" in table and "gravity deg" in table and "WHAM" in table
    for mine, true in ((old, path), (path, old)):
        with pytest.raises(SystemExit):
            main(["eval", str(mine), "--against", str(true), "--json"])
        world = json.loads(capsys.readouterr().out)["world"]
        if true is path:
            assert world["overall"][0]["world"] == "chain" and world["overall"][0]["rte"] is None
            assert len(world["people"]) == 6 and world["cameras"] == []
        else:
            assert world is None
