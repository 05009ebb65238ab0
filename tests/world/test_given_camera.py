"""Cameras that a user's file tells of, and files that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli.errors import InputError
from glot_cli.world.given import read_camera

COUNT = 12
TURNS = Rotation.from_rotvec(np.linspace([0.0, 0, 0], [0, 0.5, 0], COUNT)).as_matrix()
PLACES = np.linspace([0.0, 1.0, 0.0], [0.5, 1.2, -2.0], COUNT)  # of the camera in the world
SHIFTS = -np.einsum("nij,nj->ni", TURNS, PLACES)


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, allow_pickle=False, **arrays)
    return path


def test_a_file_tells_turns_places_focal_length_and_up(tmp_path: Path) -> None:
    path = write(
        tmp_path / "camera.npz",
        camera_rotation=TURNS,
        camera_translation=SHIFTS,
        focal_length=np.full(COUNT, 900.0),
        up=[0.0, 2.0, 0.0],
    )
    given = read_camera(path).of_frames(0, COUNT, None)
    assert given.focal == pytest.approx(np.full(COUNT, 900))
    motion = given.motion(2, COUNT, np.arange(2.0, COUNT))
    np.testing.assert_allclose(motion.rotations, TURNS[2:] @ TURNS[2].T, atol=1e-6)
    np.testing.assert_allclose(motion.places, (PLACES[2:] - PLACES[2]) @ TURNS[2].T, atol=1e-6)
    np.testing.assert_allclose(given.up_of(3), TURNS[3] @ [0, 2, 0], atol=1e-6)


def test_up_of_the_first_frame_is_that_of_every_shot(tmp_path: Path) -> None:
    """What the user knows overrules the file, and the file's turns carry it across cuts."""
    given = read_camera(write(tmp_path / "c.npz", camera_rotation=TURNS, up=[0.0, 2.0, 0.0]))
    up = given.up_of(7, (0.1, -1.0, 0.0))
    np.testing.assert_allclose(up, TURNS[7] @ TURNS[0].T @ [0.1, -1, 0], atol=1e-6)


def test_turns_alone_are_enough(tmp_path: Path) -> None:
    given = read_camera(write(tmp_path / "c.npz", camera_rotation=TURNS.astype(np.float32)))
    assert given.translation is None and given.focal is None and given.up_of(0) is None
    assert not given.motion(0, COUNT, np.arange(float(COUNT))).places.any()


def test_a_record_is_such_a_file(tmp_path: Path) -> None:
    told = {"focal_length": 1234.5, "start_frame": 30, "width": 640, "height": 360}
    meta = np.array(json.dumps(told))
    given = read_camera(write(tmp_path / "params.npz", camera_rotation=TURNS, camera_translation=SHIFTS, meta=meta))
    assert given.focal is not None and (given.focal == 1234.5).all()
    np.testing.assert_allclose(given.up, [0, 1, 0])
    np.testing.assert_array_equal(given.of_frames(33, 4, 100).rotation, given.rotation[3:7])
    for first, count in ((0, COUNT), (29, 2), (40, 4)):  # its frames, and no others, however many they are
        with pytest.raises(InputError, match=f"12 frames from 30, but {count} from {first} were looked at"):
            given.of_frames(first, count, 100)
    given.check_size(640, 360)
    with pytest.raises(InputError, match="of a video of 640x360, this one has 360x640"):
        given.check_size(360, 640)


def test_a_focal_length_may_change_from_frame_to_frame(tmp_path: Path) -> None:
    lengths = np.linspace(500, 900, COUNT)
    given = read_camera(write(tmp_path / "c.npz", camera_rotation=TURNS, focal_length=lengths))
    np.testing.assert_array_equal(given.of_frames(3, 5, COUNT).focal, lengths[3:8])
    meta = np.array(json.dumps({"focal_length": 700.1, "start_frame": 0, "width": 640, "height": 360}))
    held = lengths.astype(np.float32)
    record = read_camera(write(tmp_path / "params.npz", camera_rotation=TURNS, camera_focal_length=held, meta=meta))
    np.testing.assert_array_equal(record.focal, held)
    same = np.full(COUNT, 700.1, np.float32)
    record = read_camera(write(tmp_path / "params.npz", camera_rotation=TURNS, camera_focal_length=same, meta=meta))
    np.testing.assert_array_equal(record.focal, 700.1)  # which is not rounded


def test_a_part_of_the_video_takes_its_part_of_the_file(tmp_path: Path) -> None:
    given = read_camera(write(tmp_path / "c.npz", camera_rotation=TURNS, camera_translation=SHIFTS))
    np.testing.assert_array_equal(given.of_frames(4, 5, COUNT).rotation, given.rotation[4:9])
    with pytest.raises(InputError, match="cameras of 12 frames, but 13 from 0 were looked at"):
        given.of_frames(0, 13, None)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"other": TURNS}, "has no 'camera_rotation'"),
        ({"camera_rotation": TURNS * 2}, "no rotation"),
        ({"camera_rotation": TURNS * [[1.0], [1.0], [-1.0]]}, "no rotation"),
        ({"camera_rotation": TURNS[:, :2]}, "expected numbers up to"),
        ({"camera_rotation": np.full_like(TURNS, np.nan)}, "expected numbers up to"),
        ({"camera_rotation": TURNS, "camera_translation": SHIFTS[1:]}, "expected numbers up to"),
        ({"camera_rotation": TURNS, "focal_length": np.linspace(500, 900, COUNT - 1)}, "11 focal lengths from 500"),
        ({"camera_rotation": TURNS, "focal_length": 0.0}, "1 focal length from 0 pixels"),
        ({"camera_rotation": TURNS, "up": [0.0, 0.0, 0.0]}, "without a direction"),
        ({"camera_rotation": TURNS, "focal_length": np.zeros(0)}, "0 focal lengths"),
        ({"camera_rotation": TURNS, "meta": np.array("{")}, "does not say of which pictures"),
        (
            {
                "camera_rotation": TURNS,
                "meta": np.array('{"focal_length": NaN, "start_frame": 0, "width": 64, "height": 64}'),
            },
            "focal length of nan",
        ),
        (
            {"camera_rotation": TURNS, "meta": np.array('{"focal_length": 1' + "0" * 400 + "}")},
            "does not say of which pictures",
        ),
    ],
)
def test_files_that_tell_no_camera_are_refused_by_name(tmp_path: Path, arrays: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "camera.npz", **arrays)
    with pytest.raises(InputError, match=reason) as raised:
        read_camera(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
