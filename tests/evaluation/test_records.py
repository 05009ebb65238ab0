"""Records against the truth: every figure is checked on records whose errors are known by construction."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.body.joints import COMMON_HIPS, common_joints
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.body.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from glot_cli.camera import project_pinhole
from glot_cli.cli.main import main
from glot_cli.errors import GlotError, InputError
from glot_cli.evaluation.pairing import load_bodies, load_pairs
from glot_cli.evaluation.records import LIMB_JOINTS, match_rows, pooled
from glot_cli.results import Result, empty_arrays
from glot_cli.schema import Meta

FRAMES = 20
FOCAL, WIDTH, HEIGHT = 1000.0, 1280, 720
ERRORS = ("mpjpe", "pa_mpjpe", "mpvpe", "acceleration_error", "limb_error_2d", "position_error", "depth_error")


@pytest.fixture(scope="module")
def body():
    return Body.load(weights.locate("open-body"))


def compare(predicted, truth, body):
    return pooled([(predicted, truth)], body, body)


def finish(arrays, body):
    """The arrays with joints computed from pose, betas and transl."""
    rotmat = axis_angle_to_rotmat(torch.from_numpy(arrays["pose"]))
    joints = body(rotmat, torch.from_numpy(arrays["betas"]), vertices=False).joints
    moved = joints + torch.from_numpy(arrays["transl"])[:, None]
    arrays["joints3d"] = (joints - joints[:, :1]).numpy()
    arrays["joints2d"] = project_pinhole(moved, FOCAL, torch.tensor([WIDTH / 2, HEIGHT / 2])).numpy()
    return arrays


@pytest.fixture(scope="module")
def truth(body):
    """Two people who move a little, upright, 1.6 m apart, 5 m away."""
    rng = np.random.default_rng(0)
    rows = 2 * FRAMES
    arrays = {k: np.zeros((rows, *v.shape[1:]), v.dtype) for k, v in empty_arrays().items()}
    arrays["frame"][:] = np.tile(np.arange(FRAMES), 2)
    arrays["time"][:] = arrays["frame"] / 30
    arrays["person"][:] = np.repeat([1, 2], FRAMES)
    sway = np.cumsum(rng.normal(size=(2, FRAMES, 24, 3)) * 0.02, axis=1).reshape(rows, 24, 3)
    arrays["pose"][:] = sway + 0.1 * rng.normal(size=(1, 24, 3))
    arrays["pose"][:, 0] = [np.pi, 0, 0] + sway[:, 0]
    arrays["betas"][:] = np.repeat(rng.normal(size=(2, 10)), FRAMES, axis=0)
    arrays["transl"][:] = np.repeat([[-0.8, 0, 5], [0.8, 0, 5]], FRAMES, axis=0)
    arrays["score"][:] = 1
    meta = Meta("clip.mp4", "/clip.mp4", WIDTH, HEIGHT, "30", FRAMES, 0, FOCAL, "open-body", "0" * 64, "truth", {}, "0")
    return Result(finish(arrays, body), meta)


def changed(record, body, **arrays):
    """The record with some arrays replaced and its joints made anew."""
    return Result(finish({**record.arrays, **arrays}, body), record.meta)


def test_a_record_against_itself_has_no_errors(truth, body):
    result = compare(truth, truth, body)
    assert result.extra_rows == 0
    assert [p.person for p in result.people] == ["clip.mp4/1", "clip.mp4/2"]
    for errors in [*result.people, result.overall]:
        assert (errors.found, errors.one_id, errors.switches) == (1, 1, 0)
        assert all(getattr(errors, name) == pytest.approx(0, abs=1e-2) for name in ERRORS)
    assert (result.people[0].visible, result.overall.visible) == (FRAMES, 2 * FRAMES)


def test_a_translation_is_an_error_of_position_alone(truth, body):
    offset = np.array([0.03, 0, 0.4], np.float32)
    errors = compare(changed(truth, body, transl=truth.transl + offset), truth, body).overall
    assert errors.position_error == pytest.approx(1000 * np.linalg.norm(offset), rel=1e-4)
    # Depth counts at the pelvis, which the body model puts a little beside its origin.
    pelvis = truth.transl[:, 2] + body.rest_joints(torch.from_numpy(truth.betas))[:, 0, 2].numpy()
    assert errors.depth_bias == pytest.approx(100 * (0.4 / pelvis).mean(), rel=1e-4)
    assert errors.depth_error == pytest.approx(errors.depth_bias)
    assert errors.limb_error_2d > 1
    assert (errors.mpjpe, errors.pa_mpjpe, errors.mpvpe) == pytest.approx((0, 0, 0), abs=1e-2)


def test_a_nearer_body_has_a_negative_bias(truth, body):
    errors = compare(changed(truth, body, transl=truth.transl * 0.9), truth, body).overall
    assert errors.depth_bias < -5
    assert errors.depth_error == pytest.approx(-errors.depth_bias)


def test_a_turn_of_the_whole_body_is_undone_by_alignment_alone(truth, body):
    angle = 0.2
    pose = truth.pose.copy()
    turn = axis_angle_to_rotmat(torch.tensor([0.0, angle, 0.0]))
    root = turn @ axis_angle_to_rotmat(torch.from_numpy(pose[:, 0]))
    pose[:, 0] = rotmat_to_axis_angle(root).numpy()
    errors = compare(changed(truth, body, pose=pose), truth, body).overall
    # A turn about the vertical moves each joint by 2 sin(angle / 2) times its distance from the axis.
    output = body(axis_angle_to_rotmat(torch.from_numpy(truth.pose)), torch.from_numpy(truth.betas))
    joints = common_joints(body, output)
    joints = joints - joints[:, list(COMMON_HIPS)].mean(1, keepdim=True)
    expected = 2000 * np.sin(angle / 2) * joints[..., [0, 2]].norm(dim=-1).mean().item()
    assert errors.mpjpe == pytest.approx(expected, rel=1e-3)
    assert errors.pa_mpjpe == pytest.approx(0, abs=1e-2)
    assert errors.mpvpe > 10


def test_a_moved_picture_moves_the_limbs_by_as_much(truth, body):
    joints2d = truth.joints2d + np.array([30, 40], np.float32)
    errors = compare(Result({**truth.arrays, "joints2d": joints2d}, truth.meta), truth, body).people[0]
    size = np.ptp(truth.joints2d[:FRAMES], axis=1).max(-1)
    assert errors.limb_error_2d == pytest.approx(100 * (50 / size).mean(), rel=1e-5)
    assert len(LIMB_JOINTS) == 12


def test_trembling_is_an_error_of_acceleration(truth, body):
    still = changed(truth, body, pose=np.repeat(truth.pose[::FRAMES], FRAMES, axis=0))
    pose = still.pose.copy()
    pose[1::2, 0] *= 1 + 0.02 / np.pi  # every other frame turned by 0.02 rad about its axis
    errors = compare(changed(still, body, pose=pose), still, body).overall
    # The second difference of x, y, x, y ... is twice the difference of x and y.
    assert errors.acceleration_error == pytest.approx(2 * (2 * errors.mpjpe), rel=1e-3)


def test_acceleration_goes_by_the_stamps_and_not_across_cuts_and_pauses(truth, body):
    """An arm that is swung up ever faster, filmed whole; and with gaps, a pause and a cut between postures."""

    def swung(seconds, late, shot):
        pose = np.tile(truth.pose[:1], (FRAMES, 1, 1))
        pose[:, 16, 2] = 0.5 * seconds**2
        pose[:, 17, 2] -= 0.5 * (late + shot)  # another posture after the pause, and after the cut
        arrays = {name: values[:FRAMES] for name, values in truth.arrays.items()}
        arrays |= {"time": seconds + 20 * late, "shot": shot, "pose": pose.astype(np.float32)}
        return Result(finish(arrays, body), truth.meta)

    none, number = np.zeros(FRAMES, np.int32), np.arange(FRAMES)
    even = swung(number / 30, none, none)
    uneven = swung((number * 3 // 2) / 30, (number >= 8).astype(np.int32), (number >= 14).astype(np.int32))
    still = changed(truth.of_person(1), body, pose=np.tile(truth.pose[:1], (FRAMES, 1, 1)))
    (whole, some) = (compare(record, still, body).overall for record in (even, uneven))
    assert some.acceleration == pytest.approx(whole.acceleration, rel=0.1)
    for errors in (whole, some):
        assert errors.acceleration_error == pytest.approx(errors.acceleration, rel=1e-3) != 0


def test_swapped_ids_are_counted_and_change_no_other_figure(truth, body):
    person = truth.person.copy()
    late = truth.frame >= 15
    person[late] = 3 - person[late]
    order = np.lexsort((truth.frame, person))
    swapped = Result({k: v[order] for k, v in {**truth.arrays, "person": person}.items()}, truth.meta)
    result = compare(swapped, truth, body)
    for errors in result.people:
        assert (errors.found, errors.one_id, errors.switches) == (1, 0.75, 1)
        assert errors.mpjpe == pytest.approx(0, abs=1e-2)
    assert (result.overall.one_id, result.overall.switches, result.extra_rows) == (0.75, 2, 0)


def test_missing_frames_are_counted_and_break_no_motion(truth, body):
    kept = truth.select((truth.person == 1) | (truth.frame % 4 != 0))
    first, second = compare(kept, truth, body).people
    assert (first.found, second.found, second.one_id, second.switches) == (1, 0.75, 0.75, 0)
    assert second.acceleration_error == pytest.approx(0, abs=1e-2)


def test_nobody_found_leaves_no_figures(truth, body):
    result = compare(Result(empty_arrays(), truth.meta), truth, body)
    assert result.overall.found == result.overall.one_id == 0
    assert np.isnan(result.overall.mpjpe)


def test_somebody_else_is_no_match(truth, body):
    ghost = changed(truth.of_person(1), body, transl=truth.of_person(1).transl + np.float32([3, 0, 0]))
    assert (match_rows(ghost, truth.of_person(1)) == -1).all()
    both = {k: np.concatenate([truth.arrays[k], ghost.arrays[k]]) for k in truth.arrays}
    both["person"] = np.concatenate([truth.person, np.full(FRAMES, 9, np.int32)])
    result = compare(Result(both, truth.meta), truth, body)
    assert (result.overall.found, result.extra_rows) == (1, FRAMES)


def test_hidden_people_are_not_asked_for_nor_held_against_anyone(truth, body):
    score = np.where((truth.person == 2) & (truth.frame < 5), np.float32(0.1), np.float32(1))
    hidden = Result({**truth.arrays, "score": score}, truth.meta)
    result = compare(truth, hidden, body)
    assert (result.people[1].visible, result.people[1].found, result.extra_rows) == (FRAMES - 5, 1, 0)


def test_frames_that_were_not_looked_at_do_not_count(truth, body):
    part = Result(truth.select(truth.frame < 8).arrays, replace(truth.meta, frame_count=8))
    assert compare(part, truth, body).overall.visible == 16
    assert compare(part, truth, body).overall.found == 1


def test_pooling_weighs_frames_alike(truth, body):
    off = changed(truth, body, transl=truth.transl * 1.1)
    part = Result(off.select(off.frame < 5).arrays, replace(truth.meta, frame_count=5))
    result = pooled([(truth, truth), (part, truth)], body, body)
    alone = compare(part, truth, body).overall
    assert result.overall.position_error == pytest.approx(alone.position_error * 10 / 50, rel=1e-4)


def test_another_video_is_refused(truth, body):
    other = Result(truth.arrays, replace(truth.meta, width=640))
    with pytest.raises(GlotError, match=r"clip\.mp4: 640x720"):
        compare(other, truth, body)


def test_folders_are_paired_by_name(truth, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "out" / name).mkdir(parents=True)
        truth.save(tmp_path / "out" / name / "params.npz")
    (tmp_path / "true" / "two").mkdir(parents=True)
    truth.save(tmp_path / "true" / "one.npz")
    with pytest.raises(GlotError, match="the truth of 'two'"):
        load_pairs(tmp_path / "out", tmp_path / "true")
    truth.save(tmp_path / "true" / "two" / "truth.npz")
    assert len(load_pairs(tmp_path / "out", tmp_path / "true")) == 2
    assert len(load_pairs(tmp_path / "out" / "one", tmp_path / "true" / "one.npz")) == 1


def test_the_command_prints_a_table_and_json(truth, tmp_path, capsys):
    path = tmp_path / "params.npz"
    truth.save(path)
    with pytest.raises(SystemExit) as done:
        main(["eval", str(path), "--against", str(path)])
    table = capsys.readouterr().out
    assert done.value.code == 0
    assert "PA-MPJPE mm" in table and "14 common joints" in table
    Result(empty_arrays(), truth.meta).save(tmp_path / "empty.npz")
    with pytest.raises(SystemExit):
        main(["eval", str(tmp_path / "empty.npz"), "--against", str(path), "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["overall"]["mpjpe"] is None
    assert figures["overall"]["visible"] == 2 * FRAMES


def test_a_missing_truth_is_one_line(truth, tmp_path, capsys):
    path = tmp_path / "params.npz"
    truth.save(path)
    with pytest.raises(SystemExit) as done:
        main(["eval", str(path), "--against", str(tmp_path / "no.npz")])
    assert done.value.code == 1
    assert capsys.readouterr().err.strip().splitlines() == [
        f"glot: {tmp_path / 'no.npz'}: no such file; give the params.npz of a finished 'glot run'"
    ]


def test_bodies_of_one_mesh_are_compared_each_as_itself(truth) -> None:
    named = replace(truth, meta=replace(truth.meta, body_model="open-female"))
    female, mean = load_bodies([(named, truth)])
    assert not torch.equal(female.template_planes, mean.template_planes)
    same = pooled([(truth, truth)], mean, mean).overall
    other = pooled([(named, truth)], female, mean).overall
    assert same.mpvpe == 0 and 10 < other.mpvpe < 120  # millimetres between the mean body and women's


def test_bodies_of_other_meshes_are_refused(truth, tmp_path) -> None:
    arrays = read_body_arrays(weights.locate("open-body"))
    np.savez(tmp_path / "other.npz", **{**arrays, "f": arrays["f"][:-2]})
    other = replace(truth, meta=replace(truth.meta, body_model=str(tmp_path / "other.npz")))
    with pytest.raises(InputError, match=r"the truth with 'open-body'"):
        load_bodies([(other, truth)])
