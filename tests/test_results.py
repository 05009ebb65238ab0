"""The record: what is saved comes back, and what is no record is refused in one line that names it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from glot_cli.errors import GlotError, InputError, WeightsError
from glot_cli.results import Result, empty_arrays, load_result
from glot_cli.schema import CAMERA_FIELDS, FIELDS, FORMAT_VERSION, WORLD_ROWS, Meta

Arrays = dict[str, np.ndarray]
META = Meta(
    video="clip é.mp4",
    source="/films/clip é.mp4",
    width=320,
    height=240,
    fps="30000/1001",
    frame_count=6,
    start_frame=4,
    focal_length=400.0,
    body_model="open-body",
    body_model_sha256="0" * 64,
    preset="open",
    weights={"glot": "1" * 64},
    program_version="0.1.0",
    shots=[4, 7],
    camera_motion=["static", "rotating"],
    camera_confidence=[1.0, 0.5],
    gravity_error=[1.5, 20.0],
    floor=[[0.0, -1.0, 0.0, 1.6], [0.0, -0.8, 0.6, 1.2]],
)
NO_WORLD: dict[str, Any] = {"camera_motion": [], "camera_confidence": [], "gravity_error": [], "floor": []}
PEOPLE = [1, 1, 1, 1, 2, 2, 2]
FRAMES = [4, 5, 6, 7, 5, 6, 9]


@pytest.fixture
def result() -> Result:
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(7, *field.row)).astype(field.dtype) for name, field in FIELDS.items()}
    arrays |= {"person": np.array(PEOPLE, np.int32), "frame": np.array(FRAMES, np.int32)}
    arrays |= {"score": rng.random(7, np.float32), "shot": np.array([0, 0, 0, 1, 0, 0, 1], np.int32)}
    arrays |= {"contact": rng.random((7, 4), np.float32), "joint_error": rng.random((7, 24), np.float32)}
    cameras = {
        "camera_rotation": Rotation.random(6, random_state=0).as_matrix().astype(np.float32),
        "camera_translation": rng.normal(size=(6, 3)).astype(np.float32),
        "camera_focal_length": np.linspace(400, 500, 6, dtype=np.float32),
    }
    return Result(arrays, META, cameras)


@pytest.fixture
def path(tmp_path: Path, result: Result) -> Path:
    result.save(tmp_path / "params.npz")
    return tmp_path / "params.npz"


def refusal(path: Path) -> str:
    with pytest.raises(GlotError) as error:
        load_result(path)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and ";" in line  # names the file and a remedy
    return line


def rewrite(path: Path, change: Callable[[Arrays], None]) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(path, **arrays)


def test_round_trip(path: Path, result: Result) -> None:
    for place in (path, str(path), path.parent):  # a folder stands for its params.npz
        loaded = load_result(place)
        assert loaded.meta == result.meta
        assert loaded.arrays.keys() == result.arrays.keys() == FIELDS.keys()
        for name, values in result.arrays.items():
            assert loaded.arrays[name].dtype == values.dtype and np.array_equal(loaded.arrays[name], values)
        assert loaded.cameras.keys() == CAMERA_FIELDS.keys() and loaded.has_world
        assert all(np.array_equal(loaded.cameras[name], values) for name, values in result.cameras.items())
    assert [p.name for p in path.parent.iterdir()] == ["params.npz"]


def test_rows_by_person_and_by_frame(result: Result) -> None:
    assert result.people == [1, 2] and len(result) == 7
    assert result.of_person(2).frame.tolist() == [5, 6, 9]
    assert result.pose.shape == (7, 24, 3) and float(result.meta.frame_rate) == pytest.approx(29.97, abs=0.001)
    rows = {frame: at.tolist() for frame, at in result.by_frame()}
    assert rows == {4: [0], 5: [1, 4], 6: [2, 5], 7: [3], 9: [6]}
    with pytest.raises(AttributeError):
        _ = result.poses  # type: ignore[attr-defined]


def test_every_array_has_a_typed_property(result: Result) -> None:
    kinds = {"int32": np.int32, "float32": np.float32, "float64": np.float64, "bool": np.bool_}
    held = result.arrays | result.cameras
    for name, field in (FIELDS | CAMERA_FIELDS).items():
        hint = get_type_hints(getattr(Result, name).fget)["return"]
        array = next(part for part in (hint, *get_args(hint)) if get_origin(part) is np.ndarray)
        assert get_args(get_args(array)[1]) == (kinds[field.dtype],), name
        assert getattr(result, name) is held[name]
        assert getattr(Result, name).__doc__.startswith("(M," if name in FIELDS else "(F,")


def test_files_of_frames_hold_the_same_rows(result: Result, tmp_path: Path) -> None:
    result.save_frames(tmp_path / "frames")
    names = sorted(p.name for p in (tmp_path / "frames").iterdir())
    assert names == [f"{i:06d}.npz" for i in range(4, 10)]
    parts = [load_result(tmp_path / "frames" / name) for name in names]
    assert [len(part) for part in parts] == [1, 2, 2, 1, 0, 1]
    assert np.array_equal(parts[1].pose, result.pose[[1, 4]]) and parts[1].meta == META
    turns = np.concatenate([part.camera_rotation for part in parts if part.camera_rotation is not None])
    assert np.array_equal(turns, result.cameras["camera_rotation"])  # also of the frame without anybody
    assert np.array_equal(parts[5].row_cameras()[1], result.cameras["camera_translation"][5:])
    assert parts[5].row_focal_lengths().tolist() == [500] and parts[5].frame_focal_length(9) == 500


def test_a_lens_has_a_focal_length_in_every_frame_or_one_in_all(result: Result, path: Path) -> None:
    lengths = load_result(path).row_focal_lengths()
    assert lengths.dtype == np.float32 and lengths.tolist() == [400, 420, 440, 460, 420, 440, 500]
    assert [result.frame_focal_length(frame) for frame in (4, 9)] == [400, 500]
    rewrite(path, lambda arrays: arrays.pop("camera_focal_length"))  # as records were at first
    older = load_result(path)
    assert older.has_world and older.camera_focal_length is None
    assert older.row_focal_lengths().tolist() == [400] * 7 and older.frame_focal_length(9) == 400
    # What does not change is not rounded either.
    odd = replace(META, focal_length=1234.5678901)
    steady = Result(result.arrays, odd, result.cameras | {"camera_focal_length": np.full(6, 1234.5678901, np.float32)})
    assert steady.frame_focal_length(5) == 1234.5678901


def test_confidence_falls_with_the_mean_of_the_errors(result: Result) -> None:
    """A mean of a tenth of a metre makes it exp(-1)."""
    result.arrays["joint_error"][:] = 0.0
    result.arrays["joint_error"][1] = 0.1
    result.arrays["joint_error"][2, :12] = 0.4
    confidence = result.confidence
    assert confidence is not None and confidence.shape == (7,)
    np.testing.assert_allclose(confidence[:4], [1, 0.36788, 0.13534, 1], atol=1e-5)
    result.arrays["joint_error"][3] = 1000.0
    assert result.confidence.min() >= 0


def test_errors_of_joints_that_cannot_be_are_refused(path: Path) -> None:
    rewrite(path, lambda arrays: arrays["joint_error"].__setitem__((0, 0), -0.1))
    assert "array 'joint_error' holds values from -0.1" in refusal(path)


def test_a_record_of_nobody(result: Result, tmp_path: Path) -> None:
    empty = Result(empty_arrays(world=True), META, result.cameras)
    assert list(empty.by_frame()) == [] and empty.people == []
    empty.save(tmp_path / "params.npz")
    empty.save_frames(tmp_path / "frames")
    assert len(load_result(tmp_path)) == 0 and load_result(tmp_path).row_cameras()[0].shape == (0, 3, 3)
    assert len(list((tmp_path / "frames").iterdir())) == META.frame_count


@pytest.mark.parametrize(("version", "lacks"), [(1, {"global_orient_network", "shot"}), (2, {"shot"}), (3, set())])
def test_an_older_format_is_read(result: Result, tmp_path: Path, version: int, lacks: set[str]) -> None:
    """Format 1 had no global_orient_network, and 2 no shots; what they have is there, and nothing is made up.

    Records that no run made have no world even today, and what they hold of joints is no estimate.
    """
    lacks = {*lacks, *WORLD_ROWS, "joint_error"}
    old = {name: values for name, values in result.arrays.items() if name not in lacks}
    Result(old, replace(META, format_version=version, shots=[], **NO_WORLD)).save(tmp_path / "params.npz")
    with np.load(tmp_path / "params.npz") as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    for name in ("shots", *NO_WORLD):
        del meta[name]
    np.savez(tmp_path / "params.npz", **{**arrays, "meta": np.array(json.dumps(meta))})
    read = load_result(tmp_path)
    assert set(read.arrays) == set(FIELDS) - lacks
    assert (read.global_orient_network is None) == (version == 1)
    assert read.shot.tolist() == (result.shot.tolist() if version > 2 else [0] * 7)
    assert read.shot.dtype == np.int32 and read.meta.shots == [] == read.meta.floor
    assert not read.has_world and read.transl_world is read.camera_rotation is None
    assert read.joint_error is None is read.confidence
    np.testing.assert_array_equal(read.of_person(read.people[0]).pose, result.of_person(result.people[0]).pose)
    del old["pose"]
    with pytest.raises(ValueError, match="no array 'pose'"):
        Result(old, replace(META, **NO_WORLD))


def test_a_newer_format_is_refused(result: Result, tmp_path: Path) -> None:
    newer = tmp_path / "params.npz"
    replace(result, meta=replace(META, format_version=FORMAT_VERSION + 1)).save(newer)
    assert f"format version {FORMAT_VERSION + 1}" in refusal(newer)


def test_unknown_facts_of_a_later_program_do_no_harm(path: Path, result: Result) -> None:
    def add(arrays: Arrays) -> None:
        arrays["meta"] = np.array(json.dumps(json.loads(str(arrays["meta"])) | {"weather": "fine"}))

    rewrite(path, add)
    assert load_result(path).meta == result.meta


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("transl"), "no array 'transl'"),
        (lambda a: a.pop("meta"), "meta"),
        (lambda a: a.update(meta=np.array("{")), "not a glot result"),
        (lambda a: a.update(meta=np.array("[1]")), "not a glot result"),
        (lambda a: a.update(meta=np.array('{"video": "a"}')), "not a glot result"),
        (lambda a: a.update(pose=a["pose"][:, :23]), "'pose' has shape (7, 23, 3), expected (7, 24, 3)"),
        (lambda a: a.update(box=a["box"][:5]), "'box' has shape (5, 3)"),
        (lambda a: a.update(frame=a["frame"][:, None]), "'frame' has shape (7, 1)"),
        (lambda a: a.update(pose=a["pose"].astype(np.float64)), "'pose' holds float64, expected float32"),
        (lambda a: a.update(person=a["person"].astype(np.float32)), "'person' holds float32"),
        (lambda a: a["transl"].__setitem__((0, 2), np.nan), "'transl' holds values that are not finite"),
        (lambda a: a.update(score=np.array([{}] * 7, dtype=object)), "holds Python objects"),
    ],
)
def test_what_is_no_record_is_refused(path: Path, change: Callable[[Arrays], None], words: str) -> None:
    rewrite(path, change)
    assert words in refusal(path)


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return (Path.touch, (marker,))  # type: ignore[return-value]

    np.savez(tmp_path / "params.npz", meta=np.array([Evil()], dtype=object))
    refusal(tmp_path / "params.npz")
    (tmp_path / "params.npz").unlink()
    np.save(tmp_path / "plain.npy", np.array([Evil()], dtype=object))
    (tmp_path / "plain.npy").rename(tmp_path / "params.npz")
    refusal(tmp_path / "params.npz")
    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])  # the last 76 bytes are the seal, which reading can do without
def test_truncated_files_are_refused(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refusal(path)


def test_no_damage_to_the_contents_goes_unseen(path: Path) -> None:
    """Flip a byte in the compressed data of each array: zlib, the checksum or the shape must notice."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        places = [entry.header_offset + 60 + entry.compress_size // 2 for entry in archive.infolist()]
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        refusal(path)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "letter.npz"
    text.write_text("Dear reader,\nthis is no archive")
    assert "not a glot result" in refusal(text)
    np.save(tmp_path / "one.npy", np.zeros(3))
    refusal(tmp_path / "one.npy")
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refusal(tmp_path / "some.zip")
    assert "no such file" in refusal(tmp_path / "gone.npz")
    with pytest.raises(GlotError, match=r"params\.npz: no such file"):
        load_result(tmp_path)


def test_a_record_that_is_none_cannot_be_made(result: Result) -> None:
    with pytest.raises(ValueError, match="no array 'pose'"):
        Result({name: values for name, values in result.arrays.items() if name != "pose"}, META, result.cameras)


def test_saving_where_nothing_can_be_saved(result: Result, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GlotError, match="cannot be written"):
        result.save(tmp_path / "file" / "params.npz")


def test_bodies_agree_with_the_record(finished: Path) -> None:
    """Surface, joints and pixels of every row, against the record's own joints and the body posed one row at a time."""
    result = load_result(finished)
    bodies = result.bodies()
    pelvis = bodies.joints[:, :1]
    np.testing.assert_allclose(bodies.joints - pelvis, result.joints3d, atol=1e-5)
    np.testing.assert_allclose(bodies.pixels, result.joints2d, atol=0.01)
    assert bodies.vertices.shape == (len(result), bodies.faces.max() + 1, 3)
    alone = result.select(np.array([3])).bodies()
    np.testing.assert_allclose(alone.vertices[0], bodies.vertices[3], atol=1e-6)
    low, high = bodies.vertices.min(1), bodies.vertices.max(1)
    assert ((bodies.joints > low[:, None] - 0.02) & (bodies.joints < high[:, None] + 0.02)).all()
    assert len(result.of_person(99).bodies().vertices) == 0
    told = ("camera_motion", "camera_confidence", "gravity_error", "floor")
    meta = replace(result.meta, **{name: [] for name in told})
    bare = Result({name: values for name, values in result.arrays.items() if name not in WORLD_ROWS}, meta)
    with pytest.raises(InputError, match="has no world; run"):
        bare.bodies(world=True)
    with pytest.raises(WeightsError, match="another version of the body"):
        replace(result, meta=replace(result.meta, body_model_sha256="0" * 64)).bodies()


def test_bodies_in_the_world_are_the_same_bodies_elsewhere(finished: Path) -> None:
    """Of a record whose world is the camera's frame turned and moved: all lies there, and is seen where it was."""
    result = load_result(finished)
    count, rotation = result.meta.frame_count, Rotation.from_rotvec([2.0, 0.4, -0.3])  # world to camera
    origin = np.array([0.2, 1.5, 0.1])  # of the world, in the camera's frame
    here, there = result.bodies(), rotation.inv().as_matrix()
    rest = here.joints[:, 0] - result.transl  # the pelvis, about which joint 0 turns
    root = rotation.inv() * Rotation.from_rotvec(result.pose[:, 0])
    cameras = {"camera_rotation": rotation.as_matrix()[None], "camera_translation": origin[None]}
    rows = {
        "transl_world": (here.joints[:, 0] - origin) @ there.T - rest,
        "global_orient_world": root.as_rotvec(),
        "contact": np.zeros((len(result), 4)),
    }
    world = Result(
        result.arrays | {name: values.astype(np.float32) for name, values in rows.items()},
        replace(
            result.meta,
            camera_motion=["static"],
            camera_confidence=[1.0],
            gravity_error=[1.0],
            floor=[[0.0, -1.0, 0.0, 1.5]],
        ),
        {name: np.repeat(values, count, axis=0).astype(np.float32) for name, values in cameras.items()},
    )
    bodies = world.bodies(world=True)
    np.testing.assert_allclose(bodies.joints, (here.joints - origin) @ there.T, atol=1e-5)
    np.testing.assert_allclose(bodies.vertices, (here.vertices - origin) @ there.T, atol=1e-5)
    np.testing.assert_allclose(bodies.pixels, result.joints2d, atol=0.02)
    np.testing.assert_allclose(world.bodies().vertices, here.vertices)
    # A lens twice as long shows twice as much as far from the middle.
    zoomed = replace(
        world, cameras=world.cameras | {"camera_focal_length": np.full(count, 2 * world.meta.focal_length, np.float32)}
    )
    middle = np.array([world.meta.width, world.meta.height]) / 2
    np.testing.assert_allclose(zoomed.bodies().pixels - middle, 2 * (bodies.pixels - middle), atol=0.05)
    later = world.select(np.array([5, 7])).bodies(world=True)
    np.testing.assert_allclose(later.joints, bodies.joints[[5, 7]], atol=1e-6)
