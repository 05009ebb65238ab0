"""From where the world of a record is seen, and the ways in it: from made records of known places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from glot_cli.body.model import Body
from glot_cli.pipeline.staging import staging
from glot_cli.rendering.vantage import looking, posed
from glot_cli.results import Result, empty_arrays
from tests.pipeline.made_results import record

HIPS = np.array([0.1, 0.5, -0.2])  # where the rest pose has the pelvis
SIZE = (720, 720)


class HipsOnly:
    """A body of which only the pelvis is asked."""

    def rest_joints(self, betas: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(HIPS).float().expand(len(betas), 24, 3)


BODY = cast(Body, HipsOnly())


def made(
    video: Path,
    ways: dict[int, np.ndarray],
    headings: np.ndarray | None = None,
    height: float = 1.5,
    shots: tuple[int, ...] = (0,),
    fps: str = "25",
) -> Result:
    """People whose pelves take ways (T, 3), NaN where they are away, before cameras turned left by degrees (T,)."""
    count = len(next(iter(ways.values())))
    headings = np.zeros(count) if headings is None else headings
    towards = np.stack([-np.sin(np.radians(headings)), 0 * headings, -np.cos(np.radians(headings))], axis=1)
    cameras = np.linalg.inv(posed(looking(towards, 0.1), np.tile([0.0, height, 0.0], (count, 1))))
    frames = {person: np.flatnonzero(np.isfinite(way[:, 0])) for person, way in ways.items()}
    rows = sum(map(len, frames.values()))
    arrays = {
        name: np.zeros((rows, *values.shape[1:]), values.dtype) for name, values in empty_arrays(world=True).items()
    }
    arrays["frame"] = np.concatenate(list(frames.values())).astype(np.int32)
    arrays["person"] = np.repeat(list(ways), [len(f) for f in frames.values()]).astype(np.int32)
    arrays["time"] = arrays["frame"] / float(fps)
    arrays["shot"] = (np.searchsorted(shots, arrays["frame"], side="right") - 1).astype(np.int32)
    pelves = np.concatenate([way[frames[person]] for person, way in ways.items()])
    arrays["transl_world"] = (pelves - HIPS).astype(np.float32)
    seen = np.einsum("mij,mj->mi", cameras[arrays["frame"], :3, :3], pelves) + cameras[arrays["frame"], :3, 3]
    arrays["transl"] = (seen - HIPS).astype(np.float32)
    several = len(shots)
    meta = replace(
        record(video).meta,
        fps=fps,
        frame_count=count,
        shots=list(shots),
        camera_motion=["given"] * several,
        camera_confidence=[1.0] * several,
        gravity_error=[0.0] * several,
        floor=[[0.0, 1.0, 0.0, height]] * several,
    )
    names = {"camera_rotation": cameras[:, :3, :3], "camera_translation": cameras[:, :3, 3]}
    return Result(arrays, meta, {name: values.astype(np.float32) for name, values in names.items()})


def still(x: float, z: float, count: int = 50) -> np.ndarray:
    return np.tile([x, 0.95, z], (count, 1))


def pixels(stage: object, points: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    view = stage.view(size)  # type: ignore[attr-defined]
    local = view.to_camera(points)
    assert (local[:, 2] > 0).all()
    return np.asarray(view.focal * local[:, :2] / local[:, 2:] + view.centre)


def test_only_styles_of_worlds_and_records_with_one_have_stages(video: Path) -> None:
    assert staging(record(video), BODY, "side", SIZE) is None
    result = made(video, {1: still(0, -4)})
    assert staging(result, BODY, "overlay", SIZE) is None
    assert staging(result, BODY, "side", SIZE) and staging(result, BODY, "world", SIZE)


@pytest.mark.parametrize("heading", [0.0, 60.0, -135.0])
def test_the_side_view_is_level_and_at_a_right_angle(video: Path, heading: float) -> None:
    """Somebody who stands there is in its middle, upright; what is further from the filming camera is to the right."""
    forward = np.array([-np.sin(np.radians(heading)), 0.0, -np.cos(np.radians(heading))])
    there = 4 * forward + [0.0, 0.95, 0.0]
    stages = staging(made(video, {1: np.tile(there, (50, 1))}, np.full(50, heading)), BODY, "side", SIZE)
    assert stages is not None
    stage = stages.at(20)
    middle, above, beyond = pixels(stage, there + np.array([[0, 0, 0], [0, 0.8, 0], forward * 0.5]))
    assert middle == pytest.approx([360, 360], abs=0.1)
    assert above[0] == pytest.approx(360, abs=0.1) and above[1] < 200  # large: a body takes more than half the height
    assert beyond[0] > 400 and beyond[1] == pytest.approx(360, abs=0.1)
    eye = stage.pose[:3, 3] - there
    assert abs(eye @ forward) < 1e-4 and 0 < eye[1] < 1.2  # beside, a little above


def test_the_side_view_keeps_to_those_who_are_large(video: Path) -> None:
    alone = staging(made(video, {1: still(0, -3)}), BODY, "side", SIZE)
    far = staging(made(video, {1: still(0, -3), 2: still(1, -12)}), BODY, "side", SIZE)
    pair = staging(made(video, {1: still(0, -3), 2: still(1, -4.5)}), BODY, "side", SIZE)
    assert alone and far and pair
    head, feet = np.array([[0.0, 1.7, -3.0], [0.0, 0.0, -3.0]])

    def tall(stages: object) -> float:
        ends = pixels(stages.at(10), np.stack([head, feet]))  # type: ignore[attr-defined]
        assert (ends > 0).all() and (ends < 720).all()
        return float(ends[1, 1] - ends[0, 1])

    assert tall(alone) > 400 and tall(far) > 0.9 * tall(alone)
    assert pixels(far.at(10), still(0, -3)[:1])[0] == pytest.approx([360, 360], abs=0.1)  # not between the two
    both = pixels(pair.at(10), np.array([[0.0, 0.0, -3.0], [1.0, 1.7, -4.5]]))
    assert (both > 0).all() and (both < 720).all()


def test_nobody_stands_before_the_side_camera(video: Path) -> None:
    stages = staging(made(video, {1: still(0, -3), 2: still(6, -3.5)}), BODY, "side", SIZE)
    assert stages and stages.at(3).view(SIZE).to_camera(np.array([6.0, 1.0, -3.5]))[2] > 1.5


def test_the_side_view_turns_and_follows_slowly_and_jumps_at_cuts(video: Path) -> None:
    rng = np.random.default_rng(0)
    shaky = 2.0 * rng.normal(size=100)
    way = still(0, -3, 100)
    way[50:, 0] = 2.0
    stages = staging(made(video, {1: way}, shaky, shots=(0, 50)), BODY, "side", SIZE)
    assert stages is not None
    eyes = np.array([stages.at(frame).pose[:3, 3] for frame in range(100)])
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    assert steps[49] > 1.5 and np.delete(steps, 49).max() < 0.05


def test_frames_without_anybody_have_a_view(video: Path) -> None:
    way = still(0, -3)
    way[:20] = way[30:40] = np.nan
    for style in ("side", "world"):
        stages = staging(made(video, {1: way}), BODY, style, SIZE)
        assert stages is not None
        for frame in (0, 35):
            assert np.allclose(stages.at(frame).pose, stages.at(45).pose, atol=1e-6)
        nobody = staging(made(video, {1: way * np.nan}), BODY, style, SIZE)
        assert nobody and np.isfinite(nobody.at(10).pose).all()


def test_the_view_of_all_sees_all_and_stands_still(video: Path) -> None:
    """Whole ways of everybody and the camera that filmed, from one place in each shot."""
    size = (1280, 720)
    walk = np.linspace([-2.0, 0.95, -3.0], [3.0, 0.95, -9.0], 100)
    turned = np.linspace(0, 40, 100)
    stages = staging(made(video, {1: walk, 2: still(1, -5, 100)}, turned, shots=(0, 60)), BODY, "world", size)
    assert stages is not None
    for shot in (range(60), range(60, 100)):
        poses = np.array([stages.at(frame).pose for frame in shot])
        assert (poses == poses[0]).all()
        around = np.array([[0, -0.95, 0], [0, 0.8, 0], [0.4, 0, 0], [-0.4, 0, 0]])
        points = np.concatenate([*(walk[shot] + corner for corner in around), [[0.0, 1.5, 0.0], [1.0, 0, -5]]])
        found = pixels(stages.at(shot[0]), points, size)
        assert (found > 0).all() and (found < size).all()
        assert np.ptp(found, axis=0).max() > 0.6 * 720  # and not from far off
        forward, up = poses[0][:3, 2], -poses[0][:3, 1]
        assert np.degrees(np.arcsin(-forward[1])) == pytest.approx(25) and poses[0][1, 0] == pytest.approx(0)
        assert up[1] > 0.9
    assert not np.allclose(stages.at(59).pose, stages.at(60).pose)
    cameras = np.array([stages.at(frame).camera[:3, 2] for frame in (0, 50)])
    assert np.degrees(np.arccos(cameras[0] @ cameras[1])) == pytest.approx(turned[50], abs=0.5)  # the pyramid turns


def test_trails_are_of_the_last_seconds(video: Path) -> None:
    walk = np.linspace([0.0, 0.95, -3.0], [10.0, 0.95, -3.0], 251)  # a metre a second
    stages = staging(made(video, {1: walk}), BODY, "world", SIZE)
    assert stages is not None
    early, late = stages.at(50).trails[1], stages.at(250).trails[1]
    assert early[0, :2] == pytest.approx([0, -3], abs=1e-5) and early[-1, :2] == pytest.approx([2, -3], abs=1e-5)
    assert late[0, 0] == pytest.approx(4, abs=0.1) and late[-1] == pytest.approx([10, -3, 1], abs=1e-5)
    assert (np.diff(late[:, 2]) > 0).all() and late[0, 2] < 0.05 and len(late) < 65
    # What was drawn stays where it was drawn.
    before, after = (stages.at(frame).trails[1][5:-1, 0] for frame in (249, 250))
    assert np.isin(before[10:], after).all()


def test_trails_break_where_somebody_was_away_and_at_cuts(video: Path) -> None:
    walk = np.linspace([0.0, 0.95, -3.0], [4.0, 0.95, -3.0], 101)
    walk[40:70] = np.nan
    away = staging(made(video, {1: walk}), BODY, "world", SIZE)
    assert away is not None
    trail = away.at(100).trails[1]
    gap = int(np.flatnonzero(trail[:, 2] == 0)[0])
    assert trail[gap, 0] == trail[gap - 1, 0] == pytest.approx(39 * 0.04, abs=1e-5)
    assert trail[gap + 1, 0] == pytest.approx(70 * 0.04, abs=1e-5) and (trail[gap + 1 :, 2] > 0).all()
    assert len(away.at(60).trails[1]) > 1  # it stays for a while
    cut = staging(made(video, {1: walk}, shots=(0, 80)), BODY, "world", SIZE)
    assert cut is not None
    assert cut.at(85).trails[1][0, 0] == pytest.approx(80 * 0.04, abs=1e-5)
    assert 1 not in (staging(made(video, {1: walk}, shots=(0, 50)), BODY, "world", SIZE) or cut).at(60).trails


def test_one_file_of_frames_has_one_camera(video: Path) -> None:
    whole = made(video, {1: still(0, -3), 2: still(1, -4)})
    cameras = {name: values[12:13] for name, values in whole.cameras.items()}
    single = replace(whole.select(whole.frame == 12), cameras=cameras)
    for style in ("side", "world"):
        stages = staging(single, BODY, style, SIZE)
        assert stages is not None and np.allclose(stages.at(12).camera, stages.at(30).camera)
