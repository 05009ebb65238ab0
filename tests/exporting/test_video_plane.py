"""The still of the video behind people: where the camera sees it, what is on it, which videos are refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from glot_cli.api import export
from glot_cli.errors import InputError
from glot_cli.results import Result
from tests.exporting.files_of_animators import Gltf
from tests.exporting.made_records import made_record


def record_of(width: int, height: int, start: int = 0) -> Result:
    """Two people before a camera that turns and goes away; the second leaves early and holds a pose."""
    made = made_record([(1, 0, range(start, 12)), (2, 0, range(start, 6))], frames=12)
    steps = np.linspace(0, 1, 12 - start)[:, None]
    turns = Rotation.from_rotvec(0.2 * steps * [0, 1, 0]).as_matrix().astype(np.float32)
    cameras = {
        "camera_rotation": turns @ made.cameras["camera_rotation"][start:],
        "camera_translation": made.cameras["camera_translation"][start:] + np.float32(steps * [0, 0, 9]),
    }
    meta = replace(made.meta, width=width, height=height, start_frame=start, frame_count=12 - start, shots=[start])
    return Result(made.arrays, meta, cameras)


def images(folder: Path, width: int, height: int, count: int = 12) -> Path:
    """Images, each of one colour but for its top left quarter, which is white; the third is red."""
    folder.mkdir()
    for number in range(count):
        picture = np.full((height, width, 3), (0, 0, 200) if number == 2 else (90, 60, 0), np.uint8)  # BGR
        picture[: height // 2, : width // 2] = 255
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return folder


@pytest.fixture(params=["floor", "camera"])
def glb(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Result, Gltf]:
    record = record_of(1500, 1001, start=2)
    record.save(tmp_path / "params.npz")
    notes: list[str] = []
    video = images(tmp_path / "video", 1500, 1001)
    (path,) = export(tmp_path, ["glb"], world=request.param, video=video, warn=notes.append)
    assert "a still of the video" in " ".join(notes) and "docs/blender.md" in " ".join(notes)
    return record, Gltf(path)


def seen(record: Result, gltf: Gltf, frame: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) of points in the scene, and their depths (N,), by the file's own camera."""
    lens = gltf.json["cameras"][0]["perspective"]
    to_camera = np.linalg.inv(gltf.matrices(frame / 30)[gltf.node("camera")])
    own = points @ to_camera[:3, :3].T + to_camera[:3, 3]
    screen = own[:, :2] / -own[:, 2:] / np.tan(lens["yfov"] / 2) / [lens["aspectRatio"], 1]
    return (screen * [1, -1] + 1) / 2 * [record.meta.width, record.meta.height], -own[:, 2]


def test_it_fills_what_the_camera_sees_behind_everybody(glb: tuple[Result, Gltf]) -> None:
    record, gltf = glb
    (primitive,) = gltf.json["meshes"][gltf.nodes[gltf.node("video")]["mesh"]]["primitives"]
    corners, uv = (gltf.array(primitive["attributes"][name]) for name in ("POSITION", "TEXCOORD_0"))
    lens, deepest = gltf.json["cameras"][0]["perspective"], 0.0
    for frame in range(10):
        matrix = gltf.matrices(frame / 30)[gltf.node("video")]
        pixels, depths = seen(record, gltf, frame, corners @ matrix[:3, :3].T + matrix[:3, 3])
        assert np.abs(pixels - uv * [1500, 1001]).max() < 0.01  # the picture's corners in the picture's corners
        people = np.concatenate([gltf.surface(name, frame / 30) for name in ("person1", "person2")])
        deepest = max(deepest, seen(record, gltf, frame, people)[1].max())
        assert deepest < depths.min() and depths.max() < lens["zfar"]
    assert depths.max() - deepest < 2.5  # no farther than it has to be
    a, b, c = corners[gltf.array(primitive["indices"])[:3, 0]]
    assert np.cross(b - a, c - a)[2] > 0  # its front is to the camera


def test_the_picture_is_the_first_frame_small_and_takes_no_light(glb: tuple[Result, Gltf]) -> None:
    _, gltf = glb
    (image,), (material,) = gltf.json["images"], [m for m in gltf.json["materials"] if m["name"] == "video"]
    assert gltf.json["extensionsUsed"] == ["KHR_materials_unlit"] == list(material["extensions"])
    assert "extensionsRequired" not in gltf.json
    view = gltf.json["bufferViews"][image["bufferView"]]
    data = gltf.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG" and picture.size == (1280, 854)
        pixels = np.asarray(picture).astype(int)
    assert np.abs(pixels[:400, :600] - 255).max() < 8  # top left
    assert np.abs(pixels[450:, 700:] - [200, 0, 0]).max() < 8  # that of frame 2


def test_other_videos_are_refused_in_a_line(tmp_path: Path) -> None:
    record_of(640, 480, start=2).save(tmp_path / "params.npz")
    for name, size, count, reason in (("wide", (641, 480), 12, "is 641x480"), ("short", (640, 480), 2, "ends before")):
        with pytest.raises(InputError, match=reason) as caught:
            export(tmp_path, ["glb"], video=images(tmp_path / name, *size, count))
        assert caught.value.option == "video" and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        export(tmp_path, ["glb"], video=tmp_path / "none.mp4")
    assert not (tmp_path / "export").exists()


def test_without_people_there_is_a_plane_and_other_formats_say_that_they_hold_none(tmp_path: Path) -> None:
    made_record([], frames=5).save(tmp_path / "params.npz")
    video, notes = images(tmp_path / "video", 640, 480), list[str]()
    gltf = Gltf(export(tmp_path, ["glb"], video=video)[0])
    (primitive,) = gltf.json["meshes"][0]["primitives"]
    assert gltf.array(primitive["attributes"]["POSITION"])[:, 2].max() < -1
    export(tmp_path, ["csv"], video=video, warn=notes.append)
    assert "the video was not used; of all formats glb alone can hold it" in notes
