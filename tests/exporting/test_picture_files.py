"""MOT Challenge, COCO and OpenPose: what trackers and 2D tools read, with their own readers where there are some."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.landmarks import LANDMARK_NAMES, LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.picture_points import BODY_25, COCO, outline, seen_points, tight_boxes
from glot_cli.results import Result, pose_bodies
from tests.exporting.made_records import made_record

SIZE = np.array([640, 480])


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-neutral"))


@pytest.fixture
def record() -> Result:
    """One in the middle, one who comes late and hangs over the picture's edge."""
    return made_record([(1, 0, range(12)), (4, 0, range(3, 12))])


def cast_of(record: Result, body: Body) -> Cast:
    return Cast(record, body, "camera", "clip")


def pixels_of(points: np.ndarray) -> np.ndarray:
    return 700 * points[..., :2] / points[..., 2:] + SIZE / 2


def test_boxes_bound_the_whole_surface(record: Result, body: Body) -> None:
    vertices, _ = pose_bodies(body, record)
    pixels = pixels_of(vertices.astype(float))
    true = np.concatenate([pixels.min(1), pixels.max(1)], 1)
    found = tight_boxes(cast_of(record, body))
    height = true[:, 3] - true[:, 1]
    assert (np.abs(found - true).max(1) / height).max() < 0.01
    assert len(outline(body)) < 0.16 * body.num_vertices


def zooming(record: Result) -> Result:
    """The same before a lens that zooms in to twice its focal length."""
    focal = np.geomspace(500, 1000, record.meta.frame_count).astype(np.float32)
    return Result(record.arrays, record.meta, record.cameras | {"camera_focal_length": focal})


def test_a_lens_that_zooms_draws_each_frame_with_its_own_focal_length(record: Result, body: Body) -> None:
    """Distances from the middle of the picture are in proportion to it."""
    zoomed = zooming(record)
    grown = (zoomed.row_focal_lengths() / 700)[:, None, None]
    still, moving = (seen_points(cast_of(one, body), COCO).pixels for one in (record, zoomed))
    assert np.abs((moving - SIZE / 2) - (still - SIZE / 2) * grown).max() < 0.01
    still, moving = (tight_boxes(cast_of(one, body)).reshape(-1, 2, 2) for one in (record, zoomed))
    assert np.abs((moving - SIZE / 2) - (still - SIZE / 2) * grown).max() < 0.01


def test_faces_and_limbs_are_where_landmarks_are(record: Result, body: Body) -> None:
    rotmat = axis_angle_to_rotmat(torch.from_numpy(record.pose))
    posed = body(rotmat, torch.from_numpy(record.betas))
    landmarks = LandmarkModel()(posed).numpy() + record.transl[:, None]
    pixels = dict(zip(LANDMARK_NAMES, pixels_of(landmarks.astype(float)).swapaxes(0, 1), strict=True))
    found = seen_points(cast_of(record, body), COCO).pixels
    for number, name in enumerate(COCO):
        assert np.abs(found[:, number] - pixels[name]).max() < 0.02
    more = seen_points(cast_of(record, body), BODY_25).pixels
    middle = landmarks[:, [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]].mean(1)
    assert np.abs(more[:, BODY_25.index("mid_hip")] - pixels_of(middle.astype(float))).max() < 0.02
    toes = [LANDMARK_NAMES.index("left_foot_index"), LANDMARK_NAMES.index("left_heel")]
    ahead = landmarks[:, toes[0]] - landmarks[:, toes[1]]
    assert (np.linalg.norm(ahead, axis=1) > 0.15).all()
    near = more[:, BODY_25.index("left_big_toe")] - pixels["left_foot_index"]
    assert np.linalg.norm(near, axis=1).max() < 0.06 * 700 / record.transl[:, 2].min()


def test_mot_challenge_has_ten_columns_sorted_by_frame(tmp_path: Path, record: Result, body: Body) -> None:
    record.arrays["transl"][4] = [0, 0, -5]  # behind the camera: no box
    record.save(tmp_path / "params.npz")
    (file,) = export(tmp_path, ["motchallenge"])
    rows = np.array([line.split(",") for line in file.read_text().splitlines()], float)
    assert rows.shape == (20, 10) and (rows[:, 7:] == -1).all() and np.allclose(rows[:, 6], 0.9)
    who = sorted((int(frame) + 1, int(person)) for frame, person in zip(record.frame, record.person, strict=True))
    assert [tuple(row) for row in rows[:, :2].astype(int)] == [pair for pair in who if pair != (5, 1)]
    edges = tight_boxes(cast_of(record, body))
    own = {(int(f) + 1, int(p)): box for f, p, box in zip(record.frame, record.person, edges, strict=True)}
    for frame, person, left, top, width, height, *_ in rows:
        assert np.allclose([left, top, left + width, top + height], own[int(frame), int(person)], atol=0.02)


def test_coco_s_own_reader_takes_it(tmp_path: Path, record: Result) -> None:
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO as Reader
    from pycocotools.cocoeval import COCOeval

    record.arrays["interpolated"][3] = True
    record.save(tmp_path / "params.npz")
    (file,) = export(tmp_path, ["coco"])
    with contextlib.redirect_stdout(io.StringIO()):
        truth = Reader(str(file))
        marked = json.loads(file.read_text())["annotations"]
        keys = ("image_id", "category_id", "keypoints", "score")
        score = COCOeval(truth, truth.loadRes([{key: a[key] for key in keys} for a in marked]), "keypoints")
        score.evaluate()
        score.accumulate()
        score.summarize()
    assert score.stats[0] == 1.0  # what it says of itself is right
    assert truth.getImgIds() == list(range(12)) and truth.loadImgs(11)[0]["file_name"] == "000011.jpg"
    (category,) = truth.loadCats(truth.getCatIds())
    assert category["keypoints"] == list(COCO) and len(category["skeleton"]) == 19
    for annotation in truth.loadAnns(truth.getAnnIds()):
        points = np.array(annotation["keypoints"]).reshape(17, 3)
        shown = points[:, 2] > 0
        hidden = annotation["image_id"] == 3 and annotation["track_id"] == 1
        assert set(points[shown, 2]) <= {1.0 if hidden else 2.0}
        assert annotation["num_keypoints"] == shown.sum() and (points[~shown] == 0).all()
        assert ((points[shown, :2] >= 0) & (points[shown, :2] <= SIZE)).all()
        left, top, width, height = annotation["bbox"]
        assert min(left, top) >= 0 and left + width <= 640.01 and top + height <= 480.01
        assert abs(annotation["area"] - width * height) < 0.01 * annotation["area"] + 1


def test_openpose_writes_a_file_a_frame(tmp_path: Path, record: Result, body: Body) -> None:
    record.arrays["score"][:] = np.linspace(0.5, 1, len(record))
    record.save(tmp_path / "params.npz")
    files = export(tmp_path, ["openpose"])
    stem = tmp_path.name
    assert [str(f.relative_to(tmp_path / "export")) for f in files] == [
        f"{stem}_openpose/{stem}_{frame:012d}_keypoints.json" for frame in range(12)
    ]
    seen = seen_points(cast_of(record, body), BODY_25)
    for frame, file in enumerate(files):
        held = json.loads(file.read_text())
        assert held["version"] == 1.3
        rows = np.flatnonzero(record.frame == frame)
        assert [person["person_id"] for person in held["people"]] == [[int(record.person[row])] for row in rows]
        for row, person in zip(rows, held["people"], strict=True):
            points = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
            inside = seen.inside[row]
            assert np.allclose(points[inside, :2], seen.pixels[row][inside], atol=1e-3)
            assert np.allclose(points[inside, 2], record.score[row], atol=1e-3) and (points[~inside] == 0).all()
            assert person["hand_left_keypoints_2d"] == []


def test_an_empty_record_is_pictures_without_people(tmp_path: Path) -> None:
    made_record([], frames=3, world=False).save(tmp_path / "params.npz")
    mot, coco, *frames = export(tmp_path, ["motchallenge", "coco", "openpose"])
    assert mot.read_text() == ""
    held = json.loads(coco.read_text())
    assert len(held["images"]) == 3 and held["annotations"] == []
    assert [json.loads(file.read_text())["people"] for file in frames] == [[], [], []]


def test_a_rate_does_not_touch_pictures(tmp_path: Path, record: Result) -> None:
    record.save(tmp_path / "params.npz")
    said: list[str] = []
    (file, *_) = export(tmp_path, ["motchallenge", "coco", "openpose"], fps=5, warn=said.append)
    assert len(file.read_text().splitlines()) == len(record) and len(said) == 3
