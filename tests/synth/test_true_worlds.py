"""The world in the truth of a film: gravity, floor, cameras, people who stand, all in one frame of axes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glot_cli import load_result
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.results import Result
from glot_cli.synth.acting import Takes, act
from glot_cli.synth.films import plan
from glot_cli.synth.placement import Camera, standing
from glot_cli.synth.truth import truth_record
from glot_cli.synth.wardrobe import Figures
from tests.synth.synth_fixtures import SMALL

MOTIONS = {"static": "static", "pan": "rotating", "handheld": "rotating", "travel": "travelling", "zoom": "rotating"}


def truth_of(takes: Takes, figures: Figures, kind: str) -> tuple[Result, Camera]:
    request = replace(SMALL, people=2, camera=(kind,))
    scene = plan(takes, request, figures.body, seed=5, number=0)
    with torch.inference_mode():
        visible = np.ones((request.frames, 2))
        truth = truth_record(scene.camera, scene.actors, visible, figures.body, Path("x.mp4"), request)
    return truth, scene.camera


@pytest.mark.parametrize("kind", MOTIONS)
def test_world_and_cameras_give_what_the_camera_sees(takes: Takes, figures: Figures, kind: str) -> None:
    truth, camera = truth_of(takes, figures, kind)
    assert truth.meta.camera_motion == [MOTIONS[kind]] and truth.meta.camera_confidence == [1.0]
    assert truth.meta.gravity_error == [0.0]
    turn, place = truth.cameras["camera_rotation"], truth.cameras["camera_translation"]
    assert turn.shape == (6, 3, 3) and place.shape == (6, 3)
    rest = figures.body.rest_joints(torch.from_numpy(truth.betas))[:, 0].numpy()
    rows = turn[truth.frame]
    pelvis = (rows @ (truth.arrays["transl_world"] + rest)[..., None])[..., 0] + place[truth.frame]
    assert np.abs(pelvis - truth.transl - rest).max() < 1e-4
    orient = axis_angle_to_rotmat(torch.from_numpy(truth.arrays["global_orient_world"])).numpy()
    seen = axis_angle_to_rotmat(torch.from_numpy(truth.pose[:, 0])).numpy()
    assert np.abs(rows @ orient - seen).max() < 1e-4
    # The first camera stands above the origin and looks along -z, whatever its pitch and roll.
    centres = -(turn.transpose(0, 2, 1) @ place[..., None])[..., 0]
    assert centres[0] == pytest.approx([0, camera.height, 0], abs=1e-5)
    ahead = turn[0][2]
    assert abs(ahead[0]) < 1e-6 and ahead[2] < -0.5
    assert (np.ptp(centres, axis=0).max() > 0.1) == (kind == "travel")
    # The floor of the first camera's frame: points on it, and heights above it.
    *normal, far = truth.meta.floor[0]
    points = np.array([[1.0, 0, -3], [-1, 0, -4], [0.5, 2, -3]]) @ turn[0].T + place[0]
    assert points @ normal + far == pytest.approx([0, 0, 2], abs=1e-5)


def test_a_lens_that_zooms_leaves_people_where_they_are(takes: Takes, figures: Figures) -> None:
    truth, camera = truth_of(takes, figures, "zoom")
    lengths = truth.row_focal_lengths()
    ratio = camera.focals.max() / camera.focals.min()
    assert 1.25 <= ratio <= 1.8 and len(np.unique(lengths)) == 6
    bodies = truth.bodies(world=True)  # seen by the cameras of the record
    np.testing.assert_allclose(bodies.pixels, truth.joints2d, atol=0.02)
    drawn = truth.camera[:, :1] * truth.box[:, 2:] / 2 * (truth.transl[:, 2:] + bodies_rest(truth, figures)[:, 2:])
    np.testing.assert_allclose(drawn[:, 0], lengths, rtol=1e-4)
    steady = replace(camera, zoom=None)
    assert (steady.focals == camera.focal).all() and truth.meta.focal_length == pytest.approx(camera.focal, rel=0.05)


def bodies_rest(truth: Result, figures: Figures) -> np.ndarray:
    rest: np.ndarray = figures.body.rest_joints(torch.from_numpy(truth.betas))[:, 0].numpy()
    return rest


def test_feet_that_rest_are_in_contact(takes: Takes, figures: Figures) -> None:
    """Both of who waves do; of who walks on the spot, a foot that swings does not."""
    request = replace(SMALL, seconds=2.0, fps=SMALL.fps * 3)
    camera = Camera(request.size, 200.0, standing(1.5, request.frames), np.zeros((request.frames, 3)))
    with torch.inference_mode():
        actors = [
            act(takes, name, request, figures.body, np.random.default_rng(0)).moved(0.0, 0.0, -4.0)
            for name in ("wave", "walk")
        ]
        visible = np.ones((request.frames, 2))
        truth = truth_record(camera, actors, visible, figures.body, Path("x.mp4"), request)
    contact = truth.arrays["contact"]
    assert set(np.unique(contact)) == {0.0, 1.0}
    assert contact[truth.person == 1].all()
    walks = contact[truth.person == 2].mean(0)
    assert (walks > 0.02).any() and (walks < 0.9).all()


def test_truths_are_kept_and_older_ones_read(takes: Takes, figures: Figures, tmp_path: Path) -> None:
    truth, _ = truth_of(takes, figures, "travel")
    truth.save(tmp_path / "new.npz")
    again = load_result(tmp_path / "new.npz")
    assert again.has_world and again.meta == truth.meta
    assert all(np.array_equal(again.cameras[name], truth.cameras[name]) for name in truth.cameras)
    world = ("transl_world", "global_orient_world", "contact")
    older = {name: values for name, values in truth.arrays.items() if name not in world}
    lists: dict[str, list[Any]] = {
        name: [] for name in ("camera_motion", "camera_confidence", "gravity_error", "floor")
    }
    Result(older, replace(truth.meta, **lists)).save(tmp_path / "old.npz")
    assert not load_result(tmp_path / "old.npz").has_world
