"""What a page of `glot view` holds is the record, and nothing of a user's is lost for it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from glot_cli import api, weights
from glot_cli.body.model import Body
from glot_cli.cli.main import main
from glot_cli.errors import InputError, OutputError
from glot_cli.exporting.characters import MOST_FRAMES
from glot_cli.files.atomic import aside_name
from glot_cli.files.seal import sealed_kind
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.video_source import Source
from glot_cli.progress import Progress
from glot_cli.results import Result, load_result, pose_bodies
from glot_cli.viewer import packing
from glot_cli.viewer.packing import frames_of
from glot_cli.viewer.page import write_page
from tests.cli.clips import background, read_video, write_clip
from tests.documents import ROOT
from tests.exporting.made_records import made_record
from tests.viewer.page_parts import Page

HERE = ROOT / "glot_cli" / "viewer"


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-neutral"))


def page_of(folder: Path, record: Result, **keywords: object) -> Page:
    folder.mkdir(exist_ok=True)
    record.save(folder / "params.npz")
    return Page(api.view(folder, **{"embed_video": False, **keywords}))  # type: ignore[arg-type]


@pytest.mark.parametrize("world", [True, False])
def test_bones_are_within_half_a_millimetre_of_the_record(tmp_path: Path, body: Body, world: bool) -> None:
    # 150 frames of 100 chunks' worth: gaps, a chunk without somebody, two shots.
    people = [(1, 0, range(90)), (1, 1, range(90, 150)), (2, 0, [*range(5, 30), *range(70, 80)])]
    record = made_record(people, world=world, fps="6")
    record.meta.shots[:] = [0, 90]
    page = page_of(tmp_path, record)
    _, joints = pose_bodies(body, record, world=world)
    joints = joints if world else joints * [1, -1, -1]
    assert page.record["chunk_frames"] == 64 and page.record["world"] is world
    assert [shot["first"] for shot in page.record["shots"]] == [0, 90]
    assert len(page.record["characters"]) == 3
    for one, motion, (found, _) in zip(page.record["characters"], page.motion(), page.posed(), strict=True):
        rows = (record.person == one["person"]) & (record.shot == one["shot"])
        assert motion["frames"].tolist() == record.frame[rows].tolist()
        assert np.abs(found - joints[rows]).max() < 5e-4
        resting = (motion["flags"] >> np.arange(4)) & 1
        assert not world or (resting == (record.arrays["contact"][rows] > 0.5)).all()


def test_the_surface_follows_the_four_strongest_joints(tmp_path: Path, body: Body) -> None:
    record = made_record([(1, 0, range(6))])
    vertices, _ = pose_bodies(body, record, world=True)
    off = np.linalg.norm(page_of(tmp_path, record).surface(0) - vertices, axis=-1)
    assert np.quantile(off, 0.99) < 1e-3 and off.max() < 8e-3


def test_the_cameras_see_joints_where_those_of_the_record_do(tmp_path: Path, body: Body) -> None:
    made = made_record([(1, 0, range(8))])
    focal = np.linspace(500, 900, 8, dtype=np.float32)  # it zooms
    record = Result(made.arrays, made.meta, {**made.cameras, "camera_focal_length": focal})
    page, (_, joints) = page_of(tmp_path, record), pose_bodies(body, record, world=True)
    rotations, translations = record.row_cameras()
    seen = joints @ rotations.swapaxes(1, 2) + translations[:, None]
    cameras = page.block("cameras", "<f4").reshape(-1, 7)
    assert len(cameras) == page.record["count"] == 8
    turns = packing.Rotation.from_quat(cameras[:, :4])
    for frame, joints in enumerate(page.posed()[0][0]):
        own = turns[frame].inv().apply(joints - cameras[frame, 4:])  # y up, along -z
        pixels = page.block("focals", "<f4")[frame] * own[:, :2] * [1, -1] / -own[:, 2:]
        assert np.abs(pixels - focal[frame] * seen[frame, :, :2] / seen[frame, :, 2:]).max() < 0.2


def test_what_the_record_tells_of_its_errors_is_shown(tmp_path: Path) -> None:
    record, rng = made_record([(1, 0, range(5))]), np.random.default_rng(0)
    more = {"joint_error": rng.random((5, 24)).astype(np.float32), "score": rng.random(5).astype(np.float32)}
    (motion,) = page_of(tmp_path, Result({**record.arrays, **more}, record.meta, record.cameras)).motion()
    assert np.abs(motion["error"] * 1e-4 - more["joint_error"]).max() < 1e-4
    assert np.abs(motion["score"][:, 0] / 255 - more["score"]).max() < 3e-3


def test_frames_without_anybody_have_times_too() -> None:
    record = made_record([(1, 0, [2, 3, 7])], frames=10, fps="10", times=np.arange(10) / 10 + 5, world=False)
    assert np.allclose(frames_of(record).times, np.arange(10) / 10)
    uneven = made_record([(1, 0, range(4))], fps="10", times=[0, 0.1, 0.9, 0.9], world=False)
    assert (np.diff(frames_of(uneven).times) > 0).all()
    assert len(frames_of(made_record([], frames=3, world=False))) == 3


def test_a_record_too_long_for_a_page_is_refused() -> None:
    record = made_record([(1, 0, range(3))], world=False)
    endless = Result(record.arrays, replace(record.meta, frame_count=MOST_FRAMES + 1))
    with pytest.raises(InputError, match="more than can be shown"):
        frames_of(endless)
    early = Result(record.arrays, replace(record.meta, start_frame=1))
    with pytest.raises(InputError, match="not looked at"):
        frames_of(early)


@pytest.mark.parametrize(("frame", "first"), [(7, 7), (1, 0)])
def test_one_file_of_frames_is_one_frame_with_one_camera(tmp_path: Path, frame: int, first: int) -> None:
    """Also where nobody is in it, and the file does not say which it is."""
    made_record([(1, 0, range(5, 9))]).save_frames(tmp_path)
    result = load_result(tmp_path / f"{frame:06d}.npz")
    frames = frames_of(result)
    assert (frames.first, len(frames)) == (first, 1)
    page = Page(api.view(tmp_path / f"{frame:06d}.npz", embed_video=False))
    assert page.record["count"] == 1 and len(page.block("cameras", "<f4")) == 7


def test_nothing_can_leave_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, made_record([(1, 0, range(3))]))
    policies = [value for name, value in page.attributes if name == "content" and "default-src" in str(value)]
    assert len(policies) == 1 and str(policies[0]).startswith("default-src 'none'; ")
    sources = dict(part.strip().split(" ", 1) for part in str(policies[0]).split(";"))
    allowed = {word for value in sources.values() for word in value.split()}
    assert allowed == {"'none'", "'unsafe-inline'", "data:", "blob:"}
    assert not [value for name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    own = "".join((HERE / name).read_text("utf-8") for name in ("page.html", "style.css"))
    own += "".join(path.read_text("utf-8") for path in HERE.glob("*.js"))
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|\beval\(", own)


NASTY = "</script><img src=x onerror=alert(1)><!--<script>{{blocks}} \"'& \u2028\ud800"


def test_names_are_text(tmp_path: Path, body: Body) -> None:
    record = made_record([(1, 0, range(3))])
    pages = []
    for number, name in enumerate(
        ("plain.mp4", NASTY)
    ):  # no file can have the latter's name, but nothing hangs on that
        path = tmp_path / f"{number}.html"
        named = Result(record.arrays, replace(record.meta, video=name), record.cameras)
        write_page(named, body, path, video=None, progress=Progress(quiet=True), warn=print)
        pages.append(Page(path))
        assert pages[-1].record["name"] == name
    assert pages[1].tags == pages[0].tags and "img" not in pages[1].tags
    assert pages[1].texts["title"].startswith("</script><img")
    assert pages[1].scripts == pages[0].scripts and len(pages[1].scripts) == 2


def test_a_page_is_sealed_and_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    record = made_record([(1, 0, range(3))])
    page_of(tmp_path, record)
    path = tmp_path / "view.html"
    assert sealed_kind(path) == "html"
    api.view(tmp_path, embed_video=False)
    ours = path.read_bytes()
    for place in (0, len(ours) // 2, len(ours) - 3):
        path.write_bytes(ours[:place] + bytes([ours[place] ^ 1]) + ours[place + 1 :])
        assert sealed_kind(path) is None
    for foreign in (b"<!doctype html><p>mine", ours + b"\n", ours[:-5]):
        path.write_bytes(foreign)
        with pytest.raises(OutputError, match="glot did not draw it"):
            api.view(tmp_path, embed_video=False)
        assert path.read_bytes() == foreign
    path.unlink()
    path.symlink_to("precious.html")
    with pytest.raises(OutputError, match="no regular file"):
        api.view(tmp_path, embed_video=False)
    with pytest.raises(OutputError, match="the record itself"):
        api.view(tmp_path, tmp_path / "params.npz", embed_video=False)
    with pytest.raises(OutputError, match=r"does not end in \.html"):
        api.view(tmp_path, tmp_path / "view.htm", embed_video=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["params.npz", "view.html"]


def test_what_a_killed_view_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = aside_name(tmp_path / "view.html")
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
    left.touch()
    page_of(tmp_path, made_record([(1, 0, range(3))]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.npz", "view.html"]
    left.touch()
    with ResultFolder(tmp_path / "new", Source("a.mp4", tmp_path / "a.mp4", "")).held():  # as does a run in the folder
        left.rename(tmp_path / "new" / left.name)
    with ResultFolder(tmp_path / "new", Source("a.mp4", tmp_path / "a.mp4", "")).held():
        assert list((tmp_path / "new").iterdir()) == []


def test_the_example_stays_small(tmp_path: Path) -> None:
    made = made_record([(1, 0, range(210)), (2, 0, range(210))])
    record = Result(made.arrays, replace(made.meta, width=1280, height=720), made.cameras)
    page = page_of(tmp_path, record, embed_video=True, video=ROOT / "examples" / "clip.mp4")
    assert (tmp_path / "view.html").stat().st_size < 2.6e6
    blocks = [page.block(f"video-{index}", "u1") for index in range(page.record["video_blocks"])]
    (tmp_path / "video.mp4").write_bytes(np.concatenate(blocks).tobytes())
    pictures, times = read_video(tmp_path / "video.mp4")
    assert pictures[0].shape == (540, 960, 3) and len(pictures) == 210
    originals, _ = read_video(ROOT / "examples" / "clip.mp4")
    for index in (0, 100, 209):  # a column of pictures 4/3 as large, by squares of 60 pixels against 80
        small = pictures[index].reshape(9, 60, 16, 60, 3).mean((1, 3))
        assert np.abs(small - originals[index].reshape(9, 80, 16, 80, 3).mean((1, 3))).max() < 4
    assert np.allclose(page.block("times", "<f8"), [float(time) for time in times], atol=1e-6)


def test_the_video_keeps_its_times_and_is_held_where_it_ends_early(tmp_path: Path) -> None:
    stamps = [3, 5, 6, 10, 11, 15]  # a rate that varies
    write_clip(tmp_path / "clip.mp4", [background(65, 49)] * 6, stamps, Fraction(1, 25))
    made = made_record([(1, 0, range(1, 8))], fps="25", world=False)
    meta = replace(made.meta, width=65, height=49, start_frame=1, frame_count=7)
    record = Result(made.arrays, meta)
    said: list[str] = []
    page = page_of(tmp_path, record, embed_video=True, video=tmp_path / "clip.mp4", warn=said.append)
    found = page.block("times", "<f8") * 25
    assert np.allclose(found, [0, 1, 5, 6, 10, 11, 12])
    assert any("ends 2 frames before the result does" in line for line in said)
    with pytest.raises(InputError, match="but the result was made from 640x480"):
        page_of(tmp_path / "o", made, embed_video=True, video=tmp_path / "clip.mp4")


def test_the_vendored_library_is_what_is_said() -> None:
    data, note = (HERE / "three" / "three.min.js").read_bytes(), (HERE / "three" / "entry.js").read_text("utf-8")
    assert f"SHA-256 of three.min.js: {hashlib.sha256(data).hexdigest()}" in note
    assert data.startswith(b"/*\nThe MIT License") and b"</script" not in data and b"<!--" not in data
    assert 0.4e6 < len(data) < 0.75e6
    used = set(re.findall(r"\bTHREE\.(\w+)", "".join(path.read_text("utf-8") for path in HERE.glob("*.js"))))
    exported = set(re.findall(r"\b[A-Z]\w+\b", note.split("export {", 1)[1]))
    assert used == exported


def test_the_command_writes_and_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_record([(1, 0, range(3))]).save(tmp_path / "params.npz")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)

    def status(*words: str) -> object:
        with pytest.raises(SystemExit) as ended:
            main(["view", *words])
        return ended.value.code

    assert status(str(tmp_path), "--no-video", "--open") == 0
    path = tmp_path / "view.html"
    assert capsys.readouterr().out == f"{path}\n" and opened == [path.as_uri()]
    assert status(str(tmp_path)) == 1
    assert "--video" in capsys.readouterr().err  # it is not where it was
    assert status(str(tmp_path), "--no-video", "--video", "x.mp4") == 2
    assert status(str(tmp_path), str(tmp_path), "--output", "x.html") == 2
