"""Bad input and odd input: exit status, one line that names the file, and no file under a final name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from glot_cli import load_result
from glot_cli.errors import GlotError
from glot_cli.pipeline import passes
from glot_cli.pipeline import run as pipeline
from glot_cli.rendering import client
from tests.cli.clips import RATE, background, read_video, write_clip, write_tone
from tests.cli.fixtures import COUNT, Glot, assert_fault, leftovers

# ---------------------------------------------------------------------------------------------------------------------
# Usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["rnu", "did you mean 'glot run'"]),
        (["xyzzy"], ["xyzzy", "weights"]),
        (["run"], ["VIDEO"]),
        (["run", "a.mp4"], ["--out"]),
        (["run", "a.mp4", "--out", "o", "--nonsense"], ["--nonsense"]),
        (["run", "a.mp4", "--out", "o", "--detect-every", "0"], ["--detect-every"]),
        (["run", "a.mp4", "--out", "o", "--focal", "0"], ["--focal"]),
        (["run", "a.mp4", "--out", "o", "--batch-size", "many"], ["--batch-size", "many"]),
        (["run", "a.mp4", "--out", "o", "--start", "3", "--end", "2"], ["--end", "start"]),
        (["run", "a.mp4", "--out", "o", "--device", "abacus"], ["--device", "abacus", "cpu"]),
        (["run", "x/a.mp4", "y/a.mov", "--out", "o"], ["x/a.mp4", "y/a.mov", "o/a"]),
        (["render"], ["PARAMS.npz"]),
        (["render", "p.npz", "--style", "cubist"], ["cubist", "wireframe"]),
    ],
)
def test_wrong_usage_is_status_2(
    glot: Glot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_fault(glot(*arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_a_command_is_recognised(glot: Glot, nobody: Path) -> None:
    assert_fault(glot(nobody), 2, nobody, "glot run")


def test_no_arguments_show_the_help(glot: Glot) -> None:
    ended = glot()
    assert ended.status == 2
    assert "glot run clip.mp4 --out" in "\n".join([ended.out, *ended.err])


@pytest.mark.parametrize("command", [[], ["run"], ["render"], ["weights"], ["weights", "list"], ["train"]])
def test_help_answers(glot: Glot, command: list[str]) -> None:
    ended = glot(*command, "--help")
    assert (ended.status, ended.err) == (0, [])
    assert "Usage: glot" in ended.out
    assert "INTEGER" not in ended.out and "FLOAT" not in ended.out  # a unit instead
    assert max(map(len, ended.out.splitlines())) <= 110


# ---------------------------------------------------------------------------------------------------------------------
# Files that are no video


def test_missing_file(glot: Glot, tmp_path: Path) -> None:
    path = tmp_path / "gone.mp4"
    assert_fault(glot("run", path, "--out", tmp_path / "out"), 1, path, "no such file")
    assert leftovers(tmp_path) == []


def test_text_file_named_mp4(glot: Glot, tmp_path: Path) -> None:
    path = tmp_path / "letter.mp4"
    path.write_text("Dear reader,\n" * 100)
    assert_fault(glot("run", path, "--out", tmp_path / "out"), 1, path, "not a video")
    assert leftovers(tmp_path) == ["letter.mp4"]


def test_empty_file(glot: Glot, tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert_fault(glot("run", path, "--out", tmp_path / "out"), 1, path, "empty")


def test_audio_only(glot: Glot, tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "mono"
        write_tone(container, stream, 1.0)
    assert_fault(glot("run", path, "--out", tmp_path / "out"), 1, path, "no video")
    assert leftovers(tmp_path) == ["song.m4a"]


def test_a_folder_without_images(glot: Glot, tmp_path: Path) -> None:
    assert_fault(glot("run", tmp_path, "--out", tmp_path / "out"), 1, tmp_path, "without images")


def test_cut_off_before_its_index(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(nobody.read_bytes()[:3000])
    assert_fault(glot("run", path, "--out", tmp_path / "out"), 1, path)


def test_truncated_video_gives_what_is_there(glot: Glot, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(20)]
    with av.open(str(whole), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5", "bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    data = whole.read_bytes()
    path.write_bytes(data[: int(0.6 * len(data))])
    ended = glot("run", path, "--out", tmp_path / "out", "--no-render", "--detect-every", 10)
    assert ended.status == 0
    assert any(str(path) in line and "truncated" in line for line in ended.err)
    kept = load_result(tmp_path / "out/cut").meta.frame_count
    assert 5 <= kept < 20
    report = json.loads((tmp_path / "out/cut/run.json").read_text())
    assert any("truncated" in warning for warning in report["warnings"])


def test_one_bad_video_does_not_stop_the_next(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    ended = glot("run", tmp_path / "gone.mp4", nobody, "--out", tmp_path, "--no-render", "--quiet")
    assert (ended.status, len(ended.err)) == (1, 1)
    assert "gone.mp4" in ended.err[0]
    assert ended.out.startswith(f"{nobody}: 0 people, 6 frames") and load_result(tmp_path / "nobody").people == []


def test_debug_shows_where_it_failed(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    ended = glot("run", tmp_path / "gone.mp4", nobody, "--out", tmp_path, "--no-render", "--debug")
    assert ended.status == 1
    assert ended.err[0].startswith("Traceback") and any(line.startswith("glot: ") for line in ended.err)
    assert (tmp_path / "nobody/params.npz").exists()
    assert glot("render", tmp_path / "gone.npz", "--debug").err[0].startswith("Traceback")


def test_a_fault_of_our_own_is_one_line_too(
    glot: Glot, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(passes, "clean_tracks", broken)
    ended = glot("run", nobody, "--out", tmp_path, "--no-render")
    assert_fault(ended, 1, "ZeroDivisionError: two lines", "--debug")


# ---------------------------------------------------------------------------------------------------------------------
# Odd input that comes out


def test_nobody_comes_out_empty_with_a_warning(glot: Glot, drawable: str, nobody: Path, tmp_path: Path) -> None:
    ended = glot("run", nobody, "--out", tmp_path)
    assert (ended.status, len(ended.err)) == (0, 1)
    assert str(nobody) in ended.err[0] and "no person" in ended.err[0]
    assert leftovers(tmp_path / "nobody") == [
        *(f"frames/{i:06d}.npz" for i in range(6)), "overlay.mp4", "params.npz", "run.json"
    ]  # fmt: skip
    assert len(load_result(tmp_path / "nobody")) == 0
    source, overlay = read_video(nobody)[0], read_video(tmp_path / "nobody/overlay.mp4")[0]
    assert len(overlay) == len(source)
    assert np.abs(np.stack(overlay).astype(int) - np.stack(source)).mean() < 3  # but for the second compression


@pytest.mark.parametrize("count", [1, 10])
def test_few_frames(glot: Glot, person_frames: list[np.ndarray], tmp_path: Path, count: int) -> None:
    """Far fewer than GLoT's 16. One frame is also less than any person must be seen for, unless all are asked for."""
    clip = write_clip(tmp_path / "short.mp4", person_frames[:count])
    assert glot("run", clip, "--out", tmp_path, "--min-frames", 1, "--no-render").status == 0
    result = load_result(tmp_path / "short")
    assert (result.people, result.frame.tolist()) == ([1], list(range(count)))


def test_single_image_and_image_folder(glot: Glot, person_frames: list[np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(4):
        cv2.imwrite(str(folder / f"{index + 8}.png"), person_frames[index][..., ::-1])  # 8 9 10 11
    ended = glot("run", folder / "8.png", folder, "--out", tmp_path / "out", "--min-frames", 1)
    assert ended.status == 0, ended
    assert len(load_result(tmp_path / "out/8")) == 1
    assert load_result(tmp_path / "out/pictures").frame.tolist() == [0, 1, 2, 3]
    assert len(read_video(tmp_path / "out/pictures/overlay.mp4")[0]) == 4
    assert len(read_video(tmp_path / "out/8/overlay.mp4")[0]) == 1


@pytest.mark.parametrize("name", ["ein weißer Übergang 視頻 (1).mp4", "-- dash.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_awkward_names(glot: Glot, nobody: Path, tmp_path: Path, name: str) -> None:
    clip = tmp_path / "größer & weiter" / name
    clip.parent.mkdir()
    try:
        shutil.copy(nobody, clip)
    except OSError:
        pytest.skip("this file system takes no such name")
    out = tmp_path / "out put é"
    ended = glot("run", clip, "--out", out, "--no-render")
    assert ended.status == 0, ended
    assert load_result(out / clip.stem).meta.video == name
    assert json.loads((out / clip.stem / "run.json").read_text())["video"] == str(clip)
    assert "skipped" in glot("run", clip, "--out", out, "--no-render").out


def test_quiet_says_nothing_on_standard_error(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    ended = glot("run", nobody, "--out", tmp_path, "--no-render", "--quiet")
    assert (ended.status, ended.err) == (0, [])
    assert ended.out.count("\n") == 1


def test_a_stretch_past_the_end(glot: Glot, nobody: Path, tmp_path: Path) -> None:
    assert_fault(glot("run", nobody, "--out", tmp_path, "--start", 5, "--no-render"), 1, nobody, "--start")
    assert leftovers(tmp_path) == []


# ---------------------------------------------------------------------------------------------------------------------
# Folders


@pytest.mark.parametrize("below", ["file", "proc"])
def test_unwritable_folder(glot: Glot, nobody: Path, tmp_path: Path, below: str) -> None:
    """Found out before any network runs. Not by permissions: these tests may run as root."""
    if below == "proc" and not Path("/proc/self").is_dir():
        pytest.skip("no /proc")
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out" if below == "file" else Path("/proc/glot")
    assert_fault(glot("run", nobody, "--out", out, "--no-render"), 1, out / "nobody", "--out")
    assert leftovers(tmp_path) == ["file"]


# ---------------------------------------------------------------------------------------------------------------------
# Drawing


def test_no_renderer_is_told_first_and_the_parameters_are_kept(
    glot: Glot, drawable: str, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def fails() -> str:
        told.append((tmp_path / "nobody/params.npz").exists())
        raise GlotError("meshes cannot be drawn (no driver); install one or use --no-render")

    with monkeypatch.context() as patch:
        patch.setattr(client, "probe_backend", fails)
        patch.setattr(pipeline, "draw", lambda *_, **__: pytest.fail("drew without a renderer"))
        ended = glot("run", nobody, "--out", tmp_path, "--quiet")
    assert told == [False]  # asked once, before there was anything to save
    assert (ended.status, len(ended.err)) == (1, 1) and "meshes cannot be drawn" in ended.err[0]
    assert "(not drawn)" in ended.out
    assert load_result(tmp_path / "nobody").meta.frame_count == 6
    assert "no driver" in json.loads((tmp_path / "nobody/run.json").read_text())["fault"]

    ended = glot("run", nobody, "--out", tmp_path, "--quiet")
    assert (ended.status, ended.err) == (0, [])
    assert len(read_video(tmp_path / "nobody/overlay.mp4")[0]) == 6


def test_a_driver_that_does_not_start(
    glot: Glot, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing: no OpenGL device of this number exists, and OSMesa is not to be found either."""
    monkeypatch.setenv("EGL_DEVICE_ID", "99")
    monkeypatch.setattr("glot_cli.rendering.client.backends", lambda: ("egl",))
    monkeypatch.setattr(client, "probe_backend", client.probe_backend.__wrapped__)
    ended = glot("run", nobody, "--out", tmp_path, "--quiet")
    assert (ended.status, len(ended.err)) == (1, 1) and "meshes cannot be drawn" in ended.err[0]
    assert (tmp_path / "nobody/params.npz").exists() and not (tmp_path / "nobody/overlay.mp4").exists()


def test_render_refuses_what_does_not_fit(glot: Glot, finished: Path, person: Path, tmp_path: Path) -> None:
    small = write_clip(tmp_path / "small.mp4", [background(64, 48)] * 3)
    assert_fault(glot("render", finished, "--video", small, "-o", tmp_path / "o.mp4"), 1, small, "64x48", "320x240")
    other = write_clip(tmp_path / "other.mp4", [background()] * COUNT)
    ended = glot("render", finished, "--video", other, "-o", tmp_path / "o.mp4")  # a better copy, perhaps
    assert ended.status == 0 and "another file than the result was made from" in ended.err[0]
    for path in (other, tmp_path / "o.mp4"):
        path.unlink()
    letter = tmp_path / "letter.npz"
    letter.write_text("Dear reader")
    assert_fault(glot("render", letter), 1, letter, "not a glot result")
    assert_fault(glot("render", tmp_path / "gone.npz"), 1, tmp_path / "gone.npz", "no such file")
    assert_fault(glot("render", tmp_path), 1, tmp_path / "params.npz", "no such file")
    before = person.read_bytes()
    assert_fault(glot("render", finished, "-o", person), 1, person, "the video itself")
    assert person.read_bytes() == before
    assert_fault(glot("render", finished, "-o", tmp_path / "no/where.mp4"), 1, tmp_path / "no/where.mp4")
    for taken in (finished / "params.npz", letter, small, os.devnull):
        assert_fault(glot("render", finished, "-o", taken), 1, taken, "--output")
    assert leftovers(tmp_path) == ["letter.npz", "small.mp4"] and letter.read_text() == "Dear reader"


def test_render_wants_the_body_that_was_used(glot: Glot, finished: Path, tmp_path: Path) -> None:
    with np.load(finished / "params.npz") as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    for change, word in (({"body_model": "golem"}, "golem"), ({"body_model_sha256": "0" * 64}, "another version")):
        np.savez(tmp_path / "p.npz", **{**arrays, "meta": np.array(json.dumps(meta | change))})
        assert_fault(glot("render", tmp_path / "p.npz"), 1, tmp_path / "p.npz", word)


def test_python_interface_does_the_same(nobody: Path, tmp_path: Path) -> None:
    import glot_cli

    (outcome,) = glot_cli.run(nobody, tmp_path, render=False, quiet=True)
    assert (outcome.people, outcome.frames, outcome.overlay) == (0, 6, None)
    assert glot_cli.load_result(outcome.folder).meta.video == "nobody.mp4"
    with pytest.raises(GlotError, match="no such file"):
        glot_cli.run(tmp_path / "gone.mp4", tmp_path, quiet=True)


def test_a_video_that_is_replaced_while_it_is_read_is_refused(
    glot: Glot, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record would be of two videos: boxes of one, people of the other."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(nobody.read_bytes())
    follow = pipeline.follow_people

    def replaced(*arguments: object) -> object:
        followed = follow(*arguments)  # type: ignore[arg-type]
        clip.write_bytes(nobody.read_bytes() + b"\0")
        return followed

    monkeypatch.setattr(pipeline, "follow_people", replaced)
    ended = glot("run", clip, "--out", tmp_path / "out", "--no-render")
    assert_fault(ended, 1, clip, "was changed or replaced while it was read; run it again")
    assert not (tmp_path / "out").exists()
