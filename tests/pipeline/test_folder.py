"""The result folder: what is ours may be replaced, nothing else, and what is finished is known by what the video is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glot_cli.errors import OutputError, UsageError
from glot_cli.files.npz import write_npz
from glot_cli.files.seal import seal_file, sealed_kind
from glot_cli.pipeline.folder import ResultFolder, check_picture, output_folders
from glot_cli.pipeline.video_source import Source
from tests.pipeline.made_results import finish, record


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ---------------------------------------------------------------------------------------------------------------------
# Names


def test_every_video_gets_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tmp_path / "holiday.2024"
    images.mkdir()
    videos = [Path("a/clip.mp4"), Path("b/other.clip.mov"), images]
    assert output_folders(videos, Path("out")) == [Path("out/clip"), Path("out/other.clip"), Path("out/holiday.2024")]
    monkeypatch.chdir(images)
    assert output_folders([Path(".")], Path("out")) == [Path("out/holiday.2024")]
    for pair in ([Path("a/clip.mp4"), Path("b/clip.mov")], [Path("a/clip.mp4")] * 2):
        with pytest.raises(UsageError, match="out/clip"):
            output_folders(pair, Path("out"))


@pytest.mark.parametrize("name", ["...mp4", "..mp4", ".mp4", "....mp4", ".. .mp4", "...", " .mp4"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (folder,) = output_folders([tmp_path / name], tmp_path / "out")
    assert folder.resolve().parent == tmp_path / "out"


# ---------------------------------------------------------------------------------------------------------------------
# Whose files these are


def users_own(kind: str, folder: Path) -> Path:
    """Something of the user's own where a result has a file of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind
    if kind == "run.json":
        path.write_text('{"distance": 5000, "video": "x", "fault": null}')
    elif kind == "frames":
        path.mkdir()
        (path / "000000.png").write_bytes(b"a picture of mine")
    elif kind == "frames/notes.txt":
        path.parent.mkdir()
        path.write_text("mine")
    elif kind == "frames/000000.npz":
        path.parent.mkdir()
        np.savez(path, mine=np.arange(3))
    elif kind == "params.npz":
        np.savez(path, mine=np.arange(3))
    else:
        path.write_bytes(b"my own film")
    return folder / kind.split("/")[0]


KINDS = ["params.npz", "overlay.mp4", "run.json", "frames", "frames/notes.txt", "frames/000000.npz"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_own_file_is_refused_and_stays(place: ResultFolder, kind: str) -> None:
    mine = users_own(kind, place.path)
    before = contents(place.path)
    with pytest.raises(OutputError, match="is in the way") as refused, place.held():
        pytest.fail("went on")
    assert refused.value.path is not None and mine in (refused.value.path, refused.value.path.parent)
    assert contents(place.path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_in_between_is_refused_too(place: ResultFolder, video: Path, kind: str) -> None:
    with place.held():
        users_own(kind, place.path)
        before = contents(place.path)
        with pytest.raises(OutputError, match="is in the way"):
            place.save(record(video), frames=True)
    assert contents(place.path) == before


@pytest.mark.parametrize("name", ["params.npz", "overlay.mp4", "run.json", "frames/000001.npz"])
def test_our_file_that_somebody_changed_is_theirs(place: ResultFolder, video: Path, name: str) -> None:
    finish(place, video)
    path = place.path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match="changed since"):
        place.check()


@pytest.mark.parametrize("name", ["params.npz", "overlay.mp4", "run.json", "frames"])
def test_links_and_folders_in_the_way_are_refused(place: ResultFolder, video: Path, name: str, tmp_path: Path) -> None:
    finish(place, video)
    path, elsewhere = place.path / name, tmp_path / "elsewhere" / name
    elsewhere.parent.mkdir()
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)
    before = contents(elsewhere.parent)
    with pytest.raises(OutputError, match="is in the way"):
        place.check()
    path.unlink()
    if name != "frames":
        path.mkdir()
        (path / "mine.txt").touch()
        with pytest.raises(OutputError, match="is in the way"):
            place.check()
    assert contents(elsewhere.parent) == before


def test_our_files_without_a_record_are_refused(place: ResultFolder, video: Path) -> None:
    """They are glot's, but of which video nobody knows."""
    finish(place, video)
    for name in ("params.npz", "run.json"):
        (place.path / name).unlink()
    with pytest.raises(OutputError, match="no record beside it says of which video it is"):
        place.check()


def test_a_report_of_the_users_that_comes_while_we_draw_stays(place: ResultFolder, video: Path) -> None:
    with place.held():
        (place.path / "run.json").write_text("mine")
        with pytest.raises(OutputError, match="there is a file of that name that glot did not write"):
            place.write_report({"video": "x"})
    assert contents(place.path) == {"run.json": b"mine"}


def test_our_own_files_are_replaced_and_nothing_older_stays(place: ResultFolder, video: Path) -> None:
    finish(place, video)
    with place.held():
        place.save(record(video), frames=False)
    assert [p.name for p in place.path.iterdir()] == ["params.npz"]


def test_an_input_of_the_call_is_never_touched(tmp_path: Path, video: Path) -> None:
    """`glot run overlay/overlay.mp4 --out .`, where an earlier run drew that very file."""
    folder = tmp_path / "overlay"
    first = ResultFolder(folder, Source.of(video))
    finish(first, video)
    overlay = folder / "overlay.mp4"
    before = contents(folder)
    place = ResultFolder(folder, Source.of(overlay), [overlay])
    with pytest.raises(OutputError, match=r"overlay\.mp4: is an input of this call"), place.held():
        pytest.fail("went on")
    linked = tmp_path / "another name.mp4"
    os.link(overlay, linked)
    with pytest.raises(OutputError, match=r"overlay\.mp4: is an input of this call"):
        ResultFolder(folder, Source.of(video), [linked]).check()
    for touched in (folder / "frames", folder):  # a folder of images is no place for results
        with pytest.raises(OutputError, match="is an input of this call"):
            ResultFolder(folder, Source.of(video), [touched]).check()
    assert contents(folder) == before


def test_the_result_of_another_video_is_refused(place: ResultFolder, video: Path, tmp_path: Path) -> None:
    finish(place, video)
    other = tmp_path / "other/clip.mp4"
    other.parent.mkdir()
    other.write_bytes(video.read_bytes() + b"more")
    before = contents(place.path)
    theirs = ResultFolder(place.path, Source.of(other))
    with pytest.raises(OutputError, match=f"holds the result of {video}") as refused:
        theirs.refuse_other_content()
    assert "another output folder" in str(refused.value)
    with pytest.raises(OutputError, match="which is another video"):  # not even when told to overwrite
        theirs.check()
    assert contents(place.path) == before


# ---------------------------------------------------------------------------------------------------------------------
# Litter, and two at once


def test_what_a_killed_run_left_is_removed_and_nothing_else(place: ResultFolder) -> None:
    place.path.mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    litter = [
        f".params.npz.glot-{gone.pid}.part",
        f".overlay.mp4.glot-{gone.pid}.part",
        f".run.json.glot-{gone.pid}.part",
    ]
    for name in litter:
        (place.path / name).touch()
    for name in (f".frames.glot-{gone.pid}.part", f".frames.glot-{gone.pid}.old"):
        (place.path / name).mkdir()
        write_npz(place.path / name / "000000.npz", {})
    (place.path / f".frames.glot-{gone.pid}.part/.000001.npz.glot-{gone.pid}.part").touch()
    kept = [f".side.mp4.glot-{os.getpid()}.part", "notes.part", ".mine.part", ".run.json.2024.part"]
    for name in kept:  # a living process draws; a user's own
        (place.path / name).touch()
    mine = place.path / f".frames.glot-{gone.pid}.old/mine.txt"
    mine.touch()
    kept.append(mine.parent.name)
    with place.held():
        assert sorted(p.name for p in place.path.iterdir()) == sorted(kept)
        assert list(mine.parent.iterdir()) == [mine]


def test_a_second_run_in_a_folder_stops_with_a_line(place: ResultFolder, video: Path) -> None:
    with place.held():
        other = ResultFolder(place.path, Source.of(video))
        with pytest.raises(OutputError, match="another glot is writing here"), other.held():
            pytest.fail("both went on")
    with place.held():
        pass
    assert list(place.path.iterdir()) == []


def test_a_lock_dies_with_its_process(place: ResultFolder, video: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from glot_cli.pipeline.folder import ResultFolder\n"
        "from glot_cli.pipeline.video_source import Source\n"
        "place = ResultFolder(Path(sys.argv[1]), Source.of(Path(sys.argv[2])))\n"
        "with place.held(): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(place.path), str(video)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another glot"), place.held():
            pytest.fail("went on")
        process.kill()
        process.wait()
    with place.held():
        pass


def test_where_folders_cannot_be_locked_a_file_is(
    place: ResultFolder, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows and on some network disks."""
    monkeypatch.setattr("glot_cli.files.locks._lock_directory", lambda folder: None)
    with place.held():
        with pytest.raises(OutputError, match="another glot"), ResultFolder(place.path, Source.of(video)).held():
            pytest.fail("both went on")
        assert [p.name for p in place.path.iterdir()] == [".glot.lock"]
    assert list(place.path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_a_line(place: ResultFolder) -> None:
    place.path.mkdir(parents=True)
    place.path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"), place.held():
        pytest.fail("went on")


def test_a_file_where_the_folder_should_be_is_a_line(place: ResultFolder) -> None:
    place.path.parent.mkdir()
    place.path.write_text("mine")
    with pytest.raises(OutputError, match="in the way: no folder"), place.held():
        pytest.fail("went on")
    assert place.path.read_text() == "mine"


def test_new_folders_of_a_run_that_failed_go_again_if_nothing_is_in_them(tmp_path: Path, video: Path) -> None:
    place = ResultFolder(tmp_path / "there/new/clip", Source.of(video))
    (tmp_path / "there").mkdir()
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), place.held():
            assert place.path.is_dir()
            raise error
        assert list((tmp_path / "there").iterdir()) == []
    with pytest.raises(ValueError), place.held():
        (place.path / "mine.txt").touch()
        raise ValueError
    assert contents(tmp_path / "there") == {"new/clip/mine.txt": b""}
    (place.path / "mine.txt").unlink()
    with pytest.raises(ValueError), place.held():  # it was there before: whoever made it may want it
        raise ValueError
    assert place.path.is_dir()


def test_a_folder_that_vanishes_is_a_line(place: ResultFolder, video: Path) -> None:
    with place.held():
        shutil.rmtree(place.path)
        with pytest.raises(OutputError, match=r"out/clip.*cannot be written \(No such file or directory\)"):
            place.save(record(video), frames=True)
        with pytest.raises(OutputError, match=r"run\.json: cannot be written \(No such file or directory\)"):
            place.write_report({"video": "x"})


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root of Linux may mount")
@pytest.mark.parametrize("pages", [1, 2, 4, 6, 8])
def test_a_full_disk_is_a_line_and_leaves_nothing_half(place: ResultFolder, video: Path, pages: int) -> None:
    place.path.parent.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={4096 * pages}", "tmpfs", str(place.path.parent)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"), place.held():
            place.save(record(video), frames=True)
            place.write_report({"video": "x" * 30_000})
        for path in place.path.rglob("*"):
            assert path.name in ("params.npz", "frames", "000000.npz", "000001.npz")
            assert path.is_dir() or sealed_kind(path) == "npz"
    finally:
        subprocess.run(["umount", str(place.path.parent)], check=True)


# ---------------------------------------------------------------------------------------------------------------------
# Links, and names that the file system takes for the same


def test_a_folder_that_is_a_link_is_that_folder(place: ResultFolder, video: Path, tmp_path: Path) -> None:
    """As where big disks are, and as names are that differ in case alone where the file system does not see that."""
    finish(place, video)
    other = tmp_path / "Clip.mp4"
    other.write_bytes(video.read_bytes() + b"more")
    (tmp_path / "out/Clip").symlink_to(place.path)
    before = contents(place.path)
    linked = ResultFolder(tmp_path / "out/Clip", Source.of(other))
    for way in (linked.check, linked.refuse_other_content):
        with pytest.raises(OutputError, match=f"holds the result of {video}"):
            way()
    with place.held(), pytest.raises(OutputError, match="another glot"), linked.held():
        pytest.fail("both went on")
    assert contents(place.path) == before
    (tmp_path / "out/dangling").symlink_to(tmp_path / "nowhere")
    with (
        pytest.raises(OutputError, match="in the way: no folder"),
        ResultFolder(tmp_path / "out/dangling", place.source).held(),
    ):
        pytest.fail("went on")
    assert not (tmp_path / "nowhere").exists()


def test_an_input_that_links_into_a_result_is_not_replaced(place: ResultFolder, video: Path, tmp_path: Path) -> None:
    finish(place, video)
    link = tmp_path / "clip.mkv"
    link.symlink_to(place.path / "overlay.mp4")
    before = contents(place.path)
    (folder,) = output_folders([link], tmp_path / "out")
    with pytest.raises(OutputError, match=r"overlay\.mp4: is an input of this call"):
        ResultFolder(folder, Source.of(link), [link]).check()
    assert folder == place.path and contents(place.path) == before


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def test_a_picture_replaces_only_a_picture_of_ours(tmp_path: Path, video: Path) -> None:
    params = tmp_path / "params.npz"
    record(video).save(params)
    ours = tmp_path / "ours.mp4"
    shutil.copy(video, ours)
    seal_file(ours)
    check_picture(tmp_path / "new.mp4", params, video)
    with pytest.raises(OutputError, match=r"shot\.png: does not end in \.mp4"):
        check_picture(tmp_path / "shot.png", params, video)
    check_picture(ours, params, video)
    theirs = tmp_path / "theirs.mp4"
    shutil.copy(video, theirs)
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader")
    named = tmp_path / "named.mp4"
    shutil.copy(params, named)
    text = tmp_path / "ours.txt"
    shutil.copy(ours, text)
    link = tmp_path / "link.mp4"
    link.symlink_to(ours)
    hard = tmp_path / "hard.mp4"
    os.link(video, hard)
    dangling = tmp_path / "dangling.mp4"
    dangling.symlink_to(tmp_path / "nowhere")
    before = contents(tmp_path)
    for path in (params, video, hard, theirs, letter, named, text, link, dangling, Path(os.devnull), tmp_path):
        with pytest.raises(OutputError, match="another place"):
            check_picture(path, params, video)
    assert contents(tmp_path) == before
